"""SHELL: sends keyboard and pointer input of clients to QEMU, at the pace of the guest."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence

from ...errors import InputError, QemuError, UsageError
from ...keys import Step
from ...surface import NOTHING_TAKEN, Mark
from ..console import Console
from ..input.devices import Devices, InputLog
from ..input.keyboard import Begun, KeyboardLamps, SharedKeyboard
from ..input.pace import Pace
from .dbus import DisplayBus
from .input import events
from .input.events import Event
from .input.gauges import NO_HANDLER, NO_KEYBOARD, Gauges
from .input.pointer import QemuPointer
from .input.processors import GuestProcessors
from .input.virtio import started_virtio
from .qmp import Qmp
from .stderr import Traces

NO_POINTER = (
    "this machine has no pointer; start it with one, such as: -device usb-tablet (its board needs a"
    " USB bus) or -device virtio-tablet-device"
)


class QemuInput:
    """The input of one machine's clients.

    Args:
        name: The machine's name, for messages.
        consoles: The machine's consoles; the list may grow.
        bus: Returns the current connection to QEMU's display.
        log: Records all input.
        traces: QEMU's output goes through it; None where its trace events go elsewhere.

    Attributes:
        paused: Whether the machine is paused, and takes no input.
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

    def devices(self, index: int, number: int) -> Devices:
        """Make the devices of one console.

        Args:
            index: The console, as clients count.
            number: QEMU's number of it.
        """
        return Devices(
            SharedKeyboard(
                functools.partial(self._send_keys, index, number),
                self._keyboard_pace,
                functools.partial(self._begin_keys, index) if index == 0 else None,
            ),
            QemuPointer(
                functools.partial(self._send_pointer, index),
                self._pointer_pace,
                lambda: self._consoles[index].producer.mode[:2],
                lambda: self._bus().is_absolute(number),
                self._has_touch_screen,
                functools.partial(self._log.pointer, index),
            ),
            KeyboardLamps(),
        )

    def screenless_keyboard(self) -> SharedKeyboard:
        """Make the keyboard of a machine without a graphic console."""
        return SharedKeyboard(functools.partial(self._send_keys, 0, 0), self._keyboard_pace)

    def reset(self) -> None:
        """Begin anew: the guest has been reset."""
        self._keyboard_pace.reset()
        self._pointer_pace.reset()

    async def _has_touch_screen(self) -> bool:
        return bool(await started_virtio(self.qmp, "virtio-multitouch-device"))

    async def _send_keys(self, index: int, number: int, steps: Sequence[Step]) -> Mark:
        """Send keyboard steps; several reach the guest's keyboard in one turn of QEMU.

        So a slow guest never sees a key go down long before it comes up, and repeat it.
        """
        if index == 0:
            begun = self._begin_keys(index, steps)
            await _acknowledged(begun.taken, NO_KEYBOARD)
            return begun.mark
        mark = self._next_mark(index)
        # D-Bus, because only its call names the console. And D-Bus alone: QEMU releases no key by
        # it whose press it did not receive by it.
        for step in steps:
            await self._bus().key(number, *step)
        self._log.keys(index, steps, caps_lock=self._has_caps_lock(index))
        self._note_keys(index, steps)
        return mark

    def _begin_keys(self, index: int, steps: Sequence[Step]) -> Begun:
        """Write keyboard steps to QEMU before anything else is done."""
        mark = self._next_mark(index)
        taken = self._begin(events.keys(steps, reports=self._keyboard_pace.reports))
        # After the line was written: the comparing thread takes the interpreter's lock on waking.
        caps_lock = self._has_caps_lock(index)
        self._note_keys(index, steps)
        taken.add_done_callback(functools.partial(self._log_keys, index, steps, caps_lock))
        return Begun(mark, taken)

    def _note_keys(self, index: int, steps: Sequence[Step]) -> None:
        """Note on a console that keys have been sent to its guest."""
        if self._consoles:
            console = self._consoles[index]
            console.runner.note_input()
            console.devices.lamps.sent(steps)

    def _has_caps_lock(self, index: int) -> bool:
        """Return whether the lamp of Caps Lock is on; it may change when QEMU acknowledges keys."""
        lamps = self._consoles[index].devices.lamps.now if self._consoles else None
        return lamps is not None and lamps.caps

    def _log_keys(
        self, index: int, steps: Sequence[Step], caps_lock: bool, taken: asyncio.Future[None]
    ) -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._log.keys(index, steps, caps_lock=caps_lock)

    async def _send_pointer(self, index: int, report: Sequence[Event]) -> Mark:
        mark = self._next_mark(index)
        taken = self._begin(report)
        self._consoles[index].runner.note_input()
        await _acknowledged(taken, NO_POINTER)
        return mark

    def _begin(self, report: Iterable[Event]) -> asyncio.Future[None]:
        return self.qmp.begin("input-send-event", {"events": list(report)})

    def _next_mark(self, index: int) -> Mark:
        """Return the screen's mark; the caller sends the input next.

        Raises:
            InputError: QEMU would drop it.
        """
        if why := self._refusal():
            raise InputError(why)
        return self._consoles[index].mark if self._consoles else NOTHING_TAKEN

    def _refusal(self) -> str:
        # QEMU drops single keys to a paused guest without an error.
        paused = f"the machine {self._name!r} is paused and takes no input: resume it"
        return paused if self.paused else ""


async def _acknowledged(answer: asyncio.Future[None], missing: str) -> None:
    """Wait for QEMU's acknowledgement of an input.

    Args:
        answer: QEMU's answer.
        missing: The error where the machine has no device for it.

    Raises:
        InputError: The machine has no such device.
        QemuError: QEMU refused it for another reason, or does not answer.
    """
    try:
        await answer
    except QemuError as error:
        if NO_HANDLER in str(error):
            raise InputError(missing) from error
        raise
