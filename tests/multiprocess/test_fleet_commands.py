"""`kju fleet`: a cluster on this computer, machines on it, and work beside them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import xservers
from support.command_loop import CommandLoop
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


@pytest.fixture
def loop(folder: Path) -> Iterator[CommandLoop]:
    """Start a process for most commands: Ray's modules and connection take each two seconds."""
    with CommandLoop() as loop:
        yield loop


def start_command(*words: str, **variables: str) -> subprocess.Popen[str]:
    """Start ``kju fleet`` with environment variables."""
    return subprocess.Popen(
        [sys.executable, "-m", "kju.cli", "fleet", *words], env={**os.environ, **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run_command(*words: str) -> tuple[int, str, str]:
    """Run ``kju fleet``; return its exit code, and what it has written to stdout and stderr."""
    with start_command(*words) as process:
        output, errors = process.communicate(timeout=8 * HANG)
    return process.returncode, output, errors


def command(*words: str, code: int = 0) -> str:
    """Run ``kju fleet``, and return what it prints."""
    found, output, errors = run_command(*words)
    assert found == code, errors
    return output if not code else errors


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


def test_a_cluster_of_this_computer_from_up_to_down(
    folder: Path, tmp_path: Path, loop: CommandLoop
) -> None:
    def do(*words: str, code: int = 0) -> str:
        found, output, errors = loop.run("fleet", *words)
        assert found == code, errors
        return output if not code else errors

    def asked(*words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in do(*words, "--json").splitlines()]

    # Not "auto": Ray finds the clusters of all programs on this computer.
    assert "no Ray cluster" in command("nodes", "--address", "127.0.0.1:1", code=7)
    (started,) = answers("up", "--local", "2")
    assert (started["fleet"], len(started["nodes"])) == ("fleet", 2)
    assert "runs at" in do("up", "--local", "2", code=2)
    # Ray opens ports to other computers; a program without the token gets no answer. It asks for
    # 20 seconds.
    stranger = start_command("nodes", RAY_AUTH_MODE="disabled")
    (launched,) = asked("launch", "--xvfb", "--count", "2", "--spread", "--name", "bot")
    assert [(each["name"], each["state"]) for each in launched] == [
        ("bot-1", "running"), ("bot-2", "running"),
    ]  # fmt: skip
    assert {each["node"] for each in launched} == set(started["nodes"])
    # The command has ended; its machines go on.
    assert sorted(running.names()) == ["bot-1", "bot-2"]
    script, sized = tmp_path / "script.py", tmp_path / "sizes.py"
    sized.write_text("print(machine.name, *machine.screen.frame().shape)\n")
    assert sorted(do("map", str(sized)).splitlines()) == [
        "bot-1: bot-1 800 1280 3", "bot-2: bot-2 800 1280 3",
    ]  # fmt: skip
    (tmp_path / "own_tasks.py").write_text("def fail(machine): raise ValueError(machine.name)\n")
    failed = do("map", "own_tasks:fail", "bot-1", code=1)
    assert "bot-1: ValueError: bot-1" in failed and "1 of 1 tasks failed" in failed
    # Nothing is done if a name is not known.
    script.write_text("open('done', 'w')\n")
    assert "no machine 'other'" in do("map", str(script), "bot-1", "other", code=3)
    assert not (tmp_path / "done").exists()
    # A task that ends its process; Ray's own lines do not mix with the results.
    (tmp_path / "own_tasks.py").write_text("import os\ndef end(machine): os._exit(3)\n")
    _, output, _ = run_command("map", "own_tasks:end", "bot-1", "--json")
    result, error = map(json.loads, output.splitlines())
    assert result["name"] == "bot-1" and error["error"]["message"] == "1 of 1 tasks failed"
    assert asked("map", str(sized), "--threads", "bot-1")[0]["result"].startswith("bot-1 800")
    (tmp_path / "end.py").write_text("import sys; print(machine.name); sys.exit(0)\n")
    assert do("map", "end.py", "bot-1") == "bot-1: bot-1\n"
    os.kill(running.host_pid("bot-2"), signal.SIGKILL)
    until(
        lambda: (
            [
                each["state"]
                for each in asked("ls", "--address", "auto")[0]
                if each["name"] == "bot-2"
            ]
            == ["lost"]
        ),
        "it is lost",
    )
    (lost,) = [each for each in asked("events", "--address", "auto") if each["log"]]
    assert (lost["name"], lost["state"]) == ("bot-2", "lost")
    assert "    host.log: " in do("events", "--address", "auto")
    (named,) = asked("launch", "--xvfb", "--name", "one")
    assert [each["name"] for each in named] == ["one"]
    # A name that is not right, and another fleet, end nothing.
    assert "no fleet 'typo': its fleets are: fleet" in do("down", "--fleet", "typo", code=7)
    do("up", "--fleet", "other")
    assert json.loads(do("down", "--fleet", "other", "--json"))["cluster"] == ""
    assert sorted(running.names()) == ["bot-1", "one"]
    assert asked("stop", "--all") == [{"ended": ["bot-1", "one"]}]
    assert "token" in stranger.communicate(timeout=8 * HANG)[1] and stranger.returncode == 7
    # Ray ends a program whose node ends.
    with loop:
        pass
    begin = time.monotonic()
    assert command("down") == ""
    assert time.monotonic() - begin < 25  # Ray's own end of a node takes 30 s
    assert running.names() == []
    # Ray would try the address of the ended cluster for minutes. It finds that of another test.
    others = "no Ray cluster is on this computer|the cluster has no fleet 'fleet'"
    assert re.search(others, command("nodes", code=7))
    until(lambda: not processes_of(folder), "no process of the cluster is left")
    assert local.running_cluster() is None


def test_down_ends_a_cluster_whose_head_was_killed(folder: Path) -> None:
    made = local.start_cluster(1)
    os.kill(made.processes[0].number, signal.SIGKILL)
    os.waitpid(made.processes[0].number, 0)
    until(lambda: not processes_of(folder), "Ray ends with its process")
    assert local.running_cluster() is None
    assert not local.end_cluster()


def test_a_launch_that_is_interrupted_leaves_no_machine(folder: Path) -> None:
    command("up", "--local", "1")
    words = [sys.executable, "-m", "kju.cli", "fleet", "launch", "--xvfb", "--count", "8"]
    with subprocess.Popen([*words, "--name", "c"], stderr=subprocess.DEVNULL) as launch:
        until(lambda: running.names(), "a machine starts")
        launch.send_signal(signal.SIGINT)
        assert launch.wait(HANG) == 130
    until(
        lambda: (
            {each["state"] for each in answers("ls", "--address", "auto")[0]} == {"ended"}
            and not running.names()
        ),
        "all have ended",
    )


def test_two_programs_that_start_a_cluster_at_once_start_one(folder: Path) -> None:
    both = [start_command("up", "--local", "1") for _ in range(2)]
    errors = [each.communicate(timeout=8 * HANG)[1] for each in both]
    assert sorted(each.returncode for each in both) == [0, 2], errors
    assert any("a cluster of kju runs at" in each for each in errors)
    assert command("nodes").count("ready") == 1
    assert command("down") == ""


def test_an_interrupted_up_leaves_no_process(folder: Path) -> None:
    words = [sys.executable, "-m", "kju.cli", "fleet", "up", "--local", "2"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as up:
        until(lambda: local.running_cluster(), "the first node starts")
        up.send_signal(signal.SIGINT)
        assert up.wait(HANG) == 130
    until(lambda: not processes_of(folder), "no process of the cluster is left")
    assert not local.recorded_address().exists()
