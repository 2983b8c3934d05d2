import re

import pytest

from kju.errors import UsageError
from kju.surface.geometry import Rect
from kju.vision.text import Text, line_of_cells, line_of_words

EXACT = Text(
    (
        line_of_cells("  Debian GNU/Linux   ", Rect(0, 0, 168, 16)),
        line_of_cells("debian    login: _   ", Rect(0, 16, 168, 16)),
    ),
    "glyphs",
)
GUESSED = Text(
    (
        line_of_words([("Iogin:", Rect(10, 10, 60, 12), 0.9), ("r00t", Rect(80, 10, 40, 12), 0.5)]),
        line_of_words([("Continue", Rect(300, 200, 80, 14), 0.99)]),
    ),
    "tesseract",
)


def test_text_is_divided_into_lines():
    assert str(EXACT) == "Debian GNU/Linux\ndebian    login: _"
    assert str(GUESSED) == "Iogin: r00t\nContinue"


@pytest.mark.parametrize(
    ("wanted", "rect"),
    [
        ("Debian", Rect(16, 0, 48, 16)),
        ("GNU/", Rect(72, 0, 32, 16)),
        ("debian login:", Rect(0, 16, 128, 16)),
        ("  debian \n login:  ", Rect(0, 16, 128, 16)),
        ("Linux debian", Rect(0, 0, 144, 32)),
    ],
)
def test_text_is_found_with_its_place(wanted, rect):
    assert EXACT.find(wanted).rect == rect


def test_missing_text_is_not_found():
    assert EXACT.find("Login:") is None
    assert EXACT.find("1ogin:") is None
    assert EXACT.find("Deb ian") is None
    assert EXACT.find("GNU.Linux") is None, "a text is no expression"


def test_an_expression_has_groups():
    found = EXACT.find(re.compile(r"(\w+) +login: (\d)?"))
    assert (found.text, found.groups) == ("debian    login: ", ("debian", None))


def test_similar_letters_are_equal_in_recognised_text():
    found = GUESSED.find("login: rOOt")
    assert found.text == "Iogin: r00t"
    assert found.rect == Rect(10, 10, 110, 12)
    assert GUESSED.find("cont1nue") is None
    assert GUESSED.find(re.compile("login")) is None


def test_part_of_a_word_is_part_of_its_place():
    assert GUESSED.find("tinue").rect == Rect(330, 200, 50, 14)


@pytest.mark.parametrize("wanted", ["", " \n"])
def test_empty_text_is_an_error(wanted):
    with pytest.raises(UsageError, match="empty"):
        EXACT.find(wanted)


def test_wide_gaps_divide_a_line_into_phrases():
    line = line_of_cells("  Name:       [ Go Back ]   12 ", Rect(0, 0, 31 * 8, 16))
    assert [phrase.text for phrase in line.phrases] == ["Name:", "Go Back", "12"]
    assert line.phrases[1].rect == Rect(16 * 8, 0, 7 * 8, 16)
    assert line.phrases[1].confidence == 1.0
