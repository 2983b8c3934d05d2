"""xdotool's syntax of keys: X keysyms joined by ``+``, several chords separated by spaces.

The names are X11's: ``Return``, ``Page_Up``, ``KP_0``, ``plus``. xdotool's aliases (``ctrl``,
``alt``, ``shift``, ``super``, ``meta``) and kju's other names are accepted, too, in any case. A
single character is the key that types it: ``A`` is ``shift+a``.

Source:
    xdotool(1), section KEYBOARD COMMANDS.
"""

from __future__ import annotations

from ...keys import US, from_keysym, number, parse_chord
from .arguments import ActionError

#: The most chords of one action.
MAX_CHORDS = 100


def chords_of(text: str, action: str) -> list[tuple[int, ...]]:
    """Return the key numbers of each chord.

    Raises:
        ActionError: The text is empty or has too many chords.
        UsageError: A key is unknown.
    """
    words = text.split()
    if not 1 <= len(words) <= MAX_CHORDS:
        raise ActionError(
            f"{action} takes 1 to {MAX_CHORDS} keys, such as Return or ctrl+s, not {len(words)}"
        )
    return [chord_of(word, action) for word in words]


def chord_of(word: str, action: str) -> tuple[int, ...]:
    """Return the key numbers of one chord, in the order in which they are pressed.

    Raises:
        ActionError: A part is empty.
        UsageError: A key is unknown.
    """
    keys: list[int] = []
    for part in ["plus"] if word == "+" else word.split("+"):
        if not part:
            raise ActionError(f"{word!r:.60} of {action}: write plus for the key +: ctrl+plus")
        keys += [key for key in _keys(part) if key not in keys]
    return tuple(keys)


def _keys(part: str) -> tuple[int, ...]:
    """Return the keys of one keysym."""
    if part.lower().startswith("0x"):
        try:
            found = from_keysym(int(part, 16))
        except ValueError:
            found = None
        return (number(part),) if found is None else (found,)
    if len(part) == 1:
        chords = US.chords.get(part, ())
        if len(chords) == 1:
            return tuple(chords[0])
    return parse_chord(part.replace("-", "minus") if part == "-" else part)
