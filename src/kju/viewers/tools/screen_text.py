"""Reading of the text in a rectangle of a screen.

Text consoles are read exactly, without any extra. Other screens need the extra ``text``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ... import extras
from ...errors import KjuError
from ...surface.geometry import Rect

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


class ScreenText(NamedTuple):
    """Text that was read.

    Attributes:
        text: Its lines.
        exact: It was read from a text console's font; else recognised, which makes mistakes.
        error: The reason why nothing could be read; empty without one.
    """

    text: str
    exact: bool = False
    error: str = ""

    @property
    def words(self) -> str:
        """The result for a user."""
        if self.error:
            return self.error
        if not self.text.strip():
            return "no text was found in this rectangle"
        lines = self.text.count("\n") + 1
        count = "1 line" if lines == 1 else f"{lines} lines"
        return f"copied {count}" + ("" if self.exact else "; recognised text may have mistakes")


def read_now(pixels: Pixels, region: Rect) -> ScreenText:
    """Read a rectangle of a picture; takes up to a second where the text is recognised."""
    try:
        from ...vision.ocr import read

        text = read(pixels, region)
    except KjuError as error:
        return ScreenText("", error=str(error))
    return ScreenText(str(text), exact=text.reader == "glyphs")


def missing_reader() -> str:
    """Return how to read screens that are not text consoles; empty if it is installed."""
    missing = extras.missing_packages("text")
    purpose = "text that is not in a text console's font"
    return extras.message("text", purpose, missing) if missing else ""
