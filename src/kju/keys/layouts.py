"""Which keys, pressed together, type a character.

A layout is a table and nothing else: characters to chords. The US one is written by
hand; another table of the same shape may replace or join it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..errors import UsageError
from .names import NUMBERS

#: Keys pressed in this order and released in the opposite one.
Chord = tuple[int, ...]


class Layout(NamedTuple):
    """One keyboard layout.

    Attributes:
        name: Its short name, as X11 has it.
        chords: For every character it can type, the chords, one after the other: a
            character made with a dead key takes two.
    """

    name: str
    chords: Mapping[str, tuple[Chord, ...]]

    def type(self, text: str) -> list[Chord]:
        """The chords that type *text*.

        Raises:
            UsageError: The layout lacks some of the characters. The message names each
                of them once, with the position where it first stands, so nothing is
                sent of a text that cannot be typed whole.
        """
        missing = {c: text.index(c) for c in text if c not in self.chords}
        if missing:
            listed = ", ".join(f"{c!r} (position {at})" for c, at in list(missing.items())[:8])
            more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
            raise UsageError(f"the {self.name!r} layout has no key for {listed}{more}")
        return [chord for character in text for chord in self.chords[character]]


def _us() -> dict[str, tuple[Chord, ...]]:
    shift = NUMBERS["shift"]
    plain = {c: NUMBERS[c] for c in "abcdefghijklmnopqrstuvwxyz0123456789"}
    named = {
        "-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right",
        "\\": "backslash", ";": "semicolon", "'": "apostrophe", "`": "grave_accent",
        ",": "comma", ".": "dot", "/": "slash", " ": "spc", "\t": "tab", "\n": "ret",
        "\r": "ret", "\b": "backspace", "\x1b": "esc", "\x7f": "delete",
    }  # fmt: skip
    plain |= {c: NUMBERS[name] for c, name in named.items()}
    lower = "abcdefghijklmnopqrstuvwxyz1234567890-=[]\\;'`,./"
    upper = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()_+{}|:"~<>?'
    table: dict[str, tuple[Chord, ...]] = {c: ((key,),) for c, key in plain.items()}
    for below, above in zip(lower, upper, strict=True):
        table[above] = ((shift, plain[below]),)
    return table


US = Layout("us", _us())

LAYOUTS: dict[str, Layout] = {US.name: US}


def layout(name: str) -> Layout:
    """The layout of this name.

    Raises:
        UsageError: There is none.
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        known = ", ".join(sorted(LAYOUTS))
        raise UsageError(f"no keyboard layout is named {name!r}; there are: {known}") from None
