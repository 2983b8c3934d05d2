"""The result of a tool, and the machine that it uses."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ...client.aio.machine import Machine
from ...errors import UsageError
from ...surface import NOTHING_TAKEN
from ...surface.geometry import Rect
from ..aio.computer import Computer
from ..pictures import Picture, Size, View

#: The view of a machine without a screen.
NO_VIEW = View(Size(1, 1), Rect(0, 0, 1, 1), Size(1, 1), NOTHING_TAKEN)


class ToolResult(NamedTuple):
    """The result of a tool.

    Attributes:
        text: For the model.
        picture: A picture; None without one.
        facts: The same as the text, as values.
        is_error: True if the call failed; the text says what to do.
        kind: The format of the picture: ``png`` or ``jpeg``.
    """

    text: str
    picture: Picture | None = None
    facts: dict[str, Any] | None = None
    is_error: bool = False
    kind: str = "png"


@dataclass
class Attached:
    """One machine that calls use.

    Attributes:
        machine: The machine.
        computer: Its first screen; None without one.
        images: The folder of images for ``wait_image``.
        lock: Held during a call.
    """

    machine: Machine
    computer: Computer | None
    images: Path | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def view(self) -> View:
        """The picture that was given out last."""
        return NO_VIEW if self.computer is None else self.computer.view

    @property
    def screen(self) -> Computer:
        """The first screen.

        Raises:
            UsageError: The machine has none.
        """
        if self.computer is None:
            raise UsageError(f"{self.machine.name} has no screen")
        return self.computer
