"""`kju fleet`: a cluster on this computer, machines on it, and work beside them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import xservers
from support.wait import HANG, until

import kju
from kju.fleet import local
from kju.store import running

pytest.importorskip("ray")
#: Ray takes a minute to start two nodes on a busy computer.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    xservers.need()
    tmp_path.chmod(0o700)
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(kju.__file__).parents[1]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    # Sockets need short paths; the folder also marks the cluster's processes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as ray:
        monkeypatch.setenv("RAY_TMPDIR", ray)
        yield Path(ray)
        local.end_cluster()


def command(*words: str, code: int = 0, **variables: str) -> str:
    """Run ``kju fleet`` with environment variables, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "kju.cli", "fleet", *words], env={**os.environ, **variables},
        capture_output=True, text=True, timeout=8 * HANG, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout if not code else done.stderr


def answers(*words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in command(*words, "--json").splitlines()]


def processes_of(folder: Path) -> set[int]:
    """Return the processes that were started with a folder of Ray."""
    mark, found = f"RAY_TMPDIR={folder}".encode(), set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (path / "environ").read_bytes().split(b"\0"):
                found.add(int(path.name))
        except OSError:
            continue
    return found - {os.getpid()}


def test_a_cluster_of_this_computer_from_up_to_down(folder: Path, tmp_path: Path) -> None:
    # Not "auto": Ray finds the clusters of all programs on this computer.
    assert "no Ray cluster" in command("nodes", "--address", "127.0.0.1:1", code=7)
    (started,) = answers("up", "--local", "2")
    assert (started["fleet"], len(started["nodes"])) == ("fleet", 2)
    assert "runs at" in command("up", "--local", "2", code=2)
    # Ray opens ports to other computers; a program without the token gets no answer.
    assert "token" in command("nodes", code=7, RAY_AUTH_MODE="disabled")
    (launched,) = answers("launch", "--xvfb", "--count", "2", "--spread", "--name", "bot")
    assert [(each["name"], each["state"]) for each in launched] == [
        ("bot-1", "running"), ("bot-2", "running"),
    ]  # fmt: skip
    assert {each["node"] for each in launched} == set(started["nodes"])
    # The command has ended; its machines go on.
    assert sorted(running.names()) == ["bot-1", "bot-2"]
    script = tmp_path / "sizes.py"
    script.write_text("print(machine.name, *machine.screen.frame().shape)\n")
    assert sorted(command("map", str(script)).splitlines()) == [
        "bot-1: bot-1 800 1280 3", "bot-2: bot-2 800 1280 3",
    ]  # fmt: skip
    (tmp_path / "own_tasks.py").write_text("def fail(machine): raise ValueError(machine.name)\n")
    assert "bot-1: bot-1" in (failed := command("map", "own_tasks:fail", "bot-1", code=1))
    assert "1 of 1 tasks failed" in failed
    os.kill(running.host_pid("bot-2"), signal.SIGKILL)
    until(
        lambda: (
            [
                each["state"]
                for each in answers("ls", "--address", "auto")[0]
                if each["name"] == "bot-2"
            ]
            == ["lost"]
        ),
        "it is lost",
    )
    (lost,) = [each for each in answers("events", "--address", "auto") if each["log"]]
    assert (lost["name"], lost["state"]) == ("bot-2", "lost")
    assert "    host.log: " in command("events", "--address", "auto")
    assert command("down") == ""
    assert running.names() == []
    until(lambda: not processes_of(folder), "no process of the cluster is left")
    assert local.running_cluster() is None


def test_down_ends_a_cluster_whose_head_was_killed(folder: Path) -> None:
    made = local.start_cluster(1)
    os.kill(made.processes[0].number, signal.SIGKILL)
    os.waitpid(made.processes[0].number, 0)
    until(lambda: not processes_of(folder), "Ray ends with its process")
    assert local.running_cluster() is None
    assert not local.end_cluster()
