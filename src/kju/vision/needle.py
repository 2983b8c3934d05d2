"""Needles: a picture to find on a screen, with excluded areas and a click point.

A needle is one PNG file that any viewer shows. The areas are in a text chunk (``kju-needle``,
JSON), so that picture and areas stay together. A PNG without the chunk is a needle without excluded
areas. openQA's needles, a JSON file beside a PNG, are read as well: see `kju.vision.openqa`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from .. import encoding
from ..errors import LimitError, NeedleError, UsageError
from ..files import read_file, write_output
from ..surface import MAX_SIDE
from ..surface.geometry import Area, Rect, as_rect
from . import openqa
from .areas import check_rect, cut_out

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

SIMILARITY = 0.95
_CHUNK = "kju-needle"
#: Limits of a picture: bytes of its file, and pixels (7680x4320), which a file of some kB can hold.
_MAX_BYTES = 64 << 20
_MAX_PIXELS = 1 << 25
#: Limits of the excluded rectangles in a file: their number, and how often they cover the needle in
#: total. Each is drawn into the mask, and half a million of the needle's size fit into a chunk.
MAX_EXCLUDES, MAX_EXCLUDED = 4096, 16


class _Notes(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Contents of the chunk."""

    version: int = 1
    exclude: list[Area] = []
    click: tuple[int, int] | None = None
    similarity: float = SIMILARITY
    cut_from: Area | None = None


@dataclass(frozen=True, eq=False)
class Needle:
    """A picture to find on a screen.

    Attributes:
        pixels: ``(height, width, 3)`` uint8, B G R.
        exclude: Rectangles of it that are not compared.
        click: The pixel to click, from its top left corner; None is the middle.
        similarity: The similarity that a place must have, above 0 to 1: see `kju.vision.match`.
        cut_from: Its place on the screen that it was cut from.
        name: Its name in messages.
    """

    pixels: Pixels = field(repr=False)
    exclude: tuple[Rect, ...] = ()
    click: tuple[int, int] | None = None
    similarity: float = SIMILARITY
    cut_from: Rect | None = None
    name: str = "needle"

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            UsageError: An area leaves the picture, everything is excluded, or a number is invalid.
        """
        object.__setattr__(self, "exclude", tuple(as_rect(area) for area in self.exclude))
        height, width = self.pixels.shape[:2]
        whole = Rect(0, 0, width, height)
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or not whole.area:
            raise UsageError(f"a needle's pixels are (height, width, 3), not {self.pixels.shape}")
        for number, rect in enumerate(self.exclude):
            if not whole.contains(rect) or rect.width <= 0 or rect.height <= 0:
                raise UsageError(
                    f"exclude[{number}]: {tuple(rect)} leaves the {width}x{height} needle"
                )
        if self.click is not None and not whole.contains(Rect(*self.click, 1, 1)):
            raise UsageError(f"click: {self.click} is outside of the {width}x{height} needle")
        check_similarity(self.similarity)
        if not self.mask.any():
            raise UsageError("exclude: the areas cover the whole needle")

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """True for the pixels that are compared, ``(height, width)``."""
        mask = np.ones(self.pixels.shape[:2], bool)
        for rect in self.exclude:
            cut_out(mask, rect)[...] = False
        return mask

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @classmethod
    def of(cls, pixels: Pixels, **notes: Any) -> Needle:  # noqa: ANN401  as the fields
        """Return a needle from pixels.

        Args:
            pixels: ``(height, width, 4)``, B G R X, as frames are; ``(height, width, 3)``, R G B;
                or grey, ``(height, width)``.
            notes: Other fields.

        Raises:
            UsageError: The shape or type is another, or a field is invalid.
        """
        plain = np.asarray(pixels)
        channels = plain.shape[2] if plain.ndim == 3 else 1 if plain.ndim == 2 else 0
        if channels not in (1, 3, 4) or plain.dtype != np.uint8:
            raise UsageError(f"a needle's pixels are uint8 frames, not {plain.dtype} {plain.shape}")
        if channels == 1:
            plain = np.repeat(plain.reshape(*plain.shape[:2], 1), 3, 2)
        plain = plain[..., ::-1] if channels == 3 else plain[..., :3]
        return cls(np.array(plain, order="C"), **notes)

    @classmethod
    def cut(
        cls,
        frame: Pixels,
        rect: Area,
        *,
        exclude: Iterable[Area] = (),
        click: tuple[int, int] | None = None,
        similarity: float = SIMILARITY,
    ) -> Needle:
        """Cut a needle from a frame.

        Args:
            frame: As `kju.Surface.frame` returns it; in any of the orders that `of` takes.
            rect: The needle.
            exclude: Rectangles that are not compared, in pixels of the frame.
            click: The pixel to click, in pixels of the frame.
            similarity: The similarity that a place must have.

        Raises:
            UsageError: An area leaves the picture.
        """
        where = check_rect(rect, "the needle")
        whole = Rect(0, 0, frame.shape[1], frame.shape[0])
        if not whole.contains(where):
            raise UsageError(
                f"{tuple(where)} is outside the picture ({whole.width}x{whole.height})"
            )
        x, y = where.x, where.y
        inner = tuple(Rect(r[0] - x, r[1] - y, r[2], r[3]) for r in exclude)
        at = (click[0] - x, click[1] - y) if click is not None else None
        pixels = cut_out(np.asarray(frame), where)
        return cls.of(pixels, exclude=inner, click=at, similarity=similarity, cut_from=where)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Needle:
        """Read a needle's PNG; or openQA's, by its JSON file or the PNG beside one.

        Raises:
            OSError: A file cannot be read.
            NeedleError: A file is invalid; the error names the file and the field.
        """
        file = Path(path)
        beside = file.with_suffix(".json")
        if file.suffix.lower() != ".json" and not beside.is_file():
            return cls.from_bytes(read_picture(file), str(file))
        picture = file.with_suffix(".png") if file.suffix.lower() == ".json" else file
        notes = _read(beside, openqa.MAX_BYTES)
        return openqa_needle(notes, read_picture(picture), str(beside), str(picture))

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "needle") -> Needle:
        """Return a needle from a PNG's bytes.

        Raises:
            NeedleError: They are not a valid needle.
        """
        pixels, chunks = decode(data, name)
        try:
            notes = msgspec.json.decode(chunks.get(_CHUNK, "{}"), type=_Notes)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise NeedleError(f"{name}: {_CHUNK}: {error}", name, _CHUNK) from error
        if notes.version != 1:
            why = f"{notes.version} is unknown; this kju reads version 1"
            raise NeedleError(f"{name}: version: {why}", name, "version")
        exclude = tuple(Rect(*area) for area in notes.exclude)
        covered = sum(abs(rect.width * rect.height) for rect in exclude)
        if len(exclude) > MAX_EXCLUDES or covered > MAX_EXCLUDED * pixels[..., 0].size:
            why = (
                f"{len(exclude)} areas of {covered} pixels; the limits are {MAX_EXCLUDES} areas and"
                f" {MAX_EXCLUDED} times the needle"
            )
            raise NeedleError(f"{name}: exclude: {why}", name, "exclude")
        cut_from = Rect(*notes.cut_from) if notes.cut_from else None
        try:
            return cls(pixels, exclude, notes.click, notes.similarity, cut_from, Path(name).name)
        except UsageError as error:
            found = str(error).partition(":")[0]
            raise NeedleError(f"{name}: {error}", name, found) from error

    def to_bytes(self) -> bytes:
        """Return the needle's PNG."""
        cut = self.cut_from
        notes = _Notes(
            exclude=[(r.x, r.y, r.width, r.height) for r in self.exclude],
            click=self.click,
            similarity=self.similarity,
            cut_from=(cut.x, cut.y, cut.width, cut.height) if cut else None,
        )
        texts = {_CHUNK: msgspec.json.encode(notes).decode()}
        return encoding.png(self.pixels[..., ::-1], texts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the needle's PNG.

        Raises:
            UsageError: The path does not end in ``.png``.
            FileError: It can't be written; an old file is as it was.
        """
        check_needle_path(path)
        write_output(path, self.to_bytes())


def check_needle_path(path: str | os.PathLike[str]) -> None:
    """Check that the name of a needle's file has the suffix of its format.

    Raises:
        UsageError: The path does not end in ``.png``.
    """
    if not os.fspath(path).lower().endswith(".png"):
        raise UsageError(f"a needle is a PNG file: its name must end in .png: {os.fspath(path)!r}")


def openqa_needle(notes: bytes, picture: bytes, notes_name: str, picture_name: str) -> Needle:
    """Return the needle of openQA's two files.

    Raises:
        NeedleError: A file is invalid; the error names the file and the field.
    """
    pixels, _ = decode(picture, picture_name)
    height, width = pixels.shape[:2]
    found = openqa.parse(notes, width, height, notes_name, SIMILARITY)
    try:
        return Needle(
            np.ascontiguousarray(cut_out(pixels, found.rect)),
            exclude=found.exclude,
            click=found.click,
            similarity=found.similarity,
            cut_from=found.rect,
            name=Path(notes_name).stem,
        )
    except UsageError as error:
        raise NeedleError(f"{notes_name}: {error}", notes_name, "area") from error


def needles_of(needles: object) -> list[Needle]:
    """Return a user's needle, or several, as a list.

    Args:
        needles: A `Needle`, a path, pixels as `Needle.of` takes them, or a sequence of these.

    Raises:
        OSError: A file cannot be read.
        NeedleError: A file is not a valid needle.
        UsageError: An argument is none of these, or the sequence is empty.
    """
    several = isinstance(needles, Sequence) and not isinstance(needles, (str, bytes))
    found = [_needle_of(one) for one in needles] if several else [_needle_of(needles)]  # type: ignore[attr-defined]
    if not found:
        raise UsageError("no needle; pass one, or a sequence of them")
    return found


def _needle_of(one: object) -> Needle:
    if isinstance(one, Needle):
        return one
    if isinstance(one, np.ndarray):
        return Needle.of(one)
    if isinstance(one, (str, os.PathLike)):
        return Needle.load(one)
    raise UsageError(f"a needle is a path, a Needle or pixels, not {type(one).__name__}")


def check_similarity(similarity: float) -> None:
    """Check a similarity.

    Raises:
        UsageError: It is not above 0 and at most 1.
    """
    if not 0 < similarity <= 1:
        raise UsageError(f"similarity: {similarity} is not above 0 and at most 1")


def decode(data: bytes, name: str) -> tuple[Pixels, dict[str, str]]:
    """Return a PNG's pixels, B G R, and its text chunks.

    Raises:
        NeedleError: It is not a valid PNG, or too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            width, height = image.size
            if max(width, height) > MAX_SIDE or width * height > _MAX_PIXELS:
                raise NeedleError(
                    f"{name}: size: {width}x{height} is too large for a screen", name, "size"
                )
            pixels = np.asarray(image.convert("RGB"))[..., ::-1]
            text = {str(key): str(value) for key, value in getattr(image, "text", {}).items()}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NeedleError(f"{name}: picture: not a valid PNG", name, "picture") from error
    return np.ascontiguousarray(pixels), text


def read_picture(path: Path) -> bytes:
    """Read a picture's file.

    Raises:
        OSError: A file cannot be read.
        NeedleError: It is too large.
    """
    return _read(path, _MAX_BYTES)


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_file(path, limit)
    except LimitError as error:
        raise NeedleError(f"{path}: size: above {limit >> 10} KiB", str(path), "size") from error
