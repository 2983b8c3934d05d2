"""`kju view` on a real X server, driven by xdotool, on a real guest that reports its input."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import guests, xservers
from support.paint_guest import MODE, Guest
from support.view_window import STARTS, Window, asked, elsewhere
from support.wait import HANG, until

import kju
from kju.viewers.geometry import Scaling, device_size, place

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
pytestmark = [pytest.mark.qemu]


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    xservers.need("Xvfb", "xdotool", "xwd", "xclock")
    with xservers.server("-screen", "0", "1400x1000x24") as (_, display):
        yield display


@pytest.fixture
def window(display: str) -> Iterator[object]:
    opened: list[Window] = []

    def start(name: str, *options: str, **how: float) -> Window:
        opened.append(Window(display, name, *options, **how))
        return opened[-1]

    yield start
    for one in opened:
        one.end()


def guests_picture(guest: Guest) -> np.ndarray:
    return np.asarray(guest.screen.frame(sync=True))


@pytest.mark.parametrize(
    ("scale", "ratio"), [("fit", 1), ("1:1", 1.25), ("integer", 1.5), ("fit", 1.5), ("1:1", 2)]
)
def test_window_shows_the_guests_pixels(guest: Guest, window, scale: str, ratio: float):
    one = window(guest.machine.name, "--scale", scale, ratio=ratio)
    one.shows(lambda: guests_picture(guest))
    guest.tell("fill 77 0 400000")
    one.shows(lambda: guests_picture(guest), "after a change of a part")


@pytest.mark.parametrize("times", [2, 3])
def test_whole_multiples_draw_pixels_as_squares(guest: Guest, window, times: int):
    guest.show(400, 300)
    until(lambda: guest.seen.mode[:2] == (400, 300))
    one = window(guest.machine.name, "--scale", "integer")
    one.shows(lambda: guests_picture(guest))
    chrome = one.size[1] - 300
    one.run("windowsize", one.id, str(400 * times), str(300 * times + chrome))
    one.shows(lambda: guests_picture(guest).repeat(times, 0).repeat(times, 1))


def test_window_follows_the_guests_mode(guest: Guest, window):
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    chrome = one.size[1] - MODE[1]
    guest.show(1024, 768)
    until(lambda: one.size == (1024, 768 + chrome))
    one.shows(lambda: guests_picture(guest))


def test_picture_larger_than_the_window_is_scrolled(guest: Guest, window):
    guest.show(1600, 1200)
    until(lambda: guest.seen.mode[:2] == (1600, 1200))
    one = window(guest.machine.name, "--scale", "1:1")
    one.shows(lambda: guests_picture(guest)[:500, :700])
    one.run("windowsize", one.id, "800", "600")
    one.shows(lambda: guests_picture(guest)[:500, :700])


def test_keys_are_sent_by_their_position(guest: Guest, window):
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    one.focus()
    for key, code in [("a", 30), ("Return", 28), ("Up", 103), ("Delete", 111), ("F12", 88)]:
        one.keys("key", key)
        guest.serial.wait(f"^kju: key {code} down$")
        guest.serial.wait(f"^kju: key {code} up$")
    # The guest draws its keys on its screen.
    one.shows(lambda: guests_picture(guest))


def test_focus_loss_releases_every_key(guest: Guest, window):
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    one.focus()
    try:
        one.keys("keydown", "b", "keydown", "Shift_L")
        guest.serial.wait("^kju: key 42 down$")
        with elsewhere(one):
            guest.serial.wait("^kju: key 42 up$")
            guest.serial.wait("^kju: key 48 up$")
            assert guest.console()["keys_held"] == []
    finally:
        one.keys("keyup", "b", "keyup", "Shift_L")


def test_held_key_repeats(guest: Guest, window):
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    one.focus()
    before = len(log_of(guest))
    one.keys("keydown", "c")
    try:
        for _ in range(3):
            guest.serial.wait("^kju: key 46 repeat$")
    finally:
        one.keys("keyup", "c")
    guest.serial.wait("^kju: key 46 up$")
    said = log_of(guest)[before:]
    assert said.count("key 46 down") == said.count("key 46 up") == 1


def log_of(guest: Guest) -> str:
    return guest.serial._log.read_text(errors="replace")


def test_release_key_grabs_and_the_title_names_it(guest: Guest, window):
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    one.focus()
    one.keys("key", "ctrl+alt")
    until(lambda: "Ctrl+Alt releases the keyboard" in one.title)
    one.keys("key", "ctrl+alt+w")  # now a chord for the guest
    guest.serial.wait("^kju: key 17 up$")
    one.keys("key", "ctrl+alt")
    until(lambda: "releases" not in one.title)
    one.keys("key", "ctrl+alt+w")
    assert one.process.wait(STARTS) == 0
    assert guest.machine.is_alive
    assert guest.console()["keys_held"] == []


def test_release_key_can_be_chosen(guest: Guest, window):
    one = window(guest.machine.name, "--release-key", "scroll_lock")
    one.shows(lambda: guests_picture(guest))
    one.focus()
    one.keys("key", "Scroll_Lock")
    until(lambda: "Scroll_lock releases the keyboard" in one.title)


def test_end_of_the_window_releases_keys_and_keeps_the_machine(guest: Guest, window):
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    one.focus()
    one.keys("keydown", "d")
    try:
        guest.serial.wait("^kju: key 32 down$")
        assert one.end() == 128 + signal.SIGTERM
        guest.serial.wait("^kju: key 32 up$")
    finally:
        one.keys("keyup", "d")
    assert guest.machine.is_alive


def test_view_only_window_sends_no_input(guest: Guest, window):
    one = window(guest.machine.name, "--view-only")
    one.shows(lambda: guests_picture(guest))
    one.focus()
    before = len(log_of(guest))
    one.keys("key", "e")
    until(lambda: any(c["role"] == "view" for c in guest.machine.info()["clients"]))
    guest.machine.keyboard.press("f")
    guest.machine.keyboard.release("f")
    guest.serial.wait("^kju: key 33 up$")
    assert "key 18" not in log_of(guest)[before:]


def test_unmapped_window_detaches_from_the_screen(guest: Guest, window):
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    names = lambda: [c["name"] for c in guest.machine.info()["clients"]]  # noqa: E731
    clients = names()
    one.run("windowunmap", "--sync", one.id)
    until(lambda: len(names()) == len(clients) - 1, "its client has left")
    guest.tell("fill 99 0 400000")
    one.run("windowmap", "--sync", one.id)
    one.shows(lambda: guests_picture(guest), "as soon as it is seen again")


def test_screenshot_key_saves_the_picture(guest: Guest, window, tmp_path: Path, monkeypatch):
    from PIL import Image

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    one.focus()
    one.keys("key", "ctrl+alt+s")
    until(lambda: list(tmp_path.rglob("*.png")))
    (path,) = tmp_path.rglob("*.png")

    def whole() -> bool:
        with contextlib.suppress(OSError), Image.open(path) as image:
            # Above that the guest draws the held keys; by now all are released.
            return np.array_equal(np.asarray(image)[200:], guests_picture(guest)[200:])
        return False

    until(whole)


def test_restarted_machine_is_shown_again(runtime_folder: None, window, tmp_path: Path) -> None:
    screen = ["-screen", "0", "640x480x24"]
    with kju.launch(xvfb=True, name="again", args=screen) as first:
        where = first.info()["xvfb"]["display"]
        xservers.do(where, "xsetroot", "-solid", "#804020")
        one = window("again")
        one.shows(lambda: np.full((480, 640, 3), (0x80, 0x40, 0x20), np.uint8))
    with kju.launch(xvfb=True, name="again", args=["-screen", "0", "500x300x24"]) as second:
        where = second.info()["xvfb"]["display"]
        xservers.do(where, "xsetroot", "-solid", "#205080")
        one.shows(lambda: np.full((300, 500, 3), (0x20, 0x50, 0x80), np.uint8))
        one.end()


def test_window_at_rest_uses_almost_no_cpu(guest: Guest, window):
    one = window(guest.machine.name)
    one.shows(lambda: guests_picture(guest))
    stat = Path(f"/proc/{one.process.pid}/stat")

    def ticks() -> int:
        fields = stat.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def still() -> bool:
        before = ticks()
        time.sleep(1)  # the CPU time of a second at rest is measured
        return ticks() - before <= 1

    until(still, "at most a hundredth of a core")


def test_window_without_a_display_is_an_error(guest: Guest):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    }
    done = subprocess.run(
        [sys.executable, "-m", "kju.cli", "view", guest.machine.name],
        env=environment, capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "without a display" in done.stderr


def test_full_screen_key_switches_and_returns(guest: Guest, managed: str):
    one = Window(managed, guest.machine.name)
    try:
        one.shows(lambda: guests_picture(guest))
        size = one.size
        one.focus()
        one.keys("key", "ctrl+alt+f")
        until(lambda: one.size == (1280, 1024), "full screen")
        one.keys("key", "ctrl+alt+f")
        until(lambda: one.size == size, "a window again")
        one.shows(lambda: guests_picture(guest))
    finally:
        one.end()


def test_window_manager_minimises_and_closes_the_window(guest: Guest, managed: str):
    one = Window(managed, guest.machine.name)
    try:
        one.shows(lambda: guests_picture(guest))
        names = lambda: [c["name"] for c in guest.machine.info()["clients"]]  # noqa: E731
        clients = len(names())
        one.run("windowminimize", "--sync", one.id)
        until(lambda: len(names()) == clients - 1, "it has detached")
        one.run("windowactivate", "--sync", one.id)
        one.shows(lambda: guests_picture(guest))
        one.keys("keydown", "d")
        guest.serial.wait("^kju: key 32 down$")
        one.keys("key", "alt+F4")  # openbox's
        assert one.process.wait(STARTS) == 0
        guest.serial.wait("^kju: key 32 up$")
        assert guest.machine.is_alive
    finally:
        one.run("keyup", "d")
        one.end()


@pytest.fixture(scope="module")
def pointed(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[kju.Machine]:
    """A guest that draws its hardware cursor where its tablet reports it."""
    folder = tmp_path_factory.mktemp("ptr")
    paint = guests.paint(folder, "still", cursor=1, size="800x600")
    with kju.launch(args=paint.arguments, name="pointed") as machine:
        with guests.Serial(paint) as serial:
            serial.wait("^kju: ready", 90)
        said = Path(f"{paint.serial}.log")
        until(lambda: b"USB Tablet" in said.read_bytes(), "the guest reads its tablet")
        until(lambda: machine.pointer.is_absolute())
        yield machine


@pytest.mark.parametrize(
    ("ratio", "factor"), [(1, 1), (1.25, 1), (1.5, 1), (1, 1.37), (1.25, 0.73)]
)
def test_pointer_is_at_the_same_pixel_in_guest_and_window(
    pointed: kju.Machine, display: str, window, ratio: float, factor: float
):
    asked(display, "mousemove", "10", "10")  # over the window: its pointer is the guest's
    one = window(pointed.name, ratio=ratio)
    one.shows(lambda: pictured(pointed, cursor=False))
    chrome = one.size[1] - 600
    if factor != 1:
        across, down = round(800 * factor), round(600 * factor) + chrome
        one.run("windowsize", one.id, str(across), str(down))
        until(lambda: one.size == (across, down))
    # Qt gives the view whole logical pixels.
    across, down = device_size(int(one.size[0] / ratio), int((one.size[1] - chrome) / ratio), ratio)
    placed = place((800, 600), (across, down), Scaling.FIT, (0, 0))
    random = np.random.default_rng(7)
    # The corners, and random pixels.
    points = [(0, 0), (across - 1, 0), (0, down - 1), (across - 1, down - 1)]
    points += [(int(x), int(y)) for x, y in random.integers(0, (across, down), (40, 2))]
    for x, y in points:
        one.run("mousemove", "--window", one.id, str(x), str(y))
        wanted = placed.guest_pixel(x, y)
        until(
            lambda wanted=wanted: (pointed.screen.cursor.x, pointed.screen.cursor.y) == wanted,
            f"{x},{y} of the window is {wanted} of the guest, not {pointed.screen.cursor[2:4]}",
        )


def test_guests_cursor_is_drawn_outside_the_windows_pointer(
    pointed: kju.Machine, display: str, window
):
    asked(display, "mousemove", "10", "10")
    one = window(pointed.name)
    one.shows(lambda: pictured(pointed, cursor=False))
    one.run("mousemove", "--window", one.id, "400", "300")
    until(lambda: (pointed.screen.cursor.x, pointed.screen.cursor.y) == (400, 300))
    # In the picture the cursor is drawn, as other clients may move it.
    one.run("mousemove", "1399", "999")
    pointed.pointer.move(100, 100)
    until(lambda: (pointed.screen.cursor.x, pointed.screen.cursor.y) == (100, 100))
    plain, drawn = (pictured(pointed, cursor) for cursor in (False, True))
    assert not np.array_equal(plain, drawn)
    until(lambda: shows_about(one, drawn), "the guest's cursor is drawn where it is")
    # Under the window's own pointer the guest's cursor is not drawn.
    one.run("mousemove", "--window", one.id, "300", "200")
    until(lambda: np.array_equal(one.pixels(800, 600), plain), "it is not drawn twice")


def pictured(machine: kju.Machine, cursor: bool) -> np.ndarray:
    return np.asarray(machine.screen.frame(pixels="rgb", sync=True, cursor=cursor))


def shows_about(one: Window, picture: np.ndarray) -> bool:
    """Compare with a tolerance: half-transparent pixels are rounded twice."""
    shown = one.pixels(picture.shape[1], picture.shape[0]).astype(int)
    return shown.shape == picture.shape and np.abs(shown - picture).max() <= 1


def test_relative_pointer_is_kept_until_the_release_key(
    runtime_folder: None, display: str, window
) -> None:
    with kju.launch(name="game", args=guests.invaders()) as machine:
        assert not machine.pointer.is_absolute()
        one = window("game")
        one.focus()
        until(lambda: one.size[1] < 428, "the size of the guest's text mode")

        def is_grabbed() -> bool:
            """Click; the window may learn only after a click that the pointer is relative."""
            asked(display, "mousemove", "--window", one.id, "100", "100", "click", "1")
            return "releases the keyboard" in one.title

        until(is_grabbed)
        for _ in range(30):
            asked(display, "mousemove_relative", "--", "60", "0")
        until(lambda: pointer_at(display)[0] < 720, "it moved 1800 pixels and is inside")
        one.keys("key", "ctrl+alt")
        until(lambda: "releases" not in one.title)
        asked(display, "mousemove", "1300", "900")
        assert pointer_at(display) == (1300, 900)
        one.end()


def pointer_at(display: str) -> tuple[int, int]:
    words = dict(line.split("=") for line in asked(display, "getmouselocation", "--shell").split())
    return int(words["X"]), int(words["Y"])
