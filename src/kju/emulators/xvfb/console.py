"""SHELL: the screen of an Xvfb: watched in its own memory, while somebody looks.

Rules:

- While nobody looks nothing runs; see `kju.emulators.on_demand`.
- Memory that was cut is not looked at again: nothing brings it back.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from typing import NoReturn

from ...errors import UnavailableError, UsageError, XvfbError
from ...memory import SurfaceProducer
from ...protocol.messages import Action
from ...sources.base import Report, Source
from ...sources.framebuffer import WindowSource
from ...surface import State
from ..input.devices import Devices
from ..input.keyboard import Keyboard
from ..input.lamps import KeyboardLamps
from ..input.pace import Pace
from ..input.pointer import Pointer
from ..on_demand import RestingConsole
from ..qemu import dbus
from .framebuffer import Framebuffer

log = logging.getLogger(__name__)


class XvfbConsole(RestingConsole):
    """The first screen of an Xvfb.

    Args:
        address: Where the surface is to be made, as `SurfaceProducer.create` takes it.
        framebuffer: What the server draws in.
    """

    def __init__(self, address: str, framebuffer: Framebuffer) -> None:
        width, height = framebuffer.picture[:2]
        facts = dbus.Console(0, "Xvfb screen 0", 0, "Graphic", width, height, "", ())
        super().__init__(0, facts, address, self._make_window, _no_devices())
        self.framebuffer = framebuffer
        self._stopped = False

    async def _wake(self) -> None:
        async with self._changing:
            if self._source is None and not self._stopped:
                await self.start()

    def _rest(self) -> None:
        self._do(self._stop_source())

    async def _make_window(self, producer: SurfaceProducer, report: Report, paused: bool) -> Source:
        if self.framebuffer.mapping.lost:
            raise XvfbError(f"{self.framebuffer.address} was cut by another process")
        source = WindowSource(
            self.framebuffer.mapping, self.framebuffer.picture, producer, report,
            name="xvfb",
        )  # fmt: skip
        source.start()
        return source

    def _renew(self) -> None:
        if not self.framebuffer.mapping.lost:
            super()._renew()

    def live_window(self) -> int:
        """The descriptor of the file that the server draws in; it stays this object's.

        Raises:
            UnavailableError: The server draws in System V memory, which has none.
        """
        if self.framebuffer.descriptor is None:
            raise UnavailableError(
                "System V memory (-shmem) has no descriptor to hand out: leave out live=True, or"
                " start Xvfb with -fbdir"
            )
        return self.framebuffer.descriptor.fileno()

    def stop(self, state: State, reason: str) -> None:
        """Stop the source and say the last word."""
        self._stopped = True
        super().stop(state, reason)
        self.framebuffer.close()


async def _refuse(*_: object) -> NoReturn:
    raise UsageError(
        "kju sends no input to an X server: use a program of its own, such as xdotool, with the"
        " DISPLAY that kju info says"
    )


class _NoPointer(Pointer):
    """A pointer that refuses every action."""

    async def absolute(self) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: Always.
        """
        await _refuse()

    async def act(self, client: Hashable, actions: Sequence[Action]) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: Always.
        """
        await _refuse()

    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> None:
        """Do nothing: none is ever down."""

    async def _put_fingers(self, fingers: Sequence[int], down: bool) -> None:
        """Do nothing: none is ever down."""


def _no_devices() -> Devices:
    pace = Pace(_refuse)
    return Devices(Keyboard(_refuse, pace), _NoPointer(pace), KeyboardLamps())
