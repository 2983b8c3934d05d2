"""Locators for clicked places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from support.console_text import console

from kju.codegen.places import ChosenPlace, choose_image, choose_place, quoted
from kju.codegen.reading import ReadFrame

cv2 = pytest.importorskip("cv2")
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"


def drawn(*texts: tuple[int, int, str], boxes: tuple[tuple[int, int, int, int], ...] = ()) -> Any:
    """Draw texts and frames on a light screen: B G R X."""
    image = Image.new("RGB", (640, 400), (240, 240, 238))
    draw = ImageDraw.Draw(image)
    for box in boxes:
        draw.rectangle(box, outline=(90, 90, 90), fill=(255, 255, 255))
    for x, y, text in texts:
        draw.text((x, y), text, fill=(16, 16, 16), font=ImageFont.truetype(FONT, 16))
    pixels = np.asarray(image)[..., ::-1]
    return np.dstack((pixels, np.zeros(pixels.shape[:2], np.uint8)))


def chosen(point: tuple[int, int], frame: Any, clear: Any = None) -> str:
    shown = ReadFrame(frame)
    place = choose_place(point, shown, shown if clear is None else ReadFrame(clear))
    return "" if place is None else place.code("IMAGE")


CONSOLE = console(["", "  Name:  [ Cancel ]", "", "  Mail:  [ Cancel ]  [ Install ]  1 2", ""])


def test_a_text_on_a_console() -> None:
    assert chosen((24 * 8, 3 * 16 + 4), CONSOLE) == 'screen.text("Install")'
    second = 'screen.text("Cancel").right_of(screen.text("Mail:"))'
    assert chosen((12 * 8, 3 * 16 + 4), CONSOLE) == second


def test_a_place_without_a_text_or_image() -> None:
    assert chosen((600, 300), CONSOLE) == ""
    assert chosen((700, 300), CONSOLE) == "", "outside of the screen"


def test_a_recognised_text_and_the_field_beside_it() -> None:
    pytest.importorskip("tesserocr")
    field, tick = (200, 95, 400, 125), (40, 200, 56, 216)
    texts = ((40, 100, "Name:"), (70, 198, "Remember me"), (480, 100, "Continue"))
    frame = drawn(*texts, boxes=(field, tick, (460, 92, 580, 128)))
    assert chosen((520, 110), frame) == 'screen.text("Continue")'
    assert chosen((470, 97), frame) == 'screen.text("Continue")', "in the button, beside its text"
    assert chosen((250, 110), frame).startswith('screen.text("Name:").right_of(')
    assert chosen((48, 208), frame).startswith('screen.text("Remember me").left_of(')


def test_the_pointers_cursor_does_not_hide_the_text() -> None:
    pytest.importorskip("tesserocr")
    clear = drawn((40, 100, "Continue"))
    covered = clear.copy()
    covered[104:120, 60:90] = 0
    assert chosen((70, 110), covered, clear) == 'screen.text("Continue")'
    other = drawn((40, 100, "Cancel it"))
    other[80:140, 20:200] = np.random.default_rng(1).integers(0, 255, (60, 180, 4), np.uint8)
    assert chosen((70, 110), clear, other) == 'screen.text("Continue")', "an old picture"


def test_an_image_is_cut_so_large_that_it_is_the_only_one() -> None:
    frame = drawn()
    for x in (100, 300):
        frame[100:110, x : x + 10] = 60
    frame[100:110, 325:335] = (0, 0, 200, 0)
    shown = ReadFrame(frame)
    place = choose_image((305, 105), shown)
    assert place is not None
    assert place.needle is not None
    assert place.code("IMAGE") == "screen.image(IMAGE)"
    assert place.rect.width > 2 * 18, "the smaller ones are there twice"
    assert place.needle.click == (305 - place.rect.x, 105 - place.rect.y)
    assert place.is_on(shown)
    assert not place.is_on(ReadFrame(drawn()))
    assert choose_image((500, 300), shown) is None, "nothing is there"


def test_a_place_knows_whether_another_screen_has_it() -> None:
    place = choose_place((24 * 8, 3 * 16 + 4), ReadFrame(CONSOLE), ReadFrame(CONSOLE))
    assert isinstance(place, ChosenPlace)
    assert place.is_on(ReadFrame(CONSOLE))
    assert not place.is_on(ReadFrame(console([""])))


def test_string_literals() -> None:
    for text in ("a", 'a"b', "a'b", "a\\b\n", "\x1b'\"", "\u202e"):
        assert eval(quoted(text)) == text
    assert quoted("a") == '"a"'
