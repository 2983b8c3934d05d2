"""The guest's picture and cursor in a view: their places, and the parts to repaint. I/O-free."""

from __future__ import annotations

from typing import NamedTuple

from ..client.consumer.frame import Frame
from ..surface import Change, Cursor, Mode
from ..surface.geometry import Rect, Region
from .contract import Backend, PointerShape
from .geometry import Placement, Scaling, ViewSize, place, preferred_size, usual_multiple


class ViewPicture:
    """The picture of one view.

    Attributes:
        scaling: Its size in the view.
        smooth: Pixels are mixed where the scale is not a whole multiple.
        follows: The view takes the size of each new mode, unless the user has resized it.
        placement: Its place in the view; None without a picture.
        mode: The mode of the newest picture.
    """

    def __init__(self, backend: Backend, scaling: Scaling, *, smooth: bool = True) -> None:
        self._backend = backend
        self.scaling = scaling
        self.smooth = smooth
        self.follows = True
        self.placement: Placement | None = None
        self.mode: Mode | None = None
        self._frame: Frame | None = None
        self._scrolled = (0, 0)
        self._sized_for: ViewSize | None = None

    def show(self, frame: Frame | None) -> None:
        """Show another surface or mode."""
        self._set_frame(frame)
        self.mode = frame.mode if frame is not None else None
        if self.mode is not None:
            self._follow_size(self.mode)

    def detach(self) -> None:
        """Keep the picture, but not the machine's memory, which a view may hold for hours."""
        if self._frame is not None:
            self._set_frame(self._frame.copy())

    def release(self) -> None:
        """Drop the picture: the view has ended."""
        self._set_frame(None)

    def scroll(self, x: int, y: int) -> bool:
        """Scroll to an offset; return False where it is the old one."""
        if (x, y) == self._scrolled:
            return False
        self._scrolled = x, y
        return True

    def place(self) -> None:
        """Place the picture anew in the view, and paint everything."""
        self.placement = None
        self._follow_ratio()
        if self.mode is not None:
            size = self.mode.width, self.mode.height
            self.placement = place(
                size, self._backend.view_size(), self.scaling, self._scrolled,
                smooth=self.smooth, whole=self._backend.whole_size(), bar=self._backend.bar_width(),
            )  # fmt: skip
        self._backend.place(self.placement)
        self._backend.repaint(None)

    def share(self, change: Change) -> float:
        """Return the share of the picture that a change covers."""
        if change.everything or self.mode is None:
            return 1.0
        area = sum(rect.width * rect.height for rect in change.rects)
        return area / (self.mode.width * self.mode.height)

    def repaint(self, rects: list[Rect]) -> None:
        """Paint rectangles of the guest again."""
        if self.placement is None:
            return
        region = Region()
        for rect in rects:
            if (part := self.placement.device_rect(rect)) is not None:
                region.add(part)
        if region:
            self._backend.repaint(region.take())

    def _set_frame(self, frame: Frame | None) -> None:
        self._frame = frame
        self._backend.show_picture(frame)

    def keep_size(self) -> None:
        """Keep the view's size as one that the user has chosen."""
        self._sized_for = ViewSize(0, 0, self._backend.ratio())

    def take_usual_size(self) -> None:
        """Resize the view to the guest's usual size, and follow later modes again."""
        self._sized_for = None
        if self.mode is not None:
            self._follow_size(self.mode)

    @property
    def has_usual_size(self) -> bool:
        """True where the view still has the size that it took from the mode."""
        return self._sized_for is None or self._view_size.same_as(self._sized_for)

    @property
    def _view_size(self) -> ViewSize:
        return ViewSize(*self._backend.view_size(), self._backend.ratio())

    def _follow_ratio(self) -> None:
        """Take the usual size again on a display of another ratio.

        A view that moves there keeps its logical size, or its device pixels (X11); then the rest of
        its window takes another share of the height.
        """
        before, now = self._sized_for, self._view_size
        if before is None or self.mode is None or before.ratio == now.ratio:
            return
        if now.same_as(before) or now.is_as_wide_as(before):
            self._sized_for = None
            self._follow_size(self.mode)

    def _follow_size(self, mode: Mode) -> None:
        """Resize the view with the mode, unless the user has resized it."""
        if not self.follows or not self.has_usual_size:
            return
        backend, ratio = self._backend, self._backend.ratio()
        multiple = usual_multiple(self.scaling, ratio)
        size = preferred_size((mode.width, mode.height), backend.largest_size(), multiple)
        self._sized_for = ViewSize(*size, ratio)
        if not self._view_size.same_as(self._sized_for):
            backend.resize(*size)


class Cursors:
    """The two cursors of one view: the view's own pointer, and the guest's in the picture.

    Attributes:
        cursor: The guest's; None before the first.
    """

    def __init__(self, backend: Backend, picture: ViewPicture) -> None:
        self._backend, self._picture = backend, picture
        self.cursor: Cursor | None = None
        self._drawn: Rect | None = None
        self._shape: tuple[object, ...] = ()

    @property
    def version(self) -> int:
        """Version of the guest's cursor; -1 before the first."""
        return self.cursor.version if self.cursor is not None else -1

    def set_cursor(self, cursor: Cursor) -> None:
        """Take the guest's cursor; `show` shows it."""
        self.cursor = cursor

    def show(self, pointing: Pointing) -> None:
        """Show both as they have to be now; only a change reaches the back end."""
        cursor, placement = self.cursor, self._picture.placement
        pointer = pointer_shape(pointing, cursor)
        scale = placement.scale if placement else 1.0
        pixels = cursor.shape.tobytes() if cursor is not None else b""
        hot = (cursor.hot_x, cursor.hot_y) if cursor is not None else ()
        shape = (pointer, scale, self._backend.ratio(), hot, pixels)
        if shape != self._shape:
            self._shape = shape
            self._backend.set_pointer(pointer, cursor, scale)
        before, self._drawn = self._drawn, self._drawn_rect(pointing)
        self._backend.draw_cursor(cursor if self._drawn else None)
        if changed := [rect for rect in (before, self._drawn) if rect is not None]:
            self._backend.repaint(changed)

    def _drawn_rect(self, pointing: Pointing) -> Rect | None:
        """Return the device pixels of the cursor where it is drawn into the picture."""
        cursor, placement = self.cursor, self._picture.placement
        if cursor is None or placement is None or not draws_cursor(pointing, cursor):
            return None
        height, width = cursor.shape.shape[:2]
        rect = Rect(cursor.x - cursor.hot_x, cursor.y - cursor.hot_y, width, height)
        return placement.device_rect(rect)


class Pointing(NamedTuple):
    """State that decides which pointers are shown.

    Attributes:
        controls: Input goes to the guest.
        absolute: The guest takes positions.
        grabbed: The guest has the pointer.
        inside: The view's pointer is over the picture.
    """

    controls: bool
    absolute: bool
    grabbed: bool
    inside: bool


def pointer_shape(pointing: Pointing, cursor: Cursor | None) -> PointerShape:
    """Return the shape of the view's own pointer."""
    if not pointing.controls:
        return PointerShape.ARROW
    if not pointing.absolute:
        return PointerShape.HIDDEN if pointing.grabbed else PointerShape.ARROW
    if cursor is None or not cursor.shape.size:
        # The guest draws its own pointer, or has none (a text screen).
        return PointerShape.DOT
    return PointerShape.GUEST if cursor.visible else PointerShape.HIDDEN


def draws_cursor(pointing: Pointing, cursor: Cursor | None) -> bool:
    """Return True where the picture must contain the guest's cursor: the view's is elsewhere."""
    if cursor is None or not cursor.visible or not cursor.shape.size:
        return False
    return not (pointing.controls and pointing.absolute and pointing.inside)
