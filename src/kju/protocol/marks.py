"""The start of the last chord or gesture of a request: the mark is taken before it. I/O-free.

A guest may react to a key, or a click, at its press or at its release. A mark taken before the
first step of the last chord, character or gesture is older than either reaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..keys import Step
from .messages import Action, Button, Finger


def last_chord(steps: Sequence[Step]) -> int:
    """Return the index of the first step of the last chord or character.

    It is the first of the consecutive presses before the last releases. Keys that were pressed
    earlier and are still held, such as shift over several letters, do not count.
    """
    at = len(steps)
    while at and not steps[at - 1][1]:
        at -= 1
    while at and steps[at - 1][1]:
        at -= 1
    return at


def last_gesture(actions: Sequence[Action]) -> int:
    """Return the index of the first action of the last gesture.

    A gesture lasts from the press of a button or the touch of a finger until all are released; any
    other action is a gesture by itself, and so are consecutive releases.
    """
    begin = 0
    down: set[tuple[type, int]] = set()
    released = False
    for at, action in enumerate(actions):
        is_release = False
        idle = not down
        if isinstance(action, Button):
            is_release = not action.down
            (down.discard if is_release else down.add)((Button, action.button))
        elif isinstance(action, Finger):
            is_release = action.state == "end"
            (down.discard if is_release else down.add)((Finger, action.finger))
        if idle and not (is_release and released):
            begin = at
        released = is_release
    return begin
