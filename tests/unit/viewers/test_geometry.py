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
    ViewSize,
    device_pixel,
    device_size,
    logical_rect,
    on_displays,
    place,
    preferred_size,
    scaling_of,
    usual_multiple,
)

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)
ratios = st.sampled_from([1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.25, 3.0])
scalings = st.sampled_from(list(Scaling))
scrolls = st.tuples(st.integers(-10, 6000), st.integers(-10, 6000))


@st.composite
def placements(draw):
    smooth, bar = draw(st.booleans()), draw(st.integers(0, 60))
    size, view, scaling, scrolled = draw(sizes), draw(sizes), draw(scalings), draw(scrolls)
    return place(size, view, scaling, scrolled, smooth=smooth, bar=bar)


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
            assert scaling in (Scaling.INTEGER, Scaling.ONE, Scaling.WIDTH)
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
    assert ViewSize(*view, ratio).same_as(ViewSize(*size, ratio))
    placed = place(size, view, Scaling.FIT, (0, 0))
    assert placed.exact
    # Of a picture of a pixel or two, what rounding adds may hold a larger multiple.
    assert placed.scale == 1 or min(size) < 3


@given(sizes, sizes, st.integers(0, 60), scrolls)
def test_a_scroll_bar_of_a_picture_that_fills_the_width_stays_or_stays_away(
    size, view, bar, scrolled
):
    """What is placed in the view without a bar, and beside the bar, agree about the bar."""

    whole = view[0] + bar, view[1]

    def scrolls_in(seen):
        placed = place(size, seen, Scaling.WIDTH, scrolled, whole=whole, bar=bar)
        assert placed.room[0] == 0
        assert placed.target.width <= seen[0]
        return placed.room[1] > 0

    assert scrolls_in(whole) == scrolls_in(view), "else the bar comes and goes"


@given(sizes, sizes)
def test_filling_the_width_fills_it_or_shows_everything(size, view):
    target = place(size, view, Scaling.WIDTH, (0, 0)).target
    if target.height > view[1]:
        assert target.width >= view[0] - 2
    assert abs(target.height - target.width * size[1] / size[0]) < max(1, size[1] / size[0])


@pytest.mark.parametrize(
    ("ratio", "percent"), [(1, 100), (1.25, 100), (1.5, 100), (1.75, 200), (2, 200), (3, 300)]
)
def test_new_window_opens_at_the_multiple_next_to_the_ratio(ratio, percent):
    """At every ratio 100 % is a device pixel per guest pixel."""
    multiple = usual_multiple(Scaling.FIT, ratio)
    size = preferred_size((800, 600), (3000, 2000), multiple)
    placed = place((800, 600), size, Scaling.FIT, (0, 0))
    assert placed.exact
    assert round(placed.scale * 100) == percent
    assert 0.66 < placed.scale / ratio < 1.2, "the guest has its usual size, or nearly"


def test_new_window_opens_smaller_where_the_multiple_does_not_fit():
    assert preferred_size((800, 600), (1599, 2000), 2) == (800, 600)
    assert preferred_size((800, 600), (700, 2000), 2) == (700, 525)


def test_never_enlarged_picture_opens_at_one_pixel_per_pixel():
    assert usual_multiple(Scaling.SHRINK, 2) == usual_multiple(Scaling.ONE, 2) == 1


@given(sizes, ratios, ratios)
def test_a_view_that_moves_to_a_display_of_another_ratio_has_the_same_size(size, ratio, other):
    logical = logical_rect(Rect(0, 0, *size), ratio)
    first = ViewSize(*device_size(logical.width, logical.height, ratio), ratio)
    moved = ViewSize(*device_size(logical.width, logical.height, other), other)
    assert first.same_as(moved)
    assert not ViewSize(moved.width + 9, moved.height, other).same_as(first)


ONE_DISPLAY = [Rect(0, 0, 1920, 1050)]
TWO_DISPLAYS = [Rect(0, 0, 1920, 1050), Rect(1920, 0, 2560, 1440)]


@pytest.mark.parametrize(
    ("window", "displays", "expected"),
    [
        (Rect(100, 50, 800, 600), ONE_DISPLAY, Rect(100, 50, 800, 600)),
        (Rect(2500, 100, 800, 600), TWO_DISPLAYS, Rect(2500, 100, 800, 600)),
        # The display of yesterday is not connected.
        (Rect(2500, 100, 800, 600), ONE_DISPLAY, Rect(1120, 100, 800, 600)),
        (Rect(2500, 100, 2000, 1200), ONE_DISPLAY, Rect(0, 0, 1920, 1050)),
        # Half of it is outside, as the user has put it there.
        (Rect(1500, 900, 800, 600), ONE_DISPLAY, Rect(1500, 900, 800, 600)),
        (Rect(-700, 50, 800, 600), ONE_DISPLAY, Rect(-700, 50, 800, 600)),
        # Its upper edge cannot be reached.
        (Rect(100, -300, 800, 600), ONE_DISPLAY, Rect(100, 0, 800, 600)),
        (Rect(-790, 50, 800, 600), ONE_DISPLAY, Rect(0, 50, 800, 600)),
        (Rect(100, 1045, 800, 600), ONE_DISPLAY, Rect(100, 450, 800, 600)),
    ],
)
def test_window_can_be_reached_on_the_displays_of_today(window, displays, expected):
    assert on_displays(window, displays) == expected


def test_a_window_is_no_larger_than_the_display():
    assert preferred_size((800, 600), (1920, 1040)) == (800, 600)
    assert preferred_size((3840, 2160), (1920, 1040)) == (1849, 1040)


def test_scales_have_names():
    assert scaling_of("1:1") is Scaling.ONE
    with pytest.raises(
        UsageError, match="unknown scale 'big'; choose from fit, shrink, integer, 1:1, width"
    ):
        scaling_of("big")
