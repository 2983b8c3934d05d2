"""Frames: NumPy arrays that know their version and mode; their memory, and picture files."""

from __future__ import annotations

import io
import math
import os
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ... import encoding
from ...errors import GeometryError, LimitError, UsageError
from ...files import write_output
from ...surface import Mark
from ...surface._core import Pool
from ...surface.geometry import Area, as_rect
from ...surface.thumbnail import Thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ...surface import Mode
    from ...surface.formats import PixelFormat

# Below this, new memory comes from the heap and costs nothing worth saving.
POOL_BYTES = 256 * 1024


#: Returns writable, C-contiguous memory of a shape.
Allocate: TypeAlias = "Callable[[tuple[int, ...]], npt.NDArray[np.uint8]]"


class FrameSource(Protocol):
    """The surface of a frame."""

    def _shows(self, incarnation: int, epoch: int) -> bool: ...


class Frame(np.ndarray[Any, np.dtype[np.uint8]]):
    """Pixels of a surface: ``(height, width, channels)`` or ``(height, width)`` uint8.

    Otherwise it is an ordinary array. Slices and copies of it are frames of the same moment.

    Attributes:
        version: The surface's version at the time of the copy; single tiles may be newer.
        incarnation: The producer's incarnation, in which the version counts.
        mode: The surface's mode at that time.
        consistent: True if it holds exactly that version.
        live: True if it is the surface's memory itself, which still changes.
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
        """Return plain arrays for results of computations: a mean, a mask, a difference."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    def __array_finalize__(self, source: object) -> None:
        """Carry the description over to slices and copies."""
        if isinstance(source, Frame):
            self.__dict__.update(source.__dict__)

    @property
    def stale(self) -> bool:
        """True once the surface has been closed or replaced, or has another mode."""
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
    """Return an array as a frame, without a copy."""
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


def as_thumbnail(frame: Frame | None) -> Thumbnail | None:
    """Return a frame of `SurfaceBase.thumbnail` as its parts; None for another array."""
    if frame is None or frame.mode is None:
        return None
    mark = Mark(frame.incarnation, frame.mode.epoch, frame.version)
    return Thumbnail(np.asarray(frame), frame.mode, mark)


def convert(pixels: npt.NDArray[np.uint8], pixel_format: PixelFormat) -> npt.NDArray[np.uint8]:
    """Return B G R X pixels in another order, and grey ones unchanged."""
    if pixels.ndim == 2:
        return pixels
    if pixel_format == "bgrx":
        return pixels
    if pixel_format == "rgb":
        # Channel by channel: a copy with a negative step takes more than three times as long.
        made = np.empty((*pixels.shape[:2], 3), np.uint8)
        for channel in range(3):
            made[..., channel] = pixels[..., 2 - channel]
        return made
    if pixel_format == "rgba":
        opaque = np.full(pixels.shape[:2], 255, np.uint8)
        return np.dstack((pixels[..., 2::-1], opaque))
    weights = np.array([29, 150, 77], np.uint16)
    return ((pixels[..., :3] @ weights + 128) >> 8).astype(np.uint8)


def converted(frame: Frame, pixel_format: PixelFormat) -> Frame:
    """Return a B G R X frame in another order, with the same attributes."""
    made: Frame = convert(np.asarray(frame), pixel_format).view(Frame)
    made.__dict__.update(frame.__dict__)
    return made


class FramePool:
    """Memory of released frames, for the next ones.

    New memory costs a page fault per 4 KiB, which is more than the copy itself. Memory of a
    released frame costs nothing. A frame that is still referenced keeps its memory.
    """

    def __init__(self) -> None:
        self._pool = Pool()

    def allocate(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Return uninitialised, C-contiguous memory of a shape.

        Raises:
            LimitError: The system has no more memory for this process.
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


def only_memory(out: npt.NDArray[np.uint8]) -> Allocate:
    """Return an allocator that has one array.

    Raises:
        UsageError: A copy cannot be written to *out*.
    """
    if out.dtype != np.uint8 or not out.flags.c_contiguous or not out.flags.writeable:
        raise UsageError("out must be a writable, C-contiguous array of uint8")

    def allocate(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        if shape != out.shape:
            raise GeometryError(f"the picture has the shape {shape}, and out has {out.shape}")
        return out

    return allocate


def crop(pixels: npt.NDArray[np.uint8], mode: Mode, area: Area | None) -> npt.NDArray[np.uint8]:
    """Return a rectangle of a picture of *mode*; the whole picture without an area.

    Raises:
        GeometryError: *area* leaves the picture.
    """
    if area is None:
        return pixels
    rect = as_rect(area)
    if not mode.whole.contains(rect) or rect.width < 0 or rect.height < 0:
        raise GeometryError(f"{rect} leaves the {mode.width}x{mode.height} surface")
    return pixels[rect.y : rect.bottom, rect.x : rect.right]


def write_picture(path: str | os.PathLike[str] | IO[bytes], frame: Frame) -> None:
    """Write an RGB or grey frame as a picture file.

    Raises:
        FileError: The file can't be written; an old file is unchanged.
        UsageError: Pillow cannot write this format.
    """
    if not isinstance(path, (str, os.PathLike)):
        path.write(encoding.png(np.asarray(frame)))
        return
    # Encode into memory first: an old file stays until the new one is complete.
    is_png = Path(path).suffix.lower() in ("", ".png")
    data = encoding.png(np.asarray(frame)) if is_png else _by_pillow(path, frame)
    write_output(path, data)


def _by_pillow(target: str | os.PathLike[str], frame: Frame) -> bytes:
    """Return a picture in the format of a file name extension.

    Raises:
        UsageError: Pillow cannot write such a format.
    """
    from PIL import Image  # heavy, and a PNG does not need it

    ending = Path(target).suffix.lower()
    kind = Image.registered_extensions().get(ending)
    if kind not in Image.SAVE:
        raise UsageError(f"cannot write {target}: unknown picture format {ending!r}; try .png")
    file = io.BytesIO()
    Image.fromarray(np.asarray(frame)).save(file, kind)
    return file.getvalue()
