"""SHELL: how much the guest's processors have run.

A key that the guest's kernel has taken still has to be fetched by the program it is for, and what
waits there cannot be seen from outside: Linux keeps 64 events for each reader of a keyboard, three
for a key that goes down or up, and drops them all when there are more. But a guest whose
processors all sleep has nothing left to do; and where they do not, a reader gets its turn in a few
milliseconds in which they ran, however long the computer takes to give them those.

Source:
    proc(5) and the kernel's Documentation/scheduler/sched-stats.rst: what a thread waits in
    (/proc/PID/task/TID/syscall) and its run time (schedstat); futex(2); Linux's
    drivers/input/evdev.c (the queue of a reader).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....errors import KjuError
from ..qmp import Qmp

#: Processors that are looked at: of each, two small files are read once or more for a few keys.
MOST_LOOKED_AT = 8

#: Nanoseconds after which the kernel counts the run time of a thread anew that does not stop:
#: what is seen too late is run already for the next keys.
TICK = 4_000_000

#: Linux's numbers on x86-64. A condition, as QEMU's emulated processors wait for when they are
#: halted, is waited for by a bit set; a lock is not. KVM's halt within KVM_RUN.
_IOCTL, _FUTEX = 16, 202
_WAIT_BITSET, _COMMAND = 9, 0x7F


class Processors:
    """Those of one machine.

    Where nothing is known of them, they are taken to run all the time.
    """

    def __init__(self) -> None:
        self._threads: list[Path] = []
        self._had: dict[Path, int] = {}
        self._needs: dict[Path, int] = {}

    async def find(self, qmp: Qmp, pid: int) -> None:
        """Find QEMU's threads for them."""
        try:
            told: list[dict[str, Any]] = await qmp.execute("query-cpus-fast")
            threads = [Path(f"/proc/{pid}/task/{int(each['thread-id'])}") for each in told]
            for thread in threads:
                _run_time(thread)
                _sleeps(thread)
        except (KjuError, OSError, LookupError, TypeError, ValueError):
            threads = []
        self._forget()
        self._threads = threads if len(set(threads)) <= MOST_LOOKED_AT else []

    def owe(self, seconds: float) -> None:
        """From now on each has to run for so long, and for what is left of the time before that."""
        try:
            now = {thread: _run_time(thread) for thread in self._threads}
        except (OSError, LookupError, ValueError):
            self._forget()
            return
        for thread, run in now.items():
            left = self._needs.get(thread, 0) - (run - self._had.get(thread, run))
            self._needs[thread] = max(left, -TICK) + round(seconds * 1e9)
        self._had = now

    def have_run(self) -> bool | None:
        """Whether each has run for as long as it had to, or sleeps; None if it is not known."""
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
    """Nanoseconds."""
    return int((thread / "schedstat").read_bytes().split()[0])


def _sleeps(thread: Path) -> bool:
    """Whether the processor is halted; one that waits for QEMU's own lock is not."""
    try:
        call = (thread / "syscall").read_bytes().split()
    except PermissionError:
        return False
    if call[0] == b"%d" % _FUTEX:
        return int(call[2], 16) & _COMMAND == _WAIT_BITSET
    return call[0] == b"%d" % _IOCTL
