"""SHELL: the process between a launcher and the host of a detached machine.

A launcher waits for its children, so a machine that outlives it is not one of them: the process
that the launcher started forks, and its child is the host. The process stays until the start is
over, so that the launcher can wait for either outcome:

| the machine                   | its exit status                 |
|-------------------------------|---------------------------------|
| was detached by its launcher  | 0                               |
| ended before that             | the host's, or 128 and a signal |

A host that a spawner has forked (`kju.host.spawner`) reports the same on a socket.
"""

from __future__ import annotations

import os
import socket
from typing import Protocol


class StartOutcome(Protocol):
    """Reports to a launcher."""

    def detached(self) -> None:
        """Report that the machine was detached, once."""


class WaitingProcess:
    """The process that waits.

    Args:
        descriptor: The pipe to it; taken over.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def detached(self) -> None:
        """End the process that waits."""
        os.write(self._descriptor, b"d")
        os.close(self._descriptor)


def fork_host(connection: socket.socket) -> WaitingProcess:
    """Continue in a child process.

    Args:
        connection: The launcher's. This process closes it: the launcher sees the end of the host.
    """
    outcome, ours = os.pipe()
    child = os.fork()
    if not child:
        os.close(outcome)
        return WaitingProcess(ours)
    os.close(ours)
    connection.close()
    if os.read(outcome, 1):
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(status if status >= 0 else 128 - status)
