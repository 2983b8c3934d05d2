"""Choice of a pixel or rectangle, and the loupe."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kju.surface.geometry import Rect
from kju.viewers.tools.picking import LOUPE_CELLS, Picking, Purpose, loupe, loupe_place

HALF = LOUPE_CELLS // 2


def test_drag_gives_a_rectangle_with_both_corners():
    picking = Picking(100, 80, (10, 20))
    picking.begin()
    picking.move((4, 30))
    assert picking.rect == Rect(4, 20, 7, 11)
    assert picking.finish() == Rect(4, 20, 7, 11)
    assert picking.rect is None


def test_click_is_no_rectangle():
    picking = Picking(100, 80, (10, 20))
    picking.begin()
    assert picking.finish() is None


def test_arrow_keys_stay_inside_the_picture():
    picking = Picking(100, 80, (99, 0))
    picking.step(10, -10)
    assert picking.at == (99, 0)
    picking.step(-1, 1)
    assert picking.at == (98, 1)


def test_cancel_drops_the_rectangle_first():
    picking = Picking(100, 80, (0, 0))
    picking.begin()
    assert picking.cancel()
    assert not picking.cancel()


def test_mode_change_drops_the_rectangle():
    picking = Picking(100, 80, (99, 79))
    picking.begin()
    picking.resize(50, 40)
    assert not picking.begun
    assert picking.at == (49, 39)


def test_only_the_loupe_selects_nothing():
    assert [purpose for purpose in Purpose if not purpose.selects] == [Purpose.LOUPE]


def test_loupe_shows_the_pixel_and_its_colour():
    picture = np.zeros((80, 100, 4), np.uint8)
    picture[20, 10] = (0x30, 0x20, 0x10, 0xFF)  # B G R X
    seen = loupe(picture, (10, 20))
    assert seen.colour == "#102030"
    assert seen.words == "10, 20   #102030"
    assert seen.pixels[HALF, HALF, :3].tolist() == [0x30, 0x20, 0x10]
    assert seen.inside.all()


def test_loupe_at_the_corner_marks_what_is_outside():
    picture = np.full((80, 100), 0x7F, np.uint8)
    seen = loupe(picture, (0, 0))
    assert seen.colour == "#7f7f7f"
    assert not seen.inside[:HALF].any() and not seen.inside[:, :HALF].any()
    assert seen.inside[HALF:, HALF:].all()


@given(st.integers(0, 799), st.integers(0, 599))
def test_loupe_is_in_the_view_and_beside_the_pointer(x: int, y: int):
    left, top = loupe_place((x, y), (180, 200), (800, 600), 24)
    assert 0 <= left <= 800 - 180 and 0 <= top <= 600 - 200
    assert not (left <= x < left + 180 and top <= y < top + 200)


def test_loupe_in_a_view_that_is_smaller_begins_at_its_corner():
    assert loupe_place((20, 20), (180, 200), (100, 100), 24) == (0, 0)
