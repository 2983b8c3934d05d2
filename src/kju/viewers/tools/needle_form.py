"""The fields of a needle that is cut from a view: its file, its place and its search. I/O-free."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import NamedTuple

from ...surface.geometry import Rect

#: Pixels by which a needle may move, where the search is limited to its neighbourhood.
MARGIN = 20
_MAX_NAME = 200


class NeedleForm(NamedTuple):
    """The fields of a needle.

    Attributes:
        machine: The machine's name.
        rect: The needle on the screen.
        screen: Width and height of the screen.
        folder: The folder of the file.
        name: The file's name, with or without ``.png``.
        similarity: The similarity that a place must have.
        margin: Pixels around *rect* that are searched; negative: the whole screen.
    """

    machine: str
    rect: Rect
    screen: tuple[int, int]
    folder: PurePath
    name: str
    similarity: float
    margin: int = MARGIN

    @property
    def problem(self) -> str:
        """The reason why the form cannot be saved; empty if it can."""
        name = self.name.strip()
        if not name:
            return "enter a name, such as login-prompt"
        if "/" in name or "\0" in name or name in (".", ".."):
            return "a name has no slash; choose the folder below"
        if len(name.encode()) > _MAX_NAME:
            return f"a name has at most {_MAX_NAME} bytes"
        return ""

    @property
    def path(self) -> PurePath:
        """The file."""
        name = self.name.strip()
        return self.folder / (name if name.lower().endswith(".png") else f"{name}.png")

    @property
    def region(self) -> Rect | None:
        """The rectangle to search; None for the whole screen."""
        if self.margin < 0:
            return None
        more = self.margin
        x, y, width, height = self.rect
        around = Rect(x - more, y - more, width + 2 * more, height + 2 * more)
        return around.intersection(Rect(0, 0, *self.screen))

    @property
    def command(self) -> str:
        """The command that waits for the needle."""
        words = ["kju", "wait", self.machine, "--image", str(self.path)]
        if (region := self.region) is not None:
            words += ["--region", ",".join(map(str, region))]
        return shlex.join(words)
