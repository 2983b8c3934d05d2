"""SHELL: one console of a machine: a screen of the guest, and the devices that drive it.

A `Console` has four parts. `ConsoleSurface` owns the published pixels. `Supervisor` keeps one
source running, which a `SourcePolicy` chooses. `SourceRunner` decides when it runs. `Devices` are
the keyboard and the pointer. An emulator makes the parts; the host's requests use the console.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..memory import SurfaceProducer
from ..surface import Mark, State
from ..surface.formats import fourcc_name
from .console_surface import ConsoleSurface
from .input.devices import Devices
from .on_demand import SourceRunner


class ConsoleFacts(NamedTuple):
    """The constant facts of one console.

    Attributes:
        label: The emulator's name for it.
        device_address: The guest's device, for example ``pci/0000/02.0``; empty if none.
        no_vram: Why the guest's own pixels cannot be read; empty if they can.
    """

    label: str
    device_address: str = ""
    no_vram: str = ""


class Console:
    """One console of a machine.

    Args:
        facts: Its constant facts.
        surface: Its published pixels.
        runner: Runs its source.
        devices: Its keyboard and pointer.

    Attributes:
        on_mode: Called with the console in the loop after each change of the mode.
    """

    def __init__(
        self,
        facts: ConsoleFacts,
        surface: ConsoleSurface,
        runner: SourceRunner,
        devices: Devices,
    ) -> None:
        self.facts = facts
        self.surface = surface
        self.runner = runner
        self.devices = devices
        self.on_mode: Callable[[Console], object] = lambda console: None
        surface.on_mode = lambda: self.on_mode(self)

    @property
    def index(self) -> int:
        """The console, as clients count: graphic consoles in the emulator's order, from 0."""
        return self.surface.index

    @property
    def producer(self) -> SurfaceProducer:
        """The producer of the current surface."""
        return self.surface.producer

    @property
    def mark(self) -> Mark:
        """The mark of the newest published version."""
        return self.surface.mark

    async def open(self) -> None:
        """Start the source if the console is always viewed.

        Raises:
            KjuError: The source cannot be started.
        """
        await self.runner.open()

    async def attach(self, client: object) -> None:
        """Note that *client* views the console; returns when there is a picture, or soon.

        Raises:
            KjuError: The source cannot be started.
        """
        await self.runner.attach(client)

    def detach(self, client: object) -> None:
        """Note that *client* does not view the console any more, and end its hold."""
        self.surface.unhold(client)
        self.runner.detach(client)

    async def refresh(self, *, sync: bool) -> int:
        """Publish everything that the emulator has sent so far; returns the version.

        Args:
            sync: Read the guest's mode first, where the emulator does not announce it.
        """
        if sync:
            await self.runner.read_mode()
        await self.runner.supervisor.flush()
        return self.producer.version

    def set_paused(self, paused: bool) -> None:
        """Publish that the guest's CPUs are paused, or run again."""
        self.runner.supervisor.set_paused(paused)

    def stop(self, state: State, reason: str) -> None:
        """Stop the source, publish the final state and release everything."""
        self.runner.supervisor.close(state, reason)
        self.runner.close()

    def info(self) -> dict[str, Any]:
        """Return the facts and the state of this console, for people and programs."""
        mode, status = self.producer.mode, self.runner.supervisor.status
        return {
            "index": self.index,
            "label": self.facts.label,
            "device": self.facts.device_address,
            "width": mode.width,
            "height": mode.height,
            "stride": mode.stride,
            "fourcc": fourcc_name(mode.fourcc) if mode.epoch else "",
            "epoch": mode.epoch,
            "version": self.producer.version,
            "incarnation": self.producer.incarnation,
            "address": self.producer.address,
            "source": status.name,
            "reason": status.reason or self.runner.reason,
            "no_vram": self.facts.no_vram,
            **self.devices.info(),
        }
