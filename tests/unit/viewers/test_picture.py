"""The shape of a view's pointer, and the guest's cursor in the picture."""

from __future__ import annotations

import numpy as np
import pytest
from support.stub_view import StubView

from kju.client.consumer.frame import Frame
from kju.surface import Cursor, Mode
from kju.viewers.contract import PointerShape
from kju.viewers.geometry import Scaling
from kju.viewers.picture import Pointing, ViewPicture, draws_cursor, pointer_shape

SHAPE = np.zeros((4, 4, 4), np.uint8)
SHOWN = Cursor(1, True, 5, 5, 0, 0, SHAPE)
HIDDEN = SHOWN._replace(visible=False)
NONE = SHOWN._replace(shape=SHAPE[:0, :0])


@pytest.mark.parametrize(
    ("pointing", "cursor", "look", "drawn"),
    [
        (Pointing(True, True, False, True), SHOWN, PointerShape.GUEST, False),
        (Pointing(True, True, False, True), HIDDEN, PointerShape.HIDDEN, False),
        (Pointing(True, True, False, True), NONE, PointerShape.DOT, False),
        (Pointing(True, True, False, True), None, PointerShape.DOT, False),
        # Another client moves the guest's pointer: it is drawn at its position.
        (Pointing(True, True, False, False), SHOWN, PointerShape.GUEST, True),
        (Pointing(True, False, False, True), SHOWN, PointerShape.ARROW, True),
        (Pointing(True, False, True, True), SHOWN, PointerShape.HIDDEN, True),
        (Pointing(True, False, True, True), NONE, PointerShape.HIDDEN, False),
        (Pointing(False, True, False, True), SHOWN, PointerShape.ARROW, True),
        (Pointing(False, True, False, True), HIDDEN, PointerShape.ARROW, False),
    ],
)
def test_exactly_one_pointer_is_visible(pointing, cursor, look, drawn):
    assert pointer_shape(pointing, cursor) is look
    assert draws_cursor(pointing, cursor) is drawn


def shown(width, height, stub):
    """Return the picture of a view after its first mode."""
    picture = ViewPicture(stub, Scaling.FIT)
    take(picture, width, height)
    return picture


def take(picture, width, height):
    pixels = np.zeros((height, width, 4), np.uint8).view(Frame)
    pixels.mode = Mode(width, height, width * 4, 0x34325258, 1)
    picture.show(pixels)
    picture.place()


@pytest.mark.parametrize(
    "moved",
    [(1600, 1200), (800, 572)],
    ids=["the logical size stays", "the device pixels stay, below a higher strip"],
)
def test_view_that_moves_to_another_ratio_has_the_usual_size_there(moved):
    stub = StubView(720, 428)
    stub.largest = (2000, 1400)
    picture = shown(800, 600, stub)
    assert stub.size == (800, 600)
    stub._ratio = 2.0
    stub.resize(*moved)
    picture.place()
    assert stub.size == (1600, 1200)
    picture.place()
    assert picture.placement.scale == 2
    take(picture, 640, 480)
    assert stub.size == (1280, 960), "it follows the next mode"


def test_view_that_the_user_resized_keeps_its_size_at_another_ratio():
    stub = StubView(720, 428)
    stub.largest = (2000, 1400)
    picture = shown(800, 600, stub)
    stub.resize(700, 500)
    picture.place()
    stub._ratio = 2.0
    stub.resize(1400, 1000)
    picture.place()
    assert stub.size == (1400, 1000)
