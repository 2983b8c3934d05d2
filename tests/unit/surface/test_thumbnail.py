"""Thumbnails against exact sums in NumPy: every factor, every part, hostile arguments."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kju.errors import GeometryError, UnavailableError
from kju.surface import Mode, surface_size
from kju.surface._core import thumbnail
from kju.surface.consumer import Consumer
from kju.surface.formats import R8
from kju.surface.geometry import Rect
from kju.surface.producer import Producer
from kju.surface.thumbnail import copy_thumbnail, fitting, parts_of, shrink, shrink_into


def weights(size: int, to: int) -> np.ndarray:
    """Return how many units of each pixel, ``(to, size)``, a pixel of the thumbnail covers."""
    at, into = np.arange(size), np.arange(to)[:, None]
    begin = np.maximum(at * to, into * size)
    end = np.minimum((at + 1) * to, (into + 1) * size)
    return np.maximum(end - begin, 0).astype(float)


def expected(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the thumbnail, halves rounded up: doubles are exact to 2**53, the sums are below."""
    rows, columns = weights(pixels.shape[0], height), weights(pixels.shape[1], width)
    sums = np.tensordot(rows, pixels.astype(float), (1, 0))
    sums = np.moveaxis(np.tensordot(columns, sums, (1, 1)), 0, 1).astype(np.int64)
    area = pixels.shape[0] * pixels.shape[1]
    out = ((2 * sums + area) // (2 * area)).astype(np.uint8)
    if pixels.ndim == 3:
        out[..., 3] = 255
    return out


def noise(width: int, height: int, channels: int = 4, seed: int = 1) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


sides = st.integers(1, 97)


@settings(max_examples=100, deadline=None)
@given(sides, sides, st.data(), st.sampled_from([1, 4]))
def test_each_pixel_is_the_rounded_average(
    width: int, height: int, data: st.DataObject, channels: int
) -> None:
    to = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    pixels = noise(width, height, channels, seed=width * 100 + height)
    assert np.array_equal(shrink(pixels, *to), expected(pixels, *to))


@pytest.mark.parametrize(
    ("size", "to"),
    [
        ((1280, 800), (320, 200)),  # a whole factor
        ((1024, 768), (267, 200)),
        ((720, 400), (320, 178)),
        ((1366, 768), (320, 180)),
        ((1277, 1021), (317, 199)),  # primes: every pixel is shared
        ((300, 1200), (300, 3)),  # 400 rows: their sums need more than 16 bits
        ((4099, 2053), (2, 1)),  # more units than a division by multiplication takes
    ],
)
@pytest.mark.parametrize("channels", [1, 4])
def test_sizes_of_screens(size: tuple[int, int], to: tuple[int, int], channels: int) -> None:
    pixels = noise(*size, channels)
    assert np.array_equal(shrink(pixels, *to), expected(pixels, *to))


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_one_colour_stays_exactly_that_colour(value: int) -> None:
    pixels = np.full((203, 311, 4), value, np.uint8)
    for to in ((1, 1), (310, 202), (311, 203), (77, 51)):
        assert (shrink(pixels, *to)[..., :3] == value).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(40, 97), st.integers(40, 97), st.data())
def test_a_part_has_the_pixels_of_the_whole(width: int, height: int, data: st.DataObject) -> None:
    to_width, to_height = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    x, y = data.draw(st.integers(0, to_width)), data.draw(st.integers(0, to_height))
    part = Rect(
        x, y, data.draw(st.integers(0, to_width - x)), data.draw(st.integers(0, to_height - y))
    )
    pixels = noise(width, height)
    whole = shrink(pixels, to_width, to_height)
    out = np.full_like(whole, 7)
    shrink_into(out, pixels, part)
    inside = np.zeros(whole.shape[:2], bool)
    inside[part.y : part.bottom, part.x : part.right] = True
    assert np.array_equal(out[inside], whole[inside])
    assert (out[~inside] == 7).all()


def test_padded_rows_are_skipped() -> None:
    memory = noise(100, 60)
    pixels = memory[:, 10:90]
    assert np.array_equal(shrink(pixels, 20, 15), expected(pixels, 20, 15))


def picture(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("pixels", "out", "part"),
    [
        (picture(10, 10, 4), picture(11, 10, 4), (0, 0, 10, 11)),  # larger
        (picture(10, 10, 4), picture(10, 11, 4), (0, 0, 11, 10)),
        (picture(10, 10, 4), picture(5, 5), (0, 0, 5, 5)),  # another kind
        (picture(10, 10), picture(5, 5, 4), (0, 0, 5, 5)),
        (picture(10, 10, 3), picture(5, 5, 3), (0, 0, 5, 5)),  # three channels
        (picture(10, 10, 4), picture(5, 5, 4), (1, 0, 5, 5)),  # leaves it
        (picture(10, 10, 4), picture(5, 5, 4), (0, 1, 5, 5)),
        (picture(10, 10, 4), picture(5, 5, 4), (2**32 - 1, 0, 2, 1)),
        (picture(10, 10, 4), picture(0, 5, 4), (0, 0, 0, 0)),  # empty
        (picture(0, 10, 4), picture(0, 10, 4), (0, 0, 0, 0)),
        (picture(10, 10, 4)[::-1], picture(5, 5, 4), (0, 0, 5, 5)),  # upside down
        (picture(10, 20, 4)[:, ::2], picture(5, 5, 4), (0, 0, 5, 5)),  # every second pixel
        (picture(10, 10, 4), picture(5, 6, 4)[:, :5], (0, 0, 5, 5)),  # a padded thumbnail
        (picture(400), picture(100), (0, 0, 5, 5)),
        (picture(10, 10, 4).astype(np.uint16), picture(5, 5, 4), (0, 0, 5, 5)),
        (picture(1, 70_000), picture(1, 10), (0, 0, 10, 1)),
    ],
)
def test_impossible_arguments_are_refused(
    pixels: np.ndarray, out: np.ndarray, part: tuple[int, int, int, int]
) -> None:
    before = out.copy()
    with pytest.raises(GeometryError):
        thumbnail(pixels, out, part)
    assert np.array_equal(out, before)


def test_read_only_thumbnail_is_refused() -> None:
    out = picture(5, 5, 4)
    out.flags.writeable = False
    with pytest.raises((BufferError, ValueError)):
        thumbnail(picture(10, 10, 4), out, (0, 0, 5, 5))


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((1280, 800), (320, 200)),
        ((1024, 768), (267, 200)),
        ((720, 400), (320, 178)),
        ((200, 100), (200, 100)),  # never enlarged
        ((320, 200), (320, 200)),
        ((65535, 1), (320, 1)),
        ((1, 65535), (1, 200)),
        ((600, 1000), (120, 200)),
    ],
)
def test_thumbnail_keeps_the_proportions(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitting(*size, 320, 200) == fitted


@pytest.mark.parametrize("size", [(0, 200), (320, 0), (-1, 5)])
def test_thumbnail_without_a_side_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(GeometryError):
        fitting(1280, 800, *size)
    with pytest.raises(GeometryError):
        shrink(picture(10, 10, 4), *size)


def test_many_parts_become_one() -> None:
    rects = [Rect(x * 32, y * 32, 16, 16) for x in range(12) for y in range(12)]
    assert parts_of(rects, Mode(640, 480, 2560, 0, 1), 320, 240) == [Rect(0, 0, 184, 184)]


class Scene:
    """A surface, its producer and what has been drawn."""

    def __init__(self, width: int = 333, height: int = 201, fourcc: int | None = None) -> None:
        self.memory = np.zeros(surface_size(1 << 20), np.uint8)
        self.producer = Producer.format(self.memory.data, 1 << 20, incarnation=7)
        self.consumer = Consumer(self.memory.data)
        self.drawn = noise(width, height, 1 if fourcc == R8 else 4)
        if fourcc is None:
            self.producer.set_mode(width, height, source=self.drawn)
        else:
            self.producer.set_mode(width, height, fourcc=fourcc, source=self.drawn)


def test_only_changed_parts_are_computed_again() -> None:
    scene = Scene()
    rng = np.random.default_rng(5)
    last = copy_thumbnail(scene.consumer, 100, 80, None, 1)
    for _ in range(30):
        x, y = int(rng.integers(0, 300)), int(rng.integers(0, 180))
        part = Rect(x, y, int(rng.integers(1, 333 - x)), int(rng.integers(1, 201 - y)))
        pixels = rng.integers(0, 256, (part.height, part.width, 4), np.uint8)
        scene.drawn[y : part.bottom, x : part.right] = pixels
        scene.producer.draw(part, pixels)
        before = last.pixels.copy()
        made = copy_thumbnail(scene.consumer, 100, 80, last, 1)
        assert np.array_equal(made.pixels, expected(scene.drawn, *made.pixels.shape[1::-1]))
        assert np.array_equal(last.pixels, before)  # the old one never changes
        assert copy_thumbnail(scene.consumer, 100, 80, made, 1) is made
        last = made


def test_another_mode_or_size_gives_another_thumbnail() -> None:
    scene = Scene()
    first = copy_thumbnail(scene.consumer, 100, 80, None, 1)
    second = copy_thumbnail(scene.consumer, 50, 40, first, 1)
    assert second.pixels.shape == (30, 50, 4)
    scene.producer.set_mode(64, 48, source=noise(64, 48))
    third = copy_thumbnail(scene.consumer, 50, 40, second, 1)
    assert third.pixels.shape == (38, 50, 4)
    assert third.mode.epoch == 2
    assert not third.pixels.flags.writeable


def test_one_byte_surface_has_one_byte_thumbnails() -> None:
    scene = Scene(fourcc=R8)
    made = copy_thumbnail(scene.consumer, 100, 80, None, 1)
    assert np.array_equal(made.pixels, expected(scene.drawn, *made.pixels.shape[::-1]))


def test_surface_without_a_mode_has_no_thumbnail() -> None:
    memory = np.zeros(surface_size(1 << 16), np.uint8)
    Producer.format(memory.data, 1 << 16, incarnation=7)
    with pytest.raises(UnavailableError):
        copy_thumbnail(Consumer(memory.data), 100, 80, None, 1)


def test_thumbnail_ends_equal_while_the_mode_changes() -> None:
    scene, done = Scene(64, 48), threading.Event()

    def change() -> None:
        for number in range(300):
            size = (64, 48) if number % 2 else (200, 100)
            scene.producer.set_mode(*size, source=noise(*size, seed=number))
        done.set()

    thread = threading.Thread(target=change)
    thread.start()
    last = None
    while not done.is_set():
        last = copy_thumbnail(scene.consumer, 30, 30, last, 10_000)
    thread.join()
    last = copy_thumbnail(scene.consumer, 30, 30, last, 1)
    drawn = noise(64, 48, seed=299)
    assert np.array_equal(last.pixels, expected(drawn, *last.pixels.shape[1::-1]))
