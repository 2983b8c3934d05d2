"""SHELL: screens on the network: zenoh carries the messages of `kju.wire`.

| module | subject |
|---|---|
| `addresses` | names of screens, zenoh's keys, endpoints |
| `transport`, `connection_errors` | zenoh in an event loop; why connections fail |
| `mirror`, `mirror_link`, `drawing` | a viewer's end |
| `trust`, `trust_folder`, `certificates`, `key_lists` | roles, certificates and keys on disk |
| `proof` | authentication of both ends of a session |

zenoh is imported when the first session opens: the extra `remote` installs it.
"""
