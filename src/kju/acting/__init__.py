"""Inputs for `kju.Screen.act`, and the guest's answer. I/O-free."""

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

__all__ = [
    "Answer",
    "AnyInput",
    "ButtonDown",
    "ButtonUp",
    "Chord",
    "Click",
    "Drag",
    "KeyDown",
    "KeyUp",
    "Move",
    "MoveBy",
    "Pause",
    "Touch",
    "Type",
    "Wheel",
]
