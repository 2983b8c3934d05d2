"""Waits for pixels, images and texts: both halves of the API, every kind of memory."""

import asyncio
import os
import re
import threading

import numpy as np
import pytest
from PIL import Image
from support.console_text import console

from kju.client.aio.surface import Surface as AsyncSurface
from kju.errors import ClosedError, GeometryError, ProducerGoneError, UsageError
from kju.memory import SurfaceProducer
from kju.surface import State
from kju.surface.geometry import Rect
from kju.vision import Needle, ScreenTimeoutError

SIZE = (128, 96)
PATIENCE = 30.0


@pytest.fixture(autouse=True)
def shown(producer):
    producer.set_mode(*SIZE)
    return producer


def fill(producer, rect, colour):
    place = Rect(*rect)
    producer.draw(place, np.full((place.height, place.width, 4), colour, np.uint8))


class Later:
    """A predicate that draws at its first call, so after its frame was taken."""

    def __init__(self, act, when=lambda pixels: False):
        self.act, self.when, self.looks = act, when, 0

    def __call__(self, pixels):
        self.looks += 1
        if self.looks == 1:
            self.act()
        return self.when(pixels)


def test_condition_that_is_true_already_returns_at_once(api, surface, producer):
    fill(producer, (10, 10, 8, 8), (0, 0, 255, 0))
    frame = api.call(surface.wait_colour("red", (10, 10, 8, 8), timeout=PATIENCE))
    assert (frame == (255, 0, 0)).all() and frame.shape == (8, 8, 3)
    assert frame.version == producer.version
    assert frame.consistent


@pytest.mark.parametrize("pixels", ["rgb", "rgba", "bgrx", "grey"])
def test_predicate_gets_the_pixel_order_of_its_call(api, surface, producer, pixels):
    fill(producer, (0, 0, 128, 96), (10, 20, 30, 0))
    wanted = surface._copy_frame((4, 4, 8, 8), pixels=pixels)
    same = lambda part: part.shape == wanted.shape and (part == wanted).all()  # noqa: E731
    assert api.call(surface.wait_for(same, (4, 4, 8, 8), timeout=PATIENCE, pixels=pixels))


def test_damage_during_a_check_causes_one_more(api, surface, producer):
    later = Later(lambda: fill(producer, (0, 0, 9, 9), 200), lambda pixels: int(pixels.max()))
    assert api.call(surface.wait_for(later, timeout=PATIENCE)) == 200
    assert later.looks == 2


def test_many_changes_during_a_check_cause_one_more(api, surface, producer):
    def draw():
        for value in range(1, 50):
            fill(producer, (value, value, 9, 9), value)

    later = Later(draw, lambda pixels: pixels[49, 49, 0] == 49)
    assert api.call(surface.wait_for(later, timeout=PATIENCE))
    assert later.looks == 2


def test_damage_outside_the_area_causes_no_check(api, surface, producer):
    later = Later(lambda: fill(producer, (100, 80, 9, 9), 200))
    with pytest.raises(ScreenTimeoutError) as caught:
        api.call(surface.wait_for(later, (0, 0, 20, 20), timeout=0.2))
    assert (later.looks, caught.value.looks) == (1, 1)


def test_new_mode_is_checked(api, surface, producer):
    later = Later(lambda: producer.set_mode(64, 48), lambda pixels: pixels.shape[:2] == (48, 64))
    assert api.call(surface.wait_for(later, timeout=PATIENCE))


def test_change_of_an_area_ends_the_wait(api, surface, producer):
    mark = surface.mark
    with pytest.raises(ScreenTimeoutError, match="no pixel of it changed"):
        api.call(surface.wait_change(timeout=0.05))
    fill(producer, (40, 40, 3, 2), 9)
    change = api.call(surface.wait_change((32, 32, 40, 40), timeout=PATIENCE, since=mark))
    assert change.rects == [Rect(32, 32, 32, 32)]
    thread = threading.Thread(target=lambda: blink_until(stop, producer))
    stop = threading.Event()
    thread.start()
    try:
        change = api.call(surface.wait_change(timeout=PATIENCE))
    finally:
        stop.set()
        thread.join()
    assert change.rects == [Rect(50, 50, 4, 4)]
    assert not change.everything


def blink_until(stop, producer):
    value = 0
    while not stop.wait(0.005):
        value ^= 255
        fill(producer, (50, 50, 4, 4), value)


def test_screen_with_an_ignored_cursor_is_stable(api, surface, producer):
    stop = threading.Event()
    thread = threading.Thread(target=blink_until, args=(stop, producer))
    thread.start()
    try:
        frame = api.call(surface.wait_stable(0.2, timeout=PATIENCE))
    finally:
        stop.set()
        thread.join()
    assert frame.shape == (96, 128, 3)


def test_moving_screen_is_not_stable(api, surface, producer):
    stop = threading.Event()

    def move():
        place = 0
        while not stop.wait(0.005):
            place = (place + 7) % 80
            fill(producer, (place, 50, 40, 4), place)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        with pytest.raises(ScreenTimeoutError, match="what moved last is"):
            api.call(surface.wait_stable(0.4, timeout=0.6))
        api.call(surface.wait_stable(0.1, timeout=PATIENCE, ignore=[(0, 50, 128, 4)]))
    finally:
        stop.set()
        thread.join()


def test_image_is_found_at_any_place(api, surface, producer, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (10, 12, 4), np.uint8)
    path = tmp_path / "it.png"
    Needle.of(picture, click=(1, 2)).save(path)
    assert api.call(surface.find_image(path)) is None
    with pytest.raises(ScreenTimeoutError) as caught:
        api.call(surface.wait_image(path, timeout=0.05))
    assert caught.value.best.score < 0.95
    producer.draw(Rect(70, 33, 12, 10), picture)
    match = api.call(surface.wait_image([np.flipud(picture), str(path)], timeout=PATIENCE))
    assert (match.number, match.rect, match.click) == (1, Rect(70, 33, 12, 10), (71, 35))
    assert api.call(surface.find_image(path)).rect == match.rect
    assert api.call(surface.find_image(path, (0, 0, 60, 60))) is None


def test_text_of_a_console_is_found(api, surface, producer):
    producer.draw(Rect(0, 0, *SIZE), console(["", "", "  login:"], columns=16, rows=6))
    match = api.call(surface.wait_text("login:", timeout=PATIENCE))
    assert match.rect == Rect(16, 32, 48, 16)
    assert str(api.call(surface.read_text())) == "login:"
    assert api.call(surface.wait_text(re.compile("^log(in)"), timeout=PATIENCE)).groups == ("in",)
    with pytest.raises(ScreenTimeoutError, match=r"text on the screen \(glyphs\): login:"):
        api.call(surface.wait_text("password", timeout=0.05))


def test_wait_continues_after_an_unavailable_picture(api, surface, producer):
    producer.set_state(State.UNAVAILABLE, "the display is off")
    with pytest.raises(ScreenTimeoutError, match="the display is off") as caught:
        api.call(surface.wait_stable(0, timeout=0.05))
    assert caught.value.frame is None
    thread = threading.Timer(0.05, producer.set_state, (State.LIVE,))
    thread.start()
    assert api.call(surface.wait_stable(0, timeout=PATIENCE)).shape == (96, 128, 3)
    thread.join()


def test_wait_for_an_area_ends_once_the_mode_has_it(api, surface, producer):
    region = (100, 80, 60, 40)
    with pytest.raises(ScreenTimeoutError, match="128x96 and has no such region"):
        api.call(surface.wait_stable(0, region, timeout=0.05))
    thread = threading.Timer(0.05, producer.set_mode, (120, 100))
    thread.start()
    frame = api.call(surface.wait_stable(0, (100, 80, 20, 20), timeout=PATIENCE))
    assert frame.shape == (20, 20, 3)
    thread.join()


def test_end_of_the_producer_ends_the_wait(api, surface, producer):
    later = Later(producer.close)
    with pytest.raises(ProducerGoneError):
        api.call(surface.wait_for(later, timeout=PATIENCE))


def test_invalid_condition_is_an_error_at_once(api, surface, producer):
    with pytest.raises(UsageError):
        api.call(surface.wait_colour("nothing", timeout=PATIENCE))
    with pytest.raises(UsageError):
        api.call(surface.wait_stable(-1, timeout=PATIENCE))
    with pytest.raises(UsageError):
        api.call(surface.wait_change((0, 0, 0, 0), timeout=PATIENCE))
    with pytest.raises(OSError):
        api.call(surface.wait_image("/nowhere/needle.png", timeout=PATIENCE))
    with pytest.raises(GeometryError):
        api.call(surface.read_text((120, 90, 60, 60)))
    surface.close()
    with pytest.raises(ClosedError):
        api.call(surface.wait_change(timeout=PATIENCE))


def test_error_saves_a_picture(api, surface, producer, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (10, 12, 4), np.uint8)
    with pytest.raises(ScreenTimeoutError) as caught:
        api.call(surface.wait_image(picture, (5, 5, 60, 60), timeout=0.05))
    path = tmp_path / "error.png"
    caught.value.save(path)
    with Image.open(path) as image:
        shown = np.asarray(image.convert("RGB"))
    for colour in ((255, 200, 0), (255, 60, 60)):
        assert (shown == colour).all(-1).sum() > 20, "the area and the best match are framed"
    needle = picture[..., 2::-1]
    assert any(
        (shown[y : y + 10, x : x + 12] == needle).all()
        for y, x in np.argwhere((shown[:-10, :-12] == needle[0, 0]).all(-1))
    ), "the needle is beside the screen"


async def test_event_loop_runs_during_a_slow_condition():
    with SurfaceProducer.create("memfd:waits", capacity=1 << 16) as producer:
        producer.set_mode(64, 48)
        looking, turned = threading.Event(), threading.Event()

        def slow(pixels):
            looking.set()
            return turned.wait(10)

        async with AsyncSurface.from_fd(os.dup(producer.memory.fileno())) as surface:
            wait = asyncio.ensure_future(surface.wait_for(slow, timeout=PATIENCE))
            while not looking.is_set():
                await asyncio.sleep(0)
            turned.set()
            assert await wait

            never = asyncio.ensure_future(surface.wait_for(lambda pixels: 0, timeout=None))
            await asyncio.sleep(0)
            never.cancel()
            with pytest.raises(asyncio.CancelledError):
                await never
