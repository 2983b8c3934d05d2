"""The messages of a host that was forked by a spawner, to its launcher. I/O-free.

They are packets on a socket of their own: `FORKED` with a pidfd of the host, then `DETACHED`, or
its exit status as a decimal number. If the connection ends without either, the host was killed.
"""

from __future__ import annotations

FORKED, DETACHED = b"forked", b"detached"
#: The word after the descriptor of a process that forks hosts.
SPAWNER = "spawner"
#: Bytes of the largest message.
MAX_MESSAGE = 16
