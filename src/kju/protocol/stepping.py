"""The message that lets a paused guest run for a time. I/O-free."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from .values import Action, Console, KeySteps, Request

#: The shortest and the longest time of one step, in microseconds.
MIN_STEP, MAX_STEP = 1_000, 10_000_000


class StepGuest(Request, frozen=True, tag="step"):
    """Resume the guest, send it input, and pause it after a time. Answered by `Done`.

    The input is sent in the order *keys*, *actions*, *releases*. The answer has the version that
    shows the paused guest's screen.

    Attributes:
        microseconds: The time for which the guest runs. Input that takes longer prolongs it.
        keys: Key numbers, each with whether it goes down.
        actions: Actions of the pointer.
        releases: Like *keys*.
        console: The console of the keyboard, the pointer and the answer.
    """

    microseconds: Annotated[int, Meta(ge=MIN_STEP, le=MAX_STEP)]
    keys: KeySteps = field(default_factory=list)
    actions: Annotated[list[Action], Meta(max_length=256)] = field(default_factory=list)
    releases: KeySteps = field(default_factory=list)
    console: Console = 0
