"""Actions of a log of input: characters, chords, clicks, drags. I/O-free.

The log has single keys and buttons (`kju.protocol.input_log`). `logged_actions` returns the action
that each of them completes, as a value of `kju.acting` with its times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple, TypeAlias

from ..keys import NAMES, layout
from ..protocol.input_log import Input
from ..protocol.values import BUTTONS, Button, By, Finger, To, TurnWheel
from ..surface import MAX_SIDE
from .checks import Point
from .inputs import MAX_POINTS, Chord, Click, Drag, Move, MoveBy, Touch, Type, Wheel

_MODIFIERS = frozenset({"shift", "shift_r", "ctrl", "ctrl_r", "alt", "alt_r", "meta_l", "meta_r"})
# A click by hand moves by a pixel or two; a drag moves by at least this.
_MIN_DRAG = 4
#: The distance at which a pointer is near a place, in pixels: a cursor there may cover it.
NEAR = 48
# Moves of the pointer that are kept, to know since when it has been near.
_MOVES = 512
#: Seconds that a pointer rests before it counts as held over a place; people pause for less between
#: two movements.
REST = 0.4
# Seconds in which a guest has answered a press: what it draws later is the answer to the pointer.
_ANSWERED = 0.3

LoggedKind: TypeAlias = Type | Chord | Click | Drag | Wheel | Move | MoveBy | Touch


class LoggedAction(NamedTuple):
    """An action of a log.

    Attributes:
        began: Time of its begin, on the log's clock.
        ended: Time of its end.
        input: The action. A `Type` has one character, a `Click` is a single one.
        approached: Time at which the pointer was near the action's first pixel; `began` for an
            action without one.
    """

    began: float
    ended: float
    input: LoggedKind
    approached: float


class LogReader:
    """Reads the entries of one console as actions.

    Args:
        console: The console.
        keyboard: The keyboard layout by which keys become characters. The guest's own is not in the
            log.
        rests: Return a `Move` for each place over which the pointer rests, without a button.
    """

    def __init__(self, console: int = 0, keyboard: str = "us", *, rests: bool = False) -> None:
        self._console = console
        self._keyboard = keyboard
        # The pointer rests since its last move, and that was not returned yet.
        self._rests, self._moved = rests, False
        self._pressed_at = float("-inf")
        self._done: list[LoggedAction] = []
        self._down: dict[int, bool] = {}  # True: something else was pressed meanwhile
        self._path: deque[tuple[float, Point | None]] = deque(maxlen=_MOVES)
        self._buttons: dict[int, _Press] = {}
        self._fingers: dict[int, _Press] = {}

    def read(self, entries: Iterable[Input]) -> list[LoggedAction]:
        """Return the actions that end in these entries, which follow those of the last call."""
        for entry in entries:
            if entry.console != self._console:
                continue
            for key, down in entry.keys:
                self._key(entry.time, key, down, entry.caps_lock)
            for action in entry.pointer:
                self._point(entry.time, action)
        done, self._done = self._done, []
        return done

    @property
    def pressed(self) -> tuple[float, float] | None:
        """Times of the press of a button that is down, and of the approach; None without one."""
        presses = [*self._buttons.values(), *self._fingers.values()]
        return min(((press.began, press.near) for press in presses), default=None)

    def rest(self, now: float) -> list[LoggedAction]:
        """Return the pointer's rest if it has lasted for `REST` seconds, once."""
        self._end_rest(now)
        done, self._done = self._done, []
        return done

    def _end_rest(self, now: float) -> None:
        place, busy = self._place, self._buttons or self._fingers
        if not (self._rests and self._moved) or place is None or busy:
            return
        began = self._path[-1][0]
        if now - began >= REST:
            self._moved = False
            near = max(self._near(now), self._pressed_at + _ANSWERED)
            self._done.append(LoggedAction(began, now, Move(*place), min(near, began)))

    # ---- Keys

    def _key(self, time: float, key: int, down: bool, caps_lock: bool) -> None:
        if not down:
            used = self._down.pop(key, True)
            if not used and key_name(key) in _MODIFIERS:
                self._add(time, time, Chord((key,)))
            return
        if key in self._down:
            return  # a repeat
        self._end_rest(time)
        self._pressed_at = time
        self._use_held()
        self._down[key] = False
        if key_name(key) in _MODIFIERS:
            return
        held = tuple(k for k in self._down if k != key and key_name(k) in _MODIFIERS)
        character = _characters(self._keyboard, caps_lock).get((frozenset(held), key))
        self._add(
            time,
            time,
            Chord((*held, key)) if character is None else Type(character, self._keyboard),
        )

    def _use_held(self) -> None:
        for held in self._down:
            self._down[held] = True

    @property
    def _modifiers(self) -> tuple[str | int, ...]:
        return tuple(key_name(k) for k in self._down if key_name(k) in _MODIFIERS)

    # ---- Pointer

    def _point(self, time: float, action: To | By | Button | TurnWheel | Finger) -> None:
        match action:
            case To(x=x, y=y):
                self._move(time, (x, y))
            case By(dx=dx, dy=dy):
                self._path.append((time, None))
                self._add(time, time, MoveBy(dx, dy))
            case Button(button=number, down=True):
                self._moved, self._pressed_at = False, time
                self._use_held()
                self._buttons[number] = _Press(time, self._place, self._modifiers, self._near(time))
            case Button(button=number):
                self._pressed_at = time
                place = self._place
                press = self._buttons.pop(number, _Press(time, place, (), time))
                end = [place] if place else []
                self._done.append(self._of_button(time, number, press, end))
            case TurnWheel(vertical=vertical, horizontal=horizontal):
                self._moved, self._pressed_at = False, time
                self._use_held()
                to = self._place or (None, None)
                turned = Wheel(vertical, horizontal, to[0], to[1], self._modifiers)
                self._add(time, time, turned, self._near(time))
            case Finger(finger=finger, state="end"):
                if (touch := self._fingers.pop(finger, None)) is not None:
                    tap = _is_click(touch.path)
                    points = touch.path[:1] if tap else _thinned(touch.path)
                    self._add(touch.began, time, Touch(tuple(points), finger))
            case Finger(finger=finger, state=state, x=x, y=y):
                place = min(x, MAX_SIDE - 1), min(y, MAX_SIDE - 1)
                if state == "begin":
                    self._fingers[finger] = _Press(time, place, (), time)
                elif finger in self._fingers:
                    self._fingers[finger].path.append(place)

    @property
    def _place(self) -> Point | None:
        return self._path[-1][1] if self._path else None

    def _move(self, time: float, place: Point) -> None:
        place = min(place[0], MAX_SIDE - 1), min(place[1], MAX_SIDE - 1)
        self._end_rest(time)
        self._moved = True
        self._path.append((time, place))
        for press in self._buttons.values():
            press.path.append(place)

    def _near(self, time: float) -> float:
        """Return the time since which the pointer has been near its place."""
        place, since = self._place, time
        for moved, point in reversed(self._path):
            if place is None or point is None or _distance(place, point) > NEAR:
                break
            since = moved
        return min(since, time)

    def _of_button(
        self, ended: float, number: int, press: _Press, end: list[Point]
    ) -> LoggedAction:
        button = BUTTONS[number]
        path = [*press.path, *end]
        if not press.path or not end or _is_click(path):
            x, y = path[0] if press.path else (None, None)
            click = Click(x, y, button, 1, press.keys)
            return LoggedAction(press.began, ended, click, press.near)
        drag = Drag(tuple(_thinned(path)), button, press.keys)
        return LoggedAction(press.began, ended, drag, press.near)

    def _add(self, began: float, ended: float, done: LoggedKind, near: float | None = None) -> None:
        self._done.append(LoggedAction(began, ended, done, began if near is None else near))


class _Press:
    """A button or finger that is down: since when, its path, and the keys that were held."""

    def __init__(
        self, began: float, place: Point | None, keys: tuple[str | int, ...], near: float
    ) -> None:
        self.began = began
        self.path: list[Point] = [place] if place else []
        self.keys = keys
        self.near = near


def key_name(key: int) -> str:
    """Return the name of a key, also of one that has none."""
    return NAMES.get(key, f"key {key:#04x}")


def chord_words(keys: Iterable[int]) -> str:
    """Return the name of a chord, such as ``ctrl-alt-f2``."""
    return "-".join(map(key_name, keys))


def _distance(one: Point, other: Point) -> int:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


def _is_click(path: list[Point]) -> bool:
    """Check whether a path stays where it began; a drag that returns does not."""
    return all(_distance(path[0], point) < _MIN_DRAG for point in path)


def _thinned(path: list[Point]) -> list[Point]:
    """Return the corners of a path: the points that are off the straight line between others."""
    keep = {0, len(path) - 1}
    todo = [(0, len(path) - 1)]
    while todo and len(keep) < MAX_POINTS // 2:
        first, last = todo.pop(0)
        (x1, y1), (x2, y2) = path[first], path[last]
        length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
        farthest, corner = 0.0, 0
        for at in range(first + 1, last):
            x, y = path[at]
            away = abs((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)) / length
            if (x1, y1) == (x2, y2):
                away = float(_distance((x, y), (x1, y1)))
            if away > farthest:
                farthest, corner = away, at
        if farthest >= _MIN_DRAG:
            keep.add(corner)
            todo += [(first, corner), (corner, last)]
    return [path[at] for at in sorted(keep)]


@cache
def _characters(keyboard: str, caps_lock: bool) -> dict[tuple[frozenset[int], int], str]:
    """Return the character of each chord of a layout; enter and tab are keys.

    Raises:
        UsageError: The layout is unknown.
    """
    found: dict[tuple[frozenset[int], int], str] = {}
    known = layout(keyboard)
    for character, stroke in known.chords.items():
        if len(stroke) == 1 and character.isprintable():
            chord = known.caps.get(stroke[0], stroke[0]) if caps_lock else stroke[0]
            if chord is None:
                continue
            *held, key = chord
            found.setdefault((frozenset(held), key), character)
    return found


def check_keyboard(keyboard: str) -> str:
    """Return a layout's name.

    Raises:
        UsageError: The layout is unknown; the message lists the known ones.
    """
    _characters(keyboard, False)
    return keyboard
