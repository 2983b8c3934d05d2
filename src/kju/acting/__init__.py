"""Inputs for `kju.Screen.act`, the guest's answer, and the errors of locators. I/O-free."""

from __future__ import annotations

from .answer import Answer
from .inputs import (
    AnyInput,
    ButtonDown,
    ButtonUp,
    Chord,
    Click,
    Drag,
    KeyDown,
    KeyUp,
    Move,
    MoveBy,
    Pause,
    Touch,
    Type,
    Wheel,
)
from .locating import AmbiguousTargetError, ExpectationError

__all__ = [
    "AmbiguousTargetError",
    "Answer",
    "AnyInput",
    "ButtonDown",
    "ButtonUp",
    "Chord",
    "Click",
    "Drag",
    "ExpectationError",
    "KeyDown",
    "KeyUp",
    "Move",
    "MoveBy",
    "Pause",
    "Touch",
    "Type",
    "Wheel",
]
