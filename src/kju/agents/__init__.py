"""Tools for models that use a screen: dialects of actions, pictures, numbered labels.

`kju.agents.aio` has the same names for asyncio.
"""

from __future__ import annotations

from .computer import Computer, Outcome
from .dialects import DIALECTS, ActionError
from .labels import Label, Labels
from .pictures import Picture, View

__all__ = [
    "DIALECTS",
    "ActionError",
    "Computer",
    "Label",
    "Labels",
    "Outcome",
    "Picture",
    "View",
]
