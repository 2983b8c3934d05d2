"""Sampling of a picture into a terminal's dots."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.surface.geometry import Rect
from kju.viewers.geometry import Scaling, place
from kju.viewers.terminal.canvas import mean_colour, sample, source_rect

sides = st.integers(1, 90)
views = st.tuples(st.integers(1, 60), st.integers(1, 60))
scalings = st.sampled_from(Scaling)


def picture(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


def slices(rect):
    return np.s_[rect.y : rect.bottom, rect.x : rect.right]


def sampled(image, placement, dots=None):
    dots = dots or placement.visible
    return sample(image[slices(source_rect(placement, dots))], placement, dots)


def placed(width, height, view, scaling=Scaling.SHRINK):
    return place((width, height), view, scaling, (0, 0))


@pytest.mark.parametrize(
    ("size", "view", "drawn"),
    [
        ((640, 480), (80, 48), (64, 48)),
        ((640, 480), (40, 80), (40, 30)),
        ((720, 400), (80, 48), (80, 44)),
        ((16, 16), (80, 48), (16, 16)),
        ((1, 1), (80, 48), (1, 1)),
        ((16384, 1), (80, 48), (80, 1)),
    ],
)
def test_shrink_keeps_the_shape_and_enlarges_nothing(size, view, drawn):
    target = placed(*size, view).target
    assert (target.width, target.height) == drawn


def test_an_unscaled_picture_is_unchanged():
    image = picture(20, 10)
    assert np.array_equal(sampled(image, placed(20, 10, (40, 40))), image[..., 2::-1])


@pytest.mark.parametrize("times", [2, 3])
def test_a_whole_multiple_repeats_every_pixel(times):
    image = picture(7, 5)
    large = sampled(image, placed(7, 5, (7 * times, 5 * times), Scaling.INTEGER))
    assert np.array_equal(large, image[..., 2::-1].repeat(times, 0).repeat(times, 1))


def test_dots_are_the_mean_light():
    image = np.zeros((4, 4, 4), np.uint8)
    image[:2, :2] = (10, 20, 30, 255)
    image[0, 2] = (4, 8, 12, 0)
    assert sampled(image, placed(4, 4, (2, 2))).tolist() == [
        [[30, 20, 10], [6, 4, 2]],
        [[0, 0, 0], [0, 0, 0]],
    ]


def test_a_picture_of_bytes_is_grey():
    image = np.arange(12, dtype=np.uint8).reshape(4, 3)
    assert sampled(image, placed(3, 4, (10, 20))).tolist() == [
        [[value] * 3 for value in row] for row in image.tolist()
    ]


def test_the_sums_of_a_very_high_picture_do_not_overflow():
    image = np.full((3000, 2, 4), 255, np.uint8)
    assert (sampled(image, placed(2, 3000, (80, 4))) == 255).all()


@given(st.data(), sides, sides, views, scalings)
def test_a_part_sampled_alone_equals_the_part_of_the_whole(data, width, height, view, scaling):
    image = picture(width, height, width * height)
    placement = placed(width, height, view, scaling)
    visible = placement.visible
    whole = sampled(image, placement)
    assert whole.shape == (visible.height, visible.width, 3)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    rect = Rect(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    image[slices(rect)] ^= 255
    again = sampled(image, placement)
    dots = placement.device_rect(rect)
    if dots is None:
        assert np.array_equal(again, whole)
        return
    inside = Rect(dots.x - visible.x, dots.y - visible.y, dots.width, dots.height)
    assert np.array_equal(sampled(image, placement, dots), again[slices(inside)])
    # A change inside the rectangle changes these dots and no others.
    different = (again != whole).any(axis=2)
    different[slices(inside)] = False
    assert not different.any()


def test_the_mean_colour_is_of_light():
    image = np.zeros((2, 2, 4), np.uint8)
    image[0, 0] = (40, 80, 120, 0)
    assert mean_colour(image) == (60, 40, 20)
