"""Machines of a real sender in the model: found, lost, and found again."""

from __future__ import annotations

import asyncio
import functools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.posts import Posts
from support.wait import HANG

import kju
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.machines.remote_addresses import RemoteAddress
from kju.desktop.machines.remote_machines import RemoteMachines
from kju.remote.addresses import presence
from kju.remote.transport import Engine, Tokens

pytest.importorskip("zenoh")


class Wall:
    """The entries of other computers, as the wall has them."""

    def __init__(self, folder: Path) -> None:
        self.posts = Posts()
        self.entries: dict[MachineKey, MachineEntry] = {}
        self.remotes = RemoteMachines(
            self.posts.post, self.update, lambda key: self.entries.pop(key), folder
        )

    def update(self, entry: MachineEntry) -> None:
        self.entries[entry.key] = entry

    def state(self, key: MachineKey) -> MachineState | None:
        return self.entries[key].state if key in self.entries else None


@pytest.fixture
def wall(tmp_path: Path) -> Iterator[Wall]:
    made = Wall(tmp_path / "app")
    yield made
    made.remotes.close()


def serve(where: str) -> subprocess.Popen[str]:
    words = [
        sys.executable,
        "-m",
        "kju.cli",
        "serve",
        "--all",
        "--prefix",
        "lab",
        "--listen",
        where,
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def test_a_sender_is_found_lost_and_found_again(
    wall: Wall, runtime_folder: Path, tmp_path: Path
) -> None:
    where = f"unix:{tmp_path}/net"
    key = MachineKey(where, "lab/far")
    placeholder = MachineKey(where, where)
    with kju.launch(name="far", memory="16M"):
        assert wall.remotes.add(RemoteAddress(where)) == ""
        wall.posts.until(lambda: wall.state(placeholder) is MachineState.UNREACHABLE)
        assert wall.entries[placeholder].next_try is not None
        with serve(where) as sender:
            wall.remotes.retry(where)
            wall.posts.until(lambda: wall.state(key) is MachineState.RUNNING, "the machine")
            assert placeholder not in wall.entries
            assert 0 < wall.entries[key].round_trip < 4
            name = wall.remotes.mirror(key)
            assert wall.remotes.mirror(key) == name
            with kju.attach(name, role="view") as mirror:
                assert mirror.info()["mirror"]["of"] == "zenoh:lab/far"
            sender.kill()
        wall.posts.until(lambda: wall.state(key) is MachineState.UNREACHABLE, "the loss")
        assert wall.entries[key].reason
        with serve(where) as sender:
            wall.remotes.retry(where)
            wall.posts.until(lambda: wall.state(key) is MachineState.RUNNING, "the return")
            sender.kill()
        wall.remotes.remove(where)
        assert not wall.entries
        wall.remotes.close()


async def test_an_answer_that_did_not_arrive_in_time_is_incomplete(
    runtime_folder: Path, tmp_path: Path
) -> None:
    """A sender of a busy computer may be too slow: its machines still exist."""
    where = f"unix:{tmp_path}/net"
    with serve(where) as sender:
        engine = await Engine.open(RemoteAddress(where).options())
        try:
            everything = presence("**")
            find = functools.partial(asyncio.to_thread, engine.find_tokens, everything)
            while not (await find(HANG)).is_complete:  # it may be too slow by itself
                pass
            sender.send_signal(signal.SIGSTOP)
            try:
                assert await find(0.2) == Tokens([], is_complete=False)
            finally:
                sender.send_signal(signal.SIGCONT)
        finally:
            await engine.close()
            sender.kill()


def test_addresses_are_followed_again_after_a_restart(wall: Wall, tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/nobody"
    wall.remotes.add(RemoteAddress(where))
    wall.posts.until(lambda: (tmp_path / "app" / "remote-machines.json").exists())
    assert "already" in wall.remotes.add(RemoteAddress(where))
    wall.remotes.close()
    again = Wall(tmp_path / "app")
    again.remotes.open()
    again.posts.until(lambda: again.state(MachineKey(where, where)) is MachineState.UNREACHABLE)
    again.remotes.close()
