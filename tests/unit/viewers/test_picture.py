"""The shape of a view's pointer, and the guest's cursor in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from kju.surface import Cursor
from kju.viewers.contract import PointerShape
from kju.viewers.picture import Pointing, draws_cursor, pointer_shape

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
