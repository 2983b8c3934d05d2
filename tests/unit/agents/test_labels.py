"""Numbered labels: from text and edges, drawn, and valid for the pixels that were marked."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.console_text import console

from kju.agents.labels import Label, Labels, boxes_of
from kju.agents.pictures import Size, view_of
from kju.errors import UsageError
from kju.surface import Mark
from kju.surface.geometry import Rect
from kju.vision.glyphs import read_cells
from kju.vision.text import Line, Text, Word

MARK = Mark(1, 1, 42)
SCREEN = Size(640, 400)


def form():
    """A form with a label, a button with a text, an icon and a field without one."""
    image = Image.new("RGB", SCREEN, (230, 230, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((100, 100, 180, 130), fill=(200, 200, 200), outline=(40, 40, 40))
    draw.rectangle((300, 100, 320, 120), fill=(255, 255, 255), outline=(0, 0, 0))
    draw.rectangle((100, 200, 400, 225), fill=(255, 255, 255), outline=(60, 60, 60))
    draw.rectangle((5, 5, 634, 394), outline=(0, 0, 0))
    frame = np.zeros((400, 640, 4), np.uint8)
    frame[..., :3] = np.asarray(image)[..., ::-1]
    return frame


def line(text, x, y, width):
    rect = Rect(x, y, width, 14)
    return Line(text, rect, (Word(text, rect, 0),))


TEXT = Text((line("Name", 40, 206, 40), line("Install", 115, 108, 50)), "tesseract")


def test_labels_come_from_text_and_from_edges():
    boxes = boxes_of(form(), Rect(0, 0, 640, 400), TEXT)
    assert [box.number for box in boxes] == [1, 2, 3, 4]
    button, icon, label, field = boxes
    assert (button.text, icon.text, label.text, field.text) == ("Install", None, "Name", None)
    assert button.rect.contains(Rect(100, 100, 81, 31)), "the button's frame, not only its text"
    assert label.rect == Rect(40, 206, 40, 14)
    assert field.rect.contains(Rect(100, 200, 301, 26)) and field.rect.width < 310
    assert icon.rect.contains(Rect(300, 100, 21, 21)) and icon.rect.width < 30


def test_wide_gaps_divide_a_line():
    pixels = console(["", "Cancel        Install now", "-- ==", "Help"])
    text = read_cells(pixels, Rect(0, 0, 640, 400))
    boxes = [box for box in boxes_of(pixels, Rect(0, 0, 640, 400), text) if box.text]
    assert [box.text for box in boxes] == ["Cancel", "Install now", "Help"]


def test_numbers_are_drawn_on_a_copy():
    frame = form()
    before = frame.copy()
    labels = Labels(frame, boxes_of(frame, Rect(0, 0, 640, 400), TEXT), view_of(SCREEN, MARK))
    assert np.array_equal(frame, before)
    plain = before[..., 2::-1]
    changed = np.argwhere((labels.picture.pixels != plain).any(2))
    assert len(changed) > 200
    small = Labels(frame, labels.boxes, view_of(SCREEN, MARK, most=(320, 200)))
    assert small.picture.pixels.shape == (200, 320, 3)
    assert labels.words().splitlines()[0] == "1: Install at 140,115"


def test_a_mark_is_valid_for_its_pixels_only():
    frame = form()
    boxes = [Label(1, Rect(100, 100, 81, 31), "Install")]
    labels = Labels(frame, boxes, view_of(SCREEN, MARK))
    elsewhere = frame.copy()
    elsewhere[300:, :] = 0
    assert labels.point(1, elsewhere) == (140, 115)
    elsewhere[110, 120] = 0
    with pytest.raises(UsageError, match=r"has changed at label 1 since version 42.*new labels"):
        labels.point(1, elsewhere)
    with pytest.raises(UsageError, match="ask for new labels"):
        labels.point(1, np.zeros((480, 640, 4), np.uint8))
    for number in (0, 2, -1, True, 1.0, "1"):
        with pytest.raises(UsageError, match=r"no label .*: the labels are 1 to 1"):
            labels.point(number, frame)
    empty = Labels(frame, [], view_of(SCREEN, MARK))
    with pytest.raises(UsageError, match="it has none"):
        empty.box(1)
