"""Chords: several keys held together, written ``ctrl-alt-f2``.

`-` and `+` both separate. A separator with nothing behind it is the key itself, so
``ctrl--`` holds ctrl and presses minus. A key is named (`names`), or is one character
that the layout can type with a single chord, or X11's name of one: ``ctrl-?`` and
``ctrl-question`` hold shift as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from ..errors import UsageError
from .layouts import US, Chord, Layout, Stroke
from .names import find, named_character, number

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
    key = find(part)
    if key is not None:
        return (key,)
    character = part if len(part) == 1 else named_character(part)
    chords = layout.chords.get(character, ())
    return chords[0] if len(chords) == 1 else (number(part),)


def steps(chords: Iterable[Chord]) -> list[Step]:
    """Every chord as steps: its keys go down in order and up in the opposite order."""
    return [
        (key, down)
        for chord in chords
        for down, keys in ((True, chord), (False, chord[::-1]))
        for key in keys
    ]


def held_steps(strokes: Iterable[Stroke], most: int) -> list[list[Step]]:
    """Strokes as groups of steps, with what consecutive chords share held between them.

    The last key of a chord is pressed and released, those before it are held: to type
    ``HELLO`` shift goes down once. At the end of a group everything is up, so that other keys
    may be pressed between two groups, and no stroke is divided between them.

    Args:
        strokes: What types one character each.
        most: Steps in a group, unless one stroke alone takes more.
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
    """The steps of one stroke while these modifiers are down, and which are down after it."""
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
