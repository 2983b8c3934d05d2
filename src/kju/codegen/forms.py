"""The forms of a whole script: its statements in a program, a test, or a coroutine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from .places import quoted

Style: TypeAlias = Literal["script", "pytest", "asyncio"]
STYLES: tuple[Style, ...] = get_args(Style)


@dataclass
class Statement:
    """One line of the script.

    Attributes:
        code: Its text in the plain style.
        marked: Its result, a mark, is used by the next line.
    """

    code: str
    marked: bool = False


class ScriptFrame(NamedTuple):
    """The parts of a script around its statements.

    Attributes:
        name: The machine's name.
        console: Index of the screen.
        images: Name of the folder with the images; None without images.
        reads_environment: Statements use ``os.environ``.
    """

    name: str
    console: int
    images: str | None
    reads_environment: bool

    def source(self, style: Style, statements: Sequence[Statement]) -> str:
        """Return the whole script."""
        body = [_line(each, style) for each in statements] or ["pass"]
        acts = any("kju.acting." in each.code for each in statements)
        tail = ["", "", "asyncio.run(main())"] if style == "asyncio" else []
        return "\n".join([*self._head(style, acts), *self._block(style, body), *tail]) + "\n"

    def _head(self, style: Style, acts: bool) -> list[str]:
        standard = {
            "import asyncio": style == "asyncio",
            "import os": self.reads_environment,
            "from pathlib import Path": self.images is not None,
        }
        used = [line for line, is_used in standard.items() if is_used]
        own = ["import kju.aio" if style == "asyncio" else "import kju"]
        head = [f'"""Recorded by kju codegen on the machine {self.name}."""', ""]
        head += [*used, *([""] if used else []), *own, *(["import kju.acting"] if acts else [])]
        if self.images is not None:
            head += ["", f"IMAGES = Path(__file__).parent / {quoted(self.images)}"]
        return [*head, ""]

    def _block(self, style: Style, body: list[str]) -> list[str]:
        screen = "machine.screen" if not self.console else f"machine.screens[{self.console}]"
        lines = [f"screen = {screen}", *body]
        attach = f"kju.attach({quoted(self.name)})"
        match style:
            case "script":
                head, depth = [f"with {attach} as machine:"], 1
            case "pytest":
                function = re.sub(r"\W", "_", self.name)
                head = ["", f"def test_{function}() -> None:", f"    with {attach} as machine:"]
                depth = 2
            case "asyncio":
                attach = f"await kju.aio.attach({quoted(self.name)})"
                head = ["", "async def main() -> None:", f"    async with {attach} as machine:"]
                depth = 2
        return [*head, *("    " * depth + line for line in lines)]


def _line(statement: Statement, style: Style) -> str:
    code, wait = statement.code, ""
    if style == "asyncio":
        wait = "await "
        if code.startswith("kju.expect("):
            code = f"kju.aio.{code.removeprefix('kju.')}"
    return f"{'mark = ' if statement.marked else ''}{wait}{code}"
