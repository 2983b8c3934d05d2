"""SHELL: the process between a launcher and the host of a detached machine.

A launcher waits for its children, so a machine that outlives it is not one of them: the process
that the launcher started forks, and its child is the host. The process stays until the start is
over, so that the launcher can wait for either outcome:

| the machine                   | its exit status                 |
|-------------------------------|---------------------------------|
| was detached by its launcher  | 0                               |
| ended before that             | the host's, or 128 and a signal |
"""

from __future__ import annotations

import os
import socket


def fork_host(connection: socket.socket) -> int:
    """Continue in a child process; return a descriptor for `report_detached`.

    Args:
        connection: The launcher's. This process closes it: the launcher sees the end of the host.
    """
    outcome, ours = os.pipe()
    child = os.fork()
    if not child:
        os.close(outcome)
        return ours
    os.close(ours)
    connection.close()
    if os.read(outcome, 1):
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(status if status >= 0 else 128 - status)


def report_detached(descriptor: int) -> None:
    """End the process that waits, and close the descriptor."""
    os.write(descriptor, b"d")
    os.close(descriptor)
