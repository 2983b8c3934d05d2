"""One suite for every viewer back end, with a real control socket, memory and events."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from support.fake_host import fake_host
from support.view_drivers import ALT, CTRL, SIZE, A, F, QtDriver, StubDriver, TerminalDriver
from support.wait import until

import kju
from kju import Rect
from kju.client.surface import Screen
from kju.errors import UsageError
from kju.escaping import one_line
from kju.surface import State
from kju.viewers.contract import PointerShape, ViewCommand
from kju.viewers.geometry import Scaling


@pytest.fixture(params=[StubDriver, QtDriver, TerminalDriver], ids=["stub", "qt", "terminal"])
def driver(request, monkeypatch):
    if request.param is QtDriver:
        pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
        monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    return request.param


@pytest.fixture
def host(runtime_folder):
    with fake_host() as host:
        yield host


@pytest.fixture
def open_view(driver, host):
    opened = []

    def start(show=True, **how):
        one = driver("fake", **how)
        opened.append(one)
        if show:
            one.show()
        return one

    yield start
    for one in opened:
        one.close()


class FakePointer:
    """Has the methods of a machine's pointer."""

    def __init__(self, absolute):
        self.absolute = absolute
        self.got = []

    def is_absolute(self):
        return self.absolute

    def move(self, x, y):
        if not self.absolute:
            raise UsageError("the guest's pointer is relative")
        self.got.append(("at", x, y))

    def move_by(self, dx, dy):
        if self.absolute:
            raise UsageError("the guest's pointer is absolute")
        self.got.append(("by", dx, dy))

    def press(self, *buttons):
        self.got += [("down", name) for name in buttons]

    def release(self, *buttons):
        self.got += [("up", name) for name in buttons]

    def wheel(self, vertical, horizontal=0):
        self.got.append(("wheel", vertical, horizontal))


@pytest.fixture(autouse=True)
def pointer(monkeypatch):
    """Replace every machine's pointer, as a host without QEMU has no pointer."""
    pointer = FakePointer(absolute=True)
    monkeypatch.setattr(Screen, "pointer", property(lambda self: pointer))
    return pointer


def eventually(view, condition, what=""):
    def ran():
        view.run()
        return condition()

    until(ran, what=what)


def paint(host, seed=1, rect=None):
    """Publish random pixels in a rectangle; return the whole picture, B G R."""
    producer = host.machine.producer
    mode = producer.mode
    rect = rect or Rect(0, 0, mode.width, mode.height)
    random = np.random.default_rng(seed)
    new = random.integers(0, 256, (rect.height, rect.width, 4), np.uint8)
    producer.draw(rect, new.tobytes(), stride=rect.width * 4)
    return np.array(producer.pixels)[..., :3]


def test_picture_and_every_change_are_shown(open_view, host):
    whole = paint(host)
    view = open_view()
    eventually(view, lambda: np.array_equal(view.pixels, whole), "the first picture")
    for seed, rect in enumerate([Rect(0, 0, 3, 3), Rect(40, 20, 24, 28), Rect(0, 47, 64, 1)], 2):
        whole = paint(host, seed, rect)
        eventually(view, lambda now=whole: np.array_equal(view.pixels, now), f"{rect}")


@pytest.mark.parametrize("times", [2, 3])
def test_whole_multiples_have_square_pixels(open_view, host, times):
    whole = paint(host)
    view = open_view(scaling=Scaling.INTEGER)
    eventually(view, lambda: np.array_equal(view.pixels, whole))
    view.resize(SIZE[0] * times, SIZE[1] * times)
    large = whole.repeat(times, 0).repeat(times, 1)
    eventually(view, lambda: np.array_equal(view.pixels, large))
    small = paint(host, 5, Rect(33, 1, 5, 7))
    large = small.repeat(times, 0).repeat(times, 1)
    eventually(view, lambda: np.array_equal(view.pixels, large), "and so has damage")


def test_damage_is_drawn_without_seams(open_view, host):
    """At a smoothing scale a part must be drawn as in a whole picture."""
    paint(host)
    view, other = open_view(), open_view()
    for one in (view, other):
        eventually(one, lambda one=one: one.status.size == SIZE)
        one.resize(101, 77)
    for seed in range(2, 8):
        random = np.random.default_rng(seed)
        x, y = int(random.integers(0, 60)), int(random.integers(0, 44))
        paint(host, seed, Rect(x, y, 4, 4))
        version = host.machine.producer.version
        eventually(view, lambda v=version: view.viewer.version >= v)
    eventually(other, lambda: other.viewer.version == version)
    view.run()
    other.viewer.backend.repaint(None)
    other.run()
    # Qt rounds from the start of the drawn part: one level of 255 more or less.
    eventually(view, lambda: np.abs(view.pixels.astype(int) - other.pixels).max() <= 1)


def test_mode_change_resizes_the_view(open_view, host):
    paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    host.machine.producer.set_mode(100, 80)
    whole = paint(host, 9)
    eventually(view, lambda: view.status.size == (100, 80))
    if not view.resizes:
        assert view.viewer.backend.view_size() == SIZE
        view.resize(100, 80)  # as the user does
    eventually(view, lambda: view.pixels.shape == whole.shape)
    eventually(view, lambda: np.array_equal(view.pixels, whole))


def test_view_that_the_user_resized_keeps_its_size(open_view, host):
    paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    view.resize(200, 150)
    eventually(view, lambda: view.viewer.backend.view_size() == (200, 150))
    host.machine.producer.set_mode(100, 80)
    eventually(view, lambda: view.status.size == (100, 80))
    assert view.viewer.backend.view_size() == (200, 150)
    assert view.status.scale == pytest.approx(150 / 80, abs=0.02)


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


def test_hidden_view_detaches_from_the_machine(open_view, host):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    view.key(A, True)
    view.show(False)
    eventually(view, lambda: host.machine.gone, "the client has left")
    assert host.machine.steps[-1] == (A - 8, False)
    whole = paint(host, 4)
    view.show()
    eventually(view, lambda: np.array_equal(view.pixels, whole), "and is back")


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (State.PAUSED, "", "paused"),
        (State.UNAVAILABLE, "the display is off", "no picture: the display is off"),
    ],
)
def test_status_shows_the_reason_of_a_picture_that_is_not_live(
    open_view, host, state, reason, said
):
    paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    assert view.status.message == ""
    host.machine.producer.set_state(state, reason)
    eventually(view, lambda: view.status.message == said)
    host.machine.producer.set_state(State.LIVE)
    eventually(view, lambda: view.status.message == "")


def test_picture_of_an_ended_machine_stays_until_the_next_machine(driver, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    view = driver("fake")
    try:
        with fake_host() as first:
            whole = paint(first)
            view.show()
            eventually(view, lambda: view.status.message == "" and view.status.size == SIZE)
            eventually(view, lambda: np.array_equal(view.pixels, whole))
        eventually(view, lambda: "the machine 'fake' has" in view.status.message)
        view.key(A, True)  # without a receiver
        with fake_host() as second:
            whole = paint(second, 2)
            eventually(view, lambda: view.status.message == "")
            eventually(view, lambda: np.array_equal(view.pixels, whole))
            view.key(A, False)
            view.key(A, True)
            eventually(view, lambda: second.machine.steps[-1:] == [(A - 8, True)])
    finally:
        view.close()


def test_close_releases_keys_and_leaves_the_machine(open_view, host):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    view.key(A, True)
    view.viewer.closed()
    assert host.machine.steps == [(A - 8, True), (A - 8, False)]
    with kju.attach("fake") as machine:
        assert machine.is_alive


def test_screenshot_has_the_guests_pixels_at_every_scale(open_view, host, tmp_path):
    from PIL import Image

    whole = paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    view.resize(200, 90)
    host.machine.block.set()  # lets requests for a refresh finish
    path = tmp_path / "shot.png"
    view.viewer.save(path)
    eventually(view, lambda: view.notes == [f"saved {path}"])
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image)[..., ::-1], whole)
    view.viewer.save(Path(os.devnull) / "no.png")
    eventually(view, lambda: view.notes[-1].startswith("cannot save the screenshot: "))


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


def test_updates_are_no_faster_than_the_display(open_view, host, monkeypatch):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    monkeypatch.setattr(view.viewer.backend, "frame_seconds", lambda: 0.05)
    updates = []
    updated = view.viewer.updated
    monkeypatch.setattr(view.viewer, "updated", lambda new: (updates.append(new), updated(new)))
    painted = 0
    while len(updates) < 5:
        paint(host, painted, Rect(0, 0, 8, 8))
        painted += 1
        view.run()
    assert painted > 2 * len(updates), "many changes are one update"
    whole = np.array(host.machine.producer.pixels)[..., :3]
    eventually(view, lambda: np.array_equal(view.pixels, whole), "and the last one is shown")


def test_change_after_an_input_does_not_wait_for_the_display(open_view, host, monkeypatch):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    # A display so slow that a picture on its schedule would end the test.
    monkeypatch.setattr(view.viewer.backend, "frame_seconds", lambda: 600.0)
    pacing = view.viewer._pacing
    while pacing.due < time.monotonic() + 60:  # use the budget up
        paint(host, 3, Rect(0, 0, 8, 8))
        version = host.machine.producer.version
        # The budget may end with a picture that the test has not counted yet.
        eventually(
            view,
            lambda v=version: view.viewer.version >= v or pacing.due > time.monotonic() + 60,
        )
    view.key(A, True)
    eventually(view, lambda: host.machine.steps == [(A - 8, True)])
    whole = paint(host, 9, Rect(8, 8, 8, 8))
    eventually(view, lambda: np.array_equal(view.pixels, whole), "drawn at once")


def test_host_learns_the_rate_of_a_fast_display(open_view, host, monkeypatch):
    view = open_view(show=False)
    rate = [75.0]
    monkeypatch.setattr(view.viewer.backend, "frame_seconds", lambda: 1 / rate[0])
    view.show()
    eventually(view, lambda: host.machine.rates[-1:] == [75.0])
    rate[0] = 30.0
    paint(host, 2)
    eventually(view, lambda: host.machine.rates[-1:] == [None], "the usual rate")


def test_numbers_are_collected_on_request(open_view, host):
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    assert view.viewer.numbers() is None
    host.machine.info["consoles"] = [{"source": "vram"}]
    view.viewer.show_numbers(True)
    view.key(A, True)
    eventually(view, lambda: host.machine.steps == [(A - 8, True)])
    paint(host, 4, Rect(0, 0, 32, 24))
    eventually(view, lambda: view.viewer.numbers().keys == 1, "the key's damage is painted")
    report = view.viewer.numbers()
    assert 0 < report.key_median == report.key_most < 2
    assert 0 < report.damaged <= 1
    eventually(view, lambda: view.viewer.numbers().source, "the host's source")
    eventually(view, lambda: view.viewer.numbers().host is not None, "the host's CPU")
    view.viewer.show_numbers(False)
    assert view.viewer.numbers() is None
    whole = paint(host, 5)
    eventually(view, lambda: np.array_equal(view.pixels, whole), "and the picture goes on")


def test_numbers_are_drawn_over_the_picture_and_cost_nothing_when_hidden(host, monkeypatch):
    pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    driver = QtDriver("fake")
    from PySide6.QtCore import QTimer

    from kju.viewers.qt.window import MachineWindow

    host.machine.info["consoles"] = [{"source": "vram"}]
    window = MachineWindow(driver.view)
    overlay = window.numbers
    try:
        window.show()
        running = lambda: {t for t in window.findChildren(QTimer) if t.isActive()}  # noqa: E731
        eventually(driver, lambda: driver.statuses and driver.status.size == SIZE)
        eventually(driver, lambda: not running(), "no timer runs at rest")
        window.command(ViewCommand.NUMBERS)
        assert overlay.isVisible()
        eventually(driver, lambda: "of a core" in overlay.text, "the first figures")
        assert "Key to pixel: press a key" in overlay.text
        assert driver.view.rect().right() - overlay.geometry().right() == 16
        window.hide()
        assert driver.viewer.numbers() is None
        assert not running()
        window.show()
        assert driver.viewer.numbers() is not None
        window.command(ViewCommand.NUMBERS)
        assert driver.viewer.numbers() is None
        assert not running()
    finally:
        window.close()
        window.deleteLater()
        driver.close()


@pytest.mark.parametrize(
    "text", ["<img src=file:///dev/zero>", "<b>bold</b>", "a\x1b[31m\u202e\nb", "&amp;"]
)
def test_foreign_text_is_shown_as_plain_text(host, monkeypatch, text):
    """Qt guesses HTML in a label's text, and would load its images."""
    pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    driver = QtDriver("fake")
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QLabel

    from kju.viewers.contract import Status
    from kju.viewers.qt.window import MachineWindow

    window = MachineWindow(driver.view)
    try:
        driver.view.status_changed.emit(Status(name=text))
        driver.view.noted.emit(text)
        labels = window.findChildren(QLabel)
        assert {label.textFormat() for label in labels} == {Qt.TextFormat.PlainText}
        shown = [label.accessibleName() for label in labels]
        assert sum(one_line(text) in words for words in shown) == 2
        assert all(words.isprintable() for words in (*shown, window.windowTitle()))
        assert one_line(text) in window.windowTitle()
    finally:
        window.deleteLater()
        driver.close()
