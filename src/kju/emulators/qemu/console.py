"""SHELL: makes a console of QEMU out of its parts, and passes it QEMU's announcements."""

from __future__ import annotations

import asyncio
from typing import Any

from ...surface import State
from ..console import Console, ConsoleFacts
from ..console_surface import ConsoleSurface
from ..input.devices import Devices
from ..supervisor import Supervisor
from .announced_size import AnnouncedSize, AnnouncedSizeRunner
from .dbus import ConsoleProperties
from .guest_mode import GuestMode
from .mode_monitor import ModeMonitor
from .sources import QemuDisplay, QemuPolicy, RegisterListener
from .vram import VideoMemory


class QemuConsole:
    """One graphic console of QEMU.

    Args:
        surface: Its surface.
        properties: Its properties, as QEMU sent them.
        memory: Its video memory, or why that cannot be read.
        register_listener: Registers a listener with QEMU.
        devices: Its keyboard and pointer.
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
        *,
        paused: bool,
    ) -> None:
        self.number = properties.number
        vram, no_vram = (None, memory) if isinstance(memory, str) else (memory, "")
        display = QemuDisplay(self.number, register_listener, vram, GuestMode())
        policy = QemuPolicy(display, asyncio.get_running_loop().time)
        supervisor = Supervisor(surface, policy, paused=paused)
        runner = (
            AnnouncedSizeRunner(supervisor, always=True)
            if vram is None
            else ModeMonitor(supervisor, policy, vram)
        )
        self.size = AnnouncedSize(properties.width, properties.height, runner.check_size)
        facts = ConsoleFacts(properties.label, properties.device_address, no_vram)
        self.console = Console(facts, surface, runner, devices)

    def announce(self, properties: dict[str, Any]) -> None:
        """Take over properties that QEMU announced."""
        self.size.update(properties)

    def stop(self, state: State, reason: str) -> None:
        """Stop the source and publish the final state."""
        self.size.cancel()
        self.console.stop(state, reason)
