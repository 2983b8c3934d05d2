"""Where the last chord or gesture of a request begins: the mark is taken before it. I/O-free.

A guest may answer a key when it goes down or when it comes up, and a click likewise. A mark from
before the first step of the last chord, character or gesture is before either answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..keys import Step
from .messages import Action, Button, Finger


def last_chord(steps: Sequence[Step]) -> int:
    """Return the index of the first step of the last chord or character.

    That is the first of the presses that lie together before the last releases. Keys that were
    pressed earlier and are still held, such as shift over several letters, do not count.
    """
    at = len(steps)
    while at and not steps[at - 1][1]:
        at -= 1
    while at and steps[at - 1][1]:
        at -= 1
    return at


def last_gesture(actions: Sequence[Action]) -> int:
    """Return the index of the first action of the last gesture.

    A gesture lasts from the press of a button or the touch of a finger until nothing is down; any
    other action is one by itself. Releases that lie together are one.
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
