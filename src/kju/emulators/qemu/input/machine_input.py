"""SHELL: sends keyboard and pointer input of clients to QEMU, at the pace of the guest."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ....errors import InputError, KjuError, QemuError, UsageError
from ....files import stat_fields
from ....keys import Step
from ....surface import NOTHING_TAKEN, Mark
from ...console import Console
from ...input.devices import Devices, InputLog
from ...input.keyboard import Begun, KeyboardLamps, SharedKeyboard
from ...input.pace import Pace, Processors
from ..display.dbus import DisplayBus
from ..qmp import Qmp
from ..stderr import Traces
from . import events
from .events import Event
from .gauges import NO_HANDLER, NO_KEYBOARD, TOUCH_SCREEN, Gauges, started_virtio
from .pointer import QemuPointer

#: The arguments by which QMP names a console: ``device`` and ``head``.
QmpName = Mapping[str, object]
#: The first console needs no name.
FIRST_CONSOLE: QmpName = {}

_NO_POINTER = (
    "this machine has no pointer; start it with one, such as: -device usb-tablet (its board needs a"
    " USB bus) or -device virtio-tablet-device"
)
#: The largest number of observed processors: two small files of each are read for every few keys.
MAX_PROCESSORS = 8

#: Nanoseconds between the kernel's updates of the run time of a running thread. Run time that
#: appears late counts for the next keys.
TICK = 4_000_000

#: Seconds for which a processor's longest wait for the computer counts.
WAIT_MEMORY = 1.0

#: Linux's numbers of system calls on x86-64. A halted processor that QEMU emulates waits for a
#: condition: a futex with a bit set, unlike a lock. One that KVM runs is within an ioctl, KVM_RUN.
_IOCTL, _FUTEX = 16, 202
_WAIT_BITSET, _COMMAND = 9, 0x7F


class QemuInput:
    """The input of one machine's clients.

    Args:
        name: The machine's name, for messages.
        consoles: The machine's consoles; the list may grow.
        bus: Returns the current connection to QEMU's display.
        log: Records all input.
        traces: Receives QEMU's trace events; None if they go elsewhere.

    Attributes:
        paused: Whether the machine is paused; then it takes no input.
    """

    def __init__(
        self,
        name: str,
        consoles: list[Console],
        bus: Callable[[], DisplayBus],
        log: InputLog,
        traces: Traces | None,
    ) -> None:
        self.paused = False
        self._name = name
        self._consoles = consoles
        self._bus = bus
        self._log = log
        self._unlogged: deque[_UnloggedKeys] = deque()
        self._traces = traces
        self._qmp: Qmp | None = None
        self._processors = GuestProcessors()
        self._keyboard_pace = Pace(
            lambda: self._gauges.keyboard(), refusal=self._refusal, processors=self._processors
        )
        self._pointer_pace = Pace(
            lambda: self._gauges.pointer(), merges=True, refusal=self._refusal
        )

    async def open(self, qmp: Qmp, pid: int) -> None:
        """Prepare to send input.

        Args:
            qmp: The connection to QEMU.
            pid: QEMU's process.

        Raises:
            QemuError: QEMU does not answer.
        """
        self._qmp = qmp
        await self._processors.find(qmp, pid)

    @functools.cached_property
    def _gauges(self) -> Gauges:
        return Gauges(self.qmp, self._traces)

    @property
    def qmp(self) -> Qmp:
        """The connection to QEMU."""
        if self._qmp is None:
            raise UsageError(f"the display of {self._name} is not open yet")
        return self._qmp

    def devices(self, index: int, number: int, qmp_name: QmpName | None) -> Devices:
        """Make the devices of one console.

        Args:
            index: The console's number for clients.
            number: The console's number for QEMU.
            qmp_name: The console's name in QMP; None if it has none.
        """
        return Devices(
            SharedKeyboard(
                functools.partial(self._send_keys_by_dbus, index, number)
                if qmp_name is None
                else functools.partial(self._send_keys, index, qmp_name),
                self._keyboard_pace,
                None if qmp_name is None else functools.partial(self._begin_keys, index, qmp_name),
            ),
            QemuPointer(
                functools.partial(self._send_pointer, index),
                self._pointer_pace,
                lambda: self._consoles[index].producer.mode[:2],
                lambda: self._bus().is_absolute(number),
                self._has_touch_screen,
                lambda: self._gauges.claim_buttons(),
                functools.partial(self._log.pointer, index),
            ),
            KeyboardLamps(),
        )

    def screenless_keyboard(self) -> SharedKeyboard:
        """Make the keyboard of a machine without a graphic console."""
        return SharedKeyboard(
            functools.partial(self._send_keys, 0, FIRST_CONSOLE), self._keyboard_pace
        )

    def reset(self) -> None:
        """Discard the state of the guest's devices: it has been reset."""
        self._keyboard_pace.reset()
        self._pointer_pace.reset()

    async def _has_touch_screen(self) -> bool:
        return bool(await started_virtio(self.qmp, TOUCH_SCREEN))

    async def _send_keys(self, index: int, qmp_name: QmpName, steps: Sequence[Step]) -> Mark:
        """Send keyboard steps; several reach the guest's keyboard in one turn of QEMU's main loop.

        Otherwise a slow guest could see a key go down long before it comes up, and repeat it.
        """
        begun = self._begin_keys(index, qmp_name, steps)
        await _acknowledged(begun.taken, NO_KEYBOARD)
        return begun.mark

    def _begin_keys(self, index: int, qmp_name: QmpName, steps: Sequence[Step]) -> Begun:
        """Write keyboard steps to QEMU before anything else is done."""
        mark = self._next_mark(index)
        report = events.keys(steps, reports=self._keyboard_pace.reports)
        taken = self._begin(report, qmp_name)
        caps_lock = self._has_caps_lock(index)
        # Only now: it wakes the comparing thread, which takes the interpreter's lock.
        self._note_keys(index, steps)
        self._unlogged.append(_UnloggedKeys(index, steps, caps_lock, taken))
        taken.add_done_callback(self._log_taken)
        return Begun(mark, taken)

    async def _send_keys_by_dbus(self, index: int, number: int, steps: Sequence[Step]) -> Mark:
        """Send keyboard steps to a console without a name in QMP.

        D-Bus alone, presses and releases: QEMU releases no key by D-Bus whose press it did not
        receive by it. QEMU queues these keys behind another client's delays (`events.key`), and
        then sends the whole queue at once: measured with QEMU 7.2 and 10.0, keys of a text are lost
        while a delay of 500 ms runs.
        """
        mark = self._next_mark(index)
        for step in steps:
            await self._bus().key(number, *step)
        self._log.keys(index, steps, caps_lock=self._has_caps_lock(index))
        self._note_keys(index, steps)
        return mark

    def _note_keys(self, index: int, steps: Sequence[Step]) -> None:
        """Record for a console that keys have been sent to its guest."""
        if self._consoles:
            console = self._consoles[index]
            console.runner.note_input()
            console.devices.lamps.sent(steps)

    def _has_caps_lock(self, index: int) -> bool:
        """Return whether the lamp of Caps Lock is on; it may change when QEMU acknowledges keys."""
        lamps = self._consoles[index].devices.lamps.now if self._consoles else None
        return lamps is not None and lamps.caps

    def _log_taken(self, _: asyncio.Future[None]) -> None:
        """Log the keys that QEMU has taken, in the order in which they were sent.

        Two answers that arrive together can end in the other order, since each has a task.
        """
        while self._unlogged and self._unlogged[0].taken.done():
            index, steps, caps_lock, taken = self._unlogged.popleft()
            if not taken.cancelled() and taken.exception() is None:
                self._log.keys(index, steps, caps_lock=caps_lock)

    async def _send_pointer(self, index: int, report: Sequence[Event]) -> Mark:
        mark = self._next_mark(index)
        taken = self._begin(report, FIRST_CONSOLE)
        self._consoles[index].runner.note_input()
        await _acknowledged(taken, _NO_POINTER)
        return mark

    def _begin(self, report: Iterable[Event], qmp_name: QmpName) -> asyncio.Future[None]:
        return self.qmp.begin("input-send-event", {"events": list(report), **qmp_name})

    def _next_mark(self, index: int) -> Mark:
        """Return the screen's mark; the caller sends the input next.

        Raises:
            InputError: QEMU would drop the input.
        """
        if why := self._refusal():
            raise InputError(why)
        return self._consoles[index].mark if self._consoles else NOTHING_TAKEN

    def _refusal(self) -> str:
        # QEMU drops single keys to a paused guest without an error.
        paused = f"the machine {self._name!r} is paused and takes no input: resume it"
        return paused if self.paused else ""


class _UnloggedKeys(NamedTuple):
    """Keys that were sent, until QEMU's answer.

    Attributes:
        console: The index of their console.
        steps: The steps.
        caps_lock: The lamp of Caps Lock was on.
        taken: QEMU's answer.
    """

    console: int
    steps: Sequence[Step]
    caps_lock: bool
    taken: asyncio.Future[None]


async def _acknowledged(answer: asyncio.Future[None], missing: str) -> None:
    """Wait for QEMU's acknowledgement of an input.

    Args:
        answer: QEMU's answer.
        missing: The error message for a machine without a device for this input.

    Raises:
        InputError: The machine has no device for this input.
        QemuError: QEMU refused the input for another reason, or does not answer.
    """
    try:
        await answer
    except QemuError as error:
        if NO_HANDLER in str(error):
            raise InputError(missing) from error
        raise


class GuestProcessors(Processors):
    """The run time of a guest's processors. Unknown processors count as running all the time.

    After the guest's kernel has taken a key, the program that reads it has to fetch it. That queue
    cannot be observed: Linux keeps 64 events for each reader of a keyboard, three for a press or
    release, and drops them all when there are more. But a guest whose processors all sleep has
    nothing left to do. Otherwise a reader is scheduled within a few milliseconds of the processors'
    run time, however long the computer takes to provide that.

    Except on a busy computer: the guest charges a program for the time for which the computer took
    the processor from it. If that was the reader, the others run as long before it. So the longest
    recent wait for the computer is added.

    Source:
        proc(5) and the kernel's Documentation/scheduler/sched-stats.rst: a thread's state (stat),
        system call (/proc/PID/task/TID/syscall), and run time, waits and their number (schedstat);
        futex(2); Linux's drivers/input/evdev.c (the queue of a reader) and kernel/sched/fair.c.
    """

    def __init__(self) -> None:
        self._found: list[Path] = []
        self._processors: list[_Processor] = []

    async def find(self, qmp: Qmp, pid: int) -> None:
        """Find QEMU's threads of the processors."""
        try:
            found: list[dict[str, Any]] = await qmp.execute("query-cpus-fast")
            threads = [Path(f"/proc/{pid}/task/{int(each['thread-id'])}") for each in found]
            for thread in threads:
                _schedule(thread)
                _sleeps(thread)
        except (KjuError, OSError, LookupError, TypeError, ValueError):
            # Another user's process, or hidepid: without these files the pace is by the clock.
            threads = []
        self._processors = []
        self._found = threads if len(set(threads)) <= MAX_PROCESSORS else []

    def charge(self, seconds: float) -> None:
        """Require each to run for *seconds* from now on, and for the rest of earlier charges."""
        try:
            if not self._processors:
                self._processors = [_Processor(thread) for thread in self._found]
            for each in self._processors:
                each.charge(round(seconds * 1e9))
        except (OSError, LookupError, ValueError):
            self._found, self._processors = [], []

    def caught_up(self) -> bool | None:
        """Return whether each has run as long as charged, or sleeps; None if unknown."""
        try:
            run = [each.has_run() for each in self._processors]
        except (OSError, LookupError, ValueError):
            self._found, self._processors = [], []
            return None
        return all(run) if run else None


class _Schedule(NamedTuple):
    """The processor time of a thread.

    Attributes:
        run: Its run time in nanoseconds.
        waited: The nanoseconds for which it could have run, and did not.
        slices: The number of times that it was run.
    """

    run: int
    waited: int
    slices: int


class _Processor:
    """The run time of one processor, and the time that it was charged.

    Args:
        thread: QEMU's thread of it.
    """

    def __init__(self, thread: Path) -> None:
        self._thread = thread
        self._seen = _schedule(thread)
        self._begun, self._needs = self._seen.run, 0
        self._longest, self._longest_until = 0, 0.0

    def charge(self, nanoseconds: int) -> None:
        """Require a run time from now on, and the rest of earlier charges."""
        run = self._look()
        left = self._needs - (run - self._begun)
        self._begun, self._needs = run, max(left, -TICK) + nanoseconds

    def has_run(self) -> bool:
        """Return whether it has run as long as charged, or sleeps."""
        run = self._look()
        if _sleeps(self._thread):
            self._needs = 0
            return True
        return run - self._begun >= self._needs + self._longest

    def _look(self) -> int:
        """Return the run time, and note how long it waited for the computer."""
        seen, before = _schedule(self._thread), self._seen
        self._seen, now = seen, time.monotonic()
        longest = (seen.waited - before.waited) // max(1, seen.slices - before.slices)
        if longest >= self._longest or now > self._longest_until:
            self._longest, self._longest_until = longest, now + WAIT_MEMORY
        return seen.run


def _schedule(thread: Path) -> _Schedule:
    run, waited, slices = (thread / "schedstat").read_bytes().split()[:3]
    return _Schedule(int(run), int(waited), int(slices))


def _sleeps(thread: Path) -> bool:
    """Return whether the processor is halted, not just waiting for QEMU's own lock."""
    try:
        call = (thread / "syscall").read_bytes().split()
    except PermissionError:
        return False
    if call[0] == b"%d" % _FUTEX:
        halted = int(call[2], 16) & _COMMAND == _WAIT_BITSET
    else:
        halted = call[0] == b"%d" % _IOCTL
    # On a busy computer a processor that was woken, or that the computer took the time from, is in
    # the same system call for long.
    return halted and stat_fields(thread)[0] == "S"
