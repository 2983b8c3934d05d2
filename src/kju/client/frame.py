"""Frames: NumPy arrays that know what they show."""

from __future__ import annotations

import math
import os
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import LimitError
from ..surface._core import Pool

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..surface import Mode
    from ..surface.formats import PixelFormat

# Below this, new memory comes from the heap and costs nothing worth saving.
POOL_BYTES = 256 * 1024


class FrameSource(Protocol):
    """The surface of a frame."""

    def _shows(self, incarnation: int, epoch: int) -> bool: ...


class Frame(np.ndarray[Any, np.dtype[np.uint8]]):
    """Pixels of a surface: ``(height, width, channels)`` or ``(height, width)`` uint8.

    An ordinary array otherwise: slices and copies of it are frames of the same moment.

    Attributes:
        version: The surface's version whose pixels, or newer ones, it holds.
        incarnation: The producer's life that the version counts in.
        mode: The mode it was taken in.
        consistent: It holds exactly that one version.
        live: It is the surface's memory itself and goes on changing.
    """

    version: int = 0
    incarnation: int = 0
    mode: Mode | None = None
    consistent: bool = False
    live: bool = False
    _surface: weakref.ref[FrameSource] | None = None

    def __array_wrap__(
        self,
        array: np.ndarray[Any, Any],
        context: Any = None,  # noqa: ANN401
        return_scalar: bool = False,
    ) -> Any:  # noqa: ANN401
        """What is computed from a frame is no frame: a mean, a mask, a difference."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    def __array_finalize__(self, source: object) -> None:
        """Carry the description over to slices and copies."""
        if isinstance(source, Frame):
            self.__dict__.update(source.__dict__)

    @property
    def stale(self) -> bool:
        """Whether the surface has since been closed, replaced, or changed its mode."""
        surface = self._surface() if self._surface else None
        if surface is None or self.mode is None:
            return True
        return not surface._shows(self.incarnation, self.mode.epoch)


def make_frame(
    pixels: npt.NDArray[np.uint8],
    surface: weakref.ref[FrameSource],
    incarnation: int,
    mode: Mode,
    version: int,
    *,
    consistent: bool = False,
    live: bool = False,
) -> Frame:
    """Describe an array without copying it."""
    frame = pixels.view(Frame)
    frame.__dict__.update(
        version=version,
        mode=mode,
        consistent=consistent,
        live=live,
        incarnation=incarnation,
        _surface=surface,
    )
    return frame


def convert(pixels: npt.NDArray[np.uint8], pixel_format: PixelFormat) -> npt.NDArray[np.uint8]:
    """Return B G R X pixels in another order; grey ones as they are."""
    if pixels.ndim == 2:
        return pixels
    if pixel_format == "bgrx":
        return pixels
    if pixel_format == "rgb":
        return np.ascontiguousarray(pixels[..., 2::-1])
    if pixel_format == "rgba":
        opaque = np.full(pixels.shape[:2], 255, np.uint8)
        return np.dstack((pixels[..., 2::-1], opaque))
    weights = np.array([29, 150, 77], np.uint16)
    return ((pixels[..., :3] @ weights + 128) >> 8).astype(np.uint8)


def converted(frame: Frame, pixel_format: PixelFormat) -> Frame:
    """Return a B G R X frame in another order, described as the first."""
    made: Frame = convert(np.asarray(frame), pixel_format).view(Frame)
    made.__dict__.update(frame.__dict__)
    return made


class FramePool:
    """Memory of frames that nobody holds any more, used again.

    Fresh memory costs a page fault per 4 KiB, more than the copy itself; memory of a frame
    that has been dropped costs nothing. A frame that is kept keeps its memory.
    """

    def __init__(self) -> None:
        self._pool = Pool()

    def allocate(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Return uninitialised, C-contiguous memory of a shape.

        Raises:
            LimitError: This process can have no more memory.
        """
        size = math.prod(shape)
        try:
            if size < POOL_BYTES:
                return np.empty(shape, np.uint8)
            memory: Any = self._pool.take(size)  # a buffer, which NumPy's types do not know
        except MemoryError:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            raise LimitError(
                f"no memory for a copy of {shape[1]}x{shape[0]} pixels ({size} bytes); copy a part"
                " of the screen (rect), or look at it without a copy (view)",
                "free memory", free, size,
            ) from None  # fmt: skip
        return np.ndarray(shape, np.uint8, memory)
