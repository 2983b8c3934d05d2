"""The place of a picture: the header of a real Xvfb, and headers with false values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.emulators.xvfb import xwd
from kju.errors import FormatError

# As Xvfb 21.1 writes it for -screen 0 1280x800x24.
GOOD = xwd.Header(
    header_size=160, file_version=7, pixmap_format=2, pixmap_depth=24, pixmap_width=1280,
    pixmap_height=800, xoffset=0, byte_order=0, bitmap_unit=32, bitmap_bit_order=0, bitmap_pad=32,
    bits_per_pixel=32, bytes_per_line=5120, visual_class=4, red_mask=0xFF0000, green_mask=0xFF00,
    blue_mask=0xFF, bits_per_rgb=8, colormap_entries=256, ncolors=256, window_width=1280,
    window_height=800, window_x=0, window_y=0, window_bdrwidth=0,
)  # fmt: skip
SIZE = 160 + 256 * 12 + 5120 * 800
WORD = st.integers(0, 0xFFFFFFFF)
# Values near the limits, and far from them.
HOSTILE = st.one_of(WORD, st.sampled_from([0, 1, 2, 4, 7, 24, 32, 100, 160, 0x7FFF, 0x8000]))


def packed(header):
    return b"".join(word.to_bytes(4, "big") for word in header)


def test_header_of_a_real_server_is_parsed():
    assert xwd.parse(packed(GOOD), SIZE) == (1280, 800, 5120, 3232)


def test_memory_may_be_larger_than_the_picture():
    assert xwd.parse(packed(GOOD) + bytes(100), SIZE + 4096) == (1280, 800, 5120, 3232)


def test_rows_may_have_padding():
    wide = GOOD._replace(bytes_per_line=8192)
    size = 3232 + 8192 * 799 + 5120  # the last row needs none
    assert xwd.parse(packed(wide), size) == (1280, 800, 8192, 3232)
    with pytest.raises(FormatError):
        xwd.parse(packed(wide), size - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"pixmap_depth": 16, "bits_per_pixel": 16, "red_mask": 0xF800},
        {"pixmap_depth": 8, "bits_per_pixel": 8, "visual_class": 3},
        {"pixmap_depth": 30, "red_mask": 0x3FF00000, "green_mask": 0xFFC00, "blue_mask": 0x3FF},
        {"visual_class": 5},
        {"byte_order": 1},
        {"red_mask": 0xFF, "blue_mask": 0xFF0000},
    ],
)
def test_other_colour_formats_are_rejected_with_a_hint(change):
    with pytest.raises(FormatError, match="-screen 0 1280x800x24"):
        xwd.parse(packed(GOOD._replace(**change)), SIZE)


@pytest.mark.parametrize(
    "change",
    [
        {"file_version": 6},
        {"header_size": 99},
        {"header_size": 161},
        {"header_size": 0xFFFFFFFC},
        {"ncolors": 0xFFFFFFFF},
        {"pixmap_width": 0},
        {"pixmap_height": 0},
        {"pixmap_height": 801},
        {"pixmap_width": 1281},
        {"pixmap_width": 0xFFFFFFFF, "bytes_per_line": 0xFFFFFFFC},
        {"bytes_per_line": 5119},
        {"bytes_per_line": 0},
        {"bytes_per_line": 5124},
        {"xoffset": 1},
    ],
)
def test_impossible_picture_is_rejected(change):
    with pytest.raises(FormatError):
        xwd.parse(packed(GOOD._replace(**change)), SIZE)


@given(st.binary(max_size=200), st.integers(0, 1 << 33))
def test_arbitrary_bytes_raise_format_errors_only(data, size):
    with pytest.raises(FormatError):
        xwd.parse(data, size)


@given(st.dictionaries(st.sampled_from(xwd.Header._fields), HOSTILE, max_size=6), st.data())
def test_picture_never_leaves_the_memory(changes, data):
    header = GOOD._replace(**changes)
    end = header.header_size + header.ncolors * 12 + header.bytes_per_line * header.pixmap_height
    size = data.draw(st.one_of(st.integers(0, 1 << 34), st.integers(max(0, end - 9), end + 9)))
    try:
        width, height, stride, offset = xwd.parse(packed(header), size)
    except FormatError:
        return
    assert width > 0 and height > 0 and stride >= width * 4
    assert offset >= xwd.HEADER
    assert offset + stride * (height - 1) + width * 4 <= size


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3), st.integers(-64, 4))
def test_last_pixel_can_be_read(width, height, room, short):
    stride = (width + room) * 4
    header = GOOD._replace(
        pixmap_width=width, pixmap_height=height, bytes_per_line=stride, ncolors=1
    )
    memory = np.zeros(max(0, 172 + stride * height + short), np.uint8)
    try:
        found = xwd.parse(packed(header), memory.size)
    except FormatError:
        assert memory.size < 172 + stride * (height - 1) + width * 4
        return
    array = np.ndarray((height, width, 4), np.uint8, memory, found.offset, (found.stride, 4, 1))
    array[...] = 1
    assert array.all()
