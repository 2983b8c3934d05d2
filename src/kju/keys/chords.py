"""Chords: several keys held together, written ``ctrl-alt-f2``.

`-` and `+` both separate. A separator with nothing behind it is the key itself, so
``ctrl--`` holds ctrl and presses minus. A key is named (`names`), or is one character
that the layout can type with a single chord: ``ctrl-?`` holds shift as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UsageError
from .layouts import US, Chord, Layout
from .names import ALIASES, NUMBERS, number

SEPARATORS = "-+"

#: One step of a keyboard: the key's number, and whether it goes down.
Step = tuple[int, bool]


def parse_chord(text: str, layout: Layout = US) -> Chord:
    """The keys of a chord, in the order in which they go down.

    Raises:
        UsageError: A part names no key, or nothing is named at all.
    """
    keys: list[int] = []
    for part in _parts(text):
        for key in _keys(part, layout):
            if key not in keys:
                keys.append(key)
    return tuple(keys)


def _parts(text: str) -> list[str]:
    parts: list[str] = []
    rest = text.strip() or text
    if not rest:
        raise UsageError("an empty chord presses nothing; write one like ctrl-alt-f2")
    while rest:
        # From the second character on: a separator that comes first is the key itself.
        at = min((i for i in (rest.find(s, 1) for s in SEPARATORS) if i > 0), default=len(rest))
        parts.append(rest[:at])
        if at == len(rest) - 1:
            raise UsageError(f"{text!r} ends in a separator: name the key that follows it")
        rest = rest[at + 1 :]
    return parts


def _keys(part: str, layout: Layout) -> Chord:
    name = part.lower()
    if name in NUMBERS or name in ALIASES:
        return (number(name),)
    chords = layout.chords.get(part, ()) if len(part) == 1 else ()
    return chords[0] if len(chords) == 1 else (number(part),)


def steps(chords: Iterable[Chord]) -> list[Step]:
    """Every chord as steps: its keys go down in order and up in the opposite order."""
    return [
        (key, down)
        for chord in chords
        for down, keys in ((True, chord), (False, chord[::-1]))
        for key in keys
    ]
