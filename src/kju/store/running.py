"""SHELL: which machines run.

A machine runs exactly as long as its host holds the flock on ``host.pid``. The kernel releases it
however the host ends, and unlike a process number it cannot be reused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from ..errors import MachineNotFoundError
from .paths import NAME, Paths, fallback_note, is_defined, machine_paths, runtime_folder


def find(name: str) -> Paths:
    """Return the files of a running machine.

    Raises:
        MachineNotFoundError: No machine of this name runs.
    """
    found = machine_paths(name)
    if is_alive(found):
        return found
    if is_defined(name):
        raise MachineNotFoundError(
            f"the machine {name!r} is not running; start it with: kju start {name}", name
        )
    running = ", ".join(names())
    hint = f"these are: {running}" if running else "start one: kju run IMAGE"
    searched = f" ({note})" if (note := fallback_note()) else ""
    raise MachineNotFoundError(f"no machine {name!r} is running; {hint}{searched}", name)


def names() -> list[str]:
    """Return the names of the running machines, sorted."""
    folder = runtime_folder(create=False)
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except FileNotFoundError:
        return []
    return [n for n in entries if NAME.fullmatch(n) and is_alive(Paths(folder / n))]


def is_alive(machine: Paths) -> bool:
    """Return whether a host holds the lock of this machine."""
    try:
        descriptor = os.open(machine.pid, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # Shared: two processes that check at the same moment must not see each other's lock.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def host_pid(name: str) -> int:
    """Return the process number of a running machine's host; 0 if unknown.

    The recorded start time is compared, in case the number was given to another process.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        number, started = machine_paths(name).pid.read_text().splitlines()[0].split()
        if int(number) > 0 and start_time(int(number)) == int(started):
            return int(number)
    return 0


def start_time(pid: int) -> int:
    """Return a process's start time in clock ticks since boot; 0 if there is no process.

    Source:
        Field 22 of /proc/PID/stat (proc_pid_stat(5)). The name before it may contain
        spaces and brackets, so fields are counted from the last bracket.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, by SIGSTOP or a debugger."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in ("T", "t")
