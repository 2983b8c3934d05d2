import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.surface.geometry import Rect
from kju.viewers.terminal.cells import fit, sample

sides = st.integers(1, 90)
areas = st.tuples(st.integers(1, 60), st.integers(1, 30))


def picture(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


def sampled(image, placement, cells):
    return sample(image[slices(placement.pixels(cells))], placement, cells)


def slices(rect):
    return np.s_[rect.y : rect.bottom, rect.x : rect.right]


@given(sides, sides, areas)
def test_a_picture_stays_inside_its_area_and_in_the_middle(width, height, area):
    columns, rows = area
    place = fit(width, height, columns, rows)
    assert 1 <= place.columns <= min(columns, width)
    assert 1 <= place.rows <= min(rows, -(-height // 2))
    assert 0 <= columns - place.columns - 2 * place.left <= 1
    assert 0 <= rows - place.rows - 2 * place.top <= 1


@pytest.mark.parametrize(
    ("size", "area", "cells"),
    [
        ((640, 480), (80, 24), (64, 24)),
        ((640, 480), (40, 40), (40, 15)),
        ((720, 400), (80, 24), (80, 22)),
        ((16, 16), (80, 24), (16, 8)),
        ((1, 1), (80, 24), (1, 1)),
        ((3, 3), (80, 24), (3, 2)),
        ((16384, 1), (80, 24), (80, 1)),
    ],
)
def test_shapes_are_kept(size, area, cells):
    place = fit(*size, *area)
    assert (place.columns, place.rows) == cells


def test_nothing_is_changed_where_nothing_is_scaled():
    image = picture(20, 10)
    place = fit(20, 10, 40, 20)
    assert np.array_equal(sampled(image, place, place.whole), image[..., 2::-1])


def test_dots_are_the_mean_light():
    image = np.zeros((4, 4, 4), np.uint8)
    image[:2, :2] = (10, 20, 30, 255)
    image[0, 2] = (4, 8, 12, 0)
    place = fit(4, 4, 2, 1)
    assert sampled(image, place, place.whole).tolist() == [
        [[30, 20, 10], [6, 4, 2]],
        [[0, 0, 0], [0, 0, 0]],
    ]


def test_bytes_are_grey():
    image = np.arange(12, dtype=np.uint8).reshape(4, 3)
    place = fit(3, 4, 10, 10)
    assert sample(image, place, place.whole).tolist() == [
        [[value] * 3 for value in row] for row in image.tolist()
    ]


def test_a_very_high_picture_does_not_overflow():
    image = np.full((3000, 2, 4), 255, np.uint8)
    place = fit(2, 3000, 80, 2)
    assert (sampled(image, place, place.whole) == 255).all()


@given(st.data(), sides, sides, areas)
def test_a_part_is_sampled_as_it_is_with_the_rest(data, width, height, area):
    image = picture(width, height, width * height)
    place = fit(width, height, *area)
    whole = sampled(image, place, place.whole)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    rect = Rect(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    cells = place.cells(rect)
    assert place.whole.contains(cells)
    part = sampled(image, place, cells)
    assert np.array_equal(part, whole[2 * cells.y : 2 * cells.bottom, cells.x : cells.right])
    # Damage inside the rectangle shows in these cells and in no other.
    image[slices(rect)] ^= 255
    again = sampled(image, place, place.whole)
    different = (again != whole).any(axis=2).reshape(-1, 2, place.columns).any(axis=1)
    different[slices(cells)] = False
    assert not different.any()
