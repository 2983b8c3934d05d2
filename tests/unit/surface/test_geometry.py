import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.surface.geometry import Rect, Region, bounding

small = st.integers(0, 12)
rects = st.builds(Rect, small, small, small, small)


def pixels(rect):
    return {(x, y) for x in range(rect.x, rect.right) for y in range(rect.y, rect.bottom)}


@given(rects, rects)
def test_intersection(a, b):
    both = a.intersection(b)
    assert (pixels(both) if both else set()) == pixels(a) & pixels(b)
    assert both is None or both.area > 0


@given(rects, rects)
def test_union_is_the_smallest_around_both(a, b):
    union = a.union(b)
    assert union.contains(a) and union.contains(b)
    assert union.x in (a.x, b.x) and union.y in (a.y, b.y)
    assert union.right in (a.right, b.right) and union.bottom in (a.bottom, b.bottom)


@given(rects, rects)
def test_contains(a, b):
    if b.area:
        assert a.contains(b) == (pixels(b) <= pixels(a))


@given(st.lists(rects, max_size=20), st.integers(1, 5))
def test_a_region_never_loses_a_pixel(added, limit):
    region = Region(added, limit)
    assert len(region) <= limit
    assert bool(region) == any(r.area for r in added)
    held = region.take()
    covered = set().union(*map(pixels, held))
    assert covered >= set().union(*map(pixels, added))
    assert not region.take() and not region


@given(st.lists(rects, min_size=1, max_size=6))
def test_a_region_within_its_limit_covers_nothing_else(added):
    held = Region(added, limit=64).take()
    assert set().union(*map(pixels, held)) == set().union(*map(pixels, added))


def test_rows_that_follow_become_one_rectangle():
    region = Region(Rect(0, 16 * row, 720, 16) for row in range(25))
    assert region.take() == [Rect(0, 0, 720, 400)]


def test_bounding():
    assert bounding([Rect(3, 1, 2, 2), Rect(0, 5, 1, 1)]) == Rect(0, 1, 5, 5)
    with pytest.raises(ValueError):
        bounding([])


def test_a_rect_is_immutable():
    with pytest.raises(AttributeError):
        Rect(0, 0, 1, 1).x = 3
