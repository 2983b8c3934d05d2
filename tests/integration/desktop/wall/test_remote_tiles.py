"""Pictures of remote machines in the wall: rates, sessions, and senders that lie."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import xservers
from support.desktop_app import DesktopApp
from support.lying_sender import LIES, WELCOME, LyingSender, picture
from support.posts import Posts
from support.wait import until

import kju
from kju.desktop.machines import remote_machines
from kju.desktop.machines.entry import (
    MachineEntry,
    MachineKey,
    MachineState,
    note_text,
    state_text,
    tooltip_lines,
)
from kju.desktop.machines.remote_addresses import RemoteAddress
from kju.desktop.machines.remote_machines import RemoteMachines, ScreenNews
from kju.desktop.qt.managing import Managing
from kju.desktop.qt.wall.tile_pictures import TilePictures
from kju.desktop.settings import DesktopSettings
from kju.desktop.wall import remote_session
from kju.desktop.wall import remote_tiles as module
from kju.desktop.wall.remote_tiles import RemoteTiles, RemoteView
from kju.desktop.wall.tiles import HOVER_RATE, INACTIVE_RATE, RATE
from kju.remote.memory_target import MAX_MEMORY
from kju.surface import State

pytest.importorskip("zenoh")
SIZE = (64, 48)
RIGHT = [WELCOME, *picture(1, 1, 640, 480)]


class Wall:
    """The entries and the pictures of other computers, as the wall has them."""

    def __init__(self, folder: Path) -> None:
        self.posts = Posts()
        self.entries: dict[MachineKey, MachineEntry] = {}
        self.changed: list[MachineKey] = []
        self.reasons: list[str] = []
        self.tiles = RemoteTiles(self.changed.append, self._take_news)
        self.remotes = RemoteMachines(
            self.posts.post, self.update, self.discard, folder, user=self.tiles
        )

    def update(self, entry: MachineEntry) -> None:
        self.entries[entry.key] = entry

    def discard(self, key: MachineKey) -> None:
        del self.entries[key]

    def _take_news(self, key: MachineKey, news: ScreenNews) -> None:
        self.reasons.append(news.reason)
        self.posts.post(lambda: self.remotes.set_news(key, news))

    def follow(self, where: str, *names: str) -> list[MachineKey]:
        """Follow an address and show some of its machines; return their keys."""
        assert self.remotes.add(RemoteAddress(where)) == ""
        keys = [MachineKey(where, f"lab/{name}") for name in names]
        self.posts.until(lambda: set(keys) <= set(self.entries), "the machines")
        self.tiles.show(RemoteView(frozenset(keys), size=SIZE))
        return keys

    def has_picture(self, key: MachineKey) -> bool:
        return self.tiles.tile(key).picture is not None

    def close(self) -> None:
        self.remotes.close()
        self.tiles.close()


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wall]:
    monkeypatch.setattr(remote_machines, "LOOK_SECONDS", 0.3)
    before = set(threading.enumerate())
    made = Wall(tmp_path / "app")
    yield made
    made.close()
    left = {one.name for one in set(threading.enumerate()) - before if one.is_alive()}
    assert not [name for name in left if name == "kju-remote"]


class App(DesktopApp):
    """The main window with its pictures and everything that manages machines."""

    def __init__(self) -> None:
        super().__init__(DesktopSettings(told_running=True))
        self.pictures = TilePictures(self.machines, self.post)
        self.managing = Managing(self.window, self.machines, self.post, self.pictures)
        self.pictures.serve(self.window.wall)
        self.window.resize(1600, 1200)
        self.window.show()
        self.machines.open()

    def close(self) -> None:
        self.managing.close()
        self.pictures.close()
        super().close()


@pytest.fixture
def app(runtime_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(remote_machines, "LOOK_SECONDS", 0.3)
    made = App()
    yield made
    made.close()


def test_a_remote_machine_is_live_before_it_is_opened(
    wall: Wall, runtime_folder: Path, tmp_path: Path
) -> None:
    xservers.need()
    where = f"unix:{tmp_path}/net"
    command = [sys.executable, "-m", "kju.cli", "serve", "--all", "--prefix", "lab"]
    with (
        kju.launch(xvfb=True, name="far") as far,
        subprocess.Popen(
            [*command, "--listen", where], stdout=subprocess.PIPE, text=True
        ) as sender,
    ):
        assert sender.stdout is not None
        assert sender.stdout.readline()
        far.screen.set_rate(0)

        def rates() -> list[float]:
            clients = far.info()["clients"]
            return [
                view["rate"]
                for each in clients if each["name"] == "kju serve" for view in each["views"]
            ]  # fmt: skip

        try:
            (key,) = wall.follow(where, "far")
            wall.posts.until(lambda: wall.has_picture(key), "a picture")
            xservers.do(far.info()["xvfb"]["display"], "xsetroot", "-solid", "#406080")

            def is_blue() -> bool:
                shown = wall.tiles.tile(key).picture
                return shown is not None and shown.pixels[20, 20].tolist() == [
                    0x80,
                    0x60,
                    0x40,
                    255,
                ]

            wall.posts.until(is_blue, "the new picture")
            assert rates() == [RATE]
            assert wall.tiles.tile(key).picture.guest_size == (1280, 800)
            assert not wall.entries[key].warnings
            assert "away" in state_text(wall.entries[key], 0.0)
            view = RemoteView(frozenset([key]), size=SIZE)
            for changed, rate in (
                (view._replace(hovered=key), HOVER_RATE),
                (view._replace(active=False), INACTIVE_RATE),
                (view, RATE),
            ):
                wall.tiles.show(changed)
                wall.posts.until(lambda rate=rate: rates() == [rate], f"{rate} a second")
            # A larger tile gets another picture, and shows the last one until that arrives.
            assert max(wall.tiles.tile(key).picture.pixels.shape) <= max(SIZE)
            sender.send_signal(signal.SIGSTOP)
            wall.tiles.show(view._replace(size=(1000, 700)))
            later = time.monotonic() + 1
            wall.posts.until(lambda: time.monotonic() > later, "a slow sender")
            assert not any(wall.reasons)
            sender.send_signal(signal.SIGCONT)
            wall.posts.until(
                lambda: max(wall.tiles.tile(key).picture.pixels.shape) == 1000, "a larger picture"
            )
            assert not any(wall.reasons)
            wall.tiles.show(RemoteView())
            wall.posts.until(lambda: not rates(), "nothing looks at a tile out of view")
            assert is_blue()  # the last picture stays
        finally:
            sender.kill()


def test_sessions_are_bounded_and_end_out_of_view(
    wall: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SCREENS", 3)
    monkeypatch.setattr(remote_session, "LINGER", 0.2)
    names = [f"m{number}" for number in range(5)]
    sender = LyingSender(f"unix:{tmp_path}/net", dict.fromkeys(names, RIGHT))
    keys = wall.follow(f"unix:{tmp_path}/net", *names)
    wall.posts.until(lambda: sum(map(wall.has_picture, keys)) == 3, "three pictures")
    wall.posts.until(
        lambda: sum("others are shown" in note_text(wall.entries[key]) for key in keys) == 2,
        "two have a reason",
    )
    assert len(set(sender.hellos)) == 3
    wall.tiles.show(RemoteView())
    wall.posts.until(lambda: wall.tiles._budget.used == 0, "their memory is free")
    assert all(rates[-1] == 0 for rates in sender.rates.values())
    wall.tiles.show(RemoteView(frozenset(keys[3:]), size=SIZE))
    wall.posts.until(lambda: all(map(wall.has_picture, keys[3:])), "the others")
    sender.close()


def test_lying_senders_have_a_reason_on_their_tiles(app: App, tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/net"
    sender = LyingSender(where, {**LIES, "right": RIGHT})
    assert app.managing.remotes.add(RemoteAddress(where)) == ""
    keys = {name: MachineKey(where, f"lab/{name}") for name in (*LIES, "right")}
    wall = app.window.wall
    app.until(lambda: set(keys.values()) <= wall.visible_keys(), "all tiles are in view")
    app.until(lambda: app.pictures.picture(keys["right"]) is not None, "the right picture")

    def entry(name: str) -> MachineEntry:
        return app.machines.entries[keys[name]]

    # A session with events or modes alone is not wrong.
    for name in set(LIES) - {"events", "modes"}:
        app.until(lambda name=name: entry(name).warnings, f"a reason of {name}")
        assert note_text(entry(name)).startswith("no live picture: ")
        for text in (note_text(entry(name)), *tooltip_lines(entry(name), 0)):
            assert text.isprintable()
            assert "\u202e" not in text
    assert "too large" in note_text(entry("large"))
    assert "zenoh:" not in note_text(entry("refuses"))
    assert not entry("right").warnings
    assert not app.window.grab().isNull()
    assert app.pictures.remote._budget.used <= MAX_MEMORY // 8
    sender.close()
    app.until(lambda: entry("right").state is MachineState.UNREACHABLE, "the sender has vanished")
    assert entry("right").reason
    assert "next try" in state_text(entry("right"), 0)
    assert app.pictures.picture(keys["right"]) is not None  # the last one stays


def test_a_mirror_of_a_lying_sender_stays_up(runtime_folder: Path, tmp_path: Path) -> None:
    """`kju view` of a remote machine looks at a mirror, a host of its own."""
    where = f"unix:{tmp_path}/net"
    script = [*RIGHT, *LIES["events"][3:], LIES["reasons"][3], *LIES["modes"][9:]]
    sender = LyingSender(where, {"liar": script})
    mirror = kju.mirror("zenoh:lab/liar", connect=[where], role="view")
    sender.close()  # in the middle
    with mirror, kju.attach(mirror.name, role="view", rate=2) as view:
        until(lambda: not view.info()["mirror"]["up"], what="the mirror has lost its sender")
        until(lambda: view.screen.state[0] is State.UNAVAILABLE, what="its viewers see that")
        assert view.info()["mirror"]["reason"]
        pages = int(Path(f"/proc/{view.info()['host']['pid']}/statm").read_text().split()[1])
        assert pages * 4096 < 400 << 20


def test_a_session_that_fails_is_tried_ever_more_rarely(
    wall: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_session, "FIRST_PAUSE", 0.05)
    where = f"unix:{tmp_path}/net"
    sender = LyingSender(where, {"large": LIES["large"]})
    (key,) = wall.follow(where, "large")
    wall.posts.until(lambda: len(sender.hellos) >= 3, "attempts")
    wall.posts.until(lambda: "next try in 0.4 s" in note_text(wall.entries[key]), "longer pauses")
    assert wall.tiles._budget.used == 0
    sender.close()
