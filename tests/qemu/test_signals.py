"""Commands under `nohup` and in the background of a script, and their child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests
from support.wait import until

import kju
from kju.client.targets import running_names

pytestmark = pytest.mark.qemu

KJU = (sys.executable, "-m", "kju.cli")
#: As `nohup` and a shell without job control start a program.
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


@pytest.fixture(autouse=True)
def folder(runtime_folder: None) -> None:
    guests.invaders()


def ignore_signals() -> None:
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def command() -> Iterator[subprocess.Popen[str]]:
    """Start `nohup kju run` and wait until its machine runs."""
    words = ["run", "--name", "m", "--memory", "64M", str(guests.INVADERS), "--", *guests.PACED]
    with subprocess.Popen(
        [*KJU, *words],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=ignore_signals,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    ) as started:
        try:
            assert started.stdout
            assert "m is running" in started.stdout.readline()
            yield started
        finally:
            started.terminate()


def ignores(pid: int) -> set[signal.Signals]:
    """Return the signals of IGNORED that a process ignores."""
    status = Path(f"/proc/{pid}/status").read_text()
    bits = int(status.partition("SigIgn:")[2].split()[0], 16)
    return {number for number in IGNORED if bits >> (number - 1) & 1}


def test_host_and_qemu_do_not_inherit_ignored_signals(
    command: subprocess.Popen[str],
) -> None:
    with kju.attach("m") as machine:
        info = machine.info()
    assert ignores(command.pid) == set(IGNORED)
    assert ignores(info["qemu"]["pid"]) == set()
    assert ignores(info["host"]["pid"]) == set()


def test_run_under_nohup_survives_sighup_and_ends_at_sigterm(
    command: subprocess.Popen[str],
) -> None:
    command.send_signal(signal.SIGHUP)
    command.send_signal(signal.SIGINT)
    with kju.attach("m") as machine:
        assert machine.info()["state"] == "running"
    assert command.poll() is None
    command.send_signal(signal.SIGTERM)
    until(lambda: command.poll() is not None, what="the command ended")
    assert command.returncode == 128 + signal.SIGTERM
    until(lambda: running_names() == [], what="its machine ended")


@pytest.mark.parametrize("words", [["serve", "--all"], ["router"]])
def test_server_under_nohup_keeps_ignoring_sighup(words: list[str], tmp_path: Path) -> None:
    pytest.importorskip("zenoh")
    log = tmp_path / "output"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*KJU, *words],
            stdout=output,
            stderr=output,
            preexec_fn=ignore_signals,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        ) as server,
    ):
        try:
            until(lambda: log.read_bytes().strip() or server.poll() is not None, what="it serves")
            assert server.poll() is None, log.read_text()
            assert signal.SIGHUP in ignores(server.pid)
        finally:
            server.terminate()
        until(lambda: server.poll() is not None, what="it ended at SIGTERM")
