"""Pixels of a drawn picture, in whole and in part, at every scale and ratio."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from PySide6.QtCore import QRect
from PySide6.QtGui import QImage, QPainter, QRegion

from kju.client.consumer.frame import Frame
from kju.surface.geometry import Rect
from kju.viewers.geometry import Placement, Scaling, device_size, logical_rect, place
from kju.viewers.qt.painting import PicturePainter

SIZE = (160, 100)
#: Views of a picture of that size: below a half, below one, at one, above, at two, above.
VIEWS = [(40, 25), (63, 40), (79, 49), (113, 71), (160, 100), (217, 133), (320, 200), (333, 207)]
RATIOS = [1.0, 1.25, 1.5, 1.75, 2.0]


def frame_of(pixels: np.ndarray) -> Frame:
    return pixels.view(Frame)


NOISE = frame_of(np.random.default_rng(5).integers(0, 256, (*SIZE[::-1], 4), np.uint8))


class Canvas:
    """An image with a ratio, painted as the widget is."""

    def __init__(self, placement: Placement, ratio: float, frame: Frame = NOISE) -> None:
        self.painter = PicturePainter()
        self.painter.show(frame)
        self.painter.placement = placement
        self.view = placement.view.width, placement.view.height
        self.ratio = ratio
        self.image = QImage(*self.view, QImage.Format.Format_RGB32)
        self.image.fill(0xFF00FF)
        self.image.setDevicePixelRatio(ratio)

    def paint(self, rects: list[Rect] | None = None) -> np.ndarray:
        """Paint device pixels, or everything; return all pixels, B G R."""
        region = QRegion()
        for rect in rects or [Rect(0, 0, *self.view)]:
            region += QRect(*logical_rect(rect, self.ratio))
        with QPainter(self.image) as painter:
            painter.setClipRegion(region)
            painter.scale(1 / self.ratio, 1 / self.ratio)
            self.painter.paint(painter, self.view, region, self.ratio)
        rows = np.array(self.image.constBits())
        return rows.reshape(self.image.height(), self.image.width(), 4)[..., :3]


def placed(view: tuple[int, int], **how: object) -> Placement:
    return place(SIZE, view, how.pop("scaling", Scaling.FIT), (0, 0), **how)


@pytest.mark.parametrize("smooth", [True, False], ids=["smooth", "nearest"])
@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("view", [(63, 40), (79, 49), (113, 71), (217, 133)])
def test_part_has_the_pixels_of_the_whole(view, ratio, smooth):
    logical = logical_rect(Rect(0, 0, *view), ratio)
    placement = placed(device_size(logical.width, logical.height, ratio), smooth=smooth)
    whole = Canvas(placement, ratio).paint()
    parts, random = Canvas(placement, ratio), np.random.default_rng(9)
    for _ in range(12):
        x, y = (int(random.integers(0, side)) for side in placement.view[2:])
        parts.paint([Rect(x, y, 7, 5), Rect(x // 2, y, 3, 9), Rect(0, y // 2, 2, 2)])
    drawn = parts.paint()
    for size in [(13, 11), (41, 1), (1, 30)]:
        rects = [
            Rect(x, y, *size)
            for y in range(0, placement.view.height, size[1])
            for x in range(0, placement.view.width, size[0])
        ]
        tiles = Canvas(placement, ratio)
        for rect in rects:
            tiles.paint([rect])
        assert np.array_equal(tiles.paint(rects[:1]), whole)
    assert np.array_equal(drawn, whole)


@pytest.mark.parametrize("view", VIEWS)
def test_nearest_pixel_is_the_one_under_the_pointer(view):
    placement = placed(view, smooth=False)
    drawn, target = Canvas(placement, 1).paint(), placement.target
    columns = [placement.guest_pixel(x, 0)[0] for x in range(target.x, target.right)]
    rows = [placement.guest_pixel(0, y)[1] for y in range(target.y, target.bottom)]
    expected = np.asarray(NOISE)[np.ix_(rows, columns)][..., :3]
    assert np.array_equal(drawn[target.y : target.bottom, target.x : target.right], expected)


def test_quarter_is_the_average_of_sixteen_pixels():
    drawn = Canvas(placed((40, 25)), 1).paint()
    blocks = np.asarray(NOISE)[..., :3].reshape(25, 4, 40, 4, 3).astype(float).mean((1, 3))
    assert np.abs(drawn - blocks).max() <= 0.5


@pytest.mark.parametrize("view", [(40, 25), (53, 33), (79, 49)])
def test_strokes_of_one_pixel_stay_visible_below_a_half(view):
    picture = np.zeros((*SIZE[::-1], 4), np.uint8)
    picture[:, 7::16] = 255
    placement = placed(view)
    drawn = Canvas(placement, 1, frame_of(picture)).paint()
    share = placement.scale
    for column in range(7, 160, 16):
        first, last = int(column * share), int((column + 1) * share)
        weight = drawn[5, first : last + 1, 0].sum()
        assert abs(int(weight) - 255 * share) <= 2, f"the stroke at {column} has its weight"


@pytest.mark.parametrize("smooth", [True, False], ids=["smooth", "nearest"])
@pytest.mark.parametrize("view", [(40, 25), (113, 71), (320, 200)])
def test_grey_picture_with_padded_rows_is_drawn(view, smooth):
    memory = np.random.default_rng(2).integers(0, 256, (100, 200), np.uint8)
    grey = frame_of(memory)[:, :160]
    colour = np.repeat(memory[:, :160, None], 4, 2)
    placement = placed(view, smooth=smooth)
    drawn = Canvas(placement, 1, grey).paint()
    assert np.abs(drawn.astype(int) - Canvas(placement, 1, frame_of(colour)).paint()).max() <= 1


def test_scrolled_picture_is_drawn_at_its_offset():
    placement = place(SIZE, (100, 30), Scaling.WIDTH, (0, 20))
    whole = Canvas(placed((100, 63)), 1).paint()
    assert np.array_equal(Canvas(placement, 1).paint(), whole[20:50])
