"""Run the commands of README.md and the pages under docs/ on the sample guest."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import documentation, guests

import kju
from kju.client.targets import running_names

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("runtime_folder", "reader"),
]

BLOCK = 500.0
#: Commands that run until the reader ends them, or need a terminal, a display or a computer more.
UNTIL_ENDED = {
    "watch",
    "view",
    "desktop",
    "play",
    "serve",
    "router",
    "mirror",
    "edit",
    "console",
    "mcp",
    "web",
    "codegen",
}


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Enter an empty folder with `kju` on the PATH; the sample guest is built."""
    guests.sample()
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("kju", "kju.cli"), ("pytest", "pytest -p no:cacheprovider")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(kju.__file__).resolve().parents[1]))
    monkeypatch.chdir(tmp_path)
    yield
    for name in running_names():
        with kju.attach(name) as machine:
            machine.stop()


def is_run(line: str) -> bool:
    """Return whether the test runs this line of a shell block."""
    for words in documentation.commands(line):
        if words[0] in ("export", "./demo", "./check", "tools/setup", "pytest"):
            return False
        if words[0] == "kju" and (words[1] in UNTIL_ENDED or "--follow" in words):
            return False
        if words[:2] == ["kju", "serial"] and "--seconds" not in words:
            return False
        # Of a cluster that a reader has; `run` of tests/multiprocess/test_fleet_on_ray.py has one.
        if words[:2] == ["kju", "fleet"]:
            return False
        if "--xvfb" in words or words == ["kju", "stop", "screen"]:
            return False
    return True


def do(page: str) -> None:
    """Run the blocks of a page in order."""
    names: dict[str, Any] = {}
    try:
        do_blocks(page, names)
    finally:  # as the end of the reader's Python does
        close_all(names.values())


def close_all(values: Iterable[object]) -> None:
    """Close the machines and surfaces among these values."""
    for value in values:
        if isinstance(value, kju.Machine | kju.Surface):
            value.close()


def do_blocks(page: str, names: dict[str, Any]) -> None:
    for block in documentation.blocks(documentation.ROOT / page):
        if block.language == "sh":
            script = "\n".join(filter(is_run, block.text.splitlines()))
            done = subprocess.run(
                ["bash", "-e", "-c", script],
                capture_output=True, text=True, timeout=BLOCK, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{block.place}\n{script}\n{done.stderr}"
        elif block.language == "python":
            before = dict(names)
            exec(compile(block.text, block.place, "exec"), names)
            # A page may use a name again; the machine that it meant before is closed as well.
            close_all(value for name, value in before.items() if names.get(name) is not value)


def test_readme_commands_work() -> None:
    do("README.md")
    assert Path("screen.png").stat().st_size > 1000


def test_tutorial_commands_work() -> None:
    do("docs/tutorial.md")
    assert Path("demo.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "page",
    [
        "act-on-the-screen",
        "drive-a-guest",
        "fork-a-machine",
        "keep-machines-running",
        "look-from-python",
        "train-with-gymnasium",
        "use-from-a-model",
    ],
)
def test_how_to_commands_work(page: str) -> None:
    do(f"docs/how-to/{page}.md")


@pytest.mark.filterwarnings("ignore")  # Ray warns of its own code
def test_fleet_page_examples_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)  # Ray's sockets need a short path
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # no token in the user's home
        ray.init(
            "local", num_cpus=2, _memory=2 << 30, object_store_memory=80_000_000,
            include_dashboard=False, namespace="kju", log_to_driver=False,
        )  # fmt: skip
        try:
            do("docs/how-to/many-computers.md")
        finally:
            ray.shutdown()
    printed = capfd.readouterr().out
    assert printed.count("kju login:") == printed.count(" is still") == 2
    assert re.search(r"^1 lost \S.*\n(.*\n)*2 running", printed, re.M)
    assert "4 forks\n" in printed


def test_pytest_page_examples_work() -> None:
    shell, *_ = (
        b for b in documentation.blocks(documentation.ROOT / "docs/how-to/test-an-os.md")
        if b.language == "sh" and is_run(b.text)
    )  # fmt: skip
    subprocess.run(["bash", "-e", "-c", shell.text], check=True, timeout=BLOCK)
    texts = [
        b.text for b in documentation.blocks(documentation.ROOT / "docs/how-to/test-an-os.md")
        if b.language == "python"
    ]  # fmt: skip
    Path("test_linux.py").write_text("\n\n".join(texts[:2]))
    done = subprocess.run(
        ["pytest", "-q", "test_linux.py"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    exec(compile(texts[2], "test-an-os", "exec"), {})
    assert Path("report.html").stat().st_size > 1000
