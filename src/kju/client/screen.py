"""What a machine's consoles show, for programs with threads.

Pixels never pass through the host: a `Screen` is a `Surface` on memory that the host has
handed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from ..protocol.messages import Done, Refresh
from ..surface.formats import PixelFormat
from ..surface.geometry import Area
from .following import Following
from .frame import Frame
from .keyboard import Keyboard
from .link import Link
from .origin import LinkOrigin
from .pointer import Pointer
from .surface import Surface


class Screen(Following, Surface):
    """What one console shows: a `Surface` that follows the machine.

    When a larger surface replaces this one it goes on there; when the machine ends, waiting
    raises `ProducerGoneError` with the reason.

    Attributes:
        console: The console's index.
    """

    def __init__(self, link: Link, console: int) -> None:
        """Use `kju.Machine.screens`.

        Raises:
            UsageError: There is no such console.
            MachineGoneError: The machine has ended.
        """
        super().__init__(LinkOrigin(link, console))
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
        return self._link.ask(Refresh(console=self.console, sync=True), Done).version

    def _newest(self) -> None:
        self.refresh()


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
            screen = Screen(self._link, range(len(self))[index])
            # Two threads may open it at once; one of the two screens is kept.
            screen = self._open[index] = self._open[index] or screen
        return screen

    def close(self) -> None:
        """Close those that are open."""
        for screen in self._open:
            if screen is not None:
                screen.close()
