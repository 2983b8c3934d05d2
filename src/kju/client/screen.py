"""What a machine's consoles show, for programs with threads.

Pixels never pass through the host: a `Screen` is a `Surface` on memory that the host has
handed out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Self, overload

from ..errors import KjuError, PeerError
from ..memory import Segment, open_fd
from ..protocol.framing import Answer
from ..protocol.messages import (
    Done,
    GetLive,
    GetSurface,
    Hold,
    LiveHandle,
    Refresh,
    Reply,
    SurfaceHandle,
    Unhold,
)
from ..surface.formats import PixelFormat
from ..surface.geometry import Area
from .following import Following
from .frame import Frame
from .keyboard import Keyboard
from .link import Link, close_all
from .pointer import Pointer
from .requests import check_reply
from .surface import Surface

#: Milliseconds to hold a surface for a consistent copy: 33 MB, a 4K screen, take under 20.
HOLD = 50


class Screen(Following, Surface):
    """What one console shows: a `Surface` that follows the machine.

    When a larger surface replaces this one it goes on there; when the machine ends, waiting
    raises `ProducerGoneError` with the reason.

    Attributes:
        console: The console's index.
    """

    console: int
    _link: Link
    _refresh: Callable[[bool], int]

    @classmethod
    def of(cls, link: Link, console: int) -> Self:
        """Open a console's screen.

        Raises:
            UsageError: There is no such console.
            MachineGoneError: The machine has ended.
        """

        def reopen() -> Segment:
            return open_fd(surface_descriptor(link, console))

        @contextlib.contextmanager
        def hold() -> Iterator[None]:
            link.ask(Hold(console=console, milliseconds=HOLD), Done)
            try:
                yield
            finally:
                link.ask(Unhold(console=console), Done)

        def refresh(sync: bool) -> int:
            return link.ask(Refresh(console=console, sync=sync), Done).version

        screen = cls.from_fd(
            surface_descriptor(link, console),
            gone=link.gone,
            reopen=reopen,
            # Only a client with the control role may make the producer wait.
            hold=hold if link.welcome.role == "control" else None,
        )
        screen.console = console
        screen._link = link
        screen._refresh = refresh
        # Only a client with the control role may see what is not published: it could write there.
        screen.use_live(
            window=lambda: live_descriptor(link, console),
            catch_up=(lambda: refresh(False)) if link.welcome.role == "view" else None,
            publish=lambda: refresh(False),
        )
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

    def frame(
        self,
        rect: Area | None = None,
        *,
        pixels: PixelFormat = "rgb",
        consistent: bool = False,
        cursor: bool = False,
        sync: bool = False,
    ) -> Frame:
        """Copy the pixels as they are now, no older than this call.

        In a linear mode, with the control role, the pixels are read from the guest's own video
        memory. Otherwise they are the published ones, each tile in its newest version.

        Args:
            rect: Area in pixels, origin top left; the whole screen by default.
            pixels: Order of the channels: ``rgb``, ``rgba``, ``bgrx`` (as in memory) or ``grey``.
            consistent: Copy exactly one published version: see `kju.Surface.frame`.
            cursor: Draw the guest's cursor into the copy.
            sync: Let the host read the guest's mode first, which takes a millisecond. Without it
                the geometry may be 250 ms old.

        Returns:
            Shape ``(height, width, 3)`` for ``rgb``, 4 channels for ``rgba`` and ``bgrx``,
            ``(height, width)`` for ``grey``. C-contiguous; the array owns its memory.

        Raises:
            GeometryError: *rect* leaves the surface.
            UnavailableError: There is no picture; the message is the reason.
            InconsistentError: The producer never stopped writing.
            MachineGoneError: The machine has ended, and the host was to be asked.
            ClosedError: This process has closed the screen.
        """
        if sync:
            self.refresh()
        return self._copy_frame(rect, pixels=pixels, consistent=consistent, cursor=cursor)

    def refresh(self) -> int:
        """Have everything published that QEMU has told the host so far.

        Returns:
            The version that holds it.

        Raises:
            MachineGoneError: The machine has ended.
        """
        return self._refresh(True)

    def _newest(self) -> None:
        self.refresh()


def surface_descriptor(link: Link, console: int) -> int:
    """Ask for a console's surface; the caller owns the descriptor."""
    return only_descriptor(link.call(GetSurface(console=console)))


def live_descriptor(link: Link, console: int) -> int:
    """Ask for the memory of a console's live window; the caller owns the descriptor."""
    return only_descriptor(link.call(GetLive(console=console)), LiveHandle)


def only_descriptor(answer: Answer, kind: type[Reply] = SurfaceHandle) -> int:
    """The one descriptor of a reply of this kind.

    Raises:
        PeerError: There are none, or several.
        KjuError: The reply is a failure.
    """
    reply, descriptors = answer
    try:
        check_reply(reply, kind)
        if len(descriptors) != 1:
            raise PeerError(f"memory came with {len(descriptors)} descriptors", reply)
    except KjuError:
        close_all(descriptors)
        raise
    return descriptors[0]


class Screens(Sequence[Screen]):
    """A machine's screens, one per console, each opened when it is first used."""

    def __init__(self, link: Link, count: int) -> None:
        self._link = link
        self._open: list[Screen | None] = [None] * count

    def __len__(self) -> int:
        return len(self._open)

    @overload
    def __getitem__(self, index: int) -> Screen: ...
    @overload
    def __getitem__(self, index: slice) -> list[Screen]: ...
    def __getitem__(self, index: int | slice) -> Screen | list[Screen]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        screen = self._open[index]
        if screen is None:
            screen = Screen.of(self._link, range(len(self))[index])
            # Two threads may open it at once; one of the two screens is kept.
            screen = self._open[index] = self._open[index] or screen
        return screen

    def close(self) -> None:
        """Close those that are open."""
        for screen in self._open:
            if screen is not None:
                screen.close()
