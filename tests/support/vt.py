"""A small terminal: enough of ECMA-48 and xterm to say what a viewer's bytes show.

A cell is (character, foreground, background); colours are None for the default, a number for
one of 256, or ``(r, g, b)``. What it does not know makes it raise, so that nothing is written
unseen.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\x1b\[(?P<private>\?)?(?P<numbers>[0-9;]*)(?P<final>[A-Za-z])|(?P<text>[^\x1b\x00-\x1f])"
    r"|(?P<control>[\r\n])|(?P<cut>\x1b(?:\[[?0-9;]*)?(?=\x1b))"
)
EMPTY = (" ", None, None)


class Terminal:
    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.modes: dict[int, bool] = {7: True, 25: True}
        self.written = 0
        self.row = self.column = 0
        self.front = self.back = None
        self.reverse = False
        self.clear()

    def clear(self) -> None:
        self.cells = [[EMPTY] * self.columns for _ in range(self.rows)]

    def feed(self, data: bytes) -> None:
        # A signal may end a write anywhere: half a character is one that is unknown.
        text = data.decode(errors="replace")
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            assert match, f"unknown bytes {text[at : at + 20]!r}"
            at = match.end()
            if match["cut"]:
                continue  # as any terminal does: ESC gives up the sequence before it
            if match["text"]:
                self._put(match["text"])
            elif match["control"] == "\r":
                self.column = 0
            elif match["control"]:
                self._line_feed()
            else:
                numbers = [int(n or 0) for n in match["numbers"].split(";")]
                self._command(match["private"], numbers, match["final"])

    def _put(self, character: str) -> None:
        if self.column >= self.columns:
            assert self.modes[7], "written outside"
            self.column = 0
            self._line_feed()
        assert self.row < self.rows, "written outside"
        colours = (self.back, self.front) if self.reverse else (self.front, self.back)
        self.cells[self.row][self.column] = (character, *colours)
        self.written += 1
        self.column += 1

    def _line_feed(self) -> None:
        self.row += 1
        if self.row >= self.rows:
            self.row = self.rows - 1
            self.cells = [*self.cells[1:], [EMPTY] * self.columns]

    def _command(self, private: str | None, numbers: list[int], final: str) -> None:
        if private:
            for number in numbers:
                self.modes[number] = {"h": True, "l": False}[final]
                if number == 1049:
                    self.clear()
        elif final == "H":
            self.row = max(1, numbers[0]) - 1
            self.column = max(1, numbers[1] if len(numbers) > 1 else 1) - 1
        elif final == "C":
            self.column += max(1, numbers[0])
        elif final == "J" and numbers == [2]:
            self.clear()
        elif final == "m":
            self._pen(numbers)
        else:
            raise AssertionError(f"unknown sequence {numbers} {final}")

    def _pen(self, numbers: list[int]) -> None:
        while numbers:
            number, *numbers = numbers
            if number == 0:
                self.front = self.back = None
                self.reverse = False
            elif number == 7:
                self.reverse = True
            elif number in (38, 48):
                if numbers[0] == 5:
                    colour, numbers = numbers[1], numbers[2:]
                else:
                    assert numbers[0] == 2
                    colour, numbers = tuple(numbers[1:4]), numbers[4:]
                if number == 38:
                    self.front = colour
                else:
                    self.back = colour
            elif number == 39:
                self.front = None
            elif number == 49:
                self.back = None
            else:
                raise AssertionError(f"unknown SGR {number}")

    def dots(self) -> list[list[tuple[object, object]]]:
        """Upper and lower colour of every cell, whichever block it is made of."""
        halves = {
            " ": lambda f, b: (b, b),
            "█": lambda f, b: (f, f),
            "▀": lambda f, b: (f, b),
            "▄": lambda f, b: (b, f),
        }
        return [[halves[c](f, b) for c, f, b in row] for row in self.cells]

    def text(self) -> list[str]:
        return ["".join(cell[0] for cell in row) for row in self.cells]
