"""A terminal for tests: pyte, and what a viewer uses beyond it.

A cell is (character, foreground, background); a colour is None for the default or ``(r, g, b)``.
A sequence that neither knows raises, so that nothing is written unseen.
"""

from __future__ import annotations

import re

import pyte
from pyte.graphics import FG_BG_256

EMPTY = (" ", None, None)
#: A sequence that its writer was interrupted in: a terminal drops it at the next escape.
_CUT = re.compile(rb"\x1b(?:\[[0-9;?<>]*)?(?=\x1b)")
#: Kitty's keyboard protocol, which pyte does not parse: push, pop and query.
_KITTY = re.compile(rb"\x1b\[(?:>(\d+)|(<)|(\?))u")
_HALVES = {
    " ": lambda front, back: (back, back),
    "█": lambda front, back: (front, front),
    "▀": lambda front, back: (front, back),
    "▄": lambda front, back: (back, front),
}


class _Screen(pyte.Screen):
    """Counts characters, knows the alternate screen, and refuses what it does not know."""

    written = 0

    def draw(self, data: str) -> None:
        self.written += len(data)
        super().draw(data)

    def debug(self, *args: object, **kwargs: object) -> None:
        raise AssertionError(f"unknown sequence {args} {kwargs}")

    def set_mode(self, *modes: int, **kwargs: object) -> None:
        super().set_mode(*modes, **kwargs)
        self._clear(modes, kwargs)

    def reset_mode(self, *modes: int, **kwargs: object) -> None:
        super().reset_mode(*modes, **kwargs)
        self._clear(modes, kwargs)

    def _clear(self, modes: tuple[int, ...], kwargs: dict[str, object]) -> None:
        if kwargs.get("private") and 1049 in modes:
            self.erase_in_display(2)


class Terminal:
    """A terminal of a size.

    Attributes:
        answers: What it sends back; whoever reads its output passes them on.
        keyboard: Flags of Kitty's keyboard protocol, as pushed.
    """

    def __init__(self, columns: int, rows: int, *, kitty: bool = False) -> None:
        self.columns, self.rows = columns, rows
        self.answers: list[bytes] = []
        self.keyboard: list[int] = []
        self._kitty = kitty
        self._screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, data: bytes) -> None:
        """Take output; a chunk may end anywhere but in a sequence of Kitty's protocol."""
        for push, pop, query in _KITTY.findall(data):
            if query and self._kitty:
                self.answers.append(f"\x1b[?{sum(self.keyboard[-1:])}u".encode())
            elif push:
                self.keyboard.append(int(push))
            elif pop:
                self.keyboard.pop()
        self._stream.feed(_CUT.sub(b"", _KITTY.sub(b"", data)))

    @property
    def written(self) -> int:
        """Characters written so far."""
        return self._screen.written

    def mode(self, number: int) -> bool:
        """Whether a private mode is set."""
        return number << 5 in self._screen.mode

    @property
    def cells(self) -> list[list[tuple[str, object, object]]]:
        lines = (self._screen.buffer[row] for row in range(self.rows))
        return [[_cell(line[column]) for column in range(self.columns)] for line in lines]

    def dots(self, rows: int | None = None) -> list[list[tuple[object, object]]]:
        """Upper and lower colour of every cell of the first rows, whichever block it is made of."""
        return [[_HALVES[c](f, b) for c, f, b in row] for row in self.cells[:rows]]

    def text(self) -> list[str]:
        return list(self._screen.display)


def _cell(char: pyte.screens.Char) -> tuple[str, object, object]:
    front, back = _colour(char.fg), _colour(char.bg)
    return (char.data, back, front) if char.reverse else (char.data, front, back)


def _colour(name: str) -> tuple[int, int, int] | None:
    if name == "default":
        return None
    return tuple(bytes.fromhex(name))


def indexed(number: int) -> tuple[int, int, int]:
    """The colour of a number of the 256."""
    return _colour(FG_BG_256[number])
