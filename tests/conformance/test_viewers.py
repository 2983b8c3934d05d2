"""One suite for every viewer back end, with a real control socket, memory and events."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
from support.fake_host import fake_host
from support.view_drivers import SIZE, A, QtDriver
from support.viewing import eventually, paint

import kju
from kju import Rect
from kju.escaping import one_line
from kju.surface import State
from kju.viewers.geometry import Scaling

pytestmark = pytest.mark.usefixtures("pointer")


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


def test_close_unmaps_the_machines_memory_without_the_garbage_collector(open_view, host):
    paint(host)
    view = open_view()
    eventually(view, lambda: view.status.size == SIZE)
    viewer = view.viewer
    eventually(view, lambda: viewer._connection._attachment is not None)
    screen = weakref.ref(viewer._connection._attachment.screen)
    frame = weakref.ref(viewer.picture._frame)
    gc.disable()
    try:
        viewer.closed()
        eventually(view, lambda: frame() is None and screen() is None)
    finally:
        gc.enable()


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
