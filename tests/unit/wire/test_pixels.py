"""Differences, moves and blocks in C, and invalid blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kju.errors import FormatError
from kju.surface.geometry import Rect
from kju.wire import _wire

PIXELS = (1, 4)


def form(picture):
    height, width, pixel = picture.shape
    return width, height, width * pixel, pixel


def shown(picture):
    """Return the bytes without the X of each pixel."""
    return picture[..., :3]


def random_picture(rng, width, height, pixel, colours):
    """A picture of few colours, of many, or of noise."""
    table = rng.integers(0, 256, (colours, pixel), np.uint8)
    picture = table[rng.integers(0, colours, (height, width))]
    if colours > 200:
        picture = (np.indices((height, width)).sum(0)[..., None] * 3 + picture // 16).astype(
            np.uint8
        )
    return np.ascontiguousarray(picture)


pictures = st.builds(
    lambda seed, width, height, pixel, colours: (
        random_picture(np.random.default_rng(seed), width, height, pixel, colours),
        np.random.default_rng(seed + 1),
    ),
    st.integers(0, 1 << 30), st.integers(1, 90), st.integers(1, 70),
    st.sampled_from(PIXELS), st.sampled_from([1, 2, 3, 4, 5, 16, 17, 200, 256, 900]),
)  # fmt: skip


def random_rect(rng, width, height):
    x, y = int(rng.integers(width)), int(rng.integers(height))
    return Rect(x, y, int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1)))


@given(pictures)
@settings(max_examples=150, deadline=None)
def test_packing_is_reversible(made):
    picture, rng = made
    height, width, pixel = picture.shape
    rects = [random_rect(rng, width, height) for _ in range(3)]
    block = _wire.pack(picture, form(picture), rects)
    other = rng.integers(0, 256, picture.shape, np.uint8)
    expected = other.copy()
    for x, y, w, h in rects:
        expected[y : y + h, x : x + w] = picture[y : y + h, x : x + w]
    assert _wire.check(block, (width, height, pixel)) == rects
    _wire.unpack(block, other, form(other))
    assert np.array_equal(shown(other), shown(expected))


@given(pictures)
@settings(max_examples=150, deadline=None)
def test_all_that_differs_is_in_the_rectangles_and_their_edges_differ(made):
    picture, rng = made
    height, width, _ = picture.shape
    before = picture.copy()
    for _ in range(int(rng.integers(4))):
        x, y, w, h = random_rect(rng, width, height)
        picture[y : y + min(h, 9), x : x + min(w, 9)] = rng.integers(0, 256)
    found = _wire.trim(before, picture, form(picture), [Rect(0, 0, width, height)])
    differs = (shown(before) != shown(picture)).any(-1)
    covered = np.zeros_like(differs)
    for x, y, w, h in found:
        part = differs[y : y + h, x : x + w]
        assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
        covered[y : y + h, x : x + w] = True
    assert covered[differs].all()


@given(pictures)
@settings(max_examples=150, deadline=None)
def test_nothing_that_was_not_asked_for_is_found(made):
    """A difference outside the requested rectangles is not found."""
    picture, rng = made
    height, width, _ = picture.shape
    before = picture.copy()
    picture[...] = rng.integers(0, 2, picture.shape) * 255
    asked = np.zeros((height, width), bool)
    rects, y = [], 0
    while y < height:
        x, tall = int(rng.integers(width)), int(rng.integers(1, 17))
        rect = Rect(x, y, int(rng.integers(1, width - x + 1)), min(tall, height - y))
        rects.append(rect)
        asked[rect.y : rect.bottom, rect.x : rect.right] = True
        y += tall
    for x, y, w, h in _wire.trim(before, picture, form(picture), rects):
        assert asked[y : y + h, x : x + w].all()


def test_the_unused_byte_makes_no_difference():
    before = np.zeros((8, 8, 4), np.uint8)
    after = before.copy()
    after[..., 3] = 255
    assert _wire.trim(before, after, form(after), [(0, 0, 8, 8)]) == []


@pytest.mark.parametrize(("dx", "dy"), [(0, 16), (0, -16), (16, 0), (-7, 5), (40, -33)])
def test_a_picture_that_moves_is_found(dx, dy):
    rng = np.random.default_rng(5)
    before = np.full((300, 400, 4), 90, np.uint8)
    window = rng.integers(0, 2, (120, 160, 1), np.uint8).repeat(4, 2) * 200
    before[100:220, 100:260] = window
    after = np.full_like(before, 90)
    after[100 + dy : 220 + dy, 100 + dx : 260 + dx] = window
    x, y = min(100, 100 + dx), min(100, 100 + dy)
    rect = Rect(x, y, 160 + abs(dx), 120 + abs(dy))
    to, from_x, from_y = _wire.find_move(before, after, form(after), rect)
    assert (from_x - to[0], from_y - to[1]) == (-dx, -dy)
    assert to[2] * to[3] >= 160 * 120
    _wire.move(before, form(before), to, from_x, from_y)
    left = _wire.trim(before, after, form(after), [rect])
    assert sum(w * h for _, _, w, h in left) <= rect.width * rect.height - 160 * 120


@pytest.mark.parametrize("dy", [16, -16, 1, -1])
def test_a_picture_that_moves_as_a_whole_is_found_to_its_edges(dy):
    rng = np.random.default_rng(8)
    strip = rng.integers(0, 2, (300, 200, 1), np.uint8).repeat(4, 2) * 200
    before, after = strip[50:250].copy(), strip[50 - dy : 250 - dy].copy()
    to, from_x, from_y = _wire.find_move(before, after, form(after), (0, 0, 200, 200))
    assert (to[0], to[2], to[3]) == (0, 200, 200 - abs(dy))
    assert (from_x - to[0], from_y - to[1]) == (0, -dy)


def test_a_move_is_an_item():
    rng = np.random.default_rng(6)
    picture = rng.integers(0, 256, (40, 60, 4), np.uint8)
    block = _wire.pack_move((10, 3, 30, 20), 5, 8)
    expected = picture.copy()
    expected[3:23, 10:40] = picture[8:28, 5:35]
    _wire.unpack(block, picture, form(picture))
    assert np.array_equal(shown(picture), shown(expected))
    assert _wire.check(block, (60, 40, 4)) == [(10, 3, 30, 20)]


def test_rectangles_share_the_table_of_their_block():
    rng = np.random.default_rng(8)
    colours = rng.integers(0, 256, (200, 4), np.uint8)
    picture = colours[rng.integers(0, 200, (40, 120))]
    one = _wire.pack(picture, form(picture), [(0, 0, 60, 40)])
    two = _wire.pack(picture, form(picture), [(0, 0, 60, 40), (60, 0, 60, 40)])
    assert len(two) - len(one) < 60 * 40 + 20
    other = np.zeros_like(picture)
    _wire.unpack(two, other, form(other))
    assert np.array_equal(shown(other), shown(picture))


def test_a_full_table_accepts_no_colours():
    place = bytes([4, 0, 0, 0, 0])
    whole = place + bytes([128, 2]) + bytes(256 * 3) + bytes(1)
    assert _wire.check(whole, (8, 8, 4)) == [(0, 0, 1, 1)]
    assert _wire.check(whole + place + bytes(2), (8, 8, 4)) == [(0, 0, 1, 1)] * 2
    for more in (place + bytes([1, 5, 5, 5, 0]), place + bytes([129, 2]) + bytes(257 * 3 + 1)):
        with pytest.raises(FormatError):
            _wire.check(whole + more, (8, 8, 4))
    with pytest.raises(FormatError):
        _wire.check(place + bytes(2), (8, 8, 4))


def test_noise_has_moved_nowhere():
    rng = np.random.default_rng(7)
    before, after = rng.integers(0, 256, (2, 200, 200, 4), np.uint8)
    assert _wire.find_move(before, after, form(after), (0, 0, 200, 200)) is None


@given(st.binary(max_size=200), st.sampled_from(PIXELS))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_block_or_an_error(data, pixel):
    try:
        rects = _wire.check(data, (64, 48, pixel))
    except FormatError as error:
        assert "byte" in str(error)
        return
    picture = np.zeros((48, 64, pixel), np.uint8)
    _wire.unpack(data, picture, form(picture))
    assert all(x + w <= 64 and y + h <= 48 for x, y, w, h in rects)


@given(pictures, st.integers(0, 1 << 20), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_block_with_a_wrong_byte_draws_inside_or_is_an_error(made, at, byte):
    picture, _ = made
    height, width, pixel = picture.shape
    block = bytearray(_wire.pack(picture, form(picture), [(0, 0, width, height)]))
    block[at % len(block)] = byte
    try:
        rects = _wire.check(block, (width, height, pixel))
    except FormatError:
        return
    # The middle of a larger picture, whose other pixels must stay.
    whole = np.full((height + 2, width + 2, pixel), 0xA5, np.uint8)
    inside = np.zeros((height + 2, width + 2), bool)
    for x, y, w, h in rects:
        inside[y + 1 : y + h + 1, x + 1 : x + w + 1] = True
    stride = (width + 2) * pixel
    start = whole.reshape(-1)[stride + pixel :]
    _wire.unpack(block, start, (width, height, stride, pixel))
    assert (whole[~inside] == 0xA5).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda p: _wire.pack(p, (8, 8, 31, 4), [(0, 0, 1, 1)]),
        lambda p: _wire.pack(p, (8, 9, 32, 4), [(0, 0, 1, 1)]),
        lambda p: _wire.pack(p, (8, 8, 32, 3), [(0, 0, 1, 1)]),
        lambda p: _wire.pack(p, (8, 8, 32, 4), [(0, 0, 9, 1)]),
        lambda p: _wire.pack(p, (8, 8, 32, 4), [(0, 0, 0, 1)]),
        lambda p: _wire.pack(p, (8, 8, 32, 4), [(7, 7, 1, 2)]),
        lambda p: _wire.trim(p, p[:7], (8, 8, 32, 4), [(0, 0, 1, 1)]),
        lambda p: _wire.find_move(p, p, (8, 8, 32, 4), (1, 0, 8, 8)),
        lambda p: _wire.move(p, (8, 8, 32, 4), (0, 0, 8, 8), 1, 0),
        lambda p: _wire.unpack(b"", p, (9, 8, 36, 4)),
    ],
)  # fmt: skip
def test_rectangles_outside_the_picture_are_an_error(call):
    with pytest.raises(ValueError):
        call(np.zeros((8, 8, 4), np.uint8))
