"""Inputs as values: what `kju.Screen.act` sends, in order.

An input is checked when it is made, so that a list with a mistake sends nothing. Its points are
checked against the size of the screen when the list is sent (`check_points`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import GeometryError, UsageError
from ..keys import layout as keyboard_layout
from ..keys import parse_chord
from .checks import (
    Point,
    at_words,
    check_button,
    check_points_of,
    check_seconds,
    is_whole,
    key_numbers,
    with_words,
)

#: The most notches of one turn of the wheel.
MAX_NOTCHES = 100
#: The most points of one drag or touch.
MAX_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Chord:
    """Press keys together and release them.

    Attributes:
        keys: A name such as ``"ctrl-alt-f2"`` or ``"enter"``, or key numbers.
        seconds: Time for which the keys are held; 0 is as short as the guest allows.
    """

    keys: str | tuple[int, ...]
    seconds: float = 0.0

    def __post_init__(self) -> None:
        _ = self.numbers
        check_seconds(self.seconds, "the time of a chord")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the keys, in the order in which they are pressed."""
        return parse_chord(self.keys) if isinstance(self.keys, str) else key_numbers(self.keys)

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"the keys {self.keys}" + (f" for {self.seconds:g} s" if self.seconds else "")


@dataclass(frozen=True, slots=True)
class Type:
    r"""Type a text; ``"\n"`` is the enter key.

    Attributes:
        text: The text.
        layout: The guest's keyboard layout, such as ``"de"``.
        interval: Milliseconds between two steps, as of `kju.Keyboard.type`.
    """

    text: str
    layout: str = "us"
    interval: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise UsageError(f"the text to type is a string, not {self.text!r:.40}")
        keyboard_layout(self.layout).strokes(self.text)

    @property
    def words(self) -> str:
        """The description, for messages."""
        shown = self.text if len(self.text) <= 40 else f"{self.text[:40]}..."
        return f"the text {shown!r}"


@dataclass(frozen=True, slots=True)
class KeyDown:
    """Press one key and hold it.

    Attributes:
        key: Its name or number.
    """

    key: str | int

    def __post_init__(self) -> None:
        key_numbers((self.key,))

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"the key {self.key} down"


@dataclass(frozen=True, slots=True)
class KeyUp:
    """Release one key.

    Attributes:
        key: Its name or number.
    """

    key: str | int

    def __post_init__(self) -> None:
        key_numbers((self.key,))

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"the key {self.key} up"


@dataclass(frozen=True, slots=True)
class Click:
    """Click at a pixel, or at the pointer's place.

    Attributes:
        x: Pixels from the left; with *y*, or neither.
        y: Pixels from the top.
        button: The name of the button.
        count: 2 for a double click, up to 3.
        keys: Keys that are held meanwhile.
    """

    x: int | None = None
    y: int | None = None
    button: str = "left"
    count: int = 1
    keys: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        if (self.x is None) is not (self.y is None):
            raise UsageError("give both x and y of a click, or neither")
        if self.count not in (1, 2, 3) or isinstance(self.count, bool):
            raise UsageError(f"count must be 1, 2 or 3 clicks, not {self.count!r}")
        check_points_of(self.points)
        check_button(self.button)
        key_numbers(self.keys)

    @property
    def points(self) -> tuple[Point, ...]:
        """The pixel, if there is one."""
        return () if self.x is None or self.y is None else ((self.x, self.y),)

    @property
    def words(self) -> str:
        """The description, for messages."""
        kind = {1: "a click", 2: "a double click", 3: "a triple click"}[self.count]
        button = "" if self.button == "left" else f" of the {self.button} button"
        return f"{kind}{button}{at_words(self.points)}{with_words(self.keys)}"


@dataclass(frozen=True, slots=True)
class Move:
    """Move the pointer to a pixel.

    Attributes:
        x: Pixels from the left.
        y: Pixels from the top.
        keys: Keys that are held meanwhile.
    """

    x: int
    y: int
    keys: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        check_points_of(self.points)
        key_numbers(self.keys)

    @property
    def points(self) -> tuple[Point, ...]:
        """The pixel."""
        return ((self.x, self.y),)

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"a move to {self.x}, {self.y}{with_words(self.keys)}"


@dataclass(frozen=True, slots=True)
class MoveBy:
    """Move a pointer that takes distances; a guest may scale them.

    Attributes:
        dx: To the right.
        dy: Down.
    """

    dx: int
    dy: int

    def __post_init__(self) -> None:
        for value in (self.dx, self.dy):
            if not is_whole(value) or abs(value) >= 1 << 15:
                raise UsageError(
                    f"a pointer moves by whole numbers of at most 32767, not by {value!r:.40}"
                )

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"a move by {self.dx}, {self.dy}"


@dataclass(frozen=True, slots=True)
class Drag:
    """Press a button at the first pixel, move through the others, release it at the last.

    Attributes:
        points: At least two pixels.
        button: The name of the button.
        keys: Keys that are held meanwhile.
    """

    points: Sequence[Point]
    button: str = "left"
    keys: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.points) <= MAX_POINTS:
            raise UsageError(
                f"a drag has 2 to {MAX_POINTS} points, from its begin to its end, not"
                f" {len(self.points)}"
            )
        check_points_of(self.points)
        check_button(self.button)
        key_numbers(self.keys)

    @property
    def words(self) -> str:
        """The description, for messages."""
        (x, y), (to_x, to_y) = self.points[0], self.points[-1]
        return f"a drag from {x}, {y} to {to_x}, {to_y}{with_words(self.keys)}"


@dataclass(frozen=True, slots=True)
class Wheel:
    """Turn the wheel, at a pixel or at the pointer's place.

    Attributes:
        vertical: Notches; positive is down.
        horizontal: Notches; positive is right.
        x: Pixels from the left; with *y*, or neither.
        y: Pixels from the top.
        keys: Keys that are held meanwhile.
    """

    vertical: int
    horizontal: int = 0
    x: int | None = None
    y: int | None = None
    keys: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        for value in (self.vertical, self.horizontal):
            if not is_whole(value) or abs(value) > MAX_NOTCHES:
                raise UsageError(
                    f"the wheel turns by whole notches, at most {MAX_NOTCHES} at once, not by"
                    f" {value!r:.40}"
                )
        if (self.x is None) is not (self.y is None):
            raise UsageError("give both x and y of the wheel, or neither")
        check_points_of(self.points)
        key_numbers(self.keys)

    @property
    def points(self) -> tuple[Point, ...]:
        """The pixel, if there is one."""
        return () if self.x is None or self.y is None else ((self.x, self.y),)

    @property
    def words(self) -> str:
        """The description, for messages."""
        turned = f"the wheel by {self.vertical}, {self.horizontal}"
        return f"{turned}{at_words(self.points)}{with_words(self.keys)}"


@dataclass(frozen=True, slots=True)
class ButtonDown:
    """Press a button of the pointer and hold it.

    Attributes:
        button: Its name.
    """

    button: str = "left"

    def __post_init__(self) -> None:
        check_button(self.button)

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"the {self.button} button down"


@dataclass(frozen=True, slots=True)
class ButtonUp:
    """Release a button of the pointer.

    Attributes:
        button: Its name.
    """

    button: str = "left"

    def __post_init__(self) -> None:
        check_button(self.button)

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"the {self.button} button up"


@dataclass(frozen=True, slots=True)
class Touch:
    """Put a finger on the first pixel, slide it through the others, and lift it.

    Attributes:
        points: One to tap, more to slide.
        finger: The number of the finger, from 0 to 9.
    """

    points: Sequence[Point]
    finger: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.points) <= MAX_POINTS:
            raise UsageError(f"a touch has 1 to {MAX_POINTS} points, not {len(self.points)}")
        if not is_whole(self.finger) or not 0 <= self.finger <= 9:
            raise UsageError(f"finger must be 0 to 9, not {self.finger!r:.40}")
        check_points_of(self.points)

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"a touch{at_words(self.points[:1])}"


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next input.

    Attributes:
        seconds: 0 to 300.
    """

    seconds: float

    def __post_init__(self) -> None:
        check_seconds(self.seconds, "a pause")

    @property
    def words(self) -> str:
        """The description, for messages."""
        return f"a pause of {self.seconds:g} s"


#: One input.
AnyInput: TypeAlias = (
    Chord
    | Type
    | KeyDown
    | KeyUp
    | Click
    | Move
    | MoveBy
    | Drag
    | Wheel
    | ButtonDown
    | ButtonUp
    | Touch
    | Pause
)
KINDS: tuple[type[AnyInput], ...] = AnyInput.__args__


def as_inputs(given: Sequence[AnyInput | Sequence[AnyInput]]) -> list[AnyInput]:
    """Return the inputs of a call: each an input or a list of inputs.

    Raises:
        UsageError: The call has no input, or a value is not an input.
    """
    flat: list[object] = []
    for one in given:
        flat += one if isinstance(one, list | tuple) else [one]
    if not flat:
        raise UsageError("an input is missing: give one, such as kju.acting.Chord('enter')")
    inputs: list[AnyInput] = []
    for each in flat:
        if not isinstance(each, KINDS):
            raise UsageError(
                f"{each!r:.60} is not an input: use kju.acting.Type for a text, Chord for keys,"
                " Click for a pixel"
            )
        inputs.append(each)
    return inputs


def check_points(inputs: Iterable[AnyInput], width: int, height: int) -> None:
    """Check the points of inputs against the size of a screen.

    Raises:
        GeometryError: A point is outside; the message has the size.
    """
    for one in inputs:
        for x, y in getattr(one, "points", ()):
            if not (x < width and y < height):
                raise GeometryError(
                    f"the point {x}, {y} is outside of the {width}x{height} screen: x is 0 to"
                    f" {width - 1}, y is 0 to {height - 1}"
                )


def words_of(inputs: Sequence[AnyInput]) -> str:
    """Return the description of inputs, for messages and reports."""
    shown = ", ".join(one.words for one in inputs[:3])
    return shown if len(inputs) <= 3 else f"{shown} and {len(inputs) - 3} more"
