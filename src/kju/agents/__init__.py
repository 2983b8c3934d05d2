"""Tools for models that use a screen: dialects of actions, pictures with their points, marks.

`kju.agents.aio` has the same names for asyncio.
"""

from __future__ import annotations

from .computer import Computer, Outcome
from .dialects import DIALECTS, ActionError
from .marks import Marks, NumberedBox
from .pictures import Picture, View

__all__ = [
    "DIALECTS",
    "ActionError",
    "Computer",
    "Marks",
    "NumberedBox",
    "Outcome",
    "Picture",
    "View",
]
