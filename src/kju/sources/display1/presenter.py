"""Publishes the events of the listener: decides when, and which pixels.

Rules of this file:

- Bytes in a message are published or copied before more is received: nothing is queued. For
  mapped memory only rectangles are kept, in a bounded region. So this object never holds more
  than one picture and a few mappings, whatever QEMU sends.
- A page flip, and any scanout of the published size, is published at once.
- Two kinds of scanout are delayed, because the next one may replace them: a scanout of another
  size (`HOLD_SIZE`), and one that may be a placeholder (`HOLD_PLACEHOLDER`). Updates meanwhile
  belong to the delayed picture. No picture is delayed longer than `HOLD_PLACEHOLDER` in all.
- Time is an argument; this file reads no clock.

Source of the times (QEMU 10.0.2, Linux 6.1 guests under TCG): in five timed mode changes on
virtio-vga QEMU showed its "Display output is not active" for 29 to 99 ms, and while Linux loaded
the driver for 226 to 251 ms. That placeholder has the *old* size, so the size does not identify
it. But its memory is QEMU's own and was never shown before. Text and converted modes have the
same marks, so for them `HOLD_PLACEHOLDER` is the price of a mode change that keeps the size.
Bytes have no such mark: in copy mode a placeholder of the old size is published.
QEMU's listener ticks every 30 ms: a size that lasts one tick only was not meant to be seen.
"""

from __future__ import annotations

from ...errors import GeometryError, LimitError, PeerError
from ...surface import State
from ...surface.formats import from_pixman
from ...surface.geometry import Region
from ...surface.producer import Producer
from ..base import room_for
from .listener import (
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
from .scanout import Mappings, ScanoutPicture, borrowed, copied, paint

#: Seconds for which a scanout of another size is delayed.
HOLD_SIZE = 0.03
#: Seconds for which a scanout that may be a placeholder is delayed.
HOLD_PLACEHOLDER = 0.3

NEVER = float("inf")

OFF = "the guest has switched this display off"
LOST = "the guest's display memory was cut short; nothing more can be read from it"


class _DelayedPicture:
    """At most one picture that is not published yet, and the time at which it will be.

    Attributes:
        picture: The picture; None while nothing is delayed.
        deadline: When to publish it; `NEVER` while it waits for a larger surface.
    """

    def __init__(self) -> None:
        self.picture: ScanoutPicture | None = None
        self.deadline = NEVER
        self._since = 0.0

    def delay(self, picture: ScanoutPicture, now: float, seconds: float) -> None:
        """Delay *picture* in place of an earlier one, which keeps its start of the delay."""
        if self.picture is None:
            self._since = now
        self.picture = picture
        self.deadline = min(now + seconds, self._since + HOLD_PLACEHOLDER)

    def keep(self, picture: ScanoutPicture) -> None:
        """Hold *picture* until the surface is replaced by a larger one."""
        self.picture, self.deadline = picture, NEVER

    def take_due(self, now: float) -> ScanoutPicture | None:
        """Return the picture, and hold nothing, if it is due."""
        return self.take() if now >= self.deadline else None

    def take(self) -> ScanoutPicture | None:
        """Return the picture and hold nothing."""
        picture, self.picture, self.deadline = self.picture, None, NEVER
        return picture


class _GuestCursor:
    """The cursor as QEMU sent it last, to be published in a new surface again."""

    def __init__(self) -> None:
        self._shape: CursorDefine | None = None
        self._pointer: MouseSet | None = None

    def define(self, shape: CursorDefine, producer: Producer) -> None:
        """Publish a new shape."""
        self._shape = shape
        producer.set_cursor(shape.argb, shape.width, shape.height, shape.hot_x, shape.hot_y)

    def move(self, pointer: MouseSet, producer: Producer) -> None:
        """Publish a new position."""
        self._pointer = pointer
        producer.move_cursor(pointer.x, pointer.y, pointer.visible)

    def publish(self, producer: Producer) -> None:
        """Publish shape and position in another surface."""
        if self._shape is not None:
            self.define(self._shape, producer)
        if self._pointer is not None:
            self.move(self._pointer, producer)


class Presenter:
    """Publishes one console's pictures.

    Attributes:
        shown: The published picture; None before the first and after Disable.
        needed: Bytes of pixels that the surface lacks room for; 0 while everything fits.
        fell_back: QEMU sent bytes of a picture that it had sent as memory before.
        out_of_step: QEMU has changed the mode without announcing the new one.
        paused: Whether the machine is paused; the next picture is published as such.
    """

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.shown: ScanoutPicture | None = None
        self.needed = 0
        self.fell_back = False
        self.out_of_step = False
        self.paused = False
        self._delayed = _DelayedPicture()
        self._damage = Region()
        self._whole = False  # compare everything, not only the damage
        self._mappings = Mappings()
        self._last_map: ScanoutPicture | None = None
        self._blank = True  # nothing is shown: the surface's state is not LIVE or PAUSED
        self._cursor = _GuestCursor()

    @property
    def deadline(self) -> float:
        """The time at which `publish` is due although nothing is received; `NEVER` if none."""
        return self._delayed.deadline

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the newest picture, published or delayed."""
        latest = self._delayed.picture or self.shown
        return latest.size if latest is not None else None

    def handle(self, event: Event, now: float) -> None:
        """Handle one event.

        Raises:
            PeerError: The event contradicts earlier ones; nothing has changed.
        """
        match event:
            case UpdateMap(rect):
                if self._delayed.picture is None:
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
                self._cursor.define(event, self.producer)
            case MouseSet():
                self._cursor.move(event, self.producer)

    def set_paused(self, paused: bool) -> None:
        """Publish PAUSED or LIVE, at once where there is a picture."""
        self.paused = paused
        if not self._blank:
            self.producer.set_state(self._live_state)

    @property
    def _live_state(self) -> State:
        return State.PAUSED if self.paused else State.LIVE

    def publish(self, now: float) -> None:
        """Publish everything that is due at *now*; call it when the socket is drained.

        Raises:
            PeerError: The guest's memory was truncated; the surface is unavailable until QEMU
                sends another picture.
            LimitError: Out of memory for a new mode; likewise.
        """
        if self._delayed.picture is not None:
            if (due := self._delayed.take_due(now)) is not None:
                self._show(due)
        elif self.shown is not None and self.shown.mapping is not None:
            self._compare(self.shown)
        for picture in (self.shown, self._delayed.picture):
            if picture is not None and picture.lost:
                self._lose()

    def retarget(self, producer: Producer, now: float) -> None:
        """Continue in another surface, beginning with the whole picture and the cursor."""
        before, self.producer, self.needed = self.producer, producer, 0
        delayed = self._delayed.take()
        shown = self.shown
        # A new surface is LIVE, whatever the state of the old one was.
        blank, self._blank = self._blank, True
        if delayed is not None:
            self._show(delayed)  # most likely it waited for this surface
        elif shown is not None and shown.mapping is not None:
            self._show(shown)
        elif shown is not None:
            # The message with the bytes was overwritten: the old surface has the only copy.
            mode = before.mode
            producer.set_mode(mode.width, mode.height, source=before.pixels, stride=mode.stride)
            self._note_published()
        elif blank and before.mode.epoch:
            producer.set_state(State.UNAVAILABLE, OFF)
        self._cursor.publish(producer)
        self.publish(now)

    # -- scanouts

    def _scanout_map(self, event: ScanoutMap, now: float) -> None:
        picture = self._mappings.picture(event)
        self._last_map = picture
        self.fell_back = self.out_of_step = False
        seconds = self._delay_of(picture)
        if seconds:
            self._delayed.delay(picture, now, seconds)
        else:
            self._delayed.take()
            self.shown = picture
            self._whole = True

    def _scanout(self, event: Scanout, now: float) -> None:
        picture = borrowed(event)
        self.out_of_step = False
        if picture.alike(self._last_map):
            self.fell_back = True
        seconds = self._delay_of(picture)
        if seconds or self.needed:
            # A copy: the bytes are valid only until more is received.
            self._delayed.delay(copied(event), now, seconds)
        else:
            self._delayed.take()
            self._show(picture)
            if self.needed:
                self._delayed.keep(copied(event))

    def _update(self, event: Update) -> None:
        delayed = self._delayed.picture
        if delayed is not None:
            if delayed.mapping is not None or event.source_format != delayed.source_format:
                raise PeerError("Update of a picture that was not sent as such bytes")
            paint(delayed, event, from_pixman(event.pixman_format).bytes_per_pixel)
        elif self.shown is not None:
            self.producer.draw(
                event.rect, event.data, stride=event.stride, source_format=event.source_format
            )

    def _disable(self) -> None:
        self._forget()
        self._blank = True
        self.producer.set_state(State.UNAVAILABLE, OFF)

    def _delay_of(self, picture: ScanoutPicture) -> float:
        """Return the seconds for which *picture* is delayed."""
        if self.shown is None or picture.known:
            first_or_flip = self.shown is None or picture.size == self.shown.size
            return 0.0 if first_or_flip else HOLD_SIZE
        if picture.placeholder and self.size == picture.size:
            return HOLD_PLACEHOLDER
        return 0.0 if picture.size == self.shown.size else HOLD_SIZE

    # -- publishing

    def _show(self, picture: ScanoutPicture) -> None:
        """Publish the whole of *picture*; where it does not fit, keep it and set `needed`."""
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
                # The listener has checked everything else: the surface is too small.
                self.needed = room_for(*picture.size)
                self._delayed.keep(picture)
                return
            except LimitError as error:
                # There is room for it, but no memory. The next scanout tries again.
                self._forget()
                self._blank = True
                producer.set_state(State.UNAVAILABLE, str(error))
                raise
            self._mappings.keep(picture)
        self.needed = 0
        self.shown = picture
        if picture.mapping is None:
            picture.pixels = memoryview(b"")  # published now; do not keep a second copy
        self._note_published()

    def _compare(self, picture: ScanoutPicture, whole: bool = False) -> None:
        """Publish the differences: everywhere, or in QEMU's rectangles."""
        whole = whole or self._whole
        rects = None if whole else self._damage.take()
        if rects == []:
            return
        mode = self.producer.mode
        if (mode.width, mode.height) != picture.size:
            # The first picture, or a new surface.
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
        self._note_published()

    def _note_published(self) -> None:
        self._whole = False
        self._damage.take()
        if self._blank:
            self._blank = False
            self.producer.set_state(self._live_state)

    def _lose(self) -> None:
        self._disable()
        self.producer.set_state(State.UNAVAILABLE, LOST)
        raise PeerError(LOST)

    def _forget(self) -> None:
        self.shown = self._last_map = None
        self._delayed.take()
        self._whole = False
        self._damage.take()
        self._mappings.keep(None)
