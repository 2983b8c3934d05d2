"""What a machine's consoles show, for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Self

from ...memory import Segment, open_fd
from ...protocol.messages import Done, GetSurface, Hold, Refresh, Unhold
from ...surface.formats import PixelFormat
from ...surface.geometry import Area
from ..following import Following
from ..frame import Frame
from ..link import Link
from ..screen import HOLD, live_descriptor, only_descriptor, surface_descriptor
from .keyboard import Keyboard
from .link import AsyncLink
from .pointer import Pointer
from .surface import Surface


class Screen(Following, Surface):
    """What one console shows: see `kju.Screen`. Only waiting is awaited.

    Attributes:
        console: The console's index.
    """

    console: int
    _link: AsyncLink

    @classmethod
    async def of(cls, link: AsyncLink, console: int) -> Self:
        """Open a console's screen.

        Raises:
            UsageError: There is no such console.
            MachineGoneError: The machine has ended.
        """
        descriptor = only_descriptor(await link.call(GetSurface(console=console)))
        may_hold = link.welcome.role == "control"
        screen = cls.from_fd(
            descriptor,
            gone=link.gone,
            reopen=_reopener(link, console),
            hold=_holder(link, console) if may_hold else None,
        )
        screen.console = console
        screen._link = link
        if may_hold:
            screen.use_live(window=_window(link, console))
        return screen

    @property
    def keyboard(self) -> Keyboard:
        """The keyboard of this console."""
        return Keyboard(self._link, self.console)

    @property
    def pointer(self) -> Pointer:
        """The pointer of this console."""
        return Pointer(self._link, self.console)

    @property
    def default_timeout(self) -> float | None:  # type: ignore[override]
        """Seconds that a wait may take where none are given: the machine's default."""
        return self._link.default_timeout

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


# Both happen once in a blue moon and inside calls that do not wait (a larger surface, a copy
# that cannot be had otherwise), so they use a connection of their own, for a millisecond.


def _reopener(link: AsyncLink, console: int) -> Callable[[], Segment]:
    def reopen() -> Segment:
        own = Link.attach(link.name, "view", link.name)
        try:
            return open_fd(surface_descriptor(own, console))
        finally:
            own.close()

    return reopen


def _window(link: AsyncLink, console: int) -> Callable[[], int]:
    def ask() -> int:
        own = Link.attach(link.name, "control", link.name)
        try:
            return live_descriptor(own, console)
        finally:
            own.close()

    return ask


def _holder(
    link: AsyncLink, console: int
) -> Callable[[], contextlib.AbstractContextManager[object]]:
    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        own = Link.attach(link.name, "control", link.name)
        try:
            own.ask(Hold(console=console, milliseconds=HOLD), Done)
            yield
            own.ask(Unhold(console=console), Done)
        finally:
            own.close()

    return hold
