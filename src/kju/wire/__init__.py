"""The protocol of a screen on the network: messages, and both ends of a session. I/O-free.

| module | subject |
|---|---|
| `messages` | every message |
| `greeting`, `seal` | authentication and encryption of a session |
| `sequence` | received numbers: new, repeated, early, lost |
| `sender_session`, `in_flight`, `sent_picture` | the sender's end |
| `encoder`, `tiles`, `steps`, `photos` | changes as segments |
| `receiver_session`, `received_picture` | the viewer's end |
| `codecs`, `jpeg` | compression of pixels |

Nothing here knows a socket, a clock or an event loop: callers move the messages and pass the time
in seconds. docs/reference/wire.md describes the protocol for other implementations.
"""
