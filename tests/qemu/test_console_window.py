"""Grab, menu and drags of `kju view` under a window manager; the guest reports its input."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import xservers
from support.accessibility import FOCUSABLE, accessibility_bus
from support.paint_guest import Guest
from support.view_window import STARTS, Window, asked, elsewhere
from support.wait import until

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
pytestmark = [pytest.mark.qemu]

GRABBED = "Ctrl+Alt releases the keyboard"
# A window that takes a dropped file and prints its path.
TARGET = """
import sys
from PySide6.QtWidgets import QApplication, QWidget
class Target(QWidget):
    def dragEnterEvent(self, event):
        print("entered", flush=True)
        event.acceptProposedAction()
    def dropEvent(self, event):
        print(event.mimeData().urls()[0].toLocalFile(), flush=True)
app = QApplication(["target"])
target = Target()
target.setWindowTitle("target")
target.setAcceptDrops(True)
target.setGeometry(900, 40, 300, 300)
target.show()
app.exec()
"""


@pytest.fixture
def window(managed: str, guest: Guest, state_folder: Path) -> Iterator[object]:
    opened: list[Window] = []

    def start(*options: str, variables: dict[str, str] | None = None, **choices: object) -> Window:
        folder = state_folder / "kju"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "windows.json").write_text(json.dumps(choices))
        asked(managed, "mousemove", "1270", "1010")
        before = len(log_of(guest))
        one = Window(managed, guest.machine.name, *options, variables=variables)
        opened.append(one)
        one.shows(lambda: np.asarray(guest.screen.frame(sync=True)))
        one.run("windowactivate", "--sync", one.id)
        # Openbox may show its focus before Qt knows it.
        one.keys("key", "z")
        until(lambda: "key 44 up" in log_of(guest)[before:], "the window has the focus")
        return one

    yield start
    for one in opened:
        one.end()


def log_of(guest: Guest) -> str:
    return guest.serial._log.read_text(errors="replace")


def grabbed(window: Window) -> bool:
    return GRABBED in window.title


def strip_button(window: Window, which: int = 0) -> tuple[str, str]:
    """Return a point on a button of the strip; 0 is the last one, the menu's."""
    width, height = window.size
    return str(width - 14 - 28 * which), str(height - 12)


def test_desktops_shortcut_is_the_guests_while_it_is_grabbed(guest: Guest, window):
    one = window()
    one.keys("key", "ctrl+alt")
    until(lambda: grabbed(one))
    one.keys("key", "alt+F4")  # openbox closes a window with it
    guest.serial.wait("^kju: key 62 up$")
    assert one.process.poll() is None
    one.keys("key", "ctrl+alt")
    until(lambda: not grabbed(one))
    until(lambda: guest.console()["keys_held"] == [])
    one.keys("key", "alt+F4")
    assert one.process.wait(STARTS) == 0


def test_chord_of_the_desktop_stays_with_it_though_the_keyboard_is_grabbed(guest: Guest, window):
    one = window(desktop_chords=["alt-f4"])
    one.keys("key", "ctrl+alt")
    until(lambda: grabbed(one))
    one.keys("key", "ctrl+shift+F2")  # another chord is the guest's
    guest.serial.wait("^kju: key 60 up$")
    before = len(log_of(guest))
    one.keys("key", "alt+F4")
    assert one.process.wait(STARTS) == 0
    guest.serial.wait("^kju: key 56 up$")
    assert "key 62 down" not in log_of(guest)[before:]
    assert guest.console()["keys_held"] == []


def test_altgr_is_a_key_of_the_guest_and_no_release_key(guest: Guest, window):
    one = window()
    one.keys("keydown", "108", "key", "q", "keyup", "108")  # the keycode of the right Alt
    for line in ("key 100 down", "key 16 down", "key 16 up", "key 100 up"):
        guest.serial.wait(f"^kju: {line}$")
    one.keys("keydown", "Control_L", "keydown", "108", "keyup", "108", "keyup", "Control_L")
    guest.serial.wait("^kju: key 29 up$")
    assert not grabbed(one)


def test_focus_loss_ends_the_grab_and_the_release_key_works_again_after_it(guest: Guest, window):
    one = window()
    one.keys("key", "ctrl+alt")
    until(lambda: grabbed(one))
    one.keys("keydown", "b")
    guest.serial.wait("^kju: key 48 down$")
    try:
        with elsewhere(one):
            until(lambda: not grabbed(one))
            guest.serial.wait("^kju: key 48 up$")
            before = len(log_of(guest))
            one.keys("key", "x")
    finally:
        one.keys("keyup", "b")
    one.run("windowactivate", "--sync", one.id)
    one.keys("key", "ctrl+alt")
    until(lambda: grabbed(one))
    assert "key 45" not in log_of(guest)[before:], "the other window had this key"


def test_menu_has_the_keys_while_it_is_open_and_the_release_key_ends_the_grab_there(
    guest: Guest, window
):
    one = window()
    one.keys("key", "ctrl+alt")
    until(lambda: grabbed(one))
    until(lambda: guest.console()["keys_held"] == [])
    guest.tell("fill 5 0 400000")  # its answer follows the lines of all keys
    before = len(log_of(guest))
    one.run("mousemove", "--window", one.id, *strip_button(one), "click", "1")
    until(lambda: menus(one), "the menu")
    one.keys("key", "Down")
    assert grabbed(one)
    one.keys("key", "ctrl+alt")
    until(lambda: not menus(one), "the release key closes the menu")
    until(lambda: not grabbed(one))
    one.keys("key", "y")
    guest.serial.wait("^kju: key 21 up$")
    said = log_of(guest)[before:]
    assert "key 108" not in said
    assert "key 56" not in said


def menus(window: Window) -> list[str]:
    """The windows of the process that have no title: its menus."""
    pid = str(window.process.pid)
    found = asked(window.display, "search", "--onlyvisible", "--pid", pid).split()
    return [one for one in found if not asked(window.display, "getwindowname", one).strip()]


def test_menu_opens_by_its_shortcut_and_works_by_keys(guest: Guest, window):
    one = window()
    one.keys("key", "ctrl+alt+m")
    until(lambda: menus(one), "the menu")
    one.keys("key", "Escape")
    until(lambda: not menus(one))
    one.keys("key", "ctrl+alt+m")
    until(lambda: menus(one), "the menu")
    one.keys("key", "Up", "key", "Return")  # the last item closes the window
    assert one.process.wait(STARTS) == 0
    assert guest.machine.is_alive


def test_pointer_over_the_picture_grabs_and_outside_it_releases(guest: Guest, window):
    one = window(grab="hover")
    assert not grabbed(one)
    one.run("mousemove", "--window", one.id, "200", "200")
    until(lambda: grabbed(one))
    one.run("mousemove", "--window", one.id, *strip_button(one, 6))
    until(lambda: not grabbed(one))


def test_full_screen_grabs_and_the_release_key_lets_it_be_left(guest: Guest, window):
    one = window(grab="full-screen")
    one.keys("key", "ctrl+alt+f")
    until(lambda: grabbed(one) and one.size == (1280, 1024))
    one.keys("key", "alt+F4")
    guest.serial.wait("^kju: key 62 up$")
    one.keys("key", "ctrl+alt")
    until(lambda: not grabbed(one))
    one.keys("key", "ctrl+alt+f")
    until(lambda: one.size != (1280, 1024))
    assert not grabbed(one)


def test_screenshot_is_dragged_out_of_the_window_as_a_file(guest: Guest, window, managed: str):
    from PIL import Image

    one = window()
    environment = xservers.environment(managed) | {"QT_QPA_PLATFORM": "xcb"}
    with subprocess.Popen(
        [sys.executable, "-c", TARGET], env=environment, stdout=subprocess.PIPE, text=True
    ) as target:
        try:
            until(lambda: asked(managed, "search", "--onlyvisible", "--name", "^target$"))
            one.run("windowmove", "--sync", one.id, "10", "40")
            place = strip_button(one, 1)
            one.run("mousemove", "--window", one.id, *place, "mousedown", "1")
            os.set_blocking(target.stdout.fileno(), False)
            said: list[str] = []

            def heard() -> list[str]:
                with contextlib.suppress(TypeError):  # nothing is there
                    said.extend((target.stdout.read() or "").split())
                return said

            def entered() -> bool:
                # The drag begins when the picture is written; it follows the pointer from then on.
                for x in (1000, 1040):
                    asked(managed, "mousemove", str(x), "200")
                return "entered" in heard()

            until(entered, "the target is offered the file")
            asked(managed, "mouseup", "1")
            until(lambda: heard()[-1:] != ["entered"], "the file is dropped")
            with Image.open(said[-1]) as image:
                assert image.size == guest.screen.mode[:2]
        finally:
            asked(managed, "mouseup", "1")
            target.kill()


def test_screen_reader_finds_every_control_of_the_window(guest: Guest, window, managed: str):
    with accessibility_bus(managed) as bus:
        one = window(variables=bus.environment)
        until(lambda: bus.program("kju") is not None, "the program on the bus")
        tree = bus.program("kju")
        assert tree is not None
        assert not tree.unnamed, str(tree)
        assert tree.find("button", "Screenshot") or tree.find("push button", "Screenshot"), str(
            tree
        )
        screen = [n for n in tree.walk() if n.name == f"Screen of {guest.machine.name}"]
        assert screen, str(tree)
        assert FOCUSABLE in screen[0].states
        guest.machine.pause()
        try:
            until(
                lambda: any(n.name == "Resume" for n in bus.program("kju").walk()),
                "the badge's button",
            )  # fmt: skip
        finally:
            guest.machine.resume()
        one.end()
