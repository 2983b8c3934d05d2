"""SHELL: a machine's display: the D-Bus connection to QEMU, and the consoles behind it.

Rules:

- The connection may break and be opened again; a console and its surface stay.
- A console's index is its place among the graphic ones, in QEMU's order, for good.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...errors import InputError, KjuError, PeerError, QemuError, UsageError
from ...keys import Step
from ...sources.base import Report, Source
from ...sources.display1.channel import socket_pair
from ...sources.display1.messages import CONSOLE, KEYBOARD, console_path
from ...sources.display1.source import Display1Source
from ...surface import NOTHING_TAKEN, Mark, State
from ...surface.producer import Producer
from ..console import Console
from ..input.devices import Devices
from ..input.keyboard import Begun, Keyboard
from ..input.lamps import KeyboardLamps
from ..input.log import InputLog
from ..input.pace import Pace
from .dbus import Console as Facts
from .dbus import DisplayBus
from .input import events
from .input.events import Event
from .input.gauges import NO_HANDLER, NO_KEYBOARD, Gauges
from .input.pointer import QemuPointer
from .input.processors import GuestProcessors
from .input.traces import Traces
from .input.virtio import started_virtio
from .qmp import Qmp
from .video_console import VideoConsole
from .vram import NoVideoMemoryError, VideoMemory

log = logging.getLogger(__name__)

#: As many as a client can name (`messages.Console`).
MAX_CONSOLES = 16
NO_POINTER = (
    "this machine has no pointer; start it with one, such as: -device usb-tablet (its board needs a"
    " USB bus) or -device virtio-tablet-device"
)
#: Until a broken display connection is opened again.
RECONNECT = 1.0


class Display:
    """What a machine shows.

    Args:
        name: The machine's, for messages.
        address: Where the surface of a console is to be made, by its index.
        inputs: Told of everything that clients do to the guest.
        traces: What QEMU prints goes through here; None where its trace events go elsewhere.

    Attributes:
        consoles: The graphic ones.
        screenless_keyboard: The machine's keyboard where it has no graphic console.
        paused: Whether the machine is.
    """

    def __init__(
        self,
        name: str,
        address: Callable[[int], str],
        inputs: InputLog,
        traces: Traces | None = None,
    ) -> None:
        self.consoles: list[Console] = []
        self.screenless_keyboard: Keyboard | None = None
        self.paused = False
        self._name = name
        self._address = address
        self._inputs = inputs
        self._traces = traces
        self._bus: DisplayBus | None = None
        self._qmp: Qmp | None = None
        self._gauges: Gauges | None = None
        self._processors = GuestProcessors()
        self._keyboard_pace = Pace(
            lambda: self._all_gauges().keyboard(),
            refusal=self._refusal,
            processors=self._processors,
        )
        self._pointer_pace = Pace(
            lambda: self._all_gauges().pointer(), merges=True, refusal=self._refusal
        )

    async def open(self, qmp: Qmp, pid: int) -> None:
        """Connect, and begin with every graphic console.

        Args:
            qmp: Leads to QEMU.
            pid: QEMU's process.

        Raises:
            KjuError: QEMU does not agree, or there is no memory for a surface.
        """
        self._qmp = qmp
        await self._processors.find(qmp, pid)
        self._bus = bus = await self._connect(qmp)
        numbers = await bus.console_ids()
        if len(numbers) > MAX_CONSOLES:
            log.warning("%d consoles: only the first %d are shown", len(numbers), MAX_CONSOLES)
        for number in numbers[:MAX_CONSOLES]:
            facts = await bus.console(number)
            if facts.kind == "Graphic":
                index = len(self.consoles)
                memory = await self._memory(facts, qmp, pid)
                self.consoles.append(self._console(index, facts, memory))
                await self._read_lamps(self.consoles[-1])
                await self.consoles[-1].open()
        if not self.consoles:
            log.warning("the machine has no graphic console")
            self.screenless_keyboard = Keyboard(
                functools.partial(self._keys, 0, 0), self._keyboard_pace
            )

    async def _memory(self, facts: Facts, qmp: Qmp, pid: int) -> VideoMemory | str:
        """The guest's own pixels of one console, or why there are none to be had."""
        try:
            is_first = facts.number == 0
            return await VideoMemory.find(qmp, pid, facts.device_address, is_first=is_first)
        except NoVideoMemoryError as error:
            log.info("console %s: no vram source: %s", facts.label, error)
            return str(error)

    def _console(self, index: int, facts: Facts, memory: VideoMemory | str) -> Console:
        address = self._address(index)
        listen = functools.partial(self._listen, facts.number)
        devices = Devices(
            Keyboard(
                functools.partial(self._keys, index, facts.number),
                self._keyboard_pace,
                functools.partial(self._begin_keys, index) if index == 0 else None,
            ),
            QemuPointer(
                functools.partial(self._point, index),
                self._pointer_pace,
                lambda: self.consoles[index].producer.mode[:2],
                lambda: self.bus.is_absolute(facts.number),
                self._is_touched,
                functools.partial(self._inputs.pointer, index),
            ),
            KeyboardLamps(),
        )
        try:
            if isinstance(memory, str):
                return Console(
                    index, facts, address, listen, devices, paused=self.paused, no_memory=memory
                )
            return VideoConsole(
                index, facts, address, listen, devices, paused=self.paused, memory=memory
            )
        except OSError as error:
            why = f"the surface {address} cannot be made: {error.strerror}"
            raise UsageError(f"{why}; choose another place") from error

    async def keep(self, qmp: Qmp) -> None:
        """Open the connection again when it breaks and QEMU lives on; never returns."""
        while True:
            reason = await asyncio.shield(self.bus.closed)
            # QEMU's end is the usual cause; then this task is cancelled meanwhile.
            await asyncio.sleep(RECONNECT)
            log.warning("the display connection has broken (%s): opening another", reason)
            try:
                self._bus = await self._connect(qmp)
                for console in self.consoles:
                    facts = await self._bus.console(console.facts.number)
                    # What was announced meanwhile nobody heard.
                    console.announced({"Width": facts.width, "Height": facts.height})
                    await self._read_lamps(console)
                    await console.devices.settle()
            except (KjuError, OSError) as error:
                log.error("the display connection could not be opened: %s", error)

    async def _connect(self, qmp: Qmp) -> DisplayBus:
        bus = await DisplayBus.connect(await qmp.open_display())
        bus.on_properties = self._announced
        return bus

    def _announced(self, path: str, interface: str, values: dict[str, Any]) -> None:
        for console in self.consoles:
            if path != console_path(console.facts.number):
                continue
            if interface == CONSOLE:
                console.announced(values)
            elif interface == KEYBOARD and isinstance(lamps := values.get("Modifiers"), int):
                console.devices.lamps.update(lamps)

    async def _read_lamps(self, console: Console) -> None:
        """Begin with the lamps of the moment; later ones are announced."""
        try:
            console.devices.lamps.update(await self.bus.lamps(console.facts.number))
        except (QemuError, PeerError) as error:
            log.info("console %s: its keyboard has no lamps: %s", console.facts.label, error)

    @property
    def bus(self) -> DisplayBus:
        """The connection of the moment; do not keep it."""
        if self._bus is None:
            raise UsageError(f"the display of {self._name} is not open yet")
        return self._bus

    @property
    def qmp(self) -> Qmp:
        """Leads to QEMU."""
        if self._qmp is None:
            raise UsageError(f"the display of {self._name} is not open yet")
        return self._qmp

    async def _is_touched(self) -> bool:
        return bool(await started_virtio(self.qmp, "virtio-multitouch-device"))

    def _all_gauges(self) -> Gauges:
        if self._gauges is None:
            self._gauges = Gauges(self.qmp, self._traces)
        return self._gauges

    async def _keys(self, index: int, number: int, steps: Sequence[Step]) -> Mark:
        """Send keyboard steps; several reach the guest's keyboard in one turn of QEMU.

        So a guest that is slow never sees a key go down long before it comes up, and repeat it.
        """
        if index == 0:
            begun = self._begin_keys(index, steps)
            await _take(begun.taken, NO_KEYBOARD)
            return begun.mark
        mark = self._mark(index)
        # Only here can be said whose keyboard it is. One way for a console, and not both: by
        # D-Bus QEMU releases no key that it was not told there had gone down.
        for step in steps:
            await self.bus.key(number, *step)
        self._inputs.keys(index, steps)
        self._sent(index, steps)
        return mark

    def _begin_keys(self, index: int, steps: Sequence[Step]) -> Begun:
        """Write keyboard steps to QEMU before anything else is done."""
        mark = self._mark(index)
        taken = self._begin(events.keys(steps, reports=self._keyboard_pace.reports))
        # Behind the line: the comparing thread takes the interpreter's lock when it wakes.
        self._sent(index, steps)
        taken.add_done_callback(functools.partial(self._log_keys, index, steps))
        return Begun(mark, taken)

    def _sent(self, index: int, steps: Sequence[Step]) -> None:
        """Tell a console that keys have been sent to its guest."""
        if self.consoles:
            console = self.consoles[index]
            console.input()
            console.devices.lamps.sent(steps)

    def _log_keys(self, index: int, steps: Sequence[Step], taken: asyncio.Future[None]) -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._inputs.keys(index, steps)

    async def _point(self, index: int, report: Sequence[Event]) -> Mark:
        mark = self._mark(index)
        taken = self._begin(report)
        self.consoles[index].input()
        await _take(taken, NO_POINTER)
        return mark

    def _begin(self, report: Iterable[Event]) -> asyncio.Future[None]:
        return self.qmp.begin("input-send-event", {"events": list(report)})

    def _mark(self, index: int) -> Mark:
        """The screen's mark; something is sent next.

        Raises:
            InputError: QEMU would drop it.
        """
        if why := self._refusal():
            raise InputError(why)
        return self.consoles[index].mark if self.consoles else NOTHING_TAKEN

    def _refusal(self) -> str:
        # A single key would be dropped without a word.
        paused = f"the machine {self._name!r} is paused and takes no input: resume it"
        return paused if self.paused else ""

    async def _listen(
        self, number: int, producer: Producer, report: Report, paused: bool
    ) -> Source:
        """Start a source and register it with QEMU."""
        ours, theirs = socket_pair()
        source = Display1Source(ours, producer, report, label=str(number))
        source.paused = paused
        source.start()
        try:
            await self.bus.register_listener(number, theirs)
        except BaseException:
            source.stop()
            raise
        return source

    @property
    def first_keyboard(self) -> Keyboard | None:
        """The keyboard of the first console, whose pace is the machine's; or the screenless one."""
        return self.consoles[0].devices.keyboard if self.consoles else self.screenless_keyboard

    def pause(self, now: bool) -> None:
        """The machine has been paused, or goes on."""
        self.paused = now
        for console in self.consoles:
            console.paused(now)
            console.hint()

    async def settle(self) -> None:
        """Release what clients held that have left while QEMU took nothing."""
        if self.screenless_keyboard is not None:
            await self.screenless_keyboard.settle()
        for console in self.consoles:
            await console.devices.keyboard.settle()

    def reset(self) -> None:
        """The guest has been reset."""
        self._keyboard_pace.reset()
        self._pointer_pace.reset()
        for console in self.consoles:
            console.hint()

    def close(self, state: State, reason: str) -> None:
        """Stop every source, say the last word and hang up."""
        for console in self.consoles:
            console.stop(state, reason)
        if self._bus:
            self._bus.close()


async def _take(answer: asyncio.Future[None], nobody: str) -> None:
    """Wait until QEMU has taken what was sent.

    Args:
        answer: QEMU's.
        nobody: What to say where QEMU has no device that it could give it to.

    Raises:
        InputError: It has none.
        QemuError: QEMU refused for another reason, or does not answer.
    """
    try:
        await answer
    except QemuError as error:
        if NO_HANDLER in str(error):
            raise InputError(nobody) from error
        raise
