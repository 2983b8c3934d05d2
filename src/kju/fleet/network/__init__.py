"""A fleet on the network: its machines as screens, and its states, over zenoh.

| module | holds |
|---|---|
| ``news`` | keys and messages; the picture that a watcher has of a fleet |
| ``joining`` | the connection to the network: a router, or a socket of this user |
| ``sender`` | the process that serves a node's machines |
| ``node_sender`` | the keeper's end of that process |
| ``publisher`` | the controller's states and changes |
| ``watcher`` | a fleet as it is seen from anywhere, without Ray |
"""
