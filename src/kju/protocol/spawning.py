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


def exit_status(message: bytes) -> int:
    """Return the exit status in a message, 0 for a machine that was detached.

    Args:
        message: The message; empty for the end of the connection. A host that was killed has the
            status of SIGKILL, and so has one that sends anything else.
    """
    if message == DETACHED:
        return 0
    is_status = message.isdigit() and int(message) < 256
    return int(message) if is_status else -9
