"""What the listener was told becomes published pixels: when, and which.

Rules of this file:

- Bytes that came along are published (or copied) before more is received; there is no queue.
  For mapped memory only rectangles are kept, and those in a bounded region. So what is held
  never exceeds one picture and a few mappings, whatever QEMU sends.
- A page flip, and any scanout of the size that is shown, is published at once.
- Two kinds of scanout wait a little, in case the next one makes them void: one of another size
  (`HOLD_SIZE`), and one that may be a placeholder (`HOLD_PLACEHOLDER`). Updates meanwhile
  belong to what is held. Nothing is held longer than `HOLD_PLACEHOLDER` altogether.
- Time comes in as an argument; there is no clock in here.

Where the times come from (QEMU 10.0.2, Linux 6.1 guests under TCG): in five timed mode
changes on virtio-vga QEMU showed its "Display output is not active" for 29 to 99 ms, and while
Linux loaded the driver for 226 to 251 ms. It has the *old* size, so that the size alone does
not tell it, but its memory is QEMU's own and was never shown before. Text and converted modes
share those marks; for them `HOLD_PLACEHOLDER` is the price of a mode change that keeps the
size. Bytes carry no such mark: in copy mode a placeholder of the old size is seen.
QEMU's listener ticks every 30 ms: a size that is gone after one tick was not meant to be seen.
"""

from __future__ import annotations

from ...errors import GeometryError, LimitError, PeerError
from ...surface import State
from ...surface.formats import from_pixman
from ...surface.geometry import Region
from ...surface.producer import Producer
from ..base import room_for
from .events import (
    CursorDefine,
    Disable,
    Event,
    MouseSet,
    Scanout,
    ScanoutMap,
    Unannounced,
    Update,
    UpdateMap,
)
from .picture import Mappings, Picture, borrowed, copied, paint

HOLD_SIZE = 0.03
"""Seconds a scanout of another size waits to be replaced."""

HOLD_PLACEHOLDER = 0.3
"""Seconds a scanout that may be a placeholder waits to be replaced."""

NEVER = float("inf")

OFF = "the guest has switched this display off"
LOST = "the guest's display memory was cut short; nothing more can be read from it"


class Presenter:
    """Publishes one console's pictures.

    Attributes:
        shown: What is published, None when nothing is.
        needed: Bytes of pixels the surface lacks room for; 0 while everything fits.
        fell_back: QEMU sent bytes of a picture that it had sent as memory before.
        out_of_step: QEMU has changed the mode and not said to what.
        paused: The machine is; a picture that comes now is published as such.
    """

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.shown: Picture | None = None
        self.needed = 0
        self.fell_back = False
        self.out_of_step = False
        self.paused = False
        self._held: Picture | None = None
        self._since = 0.0
        self._deadline = NEVER
        self._damage = Region()
        self._whole = False
        self._mappings = Mappings()
        self._last_map: Picture | None = None
        self._blank = True
        self._cursor: CursorDefine | None = None
        self._pointer: MouseSet | None = None

    @property
    def deadline(self) -> float:
        """When `publish` has to be called though nothing was received; `NEVER` if not."""
        return self._deadline if self._held is not None else NEVER

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of what QEMU said last, shown already or held."""
        latest = self._held or self.shown
        return latest.size if latest is not None else None

    def take(self, event: Event, now: float) -> None:
        """Take one event.

        Raises:
            PeerError: It cannot be true; nothing has changed.
        """
        match event:
            case UpdateMap(rect):
                if self._held is None:
                    self._damage.add(rect)
            case Update():
                self._update(event)
            case Unannounced():
                self.out_of_step = True
            case ScanoutMap():
                self._scanout_map(event, now)
            case Scanout():
                self._scanout(event, now)
            case Disable():
                self._disable()
            case CursorDefine():
                self._cursor = event
                self._show_cursor()
            case MouseSet():
                self._pointer = event
                self._show_pointer()

    def pause(self, now: bool) -> None:
        """The machine has been paused, or goes on; said at once where there is a picture."""
        self.paused = now
        if not self._blank:
            self.producer.set_state(self._live)

    @property
    def _live(self) -> State:
        return State.PAUSED if self.paused else State.LIVE

    def publish(self, now: float) -> None:
        """Publish what may be published by *now*: call it when the socket is drained.

        Raises:
            PeerError: The guest's memory was cut; the surface is unavailable until QEMU
                shows something else.
            LimitError: There is no memory for a new mode; likewise.
        """
        if self._held is not None and now >= self._deadline:
            due, self._held, self._deadline = self._held, None, NEVER
            self._show(due)
        elif self.shown is not None and self.shown.mapping is not None and self._held is None:
            self._compare(self.shown)
        for picture in (self.shown, self._held):
            if picture is not None and picture.lost:
                self._lose()

    def retarget(self, producer: Producer, now: float) -> None:
        """Go on in another surface, beginning with the whole picture and the cursor."""
        before, self.producer, self.needed = self.producer, producer, 0
        held, self._held = self._held, None
        shown = self.shown
        # A new surface says LIVE, whatever the old one said.
        blank, self._blank = self._blank, True
        if held is not None:
            self._show(held)  # most likely it waited for this surface
        elif shown is not None and shown.mapping is not None:
            self._show(shown)
        elif shown is not None:
            # The bytes came and went: the old surface has the only copy.
            mode = before.mode
            producer.set_mode(mode.width, mode.height, source=before.pixels, stride=mode.stride)
            self._settled()
        elif blank and before.mode.epoch:
            producer.set_state(State.UNAVAILABLE, OFF)
        self._show_cursor()
        self._show_pointer()
        self.publish(now)

    # -- scanouts

    def _scanout_map(self, event: ScanoutMap, now: float) -> None:
        picture = self._mappings.picture(event)
        self._last_map = picture
        self.fell_back = self.out_of_step = False
        patience = self._patience(picture)
        if patience:
            self._hold(picture, now, patience)
        else:
            self._held = None
            self.shown = picture
            self._whole = True

    def _scanout(self, event: Scanout, now: float) -> None:
        picture = borrowed(event)
        self.out_of_step = False
        if picture.alike(self._last_map):
            self.fell_back = True
        patience = self._patience(picture)
        if patience or self.needed:
            self._hold(copied(event), now, patience)
        else:
            self._held = None
            self._show(picture)
            if self.needed:
                self._held = copied(event)

    def _update(self, event: Update) -> None:
        if self._held is not None:
            if self._held.mapping is not None or event.source_format != self._held.source_format:
                raise PeerError("Update of something that did not come as such bytes")
            paint(self._held, event, from_pixman(event.pixman_format).bytes_per_pixel)
        elif self.shown is not None:
            self.producer.draw(
                event.rect, event.data, stride=event.stride, source_format=event.source_format
            )

    def _disable(self) -> None:
        self._forget()
        self._blank = True
        self.producer.set_state(State.UNAVAILABLE, OFF)

    def _patience(self, picture: Picture) -> float:
        """Seconds for which *picture* should be held back."""
        if self.shown is None or picture.known:
            first_or_flip = self.shown is None or picture.size == self.shown.size
            return 0.0 if first_or_flip else HOLD_SIZE
        if picture.placeholder and self.size == picture.size:
            return HOLD_PLACEHOLDER
        return 0.0 if picture.size == self.shown.size else HOLD_SIZE

    def _hold(self, picture: Picture, now: float, patience: float) -> None:
        if self._held is None:
            self._since = now
        self._held = picture
        self._deadline = min(now + patience, self._since + HOLD_PLACEHOLDER)

    # -- publishing

    def _show(self, picture: Picture) -> None:
        """Publish the whole of *picture*; where it does not fit, hold it and say so."""
        producer, mode = self.producer, self.producer.mode
        size_before = (mode.width, mode.height)
        if mode.epoch and picture.size == size_before:
            self._compare(picture, whole=True)
        else:
            try:
                producer.set_mode(
                    *picture.size,
                    source=picture.pixels,
                    offset=picture.offset,
                    stride=picture.stride,
                    source_format=picture.source_format,
                )
            except GeometryError:
                # The listener has checked everything else: it is too large for the surface.
                self.needed = room_for(*picture.size)
                self._held, self._deadline = picture, NEVER
                return
            except LimitError as error:
                # It would fit, but there is no memory. The next scanout tries again.
                self._forget()
                self._blank = True
                producer.set_state(State.UNAVAILABLE, str(error))
                raise
            self._mappings.keep(picture)
        self.needed = 0
        self.shown = picture
        if picture.mapping is None:
            picture.pixels = memoryview(b"")  # published now, and not to be kept twice
        self._settled()

    def _compare(self, picture: Picture, whole: bool = False) -> None:
        """Publish what differs: everywhere, or in the rectangles QEMU named."""
        whole = whole or self._whole
        rects = None if whole else self._damage.take()
        if rects == []:
            return
        mode = self.producer.mode
        if (mode.width, mode.height) != picture.size:
            # The first picture, or a surface that has just been given.
            self._whole = False
            self._show(picture)
            return
        self.producer.compare(
            picture.pixels,
            offset=picture.offset,
            stride=picture.stride,
            rects=rects,
            source_format=picture.source_format,
        )
        self._settled()

    def _settled(self) -> None:
        self._whole = False
        self._damage.take()
        if self._blank:
            self._blank = False
            self.producer.set_state(self._live)

    def _lose(self) -> None:
        self._disable()
        self.producer.set_state(State.UNAVAILABLE, LOST)
        raise PeerError(LOST)

    def _forget(self) -> None:
        self.shown = self._held = self._last_map = None
        self._whole = False
        self._damage.take()
        self._mappings.keep(None)

    # -- the cursor

    def _show_cursor(self) -> None:
        if self._cursor is not None:
            shape = self._cursor
            self.producer.set_cursor(
                shape.argb, shape.width, shape.height, shape.hot_x, shape.hot_y
            )

    def _show_pointer(self) -> None:
        if self._pointer is not None:
            self.producer.move_cursor(self._pointer.x, self._pointer.y, self._pointer.visible)
