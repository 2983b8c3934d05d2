"""A wall of machines of which one has a stopped host: the others are shown at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from support import xservers
from support.wait import until

import kju
from kju.client.targets import running_names
from kju.desktop.wall import tile_follower
from kju.desktop.wall.tiles import Tiles, TileState
from kju.store import running


def test_stopped_host_delays_no_other_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xservers.need("Xvfb", "xsetroot")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(tile_follower, "RESPONSE_SECONDS", 0.2)
    with kju.launch(xvfb=True, name="one") as one, kju.launch(xvfb=True, name="two") as two:
        os.kill(one.host_pid, signal.SIGSTOP)
        until(lambda: running.is_stopped(one.host_pid), what="the host is stopped")
        changed: list[frozenset[str]] = []
        tiles = Tiles(changed.append)
        try:
            began = time.monotonic()
            tiles.set_visible(["one", "two"])
            tiles.set_machines({"one": True, "two": True})
            tiles.set_hovered("two")
            tiles.tile("one")
            assert time.monotonic() - began < 1  # no call waits for a host
            until(lambda: tiles.tile("two").state is TileState.LIVE, "the other machine")
            until(lambda: tiles.tile("one").state is TileState.NOT_RESPONDING, "the silence")
            picture = tiles.tile("two").picture
            display = two.info()["xvfb"]["display"]
            xservers.do(display, "xsetroot", "-display", display, "-solid", "#204060")
            until(lambda: tiles.tile("two").picture is not picture, "the change")
            (wall,) = (c for c in two.info()["clients"] if c["name"] == "kju desktop")
            assert wall["views"] == [{"console": 0, "rate": 4.0}]
            assert wall["role"] == "view"
            threads = [t.name for t in threading.enumerate() if t.name.startswith("kju-")]
            assert threads.count("kju-tiles") == 1 and len(threads) <= 2, threads
            os.kill(one.host_pid, signal.SIGCONT)
            until(lambda: tiles.tile("one").state is TileState.LIVE, "the first machine")
        finally:
            os.kill(one.host_pid, signal.SIGCONT)
            tiles.close()
    assert running_names() == []
