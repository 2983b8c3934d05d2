"""Tiles of machines behind real control sockets: pictures, rates, ends, and saved pictures."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fake_host import FakeHost, fake_host
from support.wait import until

from kju.desktop.wall import tile_follower
from kju.desktop.wall import tiles as module
from kju.desktop.wall.tiles import HOVER_RATE, INACTIVE_RATE, RATE, Tile, Tiles, TileState, WallView
from kju.memory import SurfaceProducer
from kju.store import defining, last_pictures
from kju.store.machine_toml import Definition
from kju.surface import State

SIZE = (32, 24)


def noise(width: int, height: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


class Wall:
    """Tiles, and the names that were reported."""

    def __init__(self) -> None:
        self.reports: list[frozenset[str]] = []
        self.tiles = Tiles(self.reports.append, SIZE)

    def tile(self, name: str = "fake") -> Tile:
        return self.tiles.tile(name)

    def becomes(self, state: TileState, name: str = "fake") -> Tile:
        until(lambda: self.tile(name).state is state, f"{name} is {state.value}")
        return self.tile(name)

    def version(self, name: str = "fake") -> int:
        picture = self.tile(name).picture
        return picture.version if picture else 0


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[FakeHost]:
    with fake_host() as made:
        yield made


@pytest.fixture
def wall(runtime_folder: Path) -> Iterator[Wall]:
    made = Wall()
    yield made
    made.tiles.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name == "kju-tiles"]


@pytest.fixture
def shown(host: FakeHost, wall: Wall) -> Wall:
    """A wall with one visible machine."""
    wall.tiles.set_machines({"fake": True})
    wall.tiles.set_visible(["fake"])
    wall.becomes(TileState.LIVE)
    return wall


@pytest.mark.parametrize(
    ("change", "rate"),
    [
        ({}, RATE),
        ({"hovered": "a"}, HOVER_RATE),
        ({"hovered": "b"}, RATE),
        ({"active": False}, INACTIVE_RATE),
        ({"active": False, "hovered": "a"}, INACTIVE_RATE),
        ({"visible": frozenset("b")}, 0),
        ({"visible": frozenset("b"), "hovered": "a"}, 0),
        ({"machines": {"a": False}}, 0),
        ({"machines": {}}, 0),
    ],
)
def test_rate_follows_what_is_visible(change: dict[str, object], rate: float) -> None:
    view = WallView({"a": True}, frozenset("ab"))
    assert view._replace(**change).rate("a") == rate  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "still", "rate"),
    [
        (RATE, 0, RATE),
        (RATE, 4.9, RATE),
        (RATE, 5, 1),
        (RATE, 30, 0.5),
        (RATE, 9999, 0.5),
        (INACTIVE_RATE, 30, INACTIVE_RATE),
        (HOVER_RATE, 9999, HOVER_RATE),
    ],
)
def test_still_machine_is_looked_at_less_often(wanted: float, still: float, rate: float) -> None:
    assert tile_follower.rate_after(wanted, still) == rate


def test_change_of_a_still_machine_raises_its_rate(
    host: FakeHost, shown: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_follower, "STILL_RATES", ((0.0, 1.0),))
    until(lambda: host.machine.rates == [RATE, 1.0], what="it is still")
    monkeypatch.undo()
    host.machine.producer.draw((0, 0, 64, 48), noise(64, 48))
    until(lambda: host.machine.rates == [RATE, 1.0, RATE], what="it has changed")


def test_tile_shows_the_thumbnail_of_the_screen(host: FakeHost, shown: Wall) -> None:
    drawn = np.full((48, 64, 4), 200, np.uint8)
    host.machine.producer.draw((0, 0, 64, 48), drawn)
    until(lambda: bool((shown.tile().picture.pixels == 255)[..., 3].all()))
    until(lambda: bool((shown.tile().picture.pixels[..., :3] == 200).all()), "the picture")
    picture = shown.tile().picture
    assert picture is not None
    assert picture.pixels.shape == (24, 32, 4)
    assert picture.guest_size == (64, 48)
    assert not picture.pixels.flags.writeable
    assert picture.pixels.flags.c_contiguous
    assert frozenset(["fake"]) in shown.reports


def test_nothing_is_reported_while_nothing_changes(host: FakeHost, shown: Wall) -> None:
    until(lambda: shown.reports, what="the first report")
    reports, version = len(shown.reports), shown.version()
    shown.tiles.set_hovered("fake")
    until(lambda: host.machine.rates[-1] == HOVER_RATE, "the rate")
    host.machine.producer.draw((0, 0, 64, 48), noise(64, 48))
    until(lambda: len(shown.reports) > reports, what="the report")
    assert shown.reports[reports:] == [{"fake"}]
    assert shown.version() == version + 1


def test_picture_of_a_moment_never_changes(host: FakeHost, shown: Wall) -> None:
    picture = shown.tile().picture
    assert picture is not None
    before, version = picture.pixels.copy(), shown.version()
    host.machine.producer.draw((0, 0, 9, 9), noise(9, 9))
    until(lambda: shown.version() > version, "the change")
    assert np.array_equal(picture.pixels, before)


def test_rates_are_stated_to_the_host(host: FakeHost, shown: Wall) -> None:
    assert host.machine.rates == [RATE]
    tiles = shown.tiles
    for change, rate in (
        (lambda: tiles.set_hovered("fake"), HOVER_RATE),
        (lambda: tiles.set_active(False), INACTIVE_RATE),
        (lambda: tiles.set_visible([]), 0),
        (lambda: tiles.set_active(True), None),
        (lambda: tiles.set_visible(["fake"]), HOVER_RATE),
        (lambda: tiles.set_hovered(None), RATE),
    ):
        change()
        if rate is not None:
            until(lambda rate=rate: host.machine.rates[-1] == rate, f"the rate {rate}")
    assert host.machine.rates == [RATE, HOVER_RATE, INACTIVE_RATE, 0, HOVER_RATE, RATE]


def test_machine_that_is_not_visible_is_not_attached(host: FakeHost, wall: Wall) -> None:
    wall.tiles.set_machines({"fake": True})
    until(lambda: wall.reports, "the tile")
    assert wall.tile() == Tile("fake")
    assert host.machine.rates == []
    wall.tiles.set_visible(["fake"])
    wall.becomes(TileState.LIVE)


def test_paused_machine_and_screen_without_a_picture(host: FakeHost, shown: Wall) -> None:
    producer, version = host.machine.producer, shown.version()
    producer.set_state(State.PAUSED)
    shown.becomes(TileState.PAUSED)
    producer.set_state(State.UNAVAILABLE, "the display is off")
    assert shown.becomes(TileState.NO_PICTURE).reason == "the display is off"
    assert shown.version() == version  # the last picture stays
    producer.set_state(State.LIVE)
    assert shown.becomes(TileState.LIVE).reason == ""


def test_another_mode_and_another_size(host: FakeHost, shown: Wall) -> None:
    host.machine.producer.set_mode(100, 20, source=noise(100, 20))
    until(lambda: shown.tile().picture.guest_size == (100, 20), "the mode")
    assert shown.tile().picture.pixels.shape == (6, 32, 4)
    shown.tiles.set_size(50, 50)
    until(lambda: shown.tile().picture.pixels.shape == (10, 50, 4), "the size")


def test_larger_surface_is_followed(host: FakeHost, shown: Wall) -> None:
    old = host.machine.producer
    host.machine.producer = larger = SurfaceProducer.create("memfd:larger", capacity=1 << 22)
    larger.set_mode(640, 480, source=noise(640, 480))
    old.set_state(State.SUPERSEDED)
    until(lambda: shown.tile().picture.guest_size == (640, 480), "the larger surface")
    shown.becomes(TileState.LIVE)


def test_machine_that_ends_keeps_its_last_picture(shown: Wall, runtime_folder: Path) -> None:
    picture = shown.tile().picture
    shown.tiles.set_machines({"fake": False})
    tile = shown.becomes(TileState.OFF)
    assert tile.picture is picture
    shown.tiles.set_machines({})
    until(lambda: shown.tile() == Tile("fake"), "the tile is dropped")


def test_pictures_of_ended_machines_are_freed_without_the_garbage_collector(
    host: FakeHost, shown: Wall
) -> None:
    picture = shown.tile().picture
    assert picture is not None
    pixels = weakref.ref(picture.pixels)
    del picture
    gc.disable()
    try:
        shown.tiles.set_machines({})
        until(lambda: pixels() is None, "the memory of the picture is free")
    finally:
        gc.enable()


def test_host_that_ends_and_starts_again(
    runtime_folder: Path, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_follower, "RETRY", 0.01)
    wall.tiles.set_visible(["fake"])
    with fake_host():
        wall.tiles.set_machines({"fake": True})
        wall.becomes(TileState.LIVE)
    tile = wall.becomes(TileState.OFF)
    assert tile.reason and tile.picture
    with fake_host():
        assert wall.becomes(TileState.LIVE).reason == ""


def test_pictures_survive_the_program(
    host: FakeHost, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defining.create("fake", Definition())
    pixels = noise(64, 48)
    host.machine.producer.draw((0, 0, 64, 48), pixels)
    first = Wall()
    first.tiles.set_machines({"fake": True})
    first.tiles.set_visible(["fake"])
    first.becomes(TileState.LIVE)
    first.tiles.close()
    first.tiles.close()
    first.tiles.set_machines({})  # closed: ignored
    with contextlib.closing(Wall().tiles) as tiles:
        tiles.set_machines({"fake": False})
        until(lambda: tiles.tile("fake").picture is not None, "the saved picture")
        assert tiles.tile("fake").state is TileState.OFF
        now, before = tiles.tile("fake").picture, first.tile().picture
        assert np.array_equal(now.pixels, before.pixels)


def test_picture_of_a_running_machine_is_saved_now_and_then(
    host: FakeHost, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_INTERVAL", 0.0)
    defining.create("fake", Definition())
    wall.tiles.set_visible(["fake"])
    wall.tiles.set_machines({"fake": True})
    wall.becomes(TileState.LIVE)
    until(lambda: last_pictures.load("fake") is not None, "the saved picture")


def test_picture_that_cannot_be_saved_does_no_harm(
    host: FakeHost, shown: Wall, runtime_folder: Path
) -> None:
    folder = defining.create("fake", Definition()).folder
    (folder / last_pictures.FILE).mkdir()
    shown.tiles.set_machines({"fake": False})
    shown.becomes(TileState.OFF)
    shown.tiles.set_machines({"fake": True})
    shown.becomes(TileState.LIVE)
    assert last_pictures.load("fake") is None
    assert (folder / last_pictures.FILE).is_dir()


def test_no_timer_runs_without_a_visible_machine(host: FakeHost, shown: Wall) -> None:
    looker = shown.tiles._looker
    assert looker._pause() == 1 / (module.LOOKS * RATE)
    shown.tiles.set_visible([])
    until(lambda: looker._pause() is None, "the rest")
