"""Keyboard layouts: the keys that type each character.

A layout is a table from characters to chords. It is made from X11's keyboard data: the symbols on
each key, and the characters that dead keys compose in every layout (`keyboards`). It is right for a
guest that uses the layout of the same name. Caps lock is assumed to be off;
`Layout.under_caps_lock` returns the chords for a guest where it is on.
"""

from __future__ import annotations

import pkgutil
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from ..errors import UsageError
from . import keyboards
from .keyboards import ALIASES as LAYOUT_ALIASES
from .keyboards import LAYOUTS
from .names import NUMBERS

#: Keys, pressed in this order and released in reverse.
Chord = tuple[int, ...]
#: The chords that type one character: one, or several in sequence with dead keys.
Stroke = tuple[Chord, ...]

SHIFT, ALTGR = NUMBERS["shift"], NUMBERS["alt_r"]
#: The modifiers held for each symbol on a key, in X11's order.
LEVELS: tuple[Chord, ...] = ((), (SHIFT,), (ALTGR,), (SHIFT, ALTGR))
#: More keys than any stroke has.
_ANY = 1 << 10
#: Control characters, on the same keys in every layout.
CONTROLS = {
    "\t": "tab",
    "\n": "ret",
    "\r": "ret",
    "\b": "backspace",
    "\x1b": "esc",
    "\x7f": "delete",
}


class Layout(NamedTuple):
    """One keyboard layout.

    Attributes:
        name: QEMU's name.
        chords: The stroke with the fewest keys for every character that the layout can type: one
            chord, or several with dead keys.
        caps: The chords that type another character while caps lock is on, and the chord that
            types the same character then; None if none does so reliably.
    """

    name: str
    chords: Mapping[str, Stroke]
    caps: Mapping[Chord, Chord | None] = {}

    def type(self, text: str) -> list[Chord]:
        """Return the chords that type *text*; see `strokes`."""
        return [chord for stroke in self.strokes(text) for chord in stroke]

    def strokes(self, text: str) -> list[Stroke]:
        """Return the stroke of each character of *text*.

        A text with a character that the layout lacks is normalised first (Unicode NFC): an e
        with a combining accent is typed as é.

        Raises:
            UsageError: The layout lacks some of the characters. The message names up to eight of
                them, each with its first position in the normalised text. Nothing of such a text
                is sent.
        """
        if any(c not in self.chords for c in text):
            text = unicodedata.normalize("NFC", text)
        missing: dict[str, int] = {}
        for at, character in enumerate(text):
            if character not in self.chords:
                missing.setdefault(character, at)
        if missing:
            listed = ", ".join(f"{c!r} (position {at})" for c, at in list(missing.items())[:8])
            more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
            raise UsageError(
                f"the {self.name!r} layout has no key for {listed}{more}; choose the guest's layout"
            )
        return [self.chords[character] for character in text]

    def under_caps_lock(self, strokes: Sequence[Stroke]) -> list[Stroke] | None:
        """Return the strokes that type the same in X11 while caps lock is on.

        Most letters need shift inverted.

        Returns:
            The strokes; None if a character cannot be typed reliably. An example is a small letter
            without its capital on the same key, such as é on a French keyboard: caps lock makes
            it É in an X11 guest, but not in others.
        """
        found: list[Stroke] = []
        for stroke in strokes:
            chords = [self.caps.get(chord, chord) for chord in stroke]
            known = tuple(chord for chord in chords if chord is not None)
            if len(known) < len(chords):
                return None
            found.append(known)
        return found


def layout(name: str) -> Layout:
    """Return a layout by QEMU's name (``de-ch``) or an alias (``us``).

    Raises:
        UsageError: No layout has this name.
    """
    known = LAYOUT_ALIASES.get(name, name)
    if known not in LAYOUTS:
        listed = ", ".join(sorted([*LAYOUTS, *LAYOUT_ALIASES]))
        raise UsageError(f"no keyboard layout is named {name!r}; there are: {listed}")
    return _load(known)


@cache
def _load(name: str) -> Layout:
    # Loaded on first use: a program needs one or two of the 36 layouts.
    rows, caps = _read(name)
    direct = _direct(rows)
    strokes = {c: stroke for c, stroke in direct.items() if len(c) == 1}
    strokes |= {c: ((NUMBERS[key],),) for c, key in CONTROLS.items()}
    # In xkb-data 2.35 the variants "nodeadkeys" have a few on AltGr. They are gone in 2.42.
    composed = {} if keyboards.X11[name][2] == "nodeadkeys" else _composed(direct)
    return Layout(name, strokes | composed, _under_caps(caps))


class _LayoutFile(NamedTuple):
    """A layout's file.

    Attributes:
        rows: The symbols on each key, one for each level: a character, or the name of a dead key.
        caps: For each key that caps lock changes, one letter for each level: the level that
            types its symbol while caps lock is on, or x for none.
    """

    rows: dict[int, list[str]]
    caps: dict[int, str]


def _read(name: str) -> _LayoutFile:
    """Read a layout's file."""
    rows: dict[int, list[str]] = {}
    caps: dict[int, str] = {}
    for line in _lines(name):
        first, *words = line.split(" ")
        if first == "caps_lock":
            caps |= {int(key, 16): words[0].rstrip(":") for key in words[1:]}
        else:
            rows[int(first, 16)] = [_symbol(word) for word in words]
    return _LayoutFile(rows, caps)


def _lines(name: str) -> list[str]:
    """Return the lines of a file of `keyboards`, without remarks."""
    text = pkgutil.get_data(keyboards.__name__, f"{name}.txt") or b""
    return [line for line in text.decode().split("\n") if line and not line.startswith("# ")]


def _direct(rows: Mapping[int, Sequence[str]]) -> dict[str, Stroke]:
    """Map each symbol to the chord that types it: on the lowest level, the first key."""
    found: dict[str, Stroke] = {}
    for level, held in enumerate(LEVELS):
        for number, symbols in rows.items():
            if level < len(symbols):
                found.setdefault(symbols[level], ((*held, number),))
    found.pop("none", None)
    return found


def _under_caps(caps: Mapping[int, str]) -> dict[Chord, Chord | None]:
    """Make `Layout.caps` from the patterns in a layout's file."""
    return {
        (*LEVELS[level], number): None if found == "x" else (*LEVELS[int(found)], number)
        for number, pattern in caps.items()
        for level, found in enumerate(pattern)
        if found != str(level)
    }


def _composed(direct: Mapping[str, Stroke]) -> dict[str, Stroke]:
    """Map the characters that dead keys compose to their strokes.

    A character is left out if it has a stroke of its own with as few keys. Of several sequences
    the one with the fewest keys is taken, then the first in the order of their symbols.
    """
    if not any(symbol.startswith("dead_") for symbol in direct):
        return {}
    cost = {symbol: sum(map(len, stroke)) for symbol, stroke in direct.items()}
    best: dict[str, tuple[int, int, tuple[str, ...], str]] = {}
    for dead, pairs in _compositions().items():
        if not direct.keys() >= set(dead):
            continue
        before = sum(cost[symbol] for symbol in dead)
        for base, character in pairs.items():
            if base in direct and (keys := before + cost[base]) < cost.get(character, _ANY):
                way = keys, len(dead), dead, base
                if character not in best or way < best[character]:
                    best[character] = way
    return {
        character: tuple(chord for symbol in (*dead, base) for chord in direct[symbol])
        for character, (_, _, dead, base) in best.items()
    }


@cache
def _compositions() -> dict[tuple[str, ...], dict[str, str]]:
    """Return for each sequence of dead keys the character that each next symbol composes."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for line in _lines("dead_keys"):
        dead, _, pairs = line.partition(": ")
        words = [_symbol(word) for word in pairs.split(" ")]
        known = found.setdefault(tuple(dead.split(" ")), {})
        known.update(zip(words[::2], words[1::2], strict=True))
    return found


def _symbol(word: str) -> str:
    """Decode a character; return the name of a dead key as it is."""
    return chr(int(word[2:], 16)) if word.startswith("U+") and len(word) > 2 else word


US = layout("us")
