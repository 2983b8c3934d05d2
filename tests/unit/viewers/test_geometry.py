"""Map points to guest pixels at every scale, size and ratio of a display."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju import Rect
from kju.errors import UsageError
from kju.viewers.geometry import (
    Scaling,
    device_pixel,
    device_size,
    logical_rect,
    place,
    preferred_size,
    same_size,
    scaling_of,
)

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)
ratios = st.sampled_from([1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.25, 3.0])
scalings = st.sampled_from(list(Scaling))
scrolls = st.tuples(st.integers(-10, 6000), st.integers(-10, 6000))


@st.composite
def placements(draw):
    return place(draw(sizes), draw(sizes), draw(scalings), draw(scrolls))


@given(placements(), st.data())
def test_the_pixel_under_the_pointer_is_the_pixel_that_is_drawn_there(placed, data):
    target = placed.target
    x = data.draw(st.integers(target.x, target.right - 1))
    y = data.draw(st.integers(target.y, target.bottom - 1))
    gx, gy = placed.guest_pixel(x, y)
    # As nearest-pixel drawing has it: the pixel that the middle of the device pixel falls in.
    assert gx == math.floor((x - target.x + 0.5) * placed.width / target.width)
    assert gy == math.floor((y - target.y + 0.5) * placed.height / target.height)


@given(placements(), st.integers(-9000, 9000), st.integers(-9000, 9000))
def test_a_point_beside_the_picture_is_its_nearest_pixel(placed, x, y):
    gx, gy = placed.guest_pixel(x, y)
    assert 0 <= gx < placed.width
    assert 0 <= gy < placed.height
    if x < placed.target.x:
        assert gx == 0
    if y >= placed.target.bottom:
        assert gy == placed.height - 1


@given(sizes, sizes, scalings, scrolls)
def test_a_picture_is_whole_or_scrolled_but_never_lost(size, view, scaling, scrolled):
    placed = place(size, view, scaling, scrolled)
    for at, drawn, room, far in zip(
        placed.target[:2], placed.target[2:], view, placed.room, strict=True
    ):
        if drawn <= room:
            assert far == 0
            assert abs(2 * at + drawn - room) <= 1, "in the middle"
        else:
            assert scaling in (Scaling.INTEGER, Scaling.ONE)
            assert room - drawn <= at <= 0
            assert far == drawn - room
    if scaling in (Scaling.INTEGER, Scaling.ONE):
        assert placed.exact
    if scaling is Scaling.SHRINK:
        assert placed.target.width <= max(1, size[0])


@given(sizes, sizes)
def test_fitting_keeps_the_shape_and_fills_one_side(size, view):
    target = place(size, view, Scaling.FIT, (0, 0)).target
    assert target.width >= view[0] - 2 or target.height >= view[1] - 2
    # Neither side is off its exact length by more than one device pixel.
    assert abs(target.height - target.width * size[1] / size[0]) < max(1, size[1] / size[0])


@given(placements(), st.data())
def test_repainting_covers_every_device_pixel_that_changed(placed, data):
    x = data.draw(st.integers(0, placed.width - 1))
    y = data.draw(st.integers(0, placed.height - 1))
    rect = Rect(
        x,
        y,
        data.draw(st.integers(1, placed.width - x)),
        data.draw(st.integers(1, placed.height - y)),
    )
    painted = placed.device_rect(rect)
    visible = placed.target.intersection(placed.view)
    dx = data.draw(st.integers(visible.x, visible.right - 1))
    dy = data.draw(st.integers(visible.y, visible.bottom - 1))
    # What smoothing mixes: the pixels whose middles lie around the device pixel's middle.
    sx = (dx - placed.target.x + 0.5) * placed.width / placed.target.width - 0.5
    sy = (dy - placed.target.y + 0.5) * placed.height / placed.target.height - 0.5
    mixed = not placed.exact
    columns = {math.floor(sx), math.ceil(sx)} if mixed else {placed.guest_pixel(dx, dy)[0]}
    rows = {math.floor(sy), math.ceil(sy)} if mixed else {placed.guest_pixel(dx, dy)[1]}
    if any(rect.x <= c < rect.right for c in columns) and any(
        rect.y <= r < rect.bottom for r in rows
    ):
        assert painted is not None
        assert painted.contains(Rect(dx, dy, 1, 1))


@given(st.integers(0, 8000), st.integers(0, 8000), ratios)
def test_a_device_pixel_survives_a_toolkit_that_counts_in_fractions(x, y, ratio):
    assert device_pixel(x / ratio, y / ratio, ratio) == (x, y)


@given(st.integers(0, 5000), st.integers(0, 5000), sides, sides, ratios)
def test_a_logical_rectangle_covers_the_device_pixels(x, y, width, height, ratio):
    logical = logical_rect(Rect(x, y, width, height), ratio)
    tiny = 1e-6  # 10 * 1.1 is more than 11; a toolkit rounds
    assert logical.x * ratio <= x + tiny
    assert logical.y * ratio <= y + tiny
    assert logical.right * ratio >= x + width - tiny
    assert logical.bottom * ratio >= y + height - tiny


@given(sizes, ratios)
def test_a_view_that_took_the_size_it_was_given_shows_the_picture_pixel_by_pixel(size, ratio):
    logical = logical_rect(Rect(0, 0, *size), ratio)
    view = device_size(logical.width, logical.height, ratio)
    assert same_size(view, size)
    placed = place(size, view, Scaling.FIT, (0, 0))
    assert placed.exact
    # Of a picture of a pixel or two, what rounding adds may hold a larger multiple.
    assert placed.scale == 1 or min(size) < 3


def test_a_window_is_no_larger_than_the_display():
    assert preferred_size((800, 600), (1920, 1040)) == (800, 600)
    assert preferred_size((3840, 2160), (1920, 1040)) == (1849, 1040)


def test_scales_have_names():
    assert scaling_of("1:1") is Scaling.ONE
    with pytest.raises(
        UsageError, match="unknown scale 'big'; choose from fit, shrink, integer, 1:1"
    ):
        scaling_of("big")
