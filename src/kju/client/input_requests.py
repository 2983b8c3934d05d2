"""Requests of keyboards and pointers. I/O-free."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import GeometryError, UsageError
from ..protocol.input_log import Input, schedule
from ..protocol.messages import Done, Keys, LampsState, Point
from ..protocol.stepping import MAX_STEP, MIN_STEP, StepGuest
from ..protocol.values import BUTTONS, LONGEST_KEYS, Action, Button, By, Finger, To, TurnWheel
from ..surface import NOTHING_TAKEN, Mark

if TYPE_CHECKING:
    from ..acting import AnyInput, Click, Drag, Move, Wheel
    from ..keys import Chord, Lamps

#: Milliseconds for which keys of a chord are held. A game that only reads the state of the keys
#: now and then sees them.
INTERVAL = 10
#: Keyboard steps of one request that is sent as fast as the guest reads: a USB keyboard takes half
#: a second for them.
_STEPS_TOGETHER = 64
#: Milliseconds that one request takes, unless one chord takes longer: another client's keys wait
#: for this time.
_BATCH = 250
#: Steps of a text for which shift may stay down. One step in 16 of a text in capitals is spent on
#: that limit.
_LONGEST_GROUP = 32
#: Actions of one request: with a USB tablet these take a quarter of a second.
ACTIONS_TOGETHER = 32
#: Of one step: see `kju.protocol.stepping`.
_MOST_STEPS, _MOST_ACTIONS = 1024, 256
_FARTHEST, _MOST_NOTCHES, _MOST_FINGERS = (1 << 15) - 1, 100, 10

#: Steps that are not divided: a chord's, or a few characters'.
Steps = Sequence[tuple[int, bool]]


class KeyRequest(NamedTuple):
    """One of the requests of an input.

    Attributes:
        keys: The request.
        marks: True if the mark in its answer may be the mark of the input.
    """

    keys: Keys
    marks: bool = True


def key_requests(console: int, groups: Iterable[Steps], interval: int | None) -> list[KeyRequest]:
    """Divide steps into short requests, between two groups only.

    Args:
        console: The console of the keyboard.
        groups: Steps that are not divided.
        interval: Milliseconds between two steps; None is as fast as the guest reads them.

    Raises:
        UsageError: One group takes longer than a request may.
    """
    most = _STEPS_TOGETHER if interval is None else _BATCH // max(interval, 1)
    batches: list[list[tuple[int, bool]]] = []
    for group in groups:
        if interval is not None and not 0 <= len(group) * interval <= LONGEST_KEYS:
            raise UsageError(
                f"{len(group)} steps, {interval} ms apart: a chord takes at most {LONGEST_KEYS} ms;"
                " for slower ones use press and release"
            )
        if batches and len(batches[-1]) + len(group) <= most:
            batches[-1] += group
        else:
            batches.append(list(group))
    return [KeyRequest(Keys(console=console, steps=each, interval=interval)) for each in batches]


def chord_steps(chords: Sequence[str | Chord]) -> list[Steps]:
    """Return the steps of chords: keys go down in their order, and up in the opposite order."""
    from ..keys import parse_chord, steps  # a client that only looks needs no keys

    return [steps([parse_chord(c) if isinstance(c, str) else tuple(c)]) for c in chords]


def text_requests(
    console: int, text: str, name: str, interval: int | None, lit: Sequence[str] | None
) -> list[KeyRequest]:
    """Return the requests that type a text; shift and AltGr stay down between characters.

    All keys are up at the end of a request. While caps lock is on, shift is inverted for letters.
    Where that is not enough, the text is typed with caps lock off, and caps lock is on again at the
    end. The guest reacts to the text, so those last keys do not move the mark.

    Args:
        console: The console of the keyboard.
        text: The text.
        name: The name of the layout.
        interval: Milliseconds between two steps, if the client sets them.
        lit: The locks that are on; None where that is unknown, and then no lock counts as on.

    Raises:
        UsageError: The layout is unknown, or it lacks characters; all of them are named.
    """
    from ..keys import held_steps, layout, number, steps

    most = _LONGEST_GROUP if interval is None else min(_BATCH // max(interval, 1), _LONGEST_GROUP)
    known = layout(name)
    strokes = known.strokes(text)
    toggle: list[KeyRequest] = []
    if lit and "caps" in lit:
        under = known.under_caps_lock(strokes)
        if under is None:
            caps_lock = key_requests(console, [steps([(number("caps_lock"),)])], interval)
            toggle = [request._replace(marks=False) for request in caps_lock]
        else:
            strokes = under
    return [*toggle, *key_requests(console, held_steps(strokes, most), interval), *toggle]


class BootStep(NamedTuple):
    """One step of a boot command.

    Attributes:
        wait: Seconds to wait before it.
        text: Text to type then.
        keys: Keys to press and release after that.
    """

    wait: float = 0.0
    text: str = ""
    keys: Steps = ()


def boot_steps(command: str, name: str) -> list[BootStep]:
    """Divide a boot command into steps; the last one releases the keys that are still held.

    Raises:
        UsageError: A name in the command or the layout is unknown, or the layout lacks characters.
    """
    from ..keys import boot_command, layout, steps

    found: list[BootStep] = []
    held: list[int] = []
    for part in boot_command.parse_boot_command(command):
        match part:
            case boot_command.BootPause(seconds):
                found.append(BootStep(wait=seconds))
            case boot_command.BootText(text):
                layout(name).strokes(text)
                found.append(BootStep(text=text))
            case boot_command.PressKey(key):
                found.append(BootStep(keys=steps([(key,)])))
            case boot_command.HoldKey(key, down):
                found.append(BootStep(keys=[(key, down)]))
                held = [other for other in held if other != key] + [key] * down
    if held:
        found.append(BootStep(keys=[(key, False) for key in reversed(held)]))
    return found


def releases(steps: Iterable[BootStep]) -> Steps:
    """Return the steps that release every key of a boot command; a key that is up stays up."""
    pressed = dict.fromkeys(key for step in steps for key, down in step.keys if down)
    return [(key, False) for key in reversed(pressed)]


def boot_mark(before: Mark, sent: Mark, keys: Steps) -> Mark:
    """Return the mark of a boot command after one of its steps.

    Args:
        before: The mark of the steps before.
        sent: The mark of this step.
        keys: The keys of this step; a step that only releases keys does not move the mark.
    """
    return sent if before == NOTHING_TAKEN or any(down for _, down in keys) else before


def caps_lock_matters(text: str, name: str) -> bool:
    """Check whether caps lock changes what any key of a text types on a layout.

    Raises:
        UsageError: The layout is unknown, or it lacks characters.
    """
    from ..keys import layout

    known = layout(name)
    return any(chord in known.caps for chord in known.type(text))


def lamps_of(state: LampsState) -> Lamps | None:
    """Return the lamps in a reply."""
    from ..keys import Lamps

    return None if state.lit is None else Lamps(*(name in state.lit for name in Lamps._fields))


def key_steps(keys: Sequence[str | int], down: bool) -> list[Steps]:
    """Return the steps that press or release keys."""
    return [[(_key_number(key), down)] for key in keys]


def _key_number(key: str | int) -> int:
    """Return the number of a key.

    Raises:
        UsageError: The key is unknown.
    """
    if isinstance(key, int):
        if not 1 <= key <= 0xFF:
            raise UsageError(f"a key's number is 1 to 255, not {key}")
        return key
    from ..keys import number

    return number(key)


def mark_of(done: Done) -> Mark:
    """Return the mark of the screen before an input."""
    return Mark(done.incarnation, done.epoch, done.version)


def duration(request: Keys) -> float:
    """Return the seconds that a request takes at least."""
    return len(request.steps) * (request.interval or 0) / 1000


# ---- Pointers


def to(x: int, y: int) -> To:
    """Return the action that puts the pointer on a pixel.

    Raises:
        GeometryError: No screen has such a pixel.
    """
    if not (0 <= x < 1 << 16 and 0 <= y < 1 << 16):
        raise GeometryError(f"the pointer cannot go to {x}, {y}: coordinates are 0 to 65535")
    return To(int(x), int(y))


def by(dx: int, dy: int) -> list[Action]:
    """Return the actions that move the pointer by a distance.

    Raises:
        UsageError: The distance is longer than any screen.
    """
    if max(abs(dx), abs(dy)) > _FARTHEST:
        raise UsageError(f"the pointer moves by at most {_FARTHEST} at once, not by {dx}, {dy}")
    return [By(int(dx), int(dy))]


def _button_number(name: str) -> int:
    """Return the number of a button.

    Raises:
        UsageError: The button is unknown.
    """
    try:
        return BUTTONS.index(name)
    except ValueError:
        raise UsageError(f"unknown button {name!r}: choose {', '.join(BUTTONS)}") from None


def buttons(names: Sequence[str], down: bool) -> list[Action]:
    """Return the actions that press or release buttons."""
    return [Button(number, down) for number in [_button_number(name) for name in names]]


def click(x: int | None, y: int | None, button: str, count: int) -> list[Action]:
    """Return the actions of clicks, at a pixel or at the pointer's place."""
    if (x is None) is not (y is None):
        raise UsageError("give both x and y of a click, or neither")
    if not 1 <= count <= 3:
        raise UsageError(f"count must be 1, 2 or 3 clicks, not {count}")
    place: list[Action] = [] if x is None or y is None else [to(x, y)]
    number = _button_number(button)
    return place + [Button(number, True), Button(number, False)] * count


def drag(points: Sequence[tuple[int, int]], button: str) -> list[Action]:
    """Return the actions that press a button at the first point and release it at the last."""
    if len(points) < 2:
        raise UsageError("a drag needs at least two points: its begin and its end")
    number = _button_number(button)
    begin, *rest = [to(*point) for point in points]
    return [begin, Button(number, True), *rest, Button(number, False)]


def wheel(vertical: int, horizontal: int) -> TurnWheel:
    """Return the action that turns the wheel."""
    if max(abs(vertical), abs(horizontal)) > _MOST_NOTCHES:
        raise UsageError(f"the wheel turns by at most {_MOST_NOTCHES} notches at once")
    return TurnWheel(int(vertical), int(horizontal))


def touch(points: Sequence[tuple[int, int]], finger: int) -> list[Action]:
    """Return the actions that put a finger down, slide it and lift it."""
    if not points:
        raise UsageError("a touch needs at least one point")
    if not 0 <= finger < _MOST_FINGERS:
        raise UsageError(f"finger must be 0 to {_MOST_FINGERS - 1}, not {finger}")
    first, *rest = [to(*point) for point in points]
    last = rest[-1] if rest else first
    return [
        Finger(finger, "begin", first.x, first.y),
        *(Finger(finger, "move", place.x, place.y) for place in rest),
        Finger(finger, "end", last.x, last.y),
    ]


def divide(wanted: Sequence[Action], console: int) -> list[Point]:
    """Divide actions into short requests. Without actions one request asks for the mark."""
    return [
        Point(console=console, actions=list(wanted[at : at + ACTIONS_TOGETHER]))
        for at in range(0, max(len(wanted), 1), ACTIONS_TOGETHER)
    ]


def pointer_releases(wanted: Sequence[Action], console: int) -> Point:
    """Return the request that releases the buttons and fingers of actions that have failed."""
    buttons = {one.button: one for one in wanted if isinstance(one, Button) and not one.down}
    fingers = {one.finger: one for one in wanted if isinstance(one, Finger) and one.state == "end"}
    return Point(console=console, actions=[*buttons.values(), *fingers.values()])


# ---- Lockstep


def as_steps(given: Sequence[AnyInput | Sequence[AnyInput]]) -> list[AnyInput]:
    """Return the inputs of one step; there may be none.

    Raises:
        UsageError: A value is not an input, or takes time by itself.
    """
    from ..acting import inputs

    wanted = inputs.as_inputs(given) if any(one != [] for one in given) else []
    for one in wanted:
        if isinstance(one, inputs.Pause) or getattr(one, "seconds", False):
            raise UsageError(
                f"a step cannot contain {one.words}, which takes time: use several steps"
            )
    return wanted


def step_request(console: int, seconds: float, wanted: Iterable[AnyInput]) -> StepGuest:
    """Return the request to let a guest run for a time.

    Raises:
        UsageError: The time is out of range, or the inputs have another order than keys, pointer,
            keys.
    """
    if not MIN_STEP <= seconds * 1e6 <= MAX_STEP:
        raise UsageError(f"a step lasts 0.001 to 10 seconds, not {seconds!r:.40}")
    keys: list[tuple[int, bool]] = []
    actions: list[Action] = []
    releases: list[tuple[int, bool]] = []
    for one in wanted:
        pressed, moved, released = _parts(one)
        if moved and (releases or (actions and pressed)):
            raise UsageError("a step has keys, then the pointer, then keys: use several steps")
        (releases if actions else keys).extend(pressed)
        actions += moved
        (releases if actions else keys).extend(released)
    if max(len(keys), len(releases)) > _MOST_STEPS or len(actions) > _MOST_ACTIONS:
        raise UsageError(
            f"a step takes at most {_MOST_STEPS} presses and releases of keys and"
            f" {_MOST_ACTIONS} actions of the pointer: divide it"
        )
    return StepGuest(
        microseconds=round(seconds * 1e6), keys=keys, actions=actions, releases=releases,
        console=console,
    )  # fmt: skip


def _parts(one: AnyInput) -> tuple[Steps, list[Action], Steps]:
    """Return one input as key steps, pointer actions, and key steps after them."""
    from ..acting import inputs
    from ..keys import steps

    match one:
        case inputs.Chord():
            return steps([one.numbers]), [], []
        case inputs.Type(text, layout, _):
            sent = text_requests(0, text, layout, None, None)
            return [step for request in sent for step in request.keys.steps], [], []
        case inputs.KeyDown(key) | inputs.KeyUp(key):
            return [(_key_number(key), isinstance(one, inputs.KeyDown))], [], []
        case inputs.ButtonDown(button) | inputs.ButtonUp(button):
            return [], buttons([button], isinstance(one, inputs.ButtonDown)), []
        case inputs.MoveBy(dx, dy):
            return [], by(dx, dy), []
        case inputs.Touch(points, finger):
            return [], touch(points, finger), []
        case inputs.Pause():
            return [], [], []
    held = [_key_number(key) for key in one.keys]
    return [(key, True) for key in held], _gesture(one), [(key, False) for key in reversed(held)]


def _gesture(one: Click | Move | Drag | Wheel) -> list[Action]:
    from ..acting import inputs

    match one:
        case inputs.Click(x, y, button, count):
            return click(x, y, button, count)
        case inputs.Move(x, y):
            return [to(x, y)]
        case inputs.Drag(points, button):
            return drag(points, button)
        case inputs.Wheel(vertical, horizontal):
            return [*(to(*point) for point in one.points), wheel(vertical, horizontal)]


def replay_schedule(entries: Iterable[Input], speed: float) -> Iterator[tuple[float, Keys | Point]]:
    """Return the requests that repeat logged input, each with its seconds after the first.

    Raises:
        UsageError: *speed* is not above 0.
    """
    if not (speed > 0 and math.isfinite(speed)):
        raise UsageError(f"speed must be above 0, such as 1 or 2.5, not {speed}")
    return schedule(entries, speed)
