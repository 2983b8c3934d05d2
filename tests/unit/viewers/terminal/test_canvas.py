import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.vt import Terminal

from kju.surface.geometry import Rect
from kju.viewers.geometry import Scaling, place
from kju.viewers.terminal.canvas import Canvas
from kju.viewers.terminal.paint import Ability, Colours

TRUE = Ability(Colours.TRUE)


def reader(image):
    return lambda rect: image[rect.y : rect.bottom, rect.x : rect.right]


def placed(canvas, image):
    height, width = image.shape[:2]
    placement = place((width, height), canvas.size, Scaling.SHRINK, (0, 0))
    canvas.place(placement)
    return placement


def drawn(image, columns, rows, status=""):
    """A terminal on which the whole picture was drawn at once."""
    screen = Terminal(columns, rows)
    canvas = Canvas(TRUE, columns, rows)
    placed(canvas, image)
    canvas.draw(None, reader(image))
    screen.feed(canvas.paint(status))
    return screen


@given(st.data(), st.integers(1, 70), st.integers(1, 70))
def test_damage_drawn_piece_by_piece_ends_at_the_whole_picture(data, width, height):
    columns, rows = data.draw(st.integers(1, 40)), data.draw(st.integers(2, 20))
    image = np.zeros((height, width, 4), np.uint8)
    canvas, screen = Canvas(TRUE, columns, rows), Terminal(columns, rows)
    placement = placed(canvas, image)
    canvas.draw(None, reader(image))
    screen.feed(canvas.paint(""))
    for colour in data.draw(st.lists(st.integers(1, 255), max_size=4)):
        x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        rect = Rect(
            x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
        )
        image[y : rect.bottom, x : rect.right] = colour
        canvas.draw([placement.device_rect(rect)], reader(image))
        screen.feed(canvas.paint(""))
        assert screen.dots() == drawn(image, columns, rows).dots()


def test_an_unchanged_picture_writes_nothing():
    image = np.full((20, 20, 4), 9, np.uint8)
    canvas = Canvas(TRUE, 30, 12)
    placed(canvas, image)
    canvas.draw(None, reader(image))
    assert canvas.paint("status")
    canvas.draw(None, reader(image))
    assert canvas.paint("status") == b""


def test_only_the_damaged_part_is_read():
    image = np.zeros((400, 400, 4), np.uint8)
    asked = []

    def read(rect):
        asked.append(rect)
        return reader(image)(rect)

    canvas = Canvas(TRUE, 80, 41)
    placement = placed(canvas, image)
    canvas.draw(None, read)
    asked.clear()
    canvas.draw([placement.device_rect(Rect(100, 100, 32, 32))], read)
    assert len(asked) == 1
    assert asked[0].contains(Rect(100, 100, 32, 32))
    assert asked[0].area < 2500


def test_smaller_picture_clears_the_larger_one():
    canvas, screen = Canvas(TRUE, 20, 11), Terminal(20, 11)
    for side in (20, 6):
        image = np.full((side, side, 4), side, np.uint8)
        placed(canvas, image)
        canvas.draw(None, reader(image))
        screen.feed(canvas.paint(""))
    assert screen.dots() == drawn(image, 20, 11).dots()


def test_a_half_cell_beside_the_picture_is_blank():
    image = np.full((3, 4, 4), 50, np.uint8)
    first, second, third = drawn(image, 6, 4).dots(3)
    grey, none = (50, 50, 50), (None, None)
    assert first == [none, *[(None, grey)] * 4, none]
    assert second == [none, *[(grey, grey)] * 4, none]
    assert third == [none] * 6


def test_resize_of_the_terminal_redraws_everything():
    image = np.full((20, 20, 4), 50, np.uint8)
    canvas = Canvas(TRUE, 20, 11)
    placed(canvas, image)
    canvas.draw(None, reader(image))
    canvas.paint("")
    canvas.resize(30, 6)
    placed(canvas, image)
    canvas.draw(None, reader(image))
    screen = Terminal(30, 6)
    screen.feed(b"x")  # a terminal that was resized may show anything
    screen.feed(canvas.paint(""))
    assert screen.dots() == drawn(image, 30, 6).dots()


def test_the_status_is_the_last_line_cut_to_the_width():
    screen = drawn(np.zeros((4, 4, 4), np.uint8), 8, 4, "a status line")
    assert screen.text()[-1] == "a status"
    screen = drawn(np.zeros((4, 4, 4), np.uint8), 8, 4, "x")
    assert screen.text()[-1] == "x       "


def test_terminal_of_one_cell_works():
    screen = drawn(np.zeros((4, 4, 4), np.uint8), 1, 2, "s")
    assert screen.text()[-1] == "s"


def test_without_blocks_the_status_is_ascii_too():
    canvas = Canvas(Ability(Colours.NONE, blocks=False), 20, 3)
    assert canvas.paint("name │ café").isascii()
