import numpy as np
import pytest
from support.watch_scene import Scene

from kju.errors import UsageError
from kju.surface import Mark
from kju.surface.geometry import Rect
from kju.vision.looking import Look, Sleep
from kju.vision.pixels import Changed, Coloured, Holds, Still, colour_of

CURSOR = (64, 64, 9, 16)


def test_a_change_is_of_pixels_and_not_of_tiles():
    scene = Scene()
    region = Rect(0, 0, 16, 16)
    assert not scene.wait(Changed(), region)
    scene.draw((20, 20, 4, 4), 9)  # the same tile
    scene.watch.changed(scene.change())
    assert scene.step() == Look()
    assert not scene.check()
    scene.draw((10, 3, 2, 5), 9)
    assert scene.check()
    assert scene.watch.result.rects == [Rect(10, 3, 2, 5)]
    assert scene.watch.result.mark == scene.mark


def test_fourth_byte_is_ignored():
    scene = Scene()
    scene.wait(Changed())
    scene.draw((0, 0, 50, 50), (0, 0, 0, 255))
    assert not scene.check()


def test_change_that_was_undone_between_checks_does_not_count():
    scene = Scene()
    scene.wait(Changed())
    scene.draw((0, 0, 5, 5), 9)
    scene.draw((0, 0, 5, 5), 0)
    assert not scene.check()


def test_a_new_mode_is_a_change():
    scene = Scene()
    scene.wait(Changed())
    scene.set_mode(640, 400)
    assert scene.check()
    assert scene.watch.result.everything


def test_since_a_mark_tiles_count():
    scene = Scene()
    since = scene.mark
    scene.draw((70, 70, 2, 2), 0)
    assert scene.wait(Changed(since), since=since)
    assert scene.watch.result.rects == [Rect(64, 64, 32, 32)]
    assert not scene.wait(Changed(scene.mark), since=scene.mark)
    other = Mark(8, 1, 1)
    assert scene.wait(Changed(other), since=other)


def test_screen_is_still_a_time_after_its_last_change():
    scene = Scene()
    assert not scene.wait(Still(2))
    assert scene.step() == Sleep(2.0, scene.mark)
    scene.now += 1.5
    scene.draw((0, 0, 100, 10), 9)
    assert not scene.check()
    assert not scene.after(1.9)
    assert scene.after(0.1)


def test_damage_without_a_difference_does_not_disturb():
    scene = Scene()
    scene.wait(Still(2))
    scene.now += 1.9
    scene.draw((0, 0, 100, 10), 0)
    assert not scene.check()
    assert scene.after(0.1)


def test_blinking_cursor_is_ignored():
    scene = Scene()
    scene.wait(Still(2))
    for i in range(3):
        scene.draw(CURSOR, 200 * (i % 2 == 0))
        assert not scene.after(0.5)
    scene.draw(CURSOR, 0)
    assert scene.after(0.5), "still all along: the first blink is taken back"


def test_first_blink_counts_as_a_change():
    scene = Scene()
    scene.wait(Still(1))
    scene.now += 0.9
    scene.draw(CURSOR, 200)
    assert not scene.check()
    assert not scene.after(0.9)
    assert scene.after(0.1)


def test_spinner_is_a_change():
    """A spinner: one place, more than two pictures."""
    scene = Scene()
    scene.wait(Still(1))
    for i in range(1, 12):
        scene.draw(CURSOR, 50 + i % 4)
        assert not scene.after(0.3)


def test_large_blinking_area_is_a_change():
    scene = Scene()
    scene.wait(Still(1))
    for i in range(8):
        scene.draw((60, 60, 80, 16), 200 * (i % 2))
        assert not scene.after(0.3)


def test_typing_moves_the_cursor_and_counts():
    scene = Scene()
    scene.wait(Still(1.4))
    scene.draw(CURSOR, 200)
    scene.after(0.5)
    scene.draw(CURSOR, 0)
    scene.after(0.5)
    scene.draw((64, 64, 18, 16), 77)  # a letter, and the cursor behind it
    typed = scene.now
    assert not scene.after(0.0)
    for i in range(3):
        scene.draw((82, 64, 9, 16), 200 * (i % 2 == 0))
        assert not scene.after(0.4), i
    assert scene.after(typed + 1.4 - scene.now)


def test_a_change_elsewhere_counts_while_the_cursor_blinks():
    scene = Scene()
    scene.wait(Still(1))
    scene.draw(CURSOR, 200)
    scene.after(0.3)
    scene.draw(CURSOR, 0)
    scene.after(0.3)
    scene.draw(CURSOR, 200)
    scene.draw((0, 0, 200, 10), 9)
    assert not scene.after(0.3)
    assert not scene.after(0.9)
    assert scene.after(0.1)


def test_ignored_areas_may_change():
    scene = Scene()
    scene.wait(Still(1, [Rect(100, 100, 60, 20)]))
    for i in range(3):
        scene.draw((100, 100, 60, 20), i)
        assert not scene.after(0.3)
    scene.draw((100, 100, 61, 20), 99)
    assert not scene.after(0.1)
    assert scene.watch.timed_out(scene.now).ignored == (Rect(100, 100, 60, 20),)
    assert scene.watch.timed_out(scene.now).best.places == (Rect(160, 100, 1, 20),)


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [("#102030", (16, 32, 48)), ("red", (255, 0, 0)), ((1, 2, 3), (1, 2, 3))],
)
def test_colours_are_parsed(colour, rgb):
    assert colour_of(colour) == rgb


@pytest.mark.parametrize("colour", ["reddish", "", (1, 2), (1, 2, 256)])
def test_invalid_colours_are_errors(colour):
    with pytest.raises(UsageError, match="colour"):
        colour_of(colour)


@pytest.mark.parametrize("how", [{"share": 0}, {"share": 1.1}, {"tolerance": -1}])
def test_invalid_numbers_are_errors(how):
    with pytest.raises(UsageError):
        Coloured("red", **how)


def test_a_share_of_the_pixels_has_a_colour():
    scene = Scene()
    region = Rect(0, 0, 10, 10)
    assert not scene.wait(Coloured("#0000ff", 0.5), region)
    scene.draw((0, 0, 10, 4), (255, 0, 0, 0))
    assert not scene.check()
    assert scene.watch.timed_out(scene.now).best.score == 0.4
    scene.draw((0, 4, 10, 1), (250, 0, 5, 0))
    assert not scene.check()
    assert scene.wait(Coloured("#0000ff", 0.5, 5), region)
    assert scene.watch.result.shape == (10, 10, 4)


def test_a_predicate_sees_the_region_and_its_answer_is_the_result():
    scene = Scene()
    shapes = []

    def bright(pixels):
        shapes.append(pixels.shape)
        return int(pixels.max())

    assert not scene.wait(Holds(bright), Rect(0, 0, 30, 20))
    assert "bright" in str(scene.watch.timed_out(scene.now))
    scene.draw((0, 0, 5, 5), 42)
    assert scene.check()
    assert scene.watch.result == 42
    assert shapes == [(20, 30, 4)] * 2


def test_surface_with_one_byte_a_pixel_works():
    scene = Scene()
    scene.pixels = np.zeros((200, 320), np.uint8)
    assert not scene.wait(Coloured("white"))
    scene.draw((0, 0, 320, 200), 255)
    assert scene.check()
