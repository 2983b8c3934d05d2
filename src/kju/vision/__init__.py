"""Conditions on the screen, needles, and text."""

from __future__ import annotations

from .finding import Found
from .match import Match
from .needle import Needle
from .text import Line, Text, TextMatch, Word
from .timeout import Best, ScreenError, ScreenTimeoutError

__all__ = [
    "Best",
    "Found",
    "Line",
    "Match",
    "Needle",
    "ScreenError",
    "ScreenTimeoutError",
    "Text",
    "TextMatch",
    "Word",
]
