"""Contents of a report, and the description of logged input. I/O-free.

A `Record` collects the contents, and `page` lays them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from ..keys import NAMES, US
from ..protocol.input_log import Input
from ..protocol.values import BUTTONS, Button, By, Finger, To, TurnWheel
from ..surface.geometry import Rect
from .film import FilmPicture

_MODIFIERS = frozenset({"shift", "shift_r", "ctrl", "ctrl_r", "alt", "alt_r", "meta_l", "meta_r"})
# Longest pause between two keys of one text.
_MAX_PAUSE = 1.0
# A click by hand moves by a pixel or two; a drag moves by at least this.
_MIN_DRAG = 4


class StoryEvent(NamedTuple):
    """An input, a wait or a note.

    Attributes:
        time: Its begin, seconds since the record's.
        ended: Its end.
        kind: ``text``, ``keys`` or ``pointer`` for input; ``found``, ``missed`` or ``broken`` for
            a wait; ``note``.
        words: Its description. The guest's layout is unknown: a text has the characters that the
            keys type on a US keyboard, with Caps Lock as the guest's lamp showed it.
        answer: The result of a wait.
        places: Pixels at which a button or finger was pressed and released.
        rect: The match of a wait, on the screen.
        times: Number of repetitions.
    """

    time: float
    ended: float
    kind: str
    words: str
    answer: str = ""
    places: tuple[tuple[int, int], ...] = ()
    rect: Rect | None = None
    times: int = 1


class Failure(NamedTuple):
    """The error that a report begins with.

    Attributes:
        words: The error's text, with its line ends.
        png: A picture of it, such as `kju.vision.ScreenError` draws; or empty.
    """

    words: str
    png: bytes = b""


class Story(NamedTuple):
    """One console of a machine, from the beginning of a record to its end.

    Attributes:
        name: The machine's.
        began: Seconds since the epoch.
        seconds: Its duration.
        facts: Facts about the machine: names and values.
        pictures: Pictures of the screen, oldest first.
        events: Events, oldest first.
        forgotten: A note about dropped events; empty without any.
    """

    name: str
    began: float
    seconds: float
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[FilmPicture, ...]
    events: tuple[StoryEvent, ...]
    forgotten: str = ""


def described(entries: Iterable[Input], console: int = 0) -> list[StoryEvent]:
    """Return the actions of one console's log: texts, keys, clicks and movements.

    Args:
        entries: In the order of their times.
        console: The console.
    """
    actions = _InputState()
    for entry in entries:
        if entry.console != console:
            continue
        for key, down in entry.keys:
            actions.key(entry.time, key, down, entry.caps_lock)
        for action in entry.pointer:
            actions.point(entry.time, action)
    return actions.done


class _InputState:
    """State of keys, buttons and fingers, and the actions so far."""

    def __init__(self) -> None:
        self.done: list[StoryEvent] = []
        self._down: dict[int, bool] = {}  # True: another key went down meanwhile
        self._place: tuple[int, int] | None = None
        self._pressed: dict[str, tuple[float, tuple[int, int] | None]] = {}

    # ---- Keys

    def key(self, time: float, key: int, down: bool, caps_lock: bool) -> None:
        if not down:
            used = self._down.pop(key, True)
            if not used and _name(key) in _MODIFIERS:
                self._add(StoryEvent(time, time, "keys", _name(key)))
            return
        if key in self._down:
            return  # a repeat
        for other in self._down:
            self._down[other] = True
        self._down[key] = False
        if _name(key) in _MODIFIERS:
            return
        held = tuple(k for k in self._down if k != key and _name(k) in _MODIFIERS)
        character = _characters(caps_lock).get((frozenset(held), key))
        if character is None:
            words = "-".join(map(_name, (*held, key)))
            self._add(StoryEvent(time, time, "keys", words))
        else:
            self._add(StoryEvent(time, time, "text", character))

    # ---- Pointer

    def point(self, time: float, action: To | By | Button | TurnWheel | Finger) -> None:
        match action:
            case To(x=x, y=y):
                self._place = (x, y)
            case By(dx=dx, dy=dy):
                self._place = None
                self._add(StoryEvent(time, time, "pointer", f"moved by {dx}, {dy}"))
            case Button(button=number, down=down):
                self._press(time, f"{BUTTONS[number]} button", down, self._place)
            case Finger(finger=finger, state="end"):
                self._press(time, f"finger {finger}", False, self._place)
            case Finger(finger=finger, state=state, x=x, y=y):
                self._place = (x, y)
                if state == "begin":
                    self._press(time, f"finger {finger}", True, self._place)
            case TurnWheel(vertical=vertical, horizontal=horizontal):
                self._add(StoryEvent(time, time, "pointer", f"wheel {vertical}, {horizontal}"))

    def _press(self, time: float, name: str, down: bool, place: tuple[int, int] | None) -> None:
        if down:
            self._pressed[name] = (time, place)
            return
        began, start = self._pressed.pop(name, (time, place))
        if start is None or place is None:
            self._add(StoryEvent(began, time, "pointer", name))
        elif max(abs(start[0] - place[0]), abs(start[1] - place[1])) < _MIN_DRAG:
            words = f"{name} at {start[0]}, {start[1]}"
            self._add(StoryEvent(began, time, "pointer", words, places=(start,)))
        else:
            words = f"{name} from {start[0]}, {start[1]} to {place[0]}, {place[1]}"
            self._add(StoryEvent(began, time, "pointer", words, places=(start, place)))

    # ---- Joining

    def _add(self, new: StoryEvent) -> None:
        last = self.done[-1] if self.done else None
        if last is None or last.kind != new.kind or new.time - last.ended > _MAX_PAUSE:
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
def _characters(caps_lock: bool) -> dict[tuple[frozenset[int], int], str]:
    """Return the character of each chord on a US keyboard; enter and tab are keys."""
    found: dict[tuple[frozenset[int], int], str] = {}
    for character, stroke in US.chords.items():
        if len(stroke) == 1 and character.isprintable():
            chord = US.caps.get(stroke[0], stroke[0]) if caps_lock else stroke[0]
            if chord is None:
                continue
            *held, key = chord
            found.setdefault((frozenset(held), key), character)
    return found
