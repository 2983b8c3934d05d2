"""The menu for the size of the picture and of the guest's screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.fake_host import fake_host
from support.wait import until

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from kju.viewers.geometry import Scaling


@pytest.fixture
def host(runtime_folder: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    with fake_host() as host:
        host.machine.info["consoles"] = [{"no_resize": ""}]
        yield host


class Opened:
    """A view of the fake machine, and the menu of it."""

    def __init__(self, *, view_only: bool = False) -> None:
        from PySide6.QtWidgets import QMenu
        from support.view_drivers import QtDriver

        from kju.viewers.qt.menu import add_scale_actions

        self.driver = QtDriver("fake", view_only=view_only)
        self.viewer = self.driver.viewer
        self.asked: list[tuple[int, int]] = []
        self.viewer.guest_size._request = lambda *size: self.asked.append(size)
        self.menu = QMenu("Scale")
        add_scale_actions(self.menu, lambda: self.driver.view)
        self.driver.show()
        self.until(lambda: self.driver.statuses and self.driver.status.size == (64, 48))

    def until(self, condition) -> None:
        def ran():
            self.driver.run()
            return condition()

        until(ran)

    def open(self) -> dict[str, object]:
        self.menu.aboutToShow.emit()
        return {action.text(): action for action in self.menu.actions() if action.text()}

    def close(self) -> None:
        self.driver.close()
        self.menu.deleteLater()


@pytest.fixture
def opened(host) -> Iterator[Opened]:
    one = Opened()
    yield one
    one.close()


def test_every_scale_is_in_the_menu_and_the_present_one_is_marked(opened: Opened) -> None:
    labels = {
        "Fit the window": Scaling.FIT,
        "Fit, never enlarged": Scaling.SHRINK,
        "Whole multiples": Scaling.INTEGER,
        "1:1": Scaling.ONE,
        "Fill the width": Scaling.WIDTH,
    }
    assert set(labels.values()) == set(Scaling)
    for label, scaling in labels.items():
        opened.open()[label].trigger()
        assert opened.viewer.scaling is scaling
        marked = {text for text, action in opened.open().items() if action.isChecked()}
        assert marked == {label, "Smooth pixels"}


def test_smoothing_is_switched(opened: Opened) -> None:
    opened.driver.resize(100, 75)
    opened.until(lambda: opened.viewer.picture.placement.scale > 1.5)
    assert opened.viewer.picture.placement.smooth
    opened.open()["Smooth pixels"].trigger()
    assert not opened.viewer.picture.placement.smooth
    assert not opened.open()["Smooth pixels"].isChecked()


def test_guest_is_asked_for_the_size_of_the_view(opened: Opened) -> None:
    opened.driver.resize(500, 400)
    opened.until(lambda: opened.viewer.backend.view_size() == (500, 400))
    opened.open()["Resize guest to window"].trigger()
    assert opened.asked == [(500, 400)]
    opened.open()["Keep guest at the window's size"].trigger()
    opened.driver.resize(640, 480)
    opened.until(lambda: opened.asked[-1] == (640, 480))
    assert opened.open()["Keep guest at the window's size"].isChecked()


def test_window_returns_to_the_guests_size(opened: Opened) -> None:
    opened.driver.resize(300, 200)
    opened.until(lambda: opened.viewer.backend.view_size() == (300, 200))
    opened.open()["Resize window to guest"].trigger()
    opened.until(lambda: opened.viewer.backend.view_size() == (64, 48))
    assert opened.viewer.picture.has_usual_size


def test_display_that_cannot_be_resized_says_why(host) -> None:
    host.machine.info["consoles"] = [{"no_resize": "QEMU passes <b>no</b> size on"}]
    opened = Opened()
    try:
        opened.until(lambda: opened.viewer.guest_size.refusal)
        for label in ("Resize guest to window", "Keep guest at the window's size"):
            action = opened.open()[label]
            assert not action.isEnabled()
            assert "QEMU passes" in action.toolTip()
            assert "<b>" not in action.toolTip(), "plain text"
    finally:
        opened.close()


def test_view_without_input_cannot_resize_the_guest(host) -> None:
    opened = Opened(view_only=True)
    try:
        assert not opened.open()["Resize guest to window"].isEnabled()
        assert "view only" in opened.open()["Resize guest to window"].toolTip()
        assert opened.open()["1:1"].isEnabled()
    finally:
        opened.close()
