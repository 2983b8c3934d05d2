"""The smaller picture of a screen: its pixels, its size and its state."""

from __future__ import annotations

import numpy as np
import pytest
from support.wire_scene import surface

from kju.surface import State
from kju.surface.consumer import Consumer
from kju.surface.formats import R8
from kju.surface.producer import Producer
from kju.surface.thumbnail import fitting, shrink
from kju.wire.reduced_picture import SIDES, ReducedPicture, reduced_side

SIDE = 160


@pytest.fixture
def screen() -> Producer:
    return surface()


@pytest.fixture
def picture(screen: Producer) -> ReducedPicture:
    return ReducedPicture(Consumer(screen.memory), SIDE)  # type: ignore[attr-defined]


def shows(picture: ReducedPicture, screen: Producer) -> bool:
    """Return whether the picture is the screen, made smaller."""
    height, width = screen.pixels.shape[:2]
    expected = shrink(np.array(screen.pixels), *fitting(width, height, SIDE, SIDE))
    found = picture.consumer.view(picture.consumer.mode)
    return found.shape == expected.shape and np.array_equal(found[..., :3], expected[..., :3])


@pytest.mark.parametrize(
    ("max_side", "side"), [(0, 0), (1, 160), (160, 160), (161, 240), (960, 960), (961, 0)]
)
def test_side_is_the_next_one_or_that_of_the_screen(max_side: int, side: int) -> None:
    assert reduced_side(max_side) == side
    assert side == 0 or side in SIDES


def test_picture_follows_changes_and_publishes_only_those(
    screen: Producer, picture: ReducedPicture
) -> None:
    rng = np.random.default_rng(1)
    screen.set_mode(320, 240, source=rng.integers(0, 256, (240, 320, 4), np.uint8))
    picture.update(True)
    assert shows(picture, screen)
    for _ in range(20):
        before = picture.consumer.reader.version
        picture.update(True)
        assert picture.consumer.reader.version == before
        screen.begin()
        screen.pixels[10:40, 100:130] = rng.integers(0, 256, (30, 30, 4))
        screen.publish([(100, 10, 30, 30)])
        picture.update(True)
        assert shows(picture, screen)
        changed = picture.consumer.tile_versions() > before
        assert 0 < changed.sum() < changed.size


@pytest.mark.parametrize(("width", "height"), [(320, 240), (100, 300), (40, 20), (1, 1)])
def test_picture_follows_modes(
    screen: Producer, picture: ReducedPicture, width: int, height: int
) -> None:
    screen.set_mode(200, 100)
    picture.update(True)
    rng = np.random.default_rng(2)
    screen.set_mode(width, height, source=rng.integers(0, 256, (height, width, 4), np.uint8))
    picture.update(True)
    assert shows(picture, screen)
    assert picture.screen_size() == (width, height)


def test_a_mode_of_the_same_shape_begins_another_epoch(
    screen: Producer, picture: ReducedPicture
) -> None:
    screen.set_mode(320, 240)
    picture.update(True)
    epoch = picture.consumer.mode.epoch
    screen.set_mode(160, 120)
    picture.update(True)
    # Its viewers get the size of the screen with it.
    assert picture.consumer.mode.epoch > epoch
    assert picture.consumer.mode[:2] == (160, 120)


def test_grey_screen_has_a_grey_picture(screen: Producer, picture: ReducedPicture) -> None:
    rng = np.random.default_rng(3)
    screen.set_mode(320, 240, fourcc=R8, source=rng.integers(0, 256, (240, 320), np.uint8))
    picture.update(True)
    assert picture.consumer.mode.fourcc == R8
    assert shows(picture, screen)


def test_state_is_taken_without_pixels(screen: Producer, picture: ReducedPicture) -> None:
    picture.update(True)
    assert picture.screen_size() == (0, 0)  # nothing was drawn yet
    screen.set_mode(320, 240)
    screen.set_state(State.PAUSED, "a breakpoint")
    picture.update(False)
    assert picture.consumer.state == (State.PAUSED, "a breakpoint")
    assert picture.consumer.mode.epoch == 0
