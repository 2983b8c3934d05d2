"""Screens that are not text consoles, read by the real Tesseract."""

import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from support.console_text import console
from support.watch_scene import Scene

from kju.errors import KjuError, MissingError
from kju.surface.geometry import Rect
from kju.vision import ocr

pytest.importorskip("tesserocr")


@pytest.fixture(scope="module")
def dialog():
    """Text, a button with a frame, and a selected line, light on dark."""
    image = Image.new("RGB", (640, 300), (238, 235, 228))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(16)
    draw.text((20, 20), "Choose the language of the system", fill=(0, 0, 0), font=font)
    draw.rectangle((20, 100, 620, 124), fill=(40, 130, 120))
    draw.text((30, 102), "English selected", fill=(255, 255, 255), font=font)
    draw.rectangle((480, 240, 600, 270), outline=(60, 60, 60))
    draw.text((508, 244), "Continue", fill=(0, 0, 0), font=font)
    pixels = np.zeros((300, 640, 4), np.uint8)
    pixels[..., :3] = np.asarray(image)[..., ::-1]
    return pixels


def test_a_dialog_is_read_with_places(dialog):
    text = ocr.read(dialog, Rect(0, 0, 640, 300))
    assert text.reader == "tesseract"
    assert text.find("Choose the language of the system")
    assert text.find("English selected")
    place = text.find("Continue").rect
    assert Rect(490, 236, 110, 34).contains(place), place
    assert place.width > 40


def test_region_has_the_same_places(dialog):
    part = Rect(470, 230, 160, 60)
    text = ocr.read(dialog, part)
    assert Rect(490, 236, 110, 34).contains(text.find("Continue").rect)
    assert text.find("English") is None


def test_wait_for_text_uses_tesseract(dialog):
    scene = Scene(640, 300)
    assert not scene.wait(ocr.Reads("Continue"))
    scene.draw((0, 0, 640, 300), dialog)
    assert scene.check()
    assert not scene.wait(ocr.Reads("Go Back"))
    error = scene.watch.timed_out(scene.now)
    assert "English selected" in error.text
    assert "waiting for the text 'Go Back'" in str(error)
    assert "Choose the language" in str(error)


@pytest.mark.parametrize("package", ["tesserocr", "cv2"])
def test_wait_for_text_of_a_console_works_without_tesseract(dialog, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(ocr, "_idle", {})
    with pytest.raises(MissingError, match="install with"):
        ocr.read(dialog, Rect(0, 0, 640, 300))
    scene = Scene(640, 400)
    scene.pixels[:300] = dialog
    assert not scene.wait(ocr.Reads("login:"))
    assert "install with:" in str(scene.watch.timed_out(scene.now))
    scene.draw((0, 0, 640, 400), console(["debian login:"]))
    assert scene.check()


def test_other_threads_run_while_it_reads(dialog):
    """The engine releases the interpreter lock, so this thread never waits for all of its work."""
    large = np.tile(dialog, (3, 2, 1))
    ocr.recognise(dialog, Rect(0, 0, 640, 300))
    thread = threading.Thread(target=ocr.recognise, args=(large, Rect(0, 0, 1280, 900)))
    thread.start()
    began = last = time.perf_counter()
    longest = 0.0
    while thread.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    thread.join()
    assert longest < (last - began) / 2


def test_missing_language_is_named():
    with pytest.raises(KjuError, match="'xyz'"):
        ocr.recognise(np.zeros((30, 30, 4), np.uint8), Rect(0, 0, 30, 30), "xyz")
