"""Find, end and report processes that outlive their test or test run.

A process inherits its environment, so a variable that only one test has marks everything that this
test started: machine hosts that detached, their QEMUs, servers. Process groups and parents do not
tell, because a detached host changes both.

Run as a program, this file is the guard of a whole run: it waits until the run has ended, however
it ended, and kills the processes that are marked as the run's.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Set
from pathlib import Path

#: In the environment of everything that one test starts, and of everything that one run starts.
TEST, RUN = "KJU_TEST", "KJU_TEST_RUN"
#: Seconds that a process may take to end after its test, on a busy computer.
GRACE = 20.0


def running() -> set[int]:
    """Return the ids of all processes."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def marked(name: str, value: str, older: Set[int] = frozenset()) -> dict[int, str]:
    """Return the processes with a variable in their environment: command lines by process id.

    Args:
        name: The variable.
        value: Its value.
        older: Processes that ran before any of them, and are not looked at: it takes long.
    """
    wanted = f"{name}={value}".encode()
    found = {}
    for pid in running() - older - {os.getpid()}:
        folder = Path("/proc", str(pid))
        # A process may end, or belong to somebody else.
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found[pid] = b" ".join(words).decode(errors="replace").strip()
    return found


def kill(pids: dict[int, str]) -> None:
    """Kill processes; those that have ended already are fine."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def end_processes_of(test: str, older: Set[int] = frozenset()) -> list[str]:
    """Wait for the processes that a test started, kill those that stay; return their commands.

    Args:
        test: The test's value of the variable.
        older: Processes that ran before the test.
    """
    deadline = time.monotonic() + GRACE
    while left := marked(TEST, test, older):
        if time.monotonic() > deadline:
            kill(left)
            return list(left.values())
        time.sleep(0.02)
    return []


def guard_run(run: str) -> None:
    """Start a guard that ends the processes of this run once this process has ended."""
    environment = {name: value for name, value in os.environ.items() if name != RUN}
    # Not a Popen, which complains of a child that is still running when it is collected.
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-S", __file__, str(os.getpid()), run],
        environment,
        setsid=True,  # Ctrl+C in a terminal must not end it
    )


def _guard(pid: int, run: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        select.select([descriptor], [], [])
    # A process may start another one while it is looked for.
    while left := marked(RUN, run):
        kill(left)
        time.sleep(0.05)


if __name__ == "__main__":
    _guard(int(sys.argv[1]), sys.argv[2])
