"""Text in a rectangle of a screen."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from support.console_text import console

from kju.surface.geometry import Rect
from kju.viewers.tools.screen_text import read_now
from kju.vision import ocr


def test_text_console_is_read_exactly_without_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tesserocr", None)
    pixels = console(["login: root", "Password:"])
    read = read_now(pixels, Rect(0, 0, 8 * 12, 32))
    assert read.text.splitlines() == ["login: root", "Password:"]
    assert read.exact
    assert read.words == "copied 2 lines"


def test_other_screens_say_how_to_get_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tesserocr", None)
    monkeypatch.setattr(ocr, "_idle", {})  # engines of earlier tests
    noise = np.random.default_rng(1).integers(0, 256, (100, 100, 4), np.uint8)
    read = read_now(noise, Rect(0, 0, 100, 100))
    assert not read.text
    assert "tesserocr" in read.words and "install" in read.words


def test_empty_rectangle_says_so():
    pytest.importorskip("tesserocr")
    assert "no text" in read_now(np.zeros((50, 50, 4), np.uint8), Rect(0, 0, 50, 50)).words
