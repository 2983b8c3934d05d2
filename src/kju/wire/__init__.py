"""The same screen on another machine: what is said, and what either side does about it. I/O-free.

`messages` has every message, `blocks` what a segment's bytes are, `encoder` what has changed on a
screen as segments, `sender` one viewer as the side with the screen sees it, `receiver` the other
side, `window` how much may be under way. Whoever moves the messages is elsewhere; nothing here
knows a socket, a clock or a loop: times are seconds that the caller gives.

docs/reference/wire.md has all of it for who writes another client.
"""
