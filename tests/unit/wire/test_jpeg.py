"""Photos as JPEG, and invalid JPEGs."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kju.errors import PeerError
from kju.wire import jpeg

simplejpeg = pytest.importorskip("simplejpeg")


def picture(width: int, height: int, pixel: int = 4) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    shapes = [110 + 80 * np.sin(x / (9 + c)) * np.cos(y / 11) for c in range(3)]
    out = np.zeros((height, width, 4), np.uint8)
    out[..., :3] = np.stack(shapes, -1)
    return np.ascontiguousarray(out[..., 1:2]) if pixel == 1 else out


@pytest.mark.parametrize("pixel", [1, 4])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 8), (17, 33), (640, 1), (200, 100)])
def test_a_decompressed_photo_is_close(width: int, height: int, pixel: int) -> None:
    was = picture(width, height, pixel)
    data = jpeg.compress(was)
    now = jpeg.decompress(data, width, height, pixel)
    assert now.shape == was.shape
    assert np.abs(now.astype(int) - was).mean() < 4
    if pixel == 4:
        assert not now[..., 3].any()


def test_standard_tables_are_omitted_and_other_decoders_agree() -> None:
    was = picture(64, 48)
    data = jpeg.compress(was)
    whole = simplejpeg.encode_jpeg(was, jpeg.QUALITY, "BGRX", jpeg.CHROMA)
    assert len(whole) - len(data) == 18 + 2 * (33 + 183)
    near = jpeg.decompress(data, 64, 48, 4)[..., 2::-1]
    assert np.array_equal(near, simplejpeg.decode_jpeg(whole, "RGB"))
    # Pillow's own libjpeg takes a JPEG without tables as Motion-JPEG as well.
    seen = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(seen - near).max() < 12


def saved(**options: object) -> bytes:
    out = io.BytesIO()
    mode = options.pop("mode", "RGB")
    image = Image.fromarray(np.ascontiguousarray(picture(64, 48)[..., 2::-1]))
    image.convert(str(mode)).save(out, "JPEG", **options)
    return out.getvalue()


GOOD = jpeg.compress(picture(64, 48))
FRAME = GOOD.index(b"\xff\xc0")
SCAN = GOOD.index(b"\xff\xda")


def with_size(width: int, height: int) -> bytes:
    return GOOD[: FRAME + 5] + struct.pack(">HH", height, width) + GOOD[FRAME + 9 :]


def changed(at: int, byte: int) -> bytes:
    return GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]


LIES = {
    "nothing": (b"", "begin"),
    "no JPEG": (b"\x89PNG\r\n\x1a\n" + bytes(90), "begin"),
    "only a beginning": (GOOD[:2], "byte 2"),
    "no scan": (GOOD[:SCAN], "byte"),
    "larger": (with_size(16384, 16384), "has a JPEG of 16384x16384"),
    "none": (with_size(0, 0), "has a JPEG of 0x0"),
    "turned": (with_size(48, 64), "has a JPEG of 48x64"),
    "half of it": (GOOD[: len(GOOD) // 2], "end"),
    "no end": (GOOD[:-2], "end"),
    "more behind": (GOOD + b"\0", "end"),
    "two of them": (GOOD + GOOD, "end"),
    "a second scan": (GOOD[:-2] + GOOD[SCAN:], "end"),
    "few pixels": (GOOD[: SCAN + 20] + GOOD[-2:], "not a JPEG"),
    "progressive": (saved(progressive=True), "baseline"),
    "grey": (saved(mode="L"), "components"),
    "four channels": (saved(mode="CMYK"), "baseline"),
    "12 bits": (changed(FRAME + 4, 12), "components"),
    "other samplings": (changed(FRAME + 11, 0x44), "sampling"),
    "no sampling": (changed(FRAME + 11, 0), "sampling"),
    "a scan of one channel": (changed(SCAN + 4, 1), "scan"),
    "arithmetic": (changed(FRAME + 1, 0xC9), "baseline"),
    "two frames": (GOOD[:FRAME] + GOOD[FRAME:SCAN] + GOOD[FRAME:], "baseline"),
    "a segment past the end": (changed(4, 0xFF), "byte"),
    "many segments": (GOOD[:2] + b"\xff\xe0\0\2" * 5000 + GOOD[2:], "byte"),
    "a segment of no size": (GOOD[:2] + b"\xff\xe0\0\0" + GOOD[2:], "byte"),
}


@pytest.mark.parametrize("name", LIES)
def test_an_invalid_jpeg_is_rejected_before_decoding(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, why = LIES[name]
    if name != "few pixels":
        monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    with pytest.raises(PeerError, match=why):
        jpeg.decompress(data, 64, 48, 4)


def test_a_grey_screen_accepts_only_grey_photos() -> None:
    with pytest.raises(PeerError, match="components"):
        jpeg.decompress(GOOD, 64, 48, 1)
    grey = jpeg.compress(picture(64, 48, 1))
    with pytest.raises(PeerError, match="components"):
        jpeg.decompress(grey, 64, 48, 4)


@given(st.binary(max_size=300), st.integers(0, len(GOOD)))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_photo_or_an_error(data: bytes, at: int) -> None:
    for tried in (data, GOOD[:at] + data + GOOD[at:], GOOD[:at] + data + GOOD[at + len(data) :]):
        try:
            found = jpeg.decompress(tried, 64, 48, 4)
        except PeerError:
            continue
        assert found.shape == (48, 64, 4)
