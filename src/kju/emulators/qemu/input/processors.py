"""SHELL: the run time of the guest's processors.

After the guest's kernel has taken a key, the program that reads it has to fetch it. That queue
cannot be observed: Linux keeps 64 events for each reader of a keyboard, three for a key that goes
down or up, and drops them all when there are more. But a guest whose processors all sleep has
nothing left to do. Otherwise a reader gets its turn within a few milliseconds of the processors'
run time, however long the computer takes to provide that.

Source:
    proc(5) and the kernel's Documentation/scheduler/sched-stats.rst: a thread's system call
    (/proc/PID/task/TID/syscall) and run time (schedstat); futex(2); Linux's
    drivers/input/evdev.c (the queue of a reader).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....errors import KjuError
from ...input.pace import Processors
from ..qmp import Qmp

#: Processors that are observed: two small files of each are read for every few keys.
MAX_PROCESSORS = 8

#: Nanoseconds between the kernel's updates of the run time of a running thread. Run time that
#: appears late counts for the next keys.
TICK = 4_000_000

#: Linux's numbers on x86-64. QEMU's emulated processors wait for a condition when they
#: are halted: a futex with a bit set, unlike a lock. KVM's halt within KVM_RUN.
_IOCTL, _FUTEX = 16, 202
_WAIT_BITSET, _COMMAND = 9, 0x7F


class GuestProcessors(Processors):
    """The processors of one machine's guest. While unknown, they are taken to run all the time."""

    def __init__(self) -> None:
        self._threads: list[Path] = []
        self._had: dict[Path, int] = {}
        self._needs: dict[Path, int] = {}

    async def find(self, qmp: Qmp, pid: int) -> None:
        """Find QEMU's threads for them."""
        try:
            found: list[dict[str, Any]] = await qmp.execute("query-cpus-fast")
            threads = [Path(f"/proc/{pid}/task/{int(each['thread-id'])}") for each in found]
            for thread in threads:
                _run_time(thread)
                _sleeps(thread)
        except (KjuError, OSError, LookupError, TypeError, ValueError):
            threads = []
        self._forget()
        self._threads = threads if len(set(threads)) <= MAX_PROCESSORS else []

    def charge(self, seconds: float) -> None:
        """Require each to run for *seconds* from now on, and for the rest of earlier charges."""
        try:
            now = {thread: _run_time(thread) for thread in self._threads}
        except (OSError, LookupError, ValueError):
            self._forget()
            return
        for thread, run in now.items():
            left = self._needs.get(thread, 0) - (run - self._had.get(thread, run))
            self._needs[thread] = max(left, -TICK) + round(seconds * 1e9)
        self._had = now

    def caught_up(self) -> bool | None:
        """Return whether each has run as long as charged, or sleeps; None if unknown."""
        if not self._had:
            return None
        try:
            run = [self._has_run(thread) for thread in self._had]
        except (OSError, LookupError, ValueError):
            self._forget()
            return None
        return all(run)

    def _has_run(self, thread: Path) -> bool:
        if _sleeps(thread):
            self._needs[thread] = 0
            return True
        return _run_time(thread) - self._had[thread] >= self._needs[thread]

    def _forget(self) -> None:
        self._threads, self._had, self._needs = [], {}, {}


def _run_time(thread: Path) -> int:
    """Return the run time in nanoseconds."""
    return int((thread / "schedstat").read_bytes().split()[0])


def _sleeps(thread: Path) -> bool:
    """Return whether the processor is halted, not just waiting for QEMU's own lock."""
    try:
        call = (thread / "syscall").read_bytes().split()
    except PermissionError:
        return False
    if call[0] == b"%d" % _FUTEX:
        return int(call[2], 16) & _COMMAND == _WAIT_BITSET
    return call[0] == b"%d" % _IOCTL
