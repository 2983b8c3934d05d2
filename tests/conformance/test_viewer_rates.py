"""Rates of updates and the figures of every viewer back end."""

from __future__ import annotations

import time

import numpy as np
import pytest
from support.view_drivers import SIZE, A, QtDriver
from support.viewing import eventually, paint

from kju import Rect
from kju.viewers.contract import ViewCommand

pytestmark = pytest.mark.usefixtures("pointer")


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
