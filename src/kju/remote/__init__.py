"""SHELL: a screen on the network: zenoh carries what `kju.wire` says.

`address` names screens, `options` how a session reaches others, `engine` is zenoh in an event
loop, `outlet` the side with the screen, `inlet` a viewer's. zenoh is imported when the first
session is opened: the extra `remote` has it.
"""
