"""Conditions on the screen, needles, and text."""

from __future__ import annotations

from .match import Match
from .needle import Needle
from .text import Line, Text, TextMatch, Word
from .timeout import Best, ScreenTimeoutError

__all__ = ["Best", "Line", "Match", "Needle", "ScreenTimeoutError", "Text", "TextMatch", "Word"]
