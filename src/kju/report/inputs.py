"""A log of input in words: what was typed, pressed and clicked, where and when. I/O-free."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from ..keys import NAMES, US
from ..protocol.input_log import Input
from ..protocol.messages import BUTTONS, Button, By, Finger, To, Wheel

_MODIFIERS = frozenset({"shift", "shift_r", "ctrl", "ctrl_r", "alt", "alt_r", "meta_l", "meta_r"})
# Keys of one text come together; a program's next one, or a person's, comes later.
_PAUSE = 1.0
# A hand's click moves by a pixel or two; to drag is to move by more.
_STILL = 4


class Done(NamedTuple):
    """Something that was put in.

    Attributes:
        time: When it began, seconds.
        ended: When it ended.
        kind: ``text``, ``keys`` or ``pointer``.
        words: What it was. The guest's layout is not known: a text is what the keys type on a US
            keyboard.
        places: Where a button or finger went down and came up, pixels.
        times: How often, one after the other.
    """

    time: float
    ended: float
    kind: str
    words: str
    places: tuple[tuple[int, int], ...] = ()
    times: int = 1


def in_words(entries: Iterable[Input], console: int = 0) -> list[Done]:
    """One console's log, in words.

    Args:
        entries: In the order of their times.
        console: Which one.
    """
    teller = _Teller()
    for entry in entries:
        if entry.console != console:
            continue
        for key, down in entry.keys:
            teller.key(entry.time, key, down)
        for action in entry.pointer:
            teller.point(entry.time, action)
    return teller.done


class _Teller:
    """Follows keys, buttons and fingers."""

    def __init__(self) -> None:
        self.done: list[Done] = []
        self._down: dict[int, bool] = {}  # and whether another key went down meanwhile
        self._place: tuple[int, int] | None = None
        self._pressed: dict[str, tuple[float, tuple[int, int] | None]] = {}

    # ---- Keys

    def key(self, time: float, key: int, down: bool) -> None:
        if not down:
            used = self._down.pop(key, True)
            if not used and _name(key) in _MODIFIERS:
                self._add(Done(time, time, "keys", _name(key)))
            return
        if key in self._down:
            return  # it repeats by itself
        for other in self._down:
            self._down[other] = True
        self._down[key] = False
        if _name(key) in _MODIFIERS:
            return
        held = tuple(k for k in self._down if k != key and _name(k) in _MODIFIERS)
        character = _typed().get((frozenset(held), key))
        if character is None:
            words = "-".join(map(_name, (*held, key)))
            self._add(Done(time, time, "keys", words))
        else:
            self._add(Done(time, time, "text", character))

    # ---- Pointer

    def point(self, time: float, action: To | By | Button | Wheel | Finger) -> None:
        match action:
            case To(x=x, y=y):
                self._place = (x, y)
            case By(dx=dx, dy=dy):
                self._place = None
                self._add(Done(time, time, "pointer", f"moved by {dx}, {dy}"))
            case Button(button=number, down=down):
                self._press(time, f"{BUTTONS[number]} button", down, self._place)
            case Finger(finger=finger, state="end"):
                self._press(time, f"finger {finger}", False, self._place)
            case Finger(finger=finger, state=state, x=x, y=y):
                self._place = (x, y)
                if state == "begin":
                    self._press(time, f"finger {finger}", True, self._place)
            case Wheel(vertical=vertical, horizontal=horizontal):
                self._add(Done(time, time, "pointer", f"wheel {vertical}, {horizontal}"))

    def _press(self, time: float, what: str, down: bool, place: tuple[int, int] | None) -> None:
        if down:
            self._pressed[what] = (time, place)
            return
        began, start = self._pressed.pop(what, (time, place))
        if start is None or place is None:
            self._add(Done(began, time, "pointer", what))
        elif max(abs(start[0] - place[0]), abs(start[1] - place[1])) < _STILL:
            words = f"{what} at {start[0]}, {start[1]}"
            self._add(Done(began, time, "pointer", words, (start,)))
        else:
            words = f"{what} from {start[0]}, {start[1]} to {place[0]}, {place[1]}"
            self._add(Done(began, time, "pointer", words, (start, place)))

    # ---- Together

    def _add(self, new: Done) -> None:
        last = self.done[-1] if self.done else None
        if last is None or last.kind != new.kind or new.time - last.ended > _PAUSE:
            self.done.append(new)
        elif new.kind == "text":
            self.done[-1] = last._replace(ended=new.ended, words=last.words + new.words)
        elif (new.words, new.places) == (last.words, last.places):
            self.done[-1] = last._replace(ended=new.ended, times=last.times + 1)
        else:
            self.done.append(new)


def _name(key: int) -> str:
    return NAMES.get(key, f"key {key:#04x}")


@cache
def _typed() -> dict[tuple[frozenset[int], int], str]:
    """What one chord types on a US keyboard; enter and tab are keys."""
    found: dict[tuple[frozenset[int], int], str] = {}
    for character, stroke in US.chords.items():
        if len(stroke) == 1 and character.isprintable():
            *held, key = stroke[0]
            found.setdefault((frozenset(held), key), character)
    return found
