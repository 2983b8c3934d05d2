"""What a pointer does, as messages. I/O-free."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import GeometryError, UsageError
from ..protocol.messages import Point
from ..protocol.values import BUTTONS, Action, Button, By, Finger, To, Wheel

#: Actions of one request: with a USB tablet these take a quarter of a second.
TOGETHER = 32
_FARTHEST, _MOST_NOTCHES, _MOST_FINGERS = (1 << 15) - 1, 100, 10


def to(x: int, y: int) -> To:
    """Go to a pixel.

    Raises:
        GeometryError: No screen has such a pixel.
    """
    if not (0 <= x < 1 << 16 and 0 <= y < 1 << 16):
        raise GeometryError(f"the pointer cannot go to {x}, {y}: no screen has such a pixel")
    return To(int(x), int(y))


def by(dx: int, dy: int) -> list[Action]:
    """Move so far.

    Raises:
        UsageError: That is farther than any screen is wide.
    """
    if max(abs(dx), abs(dy)) > _FARTHEST:
        raise UsageError(f"the pointer moves by at most {_FARTHEST} at once, not by {dx}, {dy}")
    return [By(int(dx), int(dy))]


def button_number(name: str) -> int:
    """A button by name.

    Raises:
        UsageError: There is none of this name.
    """
    try:
        return BUTTONS.index(name)
    except ValueError:
        raise UsageError(f"there is no button {name!r}: {', '.join(BUTTONS)}") from None


def buttons(names: Sequence[str], down: bool) -> list[Action]:
    """Press or release these."""
    return [Button(number, down) for number in [button_number(name) for name in names]]


def click(x: int | None, y: int | None, button: str, count: int) -> list[Action]:
    """Press and release a button so often, somewhere or where the pointer is."""
    if (x is None) is not (y is None):
        raise UsageError("a click has both x and y, or neither")
    if not 1 <= count <= 3:
        raise UsageError(f"a click is one, two or three, not {count}")
    place: list[Action] = [] if x is None or y is None else [to(x, y)]
    number = button_number(button)
    return place + [Button(number, True), Button(number, False)] * count


def drag(points: Sequence[tuple[int, int]], button: str) -> list[Action]:
    """Press at the first point, go through the others, release."""
    if len(points) < 2:
        raise UsageError("to drag takes at least two points: where it begins and where it ends")
    number = button_number(button)
    begin, *rest = [to(*point) for point in points]
    return [begin, Button(number, True), *rest, Button(number, False)]


def wheel(vertical: int, horizontal: int) -> Wheel:
    """Turn the wheel."""
    if max(abs(vertical), abs(horizontal)) > _MOST_NOTCHES:
        raise UsageError(f"the wheel turns by at most {_MOST_NOTCHES} notches at once")
    return Wheel(int(vertical), int(horizontal))


def touch(points: Sequence[tuple[int, int]], finger: int) -> list[Action]:
    """Put a finger down, slide it, lift it."""
    if not points:
        raise UsageError("to touch takes at least one point")
    if not 0 <= finger < _MOST_FINGERS:
        raise UsageError(f"a finger is numbered 0 to {_MOST_FINGERS - 1}, not {finger}")
    first, *rest = [to(*point) for point in points]
    last = rest[-1] if rest else first
    return [
        Finger(finger, "begin", first.x, first.y),
        *(Finger(finger, "move", place.x, place.y) for place in rest),
        Finger(finger, "end", last.x, last.y),
    ]


def divide(wanted: Sequence[Action], console: int) -> list[Point]:
    """Actions as requests, none of which is long."""
    return [
        Point(console=console, actions=list(wanted[at : at + TOGETHER]))
        for at in range(0, len(wanted), TOGETHER)
    ]
