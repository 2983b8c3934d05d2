"""A host whose process is stopped: other commands continue, and it can be ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import xservers
from support.wait import until

import kju
import kju.aio
from kju.client.starting import Starting
from kju.client.targets import running_names
from kju.errors import MachineGoneError, WaitTimeoutError
from kju.protocol.forks import Begin
from kju.protocol.launch_options import Launch
from kju.store import running
from kju.store.paths import machine_paths
from kju.store.running import connect

#: Seconds that a request waits for its answer: a faster command did not wait for one.
REQUEST = 30


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Start two machines and stop the host of the first, `still`."""
    xservers.need()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with kju.launch(xvfb=True, name="other"):
        still = kju.launch(xvfb=True, name="still", detach=True)
        os.kill(still.host_pid, signal.SIGSTOP)
        until(lambda: running.is_stopped(still.host_pid), what="the host is stopped")
        try:
            yield still.host_pid
        finally:
            if "still" in running.names():
                running.kill("still")
            still.close()
    assert running_names() == []


def command(*words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "kju.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done, time.monotonic() - began


def test_ls_lists_a_stopped_host_and_others_without_waiting(stopped: int) -> None:
    done, seconds = command("ls")
    assert done.returncode == 0, done.stderr
    assert seconds < REQUEST
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "not responding" in lines["still"] and str(stopped) in lines["still"]
    assert "running" in lines["other"]
    rows = {row["name"]: row for row in json.loads(command("ls", "--json")[0].stdout)}
    assert rows["still"]["state"] == "not responding"
    assert rows["still"]["host_pid"] == stopped
    assert rows["still"].keys() == rows["other"].keys()


def test_doctor_names_a_stopped_host(stopped: int) -> None:
    done, _ = command("doctor")
    assert "machine still" in done.stdout and "does not respond" in done.stdout


def test_stop_of_a_stopped_host_names_the_next_command(stopped: int) -> None:
    done, seconds = command("stop", "still")
    assert done.returncode != 0
    assert seconds < REQUEST
    assert f"process {stopped}) does not respond" in done.stderr
    assert "kju stop --now still" in done.stderr
    assert "still" in running.names()
    assert command("stop", "--now", "other")[0].returncode == 0


def test_stop_now_ends_a_stopped_host_and_its_server(stopped: int) -> None:
    child = int(machine_paths("still").pid.read_text().splitlines()[1].split()[0])
    done, seconds = command("stop", "--now", "still")
    assert done.returncode == 0, done.stderr
    assert seconds < REQUEST
    assert f"process {stopped} was killed" in done.stderr
    assert running.names() == ["other"]
    until(lambda: running.start_time(child) == 0, what="its X server has ended")


def test_host_that_continues_is_not_killed(stopped: int) -> None:
    os.kill(stopped, signal.SIGCONT)
    assert command("stop", "--now", "still")[0].stderr == ""
    assert running.names() == ["other"]


def test_error_of_a_host_that_is_killed_while_it_starts_has_no_empty_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    starting = Starting(Launch(emulator="xvfb"))
    os.killpg(starting._child.pid, signal.SIGKILL)
    with pytest.raises(
        MachineGoneError, match=r"^a machine that was starting has ended: "
    ) as caught:
        starting.ask(Begin(), 60)
    assert "''" not in str(caught.value)
    assert "kju logs" not in str(caught.value)
    starting.close()


async def test_attach_of_asyncio_times_out_while_a_host_is_stopped(stopped: int) -> None:
    waiting = []
    try:
        with pytest.raises(WaitTimeoutError):
            while True:  # until the socket queues no more
                waiting.append(connect(running.find("still"), "still", 0.0))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(kju.aio.attach("still"), 0.2)
        os.kill(stopped, signal.SIGCONT)
        async with await kju.aio.attach("still") as machine:
            assert (await machine.info())["name"] == "still"
    finally:
        for each in waiting:
            each.close()
