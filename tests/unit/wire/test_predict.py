"""Predicted and indexed pixels, compared with a plain Python model pixel by pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kju.wire import _wire

Picture = npt.NDArray[np.uint8]
LEFT, UP, MEDIAN = 0, 1, 2


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def head(kind: int, x: int, y: int, width: int, height: int) -> bytes:
    return bytes([kind]) + b"".join(varint(n) for n in (x, y, width - 1, height - 1))


def restored(residuals: npt.NDArray[np.uint8], how: int) -> npt.NDArray[np.int64]:
    """Values of one channel, ``(height, width)``, as docs/reference/wire.md has them."""
    height, width = residuals.shape
    out = np.zeros((height + 1, width + 1), np.int64)
    for y in range(height):
        for x in range(width):
            left, up, corner = out[y + 1, x], out[y, x + 1], out[y, x]
            predicted = {LEFT: left, UP: up, MEDIAN: sorted([left, up, left + up - corner])[1]}[how]
            out[y + 1, x + 1] = (residuals[y, x] + predicted) % 256
    return out[1:, 1:]


def drawn(residuals: npt.NDArray[np.uint8], how: int) -> Picture:
    """The pixels, ``(height, width, 4 or 1)``."""
    channels = [restored(plane, how) for plane in residuals]
    if len(channels) == 1:
        return channels[0][..., None].astype(np.uint8)
    green, blue, red = channels
    return np.stack([blue + green, green, red + green, green * 0], -1).astype(np.uint8)


@given(
    st.integers(0, 1 << 30), st.integers(1, 40), st.integers(1, 12),
    st.sampled_from([1, 3]), st.sampled_from([LEFT, UP, MEDIAN]), st.sampled_from([2, 256]),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_predicted_pixels_equal_the_model(
    seed: int, width: int, height: int, channels: int, how: int, most: int
) -> None:
    rng = np.random.default_rng(seed)
    residuals = rng.integers(0, most, (channels, height, width), np.uint8)
    pixel = 1 if channels == 1 else 4
    picture = rng.integers(0, 256, (height + 3, width + 5, pixel), np.uint8)
    expected = picture.copy()
    expected[1 : 1 + height, 2 : 2 + width] = drawn(residuals, how)
    block = head(3, 2, 1, width, height) + bytes([how]) + residuals.tobytes()
    _wire.check(block, (width + 5, height + 3, pixel))
    _wire.unpack(block, picture, (width + 5, height + 3, (width + 5) * pixel, pixel))
    assert np.array_equal(picture, expected)


@given(
    st.integers(0, 1 << 30), st.integers(1, 40), st.integers(1, 9),
    st.sampled_from([1, 3]), st.integers(1, 256), st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_numbered_pixels_equal_the_model(
    seed: int, width: int, height: int, channels: int, count: int, table: bool
) -> None:
    """A number without a colour means the first colour."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (count, channels), np.uint8)
    bits = 8 if table else next(n for n in (1, 2, 4, 8) if count <= 1 << n)
    each = 8 // bits
    data = rng.integers(0, 256, (height, -(-width // each)), np.uint8)
    numbers = np.stack([data >> (n * bits) & ((1 << bits) - 1) for n in range(each)], -1)
    numbers = numbers.reshape(height, -1)[:, :width].astype(int)
    pixel = 1 if channels == 1 else 4
    expected = np.zeros((height, width, pixel), np.uint8)
    expected[..., :channels] = colours[np.where(numbers < count, numbers, 0)]
    number = varint(count) if table else bytes([count - 1])
    block = head(4 if table else 2, 0, 0, width, height) + number
    block += colours.tobytes() + data.tobytes()
    picture = rng.integers(0, 256, expected.shape, np.uint8)
    _wire.check(block, (width, height, pixel))
    _wire.unpack(block, picture, (width, height, width * pixel, pixel))
    assert np.array_equal(picture, expected)


@pytest.mark.parametrize("pixel", [1, 4])
def test_fill_covers_its_rectangle_only(pixel: int) -> None:
    picture = np.full((9, 11, pixel), 250, np.uint8)
    expected = picture.copy()
    expected[2:8, 3:10] = [1, 2, 3, 0][:pixel]
    block = head(0, 3, 2, 7, 6) + bytes([1, 2, 3][: min(pixel, 3)])
    _wire.check(block, (11, 9, pixel))
    _wire.unpack(block, picture, (11, 9, 11 * pixel, pixel))
    assert np.array_equal(picture, expected)


@given(
    st.integers(0, 1 << 30), st.integers(1, 60), st.integers(1, 40), st.sampled_from([1, 4]),
    st.sampled_from(["noise", "slope across", "slope down", "both"]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_packed_pictures_have_the_residuals_of_the_model(
    seed: int, width: int, height: int, pixel: int, kind: str
) -> None:
    """The model restores what the encoder packs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = np.zeros((height, width, pixel), np.uint8)
    for channel in range(min(pixel, 3)):
        value = {
            "noise": rng.integers(0, 256, (height, width)),
            "slope across": x * (channel + 3),
            "slope down": y * (channel + 3) + rng.integers(0, 256, width),
            "both": (x * x + y * y * (channel + 1)) // 9,
        }[kind]
        picture[..., channel] = value
    block = _wire.pack(picture, (width, height, width * pixel, pixel), [(0, 0, width, height)])
    if block[0] != 3:
        return  # few colours
    start = len(head(3, 0, 0, width, height))
    residuals = np.frombuffer(block[start + 1 :], np.uint8).reshape(-1, height, width)
    assert np.array_equal(drawn(residuals, block[start]), picture)


@pytest.mark.parametrize("how", [LEFT, UP, MEDIAN])
def test_long_rows_equal_the_model(how: int) -> None:
    residuals = np.random.default_rng(1).integers(0, 256, (3, 3, 1300), np.uint8)
    picture = np.full((3, 1300, 4), 9, np.uint8)
    block = head(3, 0, 0, 1300, 3) + bytes([how]) + residuals.tobytes()
    _wire.check(block, (1300, 3, 4))
    _wire.unpack(block, picture, (1300, 3, 5200, 4))
    assert np.array_equal(picture, drawn(residuals, how))
