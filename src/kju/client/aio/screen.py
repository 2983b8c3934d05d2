"""What a machine's consoles show, for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...memory import SharedMemory, open_fd
from ...protocol.messages import Done, GetSurface, Refresh, SurfaceHandle
from ...surface.formats import PixelFormat
from ...surface.geometry import Area
from ..following import Following
from ..frame import Frame
from ..link import Link, only_descriptor
from ..origin import LinkOrigin
from .keyboard import Keyboard
from .link import AsyncLink
from .pointer import Pointer
from .surface import Surface

if TYPE_CHECKING:
    from ...memory._system import Mapping
    from ...surface import ProducerIdentity


class Screen(Following, Surface):
    """What one console shows: see `kju.Screen`. Only waiting is awaited.

    Attributes:
        console: The console's index.
    """

    def __init__(self, link: AsyncLink, console: int, segment: SharedMemory) -> None:
        """Use `open_screen`."""
        super().__init__(_OwnConnection(link, console, segment))
        self.console = console
        self._link = link

    @property
    def keyboard(self) -> Keyboard:
        """The keyboard of this console."""
        return Keyboard(self._link, self.console)

    @property
    def pointer(self) -> Pointer:
        """The pointer of this console."""
        return Pointer(self._link, self.console)

    async def frame(
        self,
        rect: Area | None = None,
        *,
        pixels: PixelFormat = "rgb",
        consistent: bool = False,
        cursor: bool = False,
        sync: bool = False,
    ) -> Frame:
        """Copy the pixels as they are now, no older than this call: see `kju.Screen.frame`."""
        if sync:
            await self.refresh()
        elif not consistent and self._must_publish():
            await self._link.ask(Refresh(console=self.console, sync=False), Done)
        return await super().frame(rect, pixels=pixels, consistent=consistent, cursor=cursor)

    async def refresh(self) -> int:
        """Have everything published that QEMU has told the host so far.

        Returns:
            The version that holds it.

        Raises:
            MachineGoneError: The machine has ended.
        """
        return (await self._link.ask(Refresh(console=self.console), Done)).version

    async def _newest(self) -> None:
        await self.refresh()


async def open_screen(link: AsyncLink, console: int) -> Screen:
    """Open a console's screen.

    Raises:
        UsageError: There is no such console.
        MachineGoneError: The machine has ended.
    """
    answer = await link.call(GetSurface(console=console))
    return Screen(link, console, open_fd(only_descriptor(answer, SurfaceHandle)))


class _OwnConnection:
    """A console's surface, for calls that do not wait in the event loop.

    A larger surface, the live window, and a copy that needs the producer held are rare. They are
    asked for inside such calls, on a connection that lasts for a millisecond.
    """

    follows = True

    def __init__(self, link: AsyncLink, console: int, segment: SharedMemory) -> None:
        self._link = link
        self._console = console
        self._segment: SharedMemory | None = segment

    @property
    def default_timeout(self) -> float | None:
        """The machine's."""
        return self._link.default_timeout

    @default_timeout.setter
    def default_timeout(self, seconds: float | None) -> None:
        self._link.default_timeout = seconds

    @contextlib.contextmanager
    def _connected(self) -> Iterator[LinkOrigin]:
        own = Link.attach(self._link.name, self._link.welcome.role, self._link.name)
        try:
            yield LinkOrigin(own, self._console)
        finally:
            own.close()

    def reopen(self) -> SharedMemory:
        """Return the memory that was given at first; later ask the host."""
        segment, self._segment = self._segment, None
        if segment is not None:
            return segment
        with self._connected() as origin:
            return origin.reopen()

    def end_reason(self, producer: ProducerIdentity, segment: SharedMemory) -> str | None:
        """Return why the machine has ended, or None."""
        return self._link.gone()

    @property
    def ends_here(self) -> str | None:
        """The reason why the machine has ended: nothing follows its surface."""
        return self._link.gone()

    def hold(self) -> contextlib.AbstractContextManager[None] | None:
        """Have the host keep the producer from writing; only the control role may."""
        return self._held() if self.looks_live else None

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with self._connected() as origin, origin.hold() or contextlib.nullcontext():
            yield

    @property
    def looks_live(self) -> bool:
        """True for the control role."""
        return self._link.welcome.role == "control"

    def window(self) -> Mapping:
        """Ask the host for the memory of the live window."""
        with self._connected() as origin:
            return origin.window()

    def refresh(self) -> None:
        """Do nothing: `Screen.frame` has awaited it."""
