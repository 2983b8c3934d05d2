"""`kju wait` and `kju needle` on a surface of another process."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from support.console_text import console

import kju
from kju.memory import SurfaceProducer
from kju.vision.needle import Needle

KJU = (sys.executable, "-m", "kju.cli")


@pytest.fixture
def screen(tmp_path):
    path = tmp_path / "screen.kju"
    with SurfaceProducer.create(path, capacity=640 * 400 * 4) as producer:
        producer.set_mode(640, 400, source=console(["", "debian login:"]))
        yield path, producer


def run(*words):
    done = subprocess.run([*KJU, *map(str, words)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_wait_for_text_prints_its_place(screen):
    code, out, err = run("wait", screen[0], "--text", "login:", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found.pop("seconds") < 60
    assert found == {"what": "text", "text": "login:", "rect": [56, 16, 48, 16]}
    assert run("wait", screen[0], "--text", "login:")[1] == "login:  48x16 at 56,16\n"


def test_timeout_saves_a_picture(screen, tmp_path):
    png = tmp_path / "error.png"
    words = ("--text", "password", "--region", "0,0,320,64", "--timeout", "0.1")
    code, out, err = run("wait", screen[0], *words, "--save-on-timeout", png)
    assert (code, out) == (6, "")
    assert err.count("\n") == 1
    assert "timed out after 0.1 s waiting for the text 'password' in 320x64 at 0,0" in err
    assert "text on the screen (glyphs): debian login:" in err
    with Image.open(png) as image:
        assert image.width >= 640 and image.height > 400


def test_needle_is_cut_and_found(screen, tmp_path):
    path, producer = screen
    png, needle = tmp_path / "whole.png", tmp_path / "login.png"
    kju.Surface(path).screenshot(png)
    cut = ("--at", "56,16,48,16", "--exclude", "60,18,8,8", "--click", "70,20")
    for source in (path, png):
        assert run("needle", source, "-o", needle, *cut)[0] == 0
        loaded = Needle.load(needle)
        assert loaded.exclude == (kju.Rect(4, 2, 8, 8),)
        assert loaded.click == (14, 4)
    producer.set_mode(640, 400)
    moved = console(["", "", "", " debian login:"])
    timer = threading.Timer(0.5, lambda: producer.set_mode(640, 400, source=moved))
    timer.start()
    code, out, err = run("wait", path, "--image", needle, "--json")
    timer.join()
    assert code == 0, err
    found = json.loads(out)
    assert (found["rect"], found["click"], found["score"]) == ([64, 48, 48, 16], [78, 52], 1.0)
    assert found["image"] == str(needle)


def test_wait_for_stillness_change_and_colour(screen):
    path, producer = screen
    assert run("wait", path, "--stable", "0.1")[:2] == (0, "still for 0.1 s\n")
    black = ("--region", "0,200,640,200")
    assert run("wait", path, "--colour", "black", *black)[:2] == (0, "black\n")
    assert run("wait", path, "--colour", "black", "--timeout", "0.1")[0] == 6
    stop = threading.Event()

    def blink():
        while not stop.wait(0.02):
            producer.draw(kju.Rect(8, 300, 2, 2), np.full((2, 2, 4), producer.version % 255, "u1"))

    thread = threading.Thread(target=blink)
    thread.start()
    code, out, _ = run("wait", path, "--change", "--json")
    stop.set()
    thread.join()
    assert code == 0
    assert json.loads(out)["rects"] == [[8, 300, 2, 2]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "use exactly one of"),
        (("--text", "x", "--change"), "use exactly one of"),
        (("--text", "x", "--region", "1,2,3"), "--region is X,Y,WIDTH,HEIGHT"),
        (
            ("--text", "x", "--region", "1,2,3,0"),
            "--region 1,2,3,0: width and height must be 1 or more",
        ),
        (("--colour", "reddish"), "unknown colour"),
    ],
)
def test_wrong_conditions_are_usage_errors(screen, words, said):
    code, _, err = run("wait", screen[0], *words, "--timeout", "1")
    assert (code, said in err) == (2, True), err


def test_error_names_a_file_that_is_not_a_needle(screen, tmp_path):
    wrong = tmp_path / "wrong.png"
    wrong.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    code, _, err = run("wait", screen[0], "--image", wrong, "--timeout", "1")
    assert code == 1
    assert f"{wrong}: picture:" in err
