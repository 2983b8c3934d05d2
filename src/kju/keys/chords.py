"""Chords: several keys held together, written ``ctrl-alt-f2``.

`-` and `+` both separate keys. A separator at the start of a part is the key itself: ``ctrl--``
holds ctrl and presses minus. A part is the name of a key (`names`), or a character that the layout
types with a single chord, or X11's name of that character: ``ctrl-?`` and ``ctrl-question`` hold
shift too.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from ..errors import UsageError
from .layouts import US, Chord, Layout, Stroke
from .names import find, named_character, number

_SEPARATORS = "-+"

#: One step of a keyboard: the number of a key, and True to press it or False to release it.
Step = tuple[int, bool]


def parse_chord(text: str, layout: Layout = US) -> Chord:
    """Return the keys of a chord in the order in which they are pressed.

    Raises:
        UsageError: A part is not a key, or the chord is empty.
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
        at = min((i for i in (rest.find(s, 1) for s in _SEPARATORS) if i > 0), default=len(rest))
        parts.append(rest[:at])
        if at == len(rest) - 1:
            raise UsageError(f"{text!r} ends in a separator: name the key that follows it")
        rest = rest[at + 1 :]
    return parts


def _keys(part: str, layout: Layout) -> Chord:
    key = find(part)
    if key is not None:
        return (key,)
    character = part if len(part) == 1 else named_character(part)
    chords = layout.chords.get(character, ())
    return chords[0] if len(chords) == 1 else (number(part),)


def steps(chords: Iterable[Chord]) -> list[Step]:
    """Return the steps of all chords: keys are pressed in order and released in reverse."""
    return [
        (key, down)
        for chord in chords
        for down, keys in ((True, chord), (False, chord[::-1]))
        for key in keys
    ]


def held_steps(strokes: Iterable[Stroke], most: int) -> list[list[Step]]:
    """Return strokes as groups of steps that hold the modifiers which consecutive chords share.

    The last key of a chord is pressed and released, its other keys stay held: ``HELLO`` presses
    shift once. Each group ends with all keys released, so that other input may come between two
    groups. A stroke is never split between groups.

    Args:
        strokes: One for each character.
        most: Maximum number of steps in a group. A single stroke may exceed it.
    """
    groups: list[list[Step]] = []
    group: list[Step] = []
    held: Chord = ()
    for stroke in strokes:
        made, after = _hold(stroke, held)
        if group and len(group) + len(made) + len(after) > most:
            groups.append(group + _release(held))
            group = []
            made, after = _hold(stroke, ())
        group += made
        held = after
    return [*groups, group + _release(held)] if group else groups


@cache  # a text has few strokes, and asyncio waits meanwhile
def _hold(stroke: Stroke, held: Chord) -> tuple[tuple[Step, ...], Chord]:
    """Return the steps of one stroke while *held* are down, and the modifiers held after it."""
    made: list[Step] = []
    for *modifiers, key in stroke:
        new = tuple(m for m in modifiers if m not in held)
        made += _release(tuple(m for m in held if m not in modifiers))
        made += [(m, True) for m in new]
        made += [(key, True), (key, False)]
        held = (*(m for m in held if m in modifiers), *new)
    return tuple(made), held


def _release(held: Chord) -> list[Step]:
    return [(key, False) for key in reversed(held)]
