"""Needle files that expand enormously are rejected quickly."""

from __future__ import annotations

import io
import json
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from kju.errors import NeedleError
from kju.vision import openqa
from kju.vision.needle import MAX_EXCLUDED, MAX_EXCLUDES, Needle, openqa_needle


@pytest.fixture(scope="module")
def gigabyte() -> bytes:
    """Zeros, compressed to a megabyte."""
    return zeros(1 << 30)


@pytest.fixture(autouse=True)
def cheap(gigabyte: bytes) -> Iterator[None]:
    """Fail if reading a small file takes two seconds of this thread's CPU time."""
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun < 2


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, rows: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + rows + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join([*(packer.compress(block) for _ in range(count >> 20)), packer.flush()])


def noted(notes: object, width: int = 32, height: int = 32) -> bytes:
    """A needle's PNG with any chunk."""
    said = PngImagePlugin.PngInfo()
    said.add_itxt("kju-needle", json.dumps(notes), zip=True)
    file = io.BytesIO()
    picture = np.zeros((height, width, 3), np.uint8)
    Image.fromarray(picture).save(file, "PNG", pnginfo=said)
    return file.getvalue()


@pytest.mark.parametrize("size", [(16385, 1), (8192, 4097), (65535, 65535), ((1 << 31) - 1, 1)])
def test_more_pixels_than_any_screen_are_refused_before_they_are_decoded(
    size: tuple[int, int],
) -> None:
    with pytest.raises(NeedleError) as caught:
        Needle.from_bytes(png(*size, rows=chunk(b"IDAT", zeros(1 << 20))))
    assert caught.value.field in ("size", "picture")


def test_pixels_beyond_the_declared_ones_are_not_decoded(gigabyte: bytes) -> None:
    """A megabyte that would become a gigabyte."""
    data = png(16, 16, rows=chunk(b"IDAT", gigabyte))
    assert len(data) < 2 << 20
    try:
        assert Needle.from_bytes(data).size == (16, 16)
    except NeedleError as error:
        assert error.field == "picture"


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_text_that_expands_too_much_is_rejected(kind: bytes, gigabyte: bytes) -> None:
    head = {b"zTXt": b"kju-needle\0\0", b"iTXt": b"kju-needle\0\1\0\0\0", b"iCCP": b"x\0\0"}[kind]
    rows = chunk(b"IDAT", zlib.compress(bytes(49 * 16)))
    data = png(16, 16, chunk(kind, head + gigabyte), rows=rows)
    assert len(data) < 2 << 20
    with pytest.raises(NeedleError) as caught:
        Needle.from_bytes(data)
    assert caught.value.field == "picture"


def test_areas_are_limited_in_number() -> None:
    fits = noted({"exclude": [[0, 0, 1, 1]] * MAX_EXCLUDES})
    assert len(Needle.from_bytes(fits).exclude) == MAX_EXCLUDES
    with pytest.raises(NeedleError, match="areas") as caught:
        Needle.from_bytes(noted({"exclude": [[0, 0, 1, 1]] * (MAX_EXCLUDES + 1)}))
    assert caught.value.field == "exclude"


def test_areas_cover_the_needle_a_few_times_at_most() -> None:
    size = (2048, 1024)
    fits = noted({"exclude": [[0, 0, 2048, 1023]] * MAX_EXCLUDED}, *size)
    assert not Needle.from_bytes(fits).mask[:-1].any()
    for area in ([0, 0, 2048, 1023], [0, 0, -2048, 1023], [0, 0, 1 << 40, 1 << 40]):
        with pytest.raises(NeedleError) as caught:
            Needle.from_bytes(noted({"exclude": [area] * MAX_EXCLUDES}, *size))
        assert caught.value.field == "exclude"


def test_openqas_areas_are_limited_in_number() -> None:
    area = {"xpos": 0, "ypos": 0, "width": 1, "height": 1}
    picture = noted({})

    def read(count: int) -> Needle:
        notes = json.dumps({"area": [area] * count}).encode()
        return openqa_needle(notes, picture, "a.json", "a.png")

    assert read(openqa.MAX_AREAS).size == (1, 1)
    with pytest.raises(NeedleError, match="the limit is 256") as caught:
        read(openqa.MAX_AREAS + 1)
    assert caught.value.field == "area"


def test_openqas_worst_areas_are_read_in_time() -> None:
    """Return areas with distinct edges, which give the most rectangles between them."""
    areas = [
        {"xpos": 8 * n, "ypos": 4 * n % 1021, "width": 3, "height": 1021 - 4 * n % 1021}
        for n in range(openqa.MAX_AREAS)
    ]
    notes = json.dumps({"area": areas}).encode()
    found = openqa_needle(notes, noted({}, 2100, 1024), "a.json", "a.png")
    assert len(found.exclude) > 10_000


@pytest.mark.parametrize("name", ["a.json", "a.png"])
def test_a_device_in_a_needles_place_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        Needle.load(tmp_path / name)
