"""SHELL: a machine's display: the connection to QEMU's D-Bus display, and its consoles."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from collections.abc import Callable
from typing import Any

from ....errors import KjuError, PeerError, QemuError, UsageError
from ....sources.display1.messages import CONSOLE, KEYBOARD, console_path
from ....surface import State
from ...console import Console, ConsoleFacts, HandedOver
from ...console_surface import ConsoleSurface
from ...input.devices import Devices, InputLog
from ...input.keyboard import SharedKeyboard
from ...resizing import RequestSize
from ...supervisor import Supervisor
from ..input.machine_input import FIRST_CONSOLE, QemuInput, QmpName
from ..qmp import Qmp
from ..stderr import Traces
from .dbus import ConsoleProperties, DisplayBus
from .guest_mode import GuestMode
from .mode_monitor import AnnouncedSize, AnnouncedSizeRunner, ModeMonitor
from .source_policy import ConsoleParts, QemuPolicy, RegisterListener
from .vram import NoVideoMemoryError, VideoMemory, device_id

log = logging.getLogger(__name__)


#: Why the guest of another display cannot be asked for a size.
_NO_RESIZE = (
    "QEMU passes no size on to its guest; start the machine with a display that does, such as:"
    " -vga none -device virtio-vga"
)
#: The largest number of consoles that a client can name (`messages.Console`).
_MAX_CONSOLES = 16
#: Seconds until a broken display connection is opened again.
_RECONNECT = 1.0


class _QemuConsole:
    """One graphic console of QEMU.

    Args:
        surface: Its surface.
        properties: Its properties, from QEMU.
        memory: Its video memory, or why that cannot be read.
        register_listener: Registers a listener with QEMU.
        devices: Its keyboard and pointer.
        request_size: Passes a size on to the guest; None if the display takes none.
        paused: Whether the machine is paused.

    Attributes:
        number: QEMU's number of the console.
        console: The console for clients.
        size: The announced size.
    """

    def __init__(
        self,
        surface: ConsoleSurface,
        properties: ConsoleProperties,
        memory: VideoMemory | str,
        register_listener: RegisterListener,
        devices: Devices,
        request_size: RequestSize | None,
        *,
        paused: bool,
    ) -> None:
        self.number = properties.number
        vram, no_vram = (None, memory) if isinstance(memory, str) else (memory, "")
        display = ConsoleParts(self.number, register_listener, vram, GuestMode())
        policy = QemuPolicy(display, asyncio.get_running_loop().time)
        supervisor = Supervisor(surface, policy, paused=paused)
        runner = (
            AnnouncedSizeRunner(supervisor, always=True)
            if vram is None
            else ModeMonitor(supervisor, policy, vram)
        )
        self.size = AnnouncedSize(properties.width, properties.height, runner.check_size)
        no_resize = _NO_RESIZE if request_size is None else ""
        facts = ConsoleFacts(properties.label, properties.device_address, no_vram, no_resize)
        self.console = Console(facts, surface, runner, devices, request_size)

    def announce(self, properties: dict[str, Any]) -> None:
        """Pass on properties that QEMU has announced."""
        self.size.update(properties)

    def hand_over(self) -> HandedOver:
        """Stop the source for ever; return the lasting parts."""
        self.size.cancel()
        return self.console.hand_over()

    def stop(self, state: State, reason: str) -> None:
        """Stop the source and publish the final state."""
        self.size.cancel()
        self.console.stop(state, reason)


class Display:
    """The display of one machine: the D-Bus connection to QEMU, and the consoles behind it.

    - The connection may break and be opened again; consoles and surfaces stay.
    - A console's index is its place among the graphic consoles, in QEMU's order. It never changes.

    Args:
        name: The machine's name, for messages.
        make_surface: Makes the surface of a console, by its index.
        inputs: Records all input of clients.
        traces: Receives QEMU's trace events; None if they go elsewhere.

    Attributes:
        consoles: The graphic consoles.
        screenless_keyboard: The keyboard of a machine without a graphic console.
        input: Sends the input of clients.
    """

    def __init__(
        self,
        name: str,
        make_surface: Callable[[int], ConsoleSurface],
        inputs: InputLog,
        traces: Traces | None = None,
    ) -> None:
        self.consoles: list[Console] = []
        self.screenless_keyboard: SharedKeyboard | None = None
        self.input = QemuInput(name, self.consoles, lambda: self.bus, inputs, traces)
        self._name = name
        self._make_surface = make_surface
        self._heads: list[_QemuConsole] = []
        self._bus: DisplayBus | None = None

    async def open(self, qmp: Qmp, pid: int) -> None:
        """Connect, and open every graphic console.

        Args:
            qmp: The connection to QEMU.
            pid: QEMU's process.

        Raises:
            KjuError: QEMU refuses, or a surface cannot be made.
        """
        await self.input.open(qmp, pid)
        self._bus = bus = await self._connect(qmp)
        numbers = await bus.console_ids()
        if len(numbers) > _MAX_CONSOLES:
            log.warning("%d consoles: only the first %d are shown", len(numbers), _MAX_CONSOLES)
        for number in numbers[:_MAX_CONSOLES]:
            properties = await bus.console(number)
            if properties.kind == "Graphic":
                memory = await self._memory(properties, qmp, pid)
                await self._add(properties, memory, await self._qmp_name(properties, qmp))
        if not self.consoles:
            log.warning("the machine has no graphic console")
            self.screenless_keyboard = self.input.screenless_keyboard()

    async def _memory(self, properties: ConsoleProperties, qmp: Qmp, pid: int) -> VideoMemory | str:
        """Return the video memory of one console, or why it cannot be read."""
        try:
            is_first = properties.number == 0
            address = properties.device_address
            return await VideoMemory.find(qmp, pid, address, is_first=is_first)
        except NoVideoMemoryError as error:
            log.info("console %s: no vram source: %s", properties.label, error)
            return str(error)

    async def _qmp_name(self, properties: ConsoleProperties, qmp: Qmp) -> QmpName | None:
        """Return the name of one console in QMP; None if its device has no id."""
        if not self.consoles:
            return FIRST_CONSOLE
        device = await device_id(qmp, properties.device_address)
        return {"device": device, "head": properties.head} if device else None

    async def _add(
        self, properties: ConsoleProperties, memory: VideoMemory | str, qmp_name: QmpName | None
    ) -> None:
        index = len(self.consoles)
        devices = self.input.devices(index, properties.number, qmp_name)
        takes_size = await self.bus.takes_size(properties.number)
        head = _QemuConsole(
            self._make_surface(index), properties, memory, self._register, devices,
            functools.partial(self._request_size, properties.number) if takes_size else None,
            paused=self.paused,
        )  # fmt: skip
        self._heads.append(head)
        self.consoles.append(head.console)
        await self._read_lamps(head)
        await head.console.open()

    async def _register(self, number: int, theirs: socket.socket) -> None:
        """Register a listener by the current connection, which may be newer than the console."""
        await self.bus.register_listener(number, theirs)

    async def _request_size(self, number: int, width: int, height: int) -> None:
        """Pass a size on by the current connection."""
        await self.bus.set_ui_info(number, width, height)

    async def keep(self, qmp: Qmp) -> None:
        """Open the connection again whenever it breaks while QEMU runs; never returns."""
        while True:
            reason = await asyncio.shield(self.bus.closed)
            # Usually QEMU has ended; then this task is cancelled during the sleep.
            await asyncio.sleep(_RECONNECT)
            log.warning("the display connection has broken (%s): opening another", reason)
            try:
                self._bus = await self._connect(qmp)
                for head in self._heads:
                    properties = await self._bus.console(head.number)
                    # Announcements since the break are lost.
                    head.announce({"Width": properties.width, "Height": properties.height})
                    await self._read_lamps(head)
                    await head.console.devices.settle()
            except (KjuError, OSError) as error:
                log.error("the display connection could not be opened: %s", error)

    async def _connect(self, qmp: Qmp) -> DisplayBus:
        return await DisplayBus.connect(await qmp.open_display(), self._announced)

    def _announced(self, path: str, interface: str, values: dict[str, Any]) -> None:
        for head in self._heads:
            if path != console_path(head.number):
                continue
            if interface == CONSOLE:
                head.announce(values)
            elif interface == KEYBOARD and isinstance(lamps := values.get("Modifiers"), int):
                head.console.devices.lamps.update(lamps)

    async def _read_lamps(self, head: _QemuConsole) -> None:
        """Read the lamps; QEMU announces later changes."""
        console = head.console
        try:
            console.devices.lamps.update(await self.bus.lamps(head.number))
        except (QemuError, PeerError) as error:
            log.info("console %s: its keyboard has no lamps: %s", console.facts.label, error)

    @property
    def bus(self) -> DisplayBus:
        """The current connection; do not keep it."""
        if self._bus is None:
            raise UsageError(f"the display of {self._name} is not open yet")
        return self._bus

    @property
    def paused(self) -> bool:
        """True if the machine is paused."""
        return self.input.paused

    @property
    def first_keyboard(self) -> SharedKeyboard | None:
        """The keyboard of the first console, whose pace is the machine's; or the screenless one."""
        return self.consoles[0].devices.keyboard if self.consoles else self.screenless_keyboard

    def set_paused(self, paused: bool) -> None:
        """Publish that the machine is paused, or that it runs again."""
        self.input.paused = paused
        for console in self.consoles:
            console.set_paused(paused)
            console.runner.expect_mode()

    async def settle(self) -> None:
        """Release the keys of clients that disconnected while QEMU took no input."""
        if self.screenless_keyboard is not None:
            await self.screenless_keyboard.settle()
        for console in self.consoles:
            await console.devices.keyboard.settle()

    def reset(self) -> None:
        """Discard the state of the guest's devices and mode: it has been reset."""
        self.input.reset()
        for console in self.consoles:
            console.runner.expect_mode()

    def hand_over(self) -> list[HandedOver]:
        """Stop every source for ever and disconnect; return the consoles' lasting parts."""
        parts = [head.hand_over() for head in self._heads]
        if self._bus:
            self._bus.close()
        return parts

    def close(self, state: State, reason: str) -> None:
        """Stop every source, publish the final state and disconnect."""
        for head in self._heads:
            head.stop(state, reason)
        if self._bus:
            self._bus.close()
