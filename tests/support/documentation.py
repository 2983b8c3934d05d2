"""The blocks of README.md and of the pages under docs/, as a reader copies them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
#: Parts of other pages, generated and included there.
_INCLUDED = re.compile(r"(_commands|surface-fields|benchmarks(-remote)?-(table|peers))\.md$")
_SEPARATORS = {"&", "|", "||", "&&", ";"}


class Block(NamedTuple):
    """One block of a page.

    Attributes:
        page: Its path below the root.
        line: Of the page, from 1.
        language: What stands behind the fence; empty for an indented block.
        text: Its lines.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where to look."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """The pages a reader has."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        page for page in found if not _INCLUDED.search(page.name) and "_build" not in page.parts
    ]


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in its order; directives are none."""
    name = str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
    found = []
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type not in ("fence", "code_block") or token.info.startswith("{"):
            continue
        line = token.map[0] + 1 if token.map else 0
        found.append(Block(name, line, token.info.strip(), token.content))
    return found


def commands(shell: str) -> Iterator[list[str]]:
    """The words of each simple command of a shell block, without variables set in front of it."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _SEPARATORS:
                if words or not re.fullmatch(r"[A-Za-z_]\w*=.*", word):
                    words.append(word)
            elif words:
                yield words
                words = []
