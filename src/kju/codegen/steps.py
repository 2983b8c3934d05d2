"""Steps of a person: actions of an input log that belong together, joined. I/O-free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ..acting.inputs import MAX_NOTCHES, Chord, Click, Drag, MoveBy, Wheel
from ..acting.inputs import Type as Typed
from ..acting.logged import LoggedAction, LoggedKind
from ..keys import NUMBERS

#: Seconds without input after which a step is complete; a slow typist has several texts.
IDLE = 1.5
# Seconds between two clicks of a double click, and two turns of the wheel.
_DOUBLE, _TURN = 0.5, 1.0
_NEAR = 4
_MAX_MOVE = (1 << 15) - 1
_ENTER = (NUMBERS["ret"],)


class ScriptStep(NamedTuple):
    """One statement of a script.

    Attributes:
        began: Time of its begin, seconds.
        ended: Time of its end.
        input: The action.
        approached: Time at which the pointer was near the action's first pixel.
        times: Repetitions of a chord.
    """

    began: float
    ended: float
    input: LoggedKind
    approached: float
    times: int = 1


class StepJoiner:
    """Joins actions to steps.

    Attributes:
        pending: The step that the next action may be joined to; None without one.
    """

    def __init__(self) -> None:
        self.pending: ScriptStep | None = None

    def add(self, actions: Iterable[LoggedAction]) -> list[ScriptStep]:
        """Take actions in their order; return the steps that are complete."""
        done: list[ScriptStep] = []
        for action in actions:
            new = ScriptStep(*action)
            joined = None if self.pending is None else _joined(self.pending, new)
            if joined is None:
                done += self.end()
            self.pending = joined or new
            if isinstance(self.pending.input, Typed) and self.pending.input.text.endswith("\n"):
                done += self.end()
        return done

    def end_idle(self, now: float) -> list[ScriptStep]:
        """Return the pending step if nothing was added to it for `IDLE` seconds."""
        idle = self.pending is not None and now - self.pending.ended >= IDLE
        return self.end() if idle else []

    def end(self) -> list[ScriptStep]:
        """Return the pending step, if there is one."""
        done, self.pending = self.pending, None
        return [] if done is None else [done]


def _joined(last: ScriptStep, new: ScriptStep) -> ScriptStep | None:
    """Return the step that two actions make together; None if they are two steps."""
    pause = new.began - last.ended
    one: LoggedKind | None = None
    times = last.times
    match last.input, new.input:
        case Typed(text=text, layout=layout), Typed(text=more):
            one = Typed(text + more, layout)
        case Typed(text=text, layout=layout), Chord(keys=keys) if keys == _ENTER:
            one = Typed(text + "\n", layout)
        case Chord(numbers=keys), Chord(numbers=again) if keys == again:
            one, times = last.input, times + 1
        case Click(), Click(count=1) if pause <= _DOUBLE and last.input.count < 3:
            one = _clicks(last.input, new.input)
        case Wheel(), Wheel() if pause <= _TURN:
            one = _turns(last.input, new.input)
        case MoveBy(dx=dx, dy=dy), MoveBy(dx=more_x, dy=more_y):
            if max(abs(dx + more_x), abs(dy + more_y)) <= _MAX_MOVE:
                one = MoveBy(dx + more_x, dy + more_y)
        case _:
            pass
    return None if one is None else last._replace(ended=new.ended, input=one, times=times)


def _clicks(last: Click, new: Click) -> Click | None:
    same = (last.button, last.keys) == (new.button, new.keys)
    if not same or len(last.points) != len(new.points):
        return None
    for (x, y), (x2, y2) in zip(last.points, new.points, strict=True):
        if max(abs(x - x2), abs(y - y2)) > _NEAR:
            return None
    return replace(last, count=last.count + 1)


def _turns(last: Wheel, new: Wheel) -> Wheel | None:
    if (last.points, last.keys) != (new.points, new.keys):
        return None
    vertical, horizontal = last.vertical + new.vertical, last.horizontal + new.horizontal
    turns_back = last.vertical * new.vertical < 0 or last.horizontal * new.horizontal < 0
    if turns_back or max(abs(vertical), abs(horizontal)) > MAX_NOTCHES:
        return None
    return replace(last, vertical=vertical, horizontal=horizontal)


def is_drag(step: ScriptStep) -> bool:
    """Check for a straight drag, which its two ends describe."""
    return isinstance(step.input, Drag) and len(step.input.points) == 2
