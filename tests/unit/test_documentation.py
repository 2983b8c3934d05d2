"""Every block of README.md and of the pages under docs/ can be pasted and is valid."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from support import documentation
from support.documentation import Block

from kju import extras
from kju.cli.app import app, split_qemu_arguments

PAGES = documentation.pages()
BLOCKS = [block for page in PAGES for block in documentation.blocks(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
PYTHON = [page for page in PAGES if any(b.language == "python" for b in documentation.blocks(page))]
#: Programs that an example may use besides kju, and files of the checkout.
PROGRAMS = {
    "cat",
    "cc",
    "echo",
    "do",
    "done",
    "export",
    "for",
    "mkdir",
    "nft",
    "pytest",
    "qemu-img",
    "ray",
    "ssh",
    "ulimit",
    "xterm",
    "./demo",
    "./check",
    "./moving",
}
LANGUAGES = {"sh", "python", "text", "toml", "c", "json", "yaml"}

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
    """Return the faults of a shell block."""
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
    if re.search(r"DISPLAY=:0\b", block.text):
        found.append("DISPLAY=:0 is the reader's own desktop")
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
            if words[1:] and words[1] not in {"demo", "check", "test", *extras.EXTRAS}:
                found.append(f"no such extra: {shown(words)}")
        elif program not in PROGRAMS:
            found.append(f"{program} is not a program that a reader has")
    return found


def shown(words: list[str]) -> str:
    return " ".join(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_blocks_have_a_language(page: Path) -> None:
    wrong = [b.place for b in documentation.blocks(page) if b.language not in LANGUAGES]
    assert wrong == []


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_shell_blocks_can_be_pasted(block: Block) -> None:
    assert faults(block) == []


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "json"],
    ids=lambda block: block.place,
)
def test_configurations_of_clients_are_valid(block: Block) -> None:
    servers = json.loads(block.text)["mcpServers"].values()
    assert servers
    for server in servers:
        if "command" in server:
            assert server["command"] == "kju"
            parse(server["args"])
        else:
            assert server["url"].startswith("http://127.0.0.1:")
            assert server["headers"]["Authorization"].startswith("Bearer ${")


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
        ("DISPLAY=:7 xterm & kju stop --never demo", "No such option"),
        ("DISPLAY=:0 xterm &", "the reader's own desktop"),
        ("pip install kju", "pip is not a program"),
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


def faults_in_order(page: Path) -> list[str]:
    """Return missing steps and machines left running, for a reader of all blocks of a page."""
    found = []
    extras_installed: set[str] = set()
    running: set[str] = set()
    for block in documentation.blocks(page):
        if block.language == "python" and "kju.launch" not in block.text:
            found += [
                f"{block.place}: {name} is attached to and was not started"
                for name in re.findall(r'kju\.attach\("(\w+)"', block.text)
                if name not in running
            ]
        for words in documentation.commands(block.text) if block.language == "sh" else ():
            if words[0] == "tools/setup":
                extras_installed |= set(words[1:])
            elif words[0] == "pytest" and "test" not in extras_installed:
                found.append(f"{block.place}: pytest is in the extra test")
            elif words[:2] == ["kju", "run"] and "--name" in words:
                running.add(words[words.index("--name") + 1])
            elif words[:2] == ["kju", "start"]:
                running.add(words[2])
            elif words[:2] == ["kju", "serve"] and "remote" not in extras_installed:
                found.append(f"{block.place}: kju serve is in the extra remote")
            elif words[:2] == ["kju", "stop"]:
                running -= set(words[2:])
    text = page.read_text()
    if "\nkju demo --guest linux --copy-to" in text and "if you have `linux.qcow2` already" not in (
        " ".join(text.split())
    ):
        found.append(f"{page.name}: a reader who has linux.qcow2 gets an error")
    return [*found, *(f"{name} is never stopped" for name in running)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_a_page_can_be_followed_from_its_first_block_to_its_last(page: Path) -> None:
    assert faults_in_order(page) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```sh\npytest test_a.py\n```", "in the extra test"),
        ("```sh\nkju serve --all\n```", "in the extra remote"),
        ("```sh\nkju run --detach --name demo a.img\n```", "never stopped"),
        ('```python\nkju.attach("demo")\n```', "not started"),
        ("```sh\nkju demo --guest linux --copy-to linux.qcow2\n```", "gets an error"),
    ],
)
def test_a_page_that_cannot_be_followed_is_found(tmp_path: Path, text: str, fault: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text + "\n")
    assert any(fault in found for found in faults_in_order(page))


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: str(page.name))
def test_python_blocks_are_programs(page: Path) -> None:
    faults = []
    for block in documentation.blocks(page):
        if block.language == "python":
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            try:
                compile(block.text, block.place, "exec", flags=flags, dont_inherit=True)
            except SyntaxError as error:
                faults.append(f"{block.place}: {error}")
    assert faults == []


def test_the_readme_lists_every_extra() -> None:
    text = (documentation.ROOT / "README.md").read_text()
    for name in extras.EXTRAS:
        assert f"| `{name}` |" in text
