"""Every block of README.md and of the pages under docs/ can be pasted, and means something."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import documentation
import pytest
import typer
from documentation import Block

from kju import extras
from kju.apps.cli import app, split_qemu_arguments

PAGES = documentation.pages()
BLOCKS = [block for page in PAGES for block in documentation.blocks(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
PYTHON = [page for page in PAGES if any(b.language == "python" for b in documentation.blocks(page))]
#: Programs that an example may use besides kju, and files of the checkout.
PROGRAMS = {
    "cat",
    "cc",
    "echo",
    "export",
    "mkdir",
    "nft",
    "pytest",
    "qemu-img",
    "ulimit",
    "xterm",
    "./demo",
    "./check",
    "./moving",
}
LANGUAGES = {"sh", "python", "text", "toml", "c"}

KJU = typer.main.get_command(app)


def parse(words: list[str]) -> None:
    """Read a `kju` command line as the command does, and run nothing.

    It raises typer's error, which has `format_message`, for a command, option or argument that does
    not exist. Newer releases of typer bring a click of their own, so its classes are not named.
    """
    ours, _ = split_qemu_arguments(words)
    command: Any = KJU
    context, name = None, "kju"
    while True:
        context = command.make_context(name, ours, parent=context)
        if not hasattr(command, "resolve_command"):
            return
        rest = [*context._protected_args, *context.args]
        name, command, ours = command.resolve_command(context, rest)


def faults(block: Block) -> list[str]:
    """What is wrong with a shell block."""
    found = []
    done = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        found.append(done.stderr)
    found += [
        f"a remark or an answer beside a command: {line}"
        for line in block.text.splitlines()
        if not line.startswith("#") and re.search(r"\S {2,}\S", line)
    ]
    for words in documentation.commands(block.text):
        program = words[0].rpartition("/")[2] if words[0].endswith("/kju") else words[0]
        if program == "kju":
            try:
                parse(words[1:])
            except Exception as error:
                if not hasattr(error, "format_message"):
                    raise
                found.append(f"{shown(words)}: {error.format_message()}")
        elif program == "tools/setup":
            if words[1:] and words[1] not in {"demo", "check", *extras.EXTRAS}:
                found.append(f"no such extra: {shown(words)}")
        elif program not in PROGRAMS:
            found.append(f"{program} is no program that a reader has")
    return found


def shown(words: list[str]) -> str:
    return " ".join(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_blocks_say_what_they_hold(page: Path) -> None:
    wrong = [b.place for b in documentation.blocks(page) if b.language not in LANGUAGES]
    assert wrong == []


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_shell_blocks_can_be_pasted(block: Block) -> None:
    assert faults(block) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kju ls        lists machines", "beside a command"),
        ("kju watch demo   # live", "beside a command"),
        ("kju lsx", "No such command"),
        ("kju ls --nothing", "No such option"),
        ("kju key", "Missing argument"),
        ("kju cert nothing", "No such command"),
        ("kju watch demo (q quits)", "syntax error"),
        ("DISPLAY=:0 xterm & kju stop --never demo", "No such option"),
        ("pip install kju", "pip is no program"),
        ("tools/setup windows", "no such extra"),
    ],
)
def test_a_block_that_cannot_be_pasted_is_found(text: str, fault: str) -> None:
    assert any(fault in found for found in faults(Block("page", 1, "sh", text + "\n")))


@pytest.mark.parametrize(
    "text", ["kju run a.img -- -m 256 -nic none", "# remark\nkju ls --json | cat", "kju cert show"]
)
def test_a_block_that_can_be_pasted_is_not_a_fault(text: str) -> None:
    assert faults(Block("page", 1, "sh", text + "\n")) == []


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: str(page.name))
def test_python_blocks_are_programs(page: Path) -> None:
    for block in documentation.blocks(page):
        if block.language == "python":
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            compile(block.text, block.place, "exec", flags=flags, dont_inherit=True)


def test_the_readme_lists_every_extra() -> None:
    text = (documentation.ROOT / "README.md").read_text()
    for name in extras.EXTRAS:
        assert f"| `{name}` |" in text
