"""Points of a picture, mapped back to the screen through scaling and crop."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kju.agents.pictures import Size, picture_of, view_of
from kju.errors import GeometryError, UsageError
from kju.surface import Mark
from kju.surface.geometry import Rect

MARK = Mark(1, 2, 3)


def test_a_picture_fits_and_is_never_larger():
    assert view_of(Size(1920, 1080), MARK, most=(1280, 800)).size == (1280, 720)
    assert view_of(Size(640, 480), MARK, most=(1280, 800)).size == (640, 480)
    assert view_of(Size(640, 480), MARK).size == (640, 480)
    part = view_of(Size(1920, 1080), MARK, region=(100, 100, 400, 300), most=(200, 200))
    assert part.size == (200, 150) and part.region == Rect(100, 100, 400, 300)
    assert view_of(Size(16384, 1), MARK, most=(100, 100)).size == (100, 1)


@given(
    st.integers(1, 4000),
    st.integers(1, 3000),
    st.integers(16, 2000),
    st.integers(16, 2000),
    st.data(),
)
def test_every_point_maps_into_the_region_and_back(width, height, most_x, most_y, data):
    x = data.draw(st.integers(0, width - 1))
    y = data.draw(st.integers(0, height - 1))
    region = Rect(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    view = view_of(Size(width, height), MARK, region=region, most=(most_x, most_y))
    point = (
        data.draw(st.integers(0, view.size.width - 1)),
        data.draw(st.integers(0, view.size.height - 1)),
    )
    pixel = view.to_screen(*point)
    assert region.contains(Rect(*pixel, 1, 1))
    assert view.to_picture(*pixel) == point


def test_normalised_points_cover_the_region():
    view = view_of(Size(800, 600), MARK, region=(100, 50, 200, 100), normalised=True)
    assert view.to_screen(0, 0) == (100, 50)
    assert view.to_screen(1000, 1000) == (299, 149)
    assert view.to_screen(499.5, 250) == (199, 75)
    assert view.to_picture(100, 50) == (2, 5)
    assert view.to_region((0, 0, 500, 1000)) == Rect(100, 50, 100, 100)


@pytest.mark.parametrize("value", [-1, 100, float("nan"), float("inf"), True, "5", None, [1]])
def test_a_point_outside_names_the_size(value):
    view = view_of(Size(200, 100), MARK, most=(100, 50))
    for point in ((value, 0), (0, value)):
        with pytest.raises(GeometryError, match="the picture is 100x50: x is 0 to 99, y is 0 to 4"):
            view.to_screen(*point)
    with pytest.raises(GeometryError, match="100x50"):
        view.to_region((0, 0, 50, 101 if value == 100 else value))


def test_an_invalid_view_is_refused():
    with pytest.raises(GeometryError, match="leaves the 200x100 screen"):
        view_of(Size(200, 100), MARK, region=(150, 0, 60, 10))
    with pytest.raises(UsageError, match="the region"):
        view_of(Size(200, 100), MARK, region=(0, 0, 0, 10))
    with pytest.raises(UsageError, match="at least 16 pixels"):
        view_of(Size(200, 100), MARK, most=(8, 100))


def test_a_picture_shows_the_region():
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[40:60, 100:140] = (255, 0, 0)
    whole = picture_of(frame, view_of(Size(200, 100), MARK))
    assert np.array_equal(whole.pixels, frame)
    part = picture_of(frame, view_of(Size(200, 100), MARK, region=(100, 40, 40, 20)))
    assert part.pixels.shape == (20, 40, 3) and (part.pixels == (255, 0, 0)).all()
    small = picture_of(frame, view_of(Size(200, 100), MARK, most=(100, 50)))
    assert small.pixels.shape == (50, 100, 3) and small.pixels[25, 60].tolist() == [255, 0, 0]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(small.png()))), small.pixels)
    assert small.base64().startswith("iVBOR")
    grey = picture_of(frame[..., 0], view_of(Size(200, 100), MARK))
    assert grey.pixels.shape == (100, 200, 3)
    assert repr(grey) == "<Picture 200x100 of version 3>"
