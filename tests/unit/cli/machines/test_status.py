"""`kju events` leaves out the short visits of kju commands; `kju ls` lists bases."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.forks import freeze, qemu_io

from kju.cli.machines.status import ls, without_visits
from kju.client.requests import Event, client_name
from kju.store import defining
from kju.store.forks import places
from kju.store.forks.overlays import ForkDisks
from kju.store.machine_toml import Definition


def came(number: int, time: float, client: int, name: str = "kju", pid: int = 1) -> Event:
    return Event(number, time, "client-connected", {"client": client, "name": name, "pid": pid})


def went(number: int, time: float, client: int, name: str = "kju") -> Event:
    return Event(number, time, "client-disconnected", {"client": client, "name": name})


def shown(*events: Event) -> list[int]:
    return [event.sequence for event in without_visits(events)]


def test_a_short_visit_is_left_out() -> None:
    reset = Event(3, 0.2, "reset", {})
    assert shown(came(1, 0.0, 7), came(2, 0.1, 8), reset, went(4, 0.3, 7), went(5, 0.3, 8)) == [3]


def test_this_commands_own_visit_is_left_out() -> None:
    assert shown(came(1, 0.0, 7, client_name(), os.getpid())) == []


def test_a_command_that_stays_is_shown() -> None:
    late = 60.0
    assert shown(came(1, 0.0, 7), Event(2, late, "reset", {}), went(3, late, 7)) == [1, 2, 3]
    assert shown(came(1, 0.0, 7)) == [1]


def test_other_programs_are_shown() -> None:
    assert shown(came(1, 0.0, 7, "robot"), went(2, 0.1, 7, "robot")) == [1, 2]


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(places, "SHARED_MEMORY", tmp_path / "shm")
    monkeypatch.setattr(places, "is_in_memory", lambda path: path == tmp_path / "shm")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_bases_are_listed_below_the_machines(
    roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    defining.create("web", Definition())
    with freeze("ready"), freeze("other", machine="shop"):
        ls()
        machines, _, bases = capsys.readouterr().out.partition("\n\n")
        assert machines.splitlines()[1].split()[:2] == ["web", "stopped"]
        lines = [line.split() for line in bases.splitlines()]
        assert lines[0] == ["base", "of", "memory", "age", "forks"]
        assert lines[1] == ["ready", "web", "1", "MiB", lines[1][4], "-"]
        assert lines[2][:2] == ["other", "shop"]
        ls(json=True)
        (row,) = json.loads(capsys.readouterr().out)
        assert row["base"] is None
        (base,) = row["bases"]
        assert (base["machine"], base["tag"], base["forks"]) == ("web", "ready", [])
        assert base["bytes"] > 1 << 20
    ls()
    assert "base" not in capsys.readouterr().out


def test_data_that_a_killed_machine_left_is_named(
    roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (roots / "disk.raw").write_bytes(bytes(1 << 20))
    disks = ForkDisks.own("web", [(str(roots / "disk.raw"), "raw")])
    disks.extend()
    qemu_io(disks.paths[0], "write -P 7 0 64k")
    ls()
    assert capsys.readouterr().err.count("\n") == 1, "no machine is running or defined"
    assert disks._folder is not None
    os.close(disks._folder._fd)
    disks._folder._fd = -1
    ls()
    said = capsys.readouterr().err
    assert f"web has ended, and {roots / 'disk.raw'} lacks its data since the freeze" in said
    assert f"that is in {disks.paths[0].parent}, and is" in said
    assert f"written to {roots / 'disk.raw'} at the next start of that disk" in said
