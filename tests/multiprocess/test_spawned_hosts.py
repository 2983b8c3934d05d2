"""Hosts that are forked from one process: their starts, their ends, and that process's end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import xservers
from support.wait import HANG, until

import kju
from kju.client.processes import HostSpawner
from kju.client.requests import client_name
from kju.client.starting import Starting
from kju.errors import MachineExistsError
from kju.protocol.launch_options import Launch
from kju.store import running


@pytest.fixture
def spawner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostSpawner]:
    xservers.need()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    made = HostSpawner()
    yield made
    for name in running.names():
        running.kill(name)
    made.close()


def request(name: str) -> Launch:
    return Launch(machine=name, emulator="xvfb", detach=True, client=client_name())


def start(spawner: HostSpawner, name: str) -> kju.Machine:
    return Starting(request(name), start=spawner.start).finish(kju.Machine)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_hosts_are_forks_of_one_process_and_outlive_it(spawner: HostSpawner) -> None:
    with start(spawner, "first") as first, start(spawner, "second") as second:
        pid = first.host_pid
        forker = parent(pid)
        assert parent(second.host_pid) == forker != os.getpid()
        assert os.getsid(pid) == pid
        assert first.screen.frame().shape == (800, 1280, 3)
        # It is waited for, although the process that forked it does nothing.
        first.stop()
        until(lambda: running.start_time(pid) == 0, "no process is left of it")
        assert parent(second.host_pid) == forker
        spawner.close()
        assert running.start_time(forker) == 0
        assert second.screen.frame().shape == (800, 1280, 3)
        second.stop()


def test_a_killed_process_is_started_again(spawner: HostSpawner) -> None:
    with start(spawner, "first") as first:
        forker = parent(first.host_pid)
        os.kill(forker, signal.SIGKILL)
        until(lambda: parent(first.host_pid) != forker, "its end")
        with start(spawner, "second") as second:
            assert parent(second.host_pid) != parent(first.host_pid)
            for machine in (first, second):
                assert machine.screen.frame().shape == (800, 1280, 3)
                machine.stop()


def test_a_host_that_does_not_start_tells_why_and_its_exit_status(spawner: HostSpawner) -> None:
    with start(spawner, "same") as machine:
        starting = Starting(request("same"), start=spawner.start)
        with pytest.raises(MachineExistsError, match="same"):
            starting.finish(kju.Machine)
        assert starting._child.returncode == 2
        machine.stop()


def test_a_killed_host_has_the_status_of_the_signal(spawner: HostSpawner) -> None:
    host, connection = spawner.start()
    with connection:
        with pytest.raises(subprocess.TimeoutExpired):
            host.wait(0)
        until(lambda: host.poll() is None and host._process >= 0, "it is forked")
        host.kill()
        assert host.wait(HANG) == -signal.SIGKILL
