"""Keys and pointers of every viewer back end, with a real control socket."""

from __future__ import annotations

import numpy as np
import pytest
from support.view_drivers import ALT, CTRL, SIZE, A, F, StubDriver
from support.viewing import eventually, paint

from kju.viewers.contract import PointerShape, ViewCommand

pytestmark = pytest.mark.usefixtures("pointer")


def test_keys_reach_the_host_and_a_held_key_repeats(open_view, host):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    view.key(A, True)
    eventually(view, lambda: host.machine.steps == [(A - 8, True)])

    def repeated():
        # X11 reports a repeat as a release and a press. A repeat that has to wait for
        # other input is dropped, as the next one follows.
        for down in (False, True):
            view.key(A, down, repeat=True)
        return len(host.machine.steps) > 1

    eventually(view, repeated)
    view.key(A, False)
    eventually(view, lambda: host.machine.steps[-1] == (A - 8, False))
    *downs, _ = host.machine.steps
    assert set(downs) == {(A - 8, True)}
    view.key(A, True, repeat=True)  # a repeat of a key that is not held
    view.key(F, True)
    eventually(view, lambda: host.machine.steps[-1] == (F - 8, True))
    assert host.machine.steps == [*downs, (A - 8, False), (F - 8, True)]


def test_focus_loss_releases_every_key(open_view, host):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    for key in (CTRL, A):
        view.key(key, True)
    view.blur()
    wanted = [(CTRL - 8, True), (A - 8, True), (A - 8, False), (CTRL - 8, False)]
    eventually(view, lambda: host.machine.steps == wanted)


def test_grab_is_shown_and_released(open_view, host):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    assert "Ctrl+Alt grabs" in view.status.left_text
    for key, down in [(CTRL, True), (ALT, True), (ALT, False), (CTRL, False)]:
        view.key(key, down)
    eventually(view, lambda: view.viewer.input.grabbed)
    assert "Ctrl+Alt releases" in view.status.title
    assert view.notes == ["Ctrl+Alt releases the keyboard"]
    view.blur()
    assert not view.viewer.input.grabbed
    assert view.status.title == "fake \N{EN DASH} kju"


def test_shortcut_is_not_sent_to_the_guest(open_view, host):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    for key in (CTRL, ALT, F):
        view.key(key, True)
    assert view.commands == [ViewCommand.FULL_SCREEN]


def test_locks_of_the_guests_keyboard_are_shown(open_view, host):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    assert "Lock" not in view.status.right_text
    host.machine.lit = ["num", "caps"]
    eventually(view, lambda: view.status.right_text.startswith("Num Lock   Caps Lock   "))
    host.machine.lit = []
    eventually(view, lambda: "Lock" not in view.status.right_text)


def test_pointer_is_at_the_windows_pixel_at_every_scale(open_view, host, pointer):
    paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    view.resize(203, 150)
    eventually(view, lambda: view.status.scale > 3)
    # 64x48 at 200x150, centred in 203: a margin of one and a half columns.
    for at, pixel in [
        ((1, 0), (0, 0)),
        ((2, 4), (0, 1)),
        ((100, 75), (31, 24)),
        ((202, 149), (63, 47)),
    ]:
        view.move(*at)
        eventually(view, lambda pixel=pixel: pointer.got[-1:] == [("at", *pixel)], f"{at}")
    view.click("right")
    view.click("side")
    view.turn(1, 0)
    view.turn(-2, 1)
    clicks = [("down", "right"), ("up", "right"), ("down", "side"), ("up", "side")]

    def turned():
        # A terminal reports one notch at a time.
        turns = [g[1:] for g in pointer.got if g[0] == "wheel"]
        assert len(turns) <= 4
        return tuple(map(sum, zip(*turns, strict=True))) == (-1, 1)

    eventually(view, turned)
    assert [g for g in pointer.got if g[0] in ("down", "up")] == clicks
    assert pointer.got[-1][0] == "wheel"


def test_relative_pointer_gets_distances_after_a_grab(open_view, host, pointer):
    pointer.absolute = False
    paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    eventually(view, lambda: not view.viewer.input.absolute, "the host has answered")
    view.move(10, 10)
    view.move(20, 10)
    view.click("left")  # this click grabs the pointer
    eventually(view, lambda: view.viewer.input.grabbed)
    view.move(20, 10)
    view.move(23, 12)
    view.click("left")
    wanted = [("by", 3, 2), ("down", "left"), ("up", "left")]
    eventually(view, lambda: pointer.got == wanted)
    view.blur()
    assert not view.viewer.input.grabbed


def test_pointer_that_becomes_absolute_is_noticed(open_view, host, pointer):
    pointer.absolute = False
    paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    eventually(view, lambda: not view.viewer.input.absolute)
    pointer.absolute = True
    view.viewer.input.left()
    view.move(5, 6)
    eventually(view, lambda: view.viewer.input.absolute)
    view.move(7, 9)
    eventually(view, lambda: pointer.got[-1:] == [("at", 7, 9)])


def test_focus_loss_releases_the_buttons(open_view, host, pointer):
    paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    view.move(5, 5)
    view.viewer.input.button("left", True)
    view.blur()
    eventually(view, lambda: pointer.got[-2:] == [("down", "left"), ("up", "left")])


def test_view_only_client_sends_nothing_and_shows_its_role(open_view, host):
    view = open_view(view_only=True)
    eventually(view, lambda: view.status.size == SIZE)
    view.key(A, True)
    view.key(A, False)
    view.viewer.moved(3, 3)
    version = host.machine.producer.version
    paint(host, 3)
    eventually(view, lambda: view.viewer.version > version)
    assert host.machine.steps == []
    assert "view only" in view.status.left_text


def test_guests_cursor_is_drawn_outside_the_pointer(open_view, host):
    paint(host)
    view = open_view(view_only=True)
    eventually(view, lambda: view.status.size == SIZE)
    red = np.zeros((5, 5, 4), np.uint8)
    red[...] = 0, 0, 255, 255
    producer = host.machine.producer
    producer.set_cursor(red.tobytes(), 5, 5, 1, 2)
    producer.move_cursor(20, 12, True)
    eventually(
        view, lambda: view.pixels[10:15, 19:24].reshape(-1, 3).tolist() == [[0, 0, 255]] * 25
    )
    assert view.pixels[9, 19].tolist() == producer.pixels[9, 19, :3].tolist()
    producer.move_cursor(40, 30, True)
    eventually(
        view, lambda: np.array_equal(view.pixels[10:15, 19:24], producer.pixels[10:15, 19:24, :3])
    )
    assert view.pixels[30, 40].tolist() == [0, 0, 255]


def test_windows_pointer_takes_the_guests_shape(host):
    """tests/qemu/test_window.py compares Qt's cursor on a real display."""
    view = StubDriver("fake")
    view.show()
    eventually(view, lambda: view.status.size == SIZE)
    assert view.backend.pointer is PointerShape.DOT
    host.machine.producer.set_cursor(b"\xff" * 64, 4, 4, 1, 1)
    host.machine.producer.move_cursor(3, 3, True)
    eventually(view, lambda: view.backend.pointer is PointerShape.GUEST)
    view.close()
