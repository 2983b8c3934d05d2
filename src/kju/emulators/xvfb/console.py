"""SHELL: the screen of an Xvfb, read from the server's own memory while clients view it.

Memory that was truncated is not read again: nothing restores it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NoReturn

from ...errors import UnavailableError, UsageError, XvfbError
from ...memory import SurfaceProducer
from ...protocol.values import Action
from ...sources.base import OnStatus, Source
from ...sources.framebuffer import FramebufferSource
from ..console import Console, ConsoleFacts, SourceRunner
from ..console_surface import ConsoleSurface
from ..input.devices import Devices, Pointer
from ..input.keyboard import Keyboard, KeyboardLamps
from ..input.pace import Pace
from ..supervisor import SingleSource, SourceKind, Supervisor
from .framebuffer import Framebuffer


class FramebufferKind(SourceKind):
    """Starts the sources that read a server's memory."""

    def __init__(self, framebuffer: Framebuffer) -> None:
        self._framebuffer = framebuffer

    async def start(self, producer: SurfaceProducer, on_status: OnStatus, paused: bool) -> Source:
        """Start a source.

        Raises:
            XvfbError: The memory was truncated.
        """
        if self._framebuffer.mapping.lost:
            raise XvfbError(f"{self._framebuffer.address} was cut by another process")
        source = FramebufferSource(
            self._framebuffer.mapping, self._framebuffer.picture, producer, on_status, name="xvfb"
        )
        source.paused = paused
        source.start()
        return source

    def is_replaceable(self) -> bool:
        """Return whether the memory is whole."""
        return not self._framebuffer.mapping.lost


class FramebufferRunner(SourceRunner):
    """Runs the source of a server's screen, and owns the screen's memory."""

    def __init__(self, supervisor: Supervisor, framebuffer: Framebuffer) -> None:
        super().__init__(supervisor)
        self._framebuffer = framebuffer

    def live_memory(self) -> int:
        """Return the descriptor of the file that the server draws in; it stays this object's.

        Raises:
            UnavailableError: The server draws in System V memory, which has no descriptor.
        """
        if self._framebuffer.descriptor is None:
            raise UnavailableError(
                "System V memory (-shmem) has no descriptor to hand out: leave out live=True, or"
                " start Xvfb with -fbdir"
            )
        return self._framebuffer.descriptor.fileno()

    def close(self) -> None:
        """Release everything; the supervisor is closed first."""
        super().close()
        self._framebuffer.close()


class XvfbConsole(Console):
    """The first screen of an Xvfb.

    Args:
        address: Where the surface is made, as `SurfaceProducer.create` takes it.
        framebuffer: The memory that the server draws in; closed with the console.

    Raises:
        UsageError: No surface can be made at *address*.
    """

    def __init__(self, address: str, framebuffer: Framebuffer) -> None:
        self.framebuffer = framebuffer
        policy = SingleSource(FramebufferKind(framebuffer))
        supervisor = Supervisor(ConsoleSurface(0, address), policy)
        runner = FramebufferRunner(supervisor, framebuffer)
        super().__init__(
            ConsoleFacts("Xvfb screen 0"), supervisor.surface, runner, _refusing_devices()
        )


async def _refuse(*_: object) -> NoReturn:
    raise UsageError(
        "kju sends no input to an X server: use a program of its own, such as xdotool, with the"
        " DISPLAY that kju info says"
    )


class _RefusingPointer(Pointer):
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


def _refusing_devices() -> Devices:
    pace = Pace(_refuse)
    return Devices(Keyboard(_refuse, pace), _RefusingPointer(pace), KeyboardLamps())
