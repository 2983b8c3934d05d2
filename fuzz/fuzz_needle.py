"""Fuzzes a needle's bytes, ours and openQA's: valid, or a NeedleError that names the field.

See fuzz/README.md for how to run it.
"""

from __future__ import annotations

import io
import json
import random

import harness
import numpy as np
from PIL import Image, PngImagePlugin

with harness.instrumented():
    from kju.errors import NeedleError
    from kju.surface.geometry import Rect
    from kju.vision import needle

PIXELS = np.arange(24 * 16 * 3, dtype=np.uint8).reshape(16, 24, 3)
WHOLE = Rect(0, 0, 24, 16)
CHUNK = {
    "version": 1,
    "exclude": [[1, 2, 3, 4], [10, 2, 4, 4]],
    "click": [5, 6],
    "similarity": 0.9,
    "cut_from": [100, 50, 24, 16],
}
AREA = {"xpos": 2, "ypos": 3, "width": 9, "height": 8, "type": "match", "match": 90}
OPENQA = {
    "area": [
        {**AREA, "click_point": {"xpos": 3, "ypos": 4}},
        {**AREA, "ypos": 5, "click_point": "center"},
        {**AREA, "type": "exclude", "width": 3},
        {**AREA, "type": "ocr"},
    ],
    "tags": ["boot"],
}
FAR = {"area": [{**AREA, "match": "nan", "click_point": {"xpos": "inf", "ypos": "nan"}}]}
NUMBERS = (0, -1, 1, 15, 16, 23, 24, 1 << 31, 1 << 63, 1 << 200, 0.5, 1e308)
ODD: tuple[object, ...] = (*NUMBERS, "7", "inf", "-inf", "nan", None, [], {})


def png(chunk: bytes) -> bytes:
    """Return a picture with a chunk of any content."""
    info = PngImagePlugin.PngInfo()
    info.add(b"iTXt", b"kju-needle\0\0\0\0\0" + chunk)
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG", pnginfo=info)
    return file.getvalue()


PICTURE = png(json.dumps(CHUNK).encode())


def seeds() -> list[bytes]:
    """Return a whole file, a chunk and two JSON files."""
    return [
        b"\0" + PICTURE,
        b"\1" + json.dumps(CHUNK).encode(),
        b"\2" + json.dumps(OPENQA).encode(),
        b"\2" + json.dumps(FAR).encode(),
    ]


def one_input(data: bytes) -> None:
    """Parse bytes; the first one selects the kind."""
    which, data = data[0] % 3 if data else 0, data[1:]
    try:
        if which == 2:
            found = needle.openqa_needle(data, PICTURE, "it.json", "it.png")
        else:
            found = needle.Needle.from_bytes(png(data) if which else data, "it.png")
    except NeedleError as error:
        assert error.path in ("it.png", "it.json") and error.path in str(error)
        assert error.field
        return
    width, height = found.size
    assert 0 < found.similarity <= 1 and found.mask.any()
    assert all(Rect(0, 0, width, height).contains(rect) for rect in found.exclude)
    assert found.click is None or Rect(0, 0, width, height).contains(Rect(*found.click, 1, 1))
    again = needle.Needle.from_bytes(found.to_bytes())
    assert (again.mask == found.mask).all() and again.click == found.click


def changed(value: object, source: random.Random) -> object:
    """Return plain data with some values replaced."""
    if source.random() < 0.12:
        return source.choice(ODD)
    if isinstance(value, dict):
        return {key: changed(item, source) for key, item in value.items()}
    if isinstance(value, list):
        return [changed(item, source) for item in value for _ in range(source.choice((1, 1, 1, 2)))]
    return value


def invent(source: random.Random) -> bytes:
    """Return a chunk or a JSON file with wrong values, or a PNG with wrong bytes."""
    which = source.randrange(3)
    if which:
        data = changed(CHUNK if which == 1 else OPENQA, source)
        return bytes([which]) + json.dumps(data).encode()
    picture = bytearray(PICTURE)
    for _ in range(source.randrange(1, 6)):
        picture[source.randrange(len(picture))] = source.randrange(256)
    return b"\0" + bytes(picture[: source.randrange(len(picture) + 1) or None])


if __name__ == "__main__":
    harness.run(one_input, seeds(), invent, mutate=True)
