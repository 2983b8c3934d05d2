"""PNG and JPEG of pictures, read back by Pillow."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from kju import encoding


def read(data: bytes, mode: str = "RGB") -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.load()  # it checks the sums of the chunks
    assert image.mode == mode
    return np.asarray(image)


@pytest.fixture(params=["isal", "zlib"])
def compressor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "isal":
        pytest.importorskip("isal")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
    encoding._compressor.cache_clear()
    yield str(request.param)
    encoding._compressor.cache_clear()


def photo(height: int, width: int) -> np.ndarray:
    """Return a smooth gradient with noise."""
    rng = np.random.default_rng(1)
    ramp = np.add.outer(np.linspace(0, 100, height), np.linspace(0, 100, width))
    return np.clip(ramp[..., np.newaxis] + rng.normal(0, 1, (height, width, 3)), 0, 255).astype(
        np.uint8
    )


def text(height: int, width: int) -> np.ndarray:
    """Return equal letters on a plain ground."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[4:12:2, 2:6] = pixels[20:28:3, 10:16] = 170
    return np.tile(pixels[:32, :32], (height // 32, width // 32, 1))


@pytest.mark.usefixtures("compressor")
# The fixture does the same for every example.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_a_png_has_every_pixel(pixels: np.ndarray) -> None:
    assert np.array_equal(read(encoding.png(pixels)), pixels)


@pytest.mark.usefixtures("compressor")
def test_pixels_of_a_surface_are_encoded_as_they_are() -> None:
    shown = np.dstack((photo(70, 90)[..., ::-1], np.full((70, 90), 7, np.uint8)))
    assert np.array_equal(read(encoding.png(shown)), shown[..., 2::-1])
    assert np.array_equal(read(encoding.png(shown[3:50, 5:60])), shown[3:50, 5:60, 2::-1])
    grey = shown[..., 1]
    assert np.array_equal(read(encoding.png(grey), "L"), grey)


def test_a_png_holds_texts() -> None:
    texts = {"kju": '{"click": "Weiter →"}', "other": ""}
    image: Any = Image.open(io.BytesIO(encoding.png(photo(9, 9), texts)))
    assert image.text == texts


@pytest.mark.usefixtures("compressor")
def test_a_part_of_a_picture_is_encoded() -> None:
    pixels = photo(200, 300)[10:110, 20:220]
    assert np.array_equal(read(encoding.png(pixels)), pixels)


@pytest.mark.usefixtures("compressor")
def test_the_filter_is_the_one_that_compresses_best() -> None:
    smooth, letters = photo(256, 256), text(256, 256)
    assert encoding._best_filter(encoding._with_filter_bytes(smooth)) == encoding._UP
    assert encoding._best_filter(encoding._with_filter_bytes(letters)) == encoding._NONE
    assert len(encoding.png(letters)) < 20_000


@pytest.mark.parametrize("library", ["simplejpeg", "Pillow"])
def test_a_jpeg_is_near_the_pixels(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if library == "simplejpeg":
        pytest.importorskip("simplejpeg")
    else:
        monkeypatch.setitem(sys.modules, "simplejpeg", None)
    pixels = photo(64, 96)
    data = encoding.jpeg(pixels)
    assert data[:2] == b"\xff\xd8"
    assert np.abs(read(data).astype(int) - pixels).mean() < 5
    shown = np.dstack((pixels[..., ::-1], pixels[..., 0]))
    assert np.array_equal(read(encoding.jpeg(shown)), read(data)), "B G R X"
    assert len(encoding.jpeg(pixels, 30)) < len(data)
    grey = pixels[..., 1]
    assert np.abs(read(encoding.jpeg(grey), "L").astype(int) - grey).mean() < 5


def test_no_other_module_writes_pngs() -> None:
    folder = Path(encoding.__file__).parent
    writes = re.compile(r"""\.save\([^()]*["']PNG["']""")
    assert [str(path) for path in folder.rglob("*.py") if writes.search(path.read_text())] == []
