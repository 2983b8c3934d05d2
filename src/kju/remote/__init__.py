"""SHELL: screens on the network: zenoh carries the messages of `kju.wire`.

`address` names screens and zenoh's keys, `endpoints` describes where to listen and connect,
`transport` is zenoh in an event loop, `reachability` explains failed connections, and `mirror` is a
viewer's end. `trust` is a folder of certificates and roles, and `proof` authenticates both ends.
zenoh is imported when the first session opens: the extra `remote` installs it.
"""
