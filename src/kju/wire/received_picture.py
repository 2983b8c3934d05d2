"""The picture of a session at the receiver: checks segments and draws them on a target.

A segment is checked as a whole before a pixel changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import PeerError
from ..surface.formats import R8, XR24
from ..surface.geometry import Rect
from . import _wire, codecs, jpeg
from .messages import MAX_PHOTO_PIXELS, CursorUpdate, LossySegment, ModeUpdate, Segment

if TYPE_CHECKING:
    import numpy.typing as npt


class DrawTarget(Protocol):
    """A surface that a receiver draws on, such as `kju.surface.producer.Producer`."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The pixels of the mode that was set last."""

    @property
    def version(self) -> int:
        """The version of the last publication."""

    def set_mode(self, width: int, height: int, *, fourcc: int) -> int:
        """Begin a black picture of this form; return its version."""

    def begin(self) -> None:
        """Announce that pixels are about to change."""

    def publish(self, rects: Sequence[Rect], /) -> int:
        """Publish changes in these rectangles; return the version."""

    def set_cursor(self, argb: bytes, width: int, height: int, hot_x: int, hot_y: int, /) -> int:
        """Set the cursor's shape: B, G, R, A for each pixel."""

    def move_cursor(self, x: int, y: int, visible: bool, /) -> int:
        """Move the cursor."""


class ReceivedPicture:
    """One session's picture.

    Args:
        target: The surface that shows it.
        max_pixels: The most pixels of a screen.
        keep: The target shows the picture of an earlier session. Keep it, if the form is the same,
            until all of the new picture was received.

    Attributes:
        codec: The codec of the segments.
        accepts_photos: The session has photos.
        mode: The mode of the screen; None before it was received.
        version: The sender's version of the last segment.
        complete_version: The target has all changes up to this version of the sender; 0 while
            some of the picture was never received.
        exact: The target shows exactly the sender's pixels of that version.
    """

    def __init__(self, target: DrawTarget, *, max_pixels: int, keep: bool) -> None:
        self._target = target
        self._max_pixels = max_pixels
        self._keep = keep
        #: The new picture while the target still shows the earlier session's.
        self._hidden: npt.NDArray[np.uint8] | None = None
        self.codec = "raw"
        self.accepts_photos = False
        self.mode: ModeUpdate | None = None
        self.version = 0
        self.complete_version = 0
        self.exact = True

    def set_mode(self, message: ModeUpdate) -> None:
        """Begin a black picture, unless the mode is the same as before.

        Raises:
            PeerError: The mode is too large, or older than the one before.
        """
        if message.width * message.height > self._max_pixels:
            raise PeerError(
                f"the sender's screen of {message.width}x{message.height} pixels is over the"
                f" limit of {self._max_pixels}"
            )
        if self.mode is not None and message.epoch < self.mode.epoch:
            raise PeerError(f"epoch {message.epoch} follows the later {self.mode.epoch}")
        old, self.mode = self.mode, message
        if old is not None and _form(old) == _form(message):
            return  # sent again for other viewers, or because its acknowledgement was lost
        self.complete_version, self.exact = 0, True
        shown, self._keep = self._target.pixels if self._keep else None, False
        shape = (message.height, message.width, *[4] * (not message.grey))
        if shown is not None and shown.shape == shape:
            self._hidden = np.zeros(shape, np.uint8)
            return
        self._hidden = None
        self._target.set_mode(message.width, message.height, fourcc=R8 if message.grey else XR24)

    def draw(self, message: Segment, mode: ModeUpdate) -> None:
        """Draw a segment of the present mode.

        Raises:
            PeerError: It is not valid, or older than the one before. No pixel has changed.
        """
        if message.version < self.version:
            raise PeerError(f"version {message.version} follows the later {self.version}")
        self._draw(message, mode)
        self.version = message.version
        self.complete_version = message.complete_version or self.complete_version
        self.exact = not isinstance(message, LossySegment)
        if self.complete_version and self._hidden is not None:
            self._show(self._hidden)
            self._hidden = None

    def _show(self, picture: npt.NDArray[np.uint8]) -> None:
        """Replace all pixels of the target in one publication."""
        self._target.begin()
        self._target.pixels[...] = picture
        self._target.publish([Rect(0, 0, picture.shape[1], picture.shape[0])])

    def _draw(self, message: Segment, mode: ModeUpdate) -> None:
        block = codecs.decompress(message.data, message.size, self.codec)
        pixel = 1 if mode.grey else 4
        rects = [Rect(*each) for each in _wire.check(block, (mode.width, mode.height, pixel))]
        photos = self._photos(message, mode) if isinstance(message, LossySegment) else []
        pixels = self._target.pixels if self._hidden is None else self._hidden
        form = mode.width, mode.height, pixels.strides[0], pixel
        if self._hidden is None:
            self._target.begin()
        _wire.unpack(block, _row_bytes(pixels), form)
        for (x, y, width, height), photo in photos:
            area = pixels[y : y + height, x : x + width]
            area[...] = photo.reshape(area.shape)
        if self._hidden is None:
            self._target.publish([*rects, *(rect for rect, _ in photos)])

    def _photos(
        self, message: LossySegment, mode: ModeUpdate
    ) -> list[tuple[Rect, npt.NDArray[np.uint8]]]:
        """Decompress the photos of a segment.

        Raises:
            PeerError: The session has none, or one is outside the picture, too large, or not JPEG.
        """
        if not self.accepts_photos:
            raise PeerError("a lossy segment in a lossless session")
        rects = [Rect(each.x, each.y, each.width, each.height) for each in message.photos]
        picture = Rect(0, 0, mode.width, mode.height)
        if outside := [rect for rect in rects if not picture.contains(rect)]:
            raise PeerError(f"a photo is outside the picture: {outside[0]}", outside[0])
        if (area := sum(rect.area for rect in rects)) > MAX_PHOTO_PIXELS:
            raise PeerError(f"photos of {area} pixels are over the limit of {MAX_PHOTO_PIXELS}")
        pixel = 1 if mode.grey else 4
        return [
            (rect, jpeg.decompress(each.data, rect.width, rect.height, pixel))
            for rect, each in zip(rects, message.photos, strict=True)
        ]

    def set_cursor(self, message: CursorUpdate) -> None:
        """Draw the cursor.

        Raises:
            PeerError: Its shape is not valid.
        """
        if message.shape is not None:
            size = message.width * message.height * 4
            shape = codecs.decompress(message.shape, size, self.codec) if message.shape else b""
            if shape:
                self._target.set_cursor(
                    shape, message.width, message.height, message.hot_x, message.hot_y
                )
        self._target.move_cursor(message.x, message.y, message.visible)


def _form(mode: ModeUpdate) -> tuple[int, int, int, bool]:
    return mode.epoch, mode.width, mode.height, mode.grey


def _row_bytes(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the memory of a picture's rows as bytes, the padding between rows included."""
    rows, stride = pixels.shape[0], pixels.strides[0]
    used = pixels[0].nbytes
    return np.lib.stride_tricks.as_strided(pixels, (stride * (rows - 1) + used,), (1,))
