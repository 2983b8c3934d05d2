"""Text recognition for screens that are not text consoles: Tesseract, through tesserocr.

`kju.vision.glyphs` is tried first. docs/how-to/wait-for-the-screen.md has the measurements behind
the choice of this engine and these settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import extras
from ..errors import KjuError, MissingError
from ..surface.geometry import Rect
from .areas import cut_out
from .looking import Condition, Seen
from .match import opencv
from .text import Line, Text, TextMatch, line_of_words, pattern_of
from .timeout import Best

if TYPE_CHECKING:
    import re

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

# At twice the size 8.3 % of the characters of Debian's installer are wrong, in place of 10.9 %; at
# three times the size as many, in a quarter more time.
_SCALE = 2
_DOTS_PER_INCH = 72 * _SCALE
# Ink is the difference from the surroundings: the median of a square of this side, wider than any
# stroke of a letter. So light text in a dark bar becomes dark text on paper. Frames of buttons and
# lists hide the text inside them, so runs of ink longer than a letter are removed. With both, the
# selected line and the button of Debian's installer are read, and 7.2 % of its characters are
# wrong; without them 28 % are.
_AROUND = 21
_LONG, _HIGH = 40, 24
_FAINT = 40

#: Folders of Tesseract's data in Debian, Fedora and others.
_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
)

# Unused engines by language. An engine takes 0.1 s to create and reads one picture at a time.
_idle: dict[str, list[Any]] = {}


class Reads(Condition[TextMatch]):
    """A text is on the screen."""

    def __init__(self, wanted: str | re.Pattern[str], language: str = "eng") -> None:
        """Search for a text, as `kju.vision.Text.find` does.

        Raises:
            UsageError: *wanted* is empty.
        """
        if isinstance(wanted, str):
            pattern_of(wanted)
            self.what = f"the text {wanted!r}"
        else:
            self.what: str = f"a text that matches {wanted.pattern!r}"
        self._wanted = wanted
        self._language = language
        self._read: Text | None = None
        self._missing = ""

    def check(self, seen: Seen) -> TextMatch | None:
        """Return the match, if there is one."""
        try:
            self._read = read(seen.pixels, seen.region, self._language)
        except MissingError as error:
            # A guest may show a logo before its text console, so the wait goes on.
            self._read, self._missing = None, str(error)
            return None
        return self._read.find(self._wanted)

    def best(self, now: float) -> Best:
        """Return the text of the last frame."""
        if self._read is None:
            return Best(self._missing or None)
        text = str(self._read)
        shown = " / ".join(line.text for line in self._read.lines)
        shown = shown if len(shown) <= 200 else f"{shown[:100]} ... {shown[-100:]}"
        places = tuple(line.rect for line in self._read.lines)
        words = (
            f"text on the screen ({self._read.reader}): {shown}"
            if shown
            else "no text on the screen"
        )
        return Best(words, text=text, places=places)


def read(pixels: Pixels, region: Rect, language: str = "eng") -> Text:
    """Read a part of a picture: exactly for a text console, else by recognition.

    Args:
        pixels: The whole picture, B G R X or one byte a pixel.
        region: The rectangle to read, inside the picture.
        language: Tesseract's name of the expected language, ``"eng+deu"`` for several.

    Raises:
        MissingError: It is not a text console, and Tesseract or its data is not installed.
    """
    from .glyphs import read_cells

    return read_cells(pixels, region) or recognise(pixels, region, language)


def recognise(pixels: Pixels, region: Rect, language: str = "eng") -> Text:
    """Read a part of a picture by recognition alone; arguments as of `read`."""
    image = _ink_on_paper(cut_out(np.asarray(pixels), region))
    size = image.shape[1], image.shape[0]
    engines = _idle.setdefault(language, [])
    engine = engines.pop() if engines else _engine(language)
    engine.SetImageBytes(image.tobytes(), *size, 1, size[0])
    engine.SetSourceResolution(_DOTS_PER_INCH)
    engine.Recognize()
    lines = _lines(engine, region)
    engine.Clear()
    engines.append(engine)  # an engine that raised is not used again
    return Text(tuple(lines), "tesseract")


def _ink_on_paper(part: Pixels) -> Pixels:
    """Return dark ink on light paper without lines, enlarged, as Tesseract reads best."""
    cv = opencv("reading a screen that is not a text console", "text")
    grey = part if part.ndim == 2 else cv.cvtColor(part, cv.COLOR_BGRA2GRAY)
    ink = cv.absdiff(grey, cv.medianBlur(np.ascontiguousarray(grey), _AROUND))
    _, drawn = cv.threshold(ink, _FAINT, 255, cv.THRESH_BINARY)
    for wide, high in ((_LONG, 1), (1, _HIGH)):
        runs = cv.morphologyEx(drawn, cv.MORPH_OPEN, np.ones((high, wide), np.uint8))
        ink[cv.dilate(runs, np.ones((3, 3), np.uint8)) > 0] = 0
    paper = 255 - cv.add(ink, ink)
    larger: Pixels = cv.resize(paper, None, fx=_SCALE, fy=_SCALE, interpolation=cv.INTER_CUBIC)
    return np.ascontiguousarray(larger)


def _lines(engine: Any, region: Rect) -> list[Line]:  # noqa: ANN401  it has no types
    """Return the recognised lines, with places on the screen."""
    import tesserocr

    word: Any = tesserocr.RIL.WORD
    line: Any = tesserocr.RIL.TEXTLINE
    found = engine.GetIterator()
    lines: list[Line] = []
    words: list[tuple[str, Rect, float]] = []
    for item in _steps(found, word):
        if item.IsAtBeginningOf(line) and words:
            lines.append(line_of_words(words))
            words = []
        box = item.BoundingBox(word)
        text = (item.GetUTF8Text(word) or "").strip() if box else ""
        if text and not any(c.isspace() for c in text):
            left, top, right, bottom = (side // _SCALE for side in box)
            place = Rect(region.x + left, region.y + top, right - left + 1, bottom - top + 1)
            words.append((text, place, float(item.Confidence(word)) / 100))
    return [*lines, line_of_words(words)] if words else lines


def _steps(found: Any, level: Any) -> Iterator[Any]:  # noqa: ANN401  it has no types
    """Yield an iterator of words at each of its places."""
    while found is not None and not found.Empty(level):
        yield found
        if not found.Next(level):
            return


def _engine(language: str) -> Any:  # noqa: ANN401  it has no types
    try:
        import tesserocr
    except ImportError as error:
        purpose = "reading a screen that is not a text console"
        raise MissingError(extras.message("text", purpose, ["tesserocr"])) from error
    folder = _data(language)
    try:
        mode: Any = tesserocr.PSM.AUTO
        return tesserocr.PyTessBaseAPI(path=folder, lang=language, psm=mode)
    except RuntimeError as error:
        raise KjuError(f"Tesseract cannot use {folder} for {language!r}: {error}") from error


def _data(language: str) -> str:
    """Return the folder with the data of all languages."""
    own = os.environ.get("TESSDATA_PREFIX")
    folders = [own, *_FOLDERS] if own else list(_FOLDERS)
    names = [f"{name}.traineddata" for name in language.split("+")]
    for folder in folders:
        if all(Path(folder, name).is_file() for name in names):
            return folder
    raise MissingError(
        f"Tesseract's data for {language!r} is missing; install it (Debian: tesseract-ocr-eng), or"
        " set TESSDATA_PREFIX to its folder"
    )
