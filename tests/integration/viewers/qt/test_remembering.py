"""A window opens where it was, as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_host import fake_host

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from support.qt_wait import until

from kju.store.paths import view_settings_folder
from kju.viewers import settings
from kju.viewers.geometry import Scaling
from kju.viewers.settings import WindowSettings


@pytest.fixture(autouse=True)
def host(runtime_folder: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with fake_host() as host:
        host.machine.info["consoles"] = [{"no_resize": ""}]
        host.machine.producer.set_mode(320, 200)
        yield host


class Opened:
    """A window of the fake machine, opened as the command does."""

    until = staticmethod(until)

    def __init__(self, console: int = 0) -> None:
        from PySide6.QtWidgets import QApplication

        self.app = QApplication.instance() or QApplication(["kju"])
        from kju.viewers.input.grab import RELEASE
        from kju.viewers.qt.remembering import WindowMemory
        from kju.viewers.qt.widget import ScreenView
        from kju.viewers.qt.window import MachineWindow

        known = settings.load("fake").window(console)
        view = ScreenView()
        view.show_machine(
            "fake", console=console, scaling=known.scaling, smooth=known.smooth, release=RELEASE
        )
        self.window = MachineWindow(view)
        self.memory = WindowMemory(self.window, view, lambda: console, known)
        self.viewer = view.viewer
        self.window.show()
        self.until(lambda: self.viewer.picture.mode is not None)

    def close(self) -> WindowSettings:
        """Close it; return what was saved."""
        self.window.close()
        self.app.processEvents()
        if self.memory._saving is not None:
            self.memory._saving.join()
        self.window.deleteLater()
        self.app.processEvents()
        return settings.load("fake").window(0)


def test_place_size_and_scale_are_restored() -> None:
    first = Opened()
    first.window.move(120, 90)
    first.window.resize(500, 380)
    first.until(lambda: first.viewer.picture.placement.view.width == 500)
    first.viewer.set_scaling(Scaling.WIDTH)
    first.viewer.set_smooth(False)
    saved = first.close()
    assert saved == WindowSettings((120, 90), (500, 380), False, Scaling.WIDTH, smooth=False)
    second = Opened()
    try:
        assert (second.window.x(), second.window.y()) == (120, 90)
        assert (second.window.width(), second.window.height()) == (500, 380)
        assert second.viewer.scaling is Scaling.WIDTH
        assert not second.viewer.picture.smooth
    finally:
        second.close()


def test_settings_that_cannot_be_saved_are_reported_once_in_the_window() -> None:
    window = Opened()
    folder = view_settings_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file is in its place")
    notes: list[str] = []

    def take(note: str) -> None:
        if "saved" in note:
            notes.append(note)

    window.window.view.noted.connect(take)
    try:
        for place in ((120, 90), (130, 90)):
            window.window.move(*place)
            window.until(lambda at=place: window.memory._saved.place == at)
            window.memory._saving.join()
            window.until(lambda: notes)
        window.app.processEvents()
        assert len(notes) == 1
        assert notes[0].startswith("the window settings of fake were not saved: ")
    finally:
        folder.unlink()
        window.close()


def test_size_that_follows_the_guest_is_not_remembered(host) -> None:
    first = Opened()
    first.until(lambda: first.viewer.backend.view_size() == (320, 200))
    first.window.move(10, 20)
    assert first.close() == WindowSettings(place=(10, 20))
    host.machine.producer.set_mode(400, 250)
    second = Opened()
    try:
        second.until(lambda: second.viewer.backend.view_size() == (400, 250))
    finally:
        second.close()


def test_window_of_a_display_that_is_gone_is_brought_back() -> None:
    settings.update(
        "fake", lambda known: known.windows.update({0: WindowSettings((5000, 4000), (300, 220))})
    )
    opened = Opened()
    try:
        display = opened.window.screen().availableGeometry()
        assert display.contains(opened.window.geometry())
    finally:
        opened.close()


def test_window_larger_than_the_display_is_shrunk() -> None:
    settings.update(
        "fake", lambda known: known.windows.update({0: WindowSettings((0, 0), (9000, 9000))})
    )
    opened = Opened()
    try:
        display = opened.window.screen().availableGeometry()
        assert opened.window.width() <= display.width()
        assert opened.window.height() <= display.height()
    finally:
        opened.close()


def test_sticky_size_asks_the_guest_when_its_picture_is_there(monkeypatch) -> None:
    from kju.client.surface import Screen

    asked = []
    monkeypatch.setattr(Screen, "resize", lambda self, *size: asked.append(size))
    settings.update(
        "fake",
        lambda known: known.windows.update({0: WindowSettings(size=(500, 380), sticky=True)}),
    )
    opened = Opened()
    try:
        opened.until(lambda: asked)
        assert asked[-1] == opened.viewer.backend.view_size()
    finally:
        assert opened.close().sticky


def test_another_windows_settings_are_kept() -> None:
    settings.update("fake", lambda known: known.windows.update({1: WindowSettings(smooth=False)}))
    settings.update("fake", lambda known: known.windows.update({3: WindowSettings(sticky=True)}))
    first = Opened()
    first.window.move(33, 44)
    first.close()
    known = settings.load("fake")
    assert known.window(0).place == (33, 44)
    assert not known.window(1).smooth
    assert known.window(3).sticky


def test_settings_are_read_on_a_thread_for_a_tab_of_the_app() -> None:
    from PySide6.QtWidgets import QApplication, QTabWidget

    app = QApplication.instance() or QApplication(["kju"])
    from kju.viewers.input.grab import RELEASE
    from kju.viewers.qt.remembering import WindowMemory, remember
    from kju.viewers.qt.widget import ScreenView
    from kju.viewers.qt.window import MachineWindow

    known = WindowSettings((50, 60), (333, 222), scaling=Scaling.ONE, smooth=False)
    settings.update("fake", lambda all_: all_.windows.update({0: known}))
    view, tabs = ScreenView(), QTabWidget()
    view.show_machine("fake", release=RELEASE)
    window = MachineWindow(view)
    tabs.addTab(window, "fake")
    tabs.show()
    remember(window, view, lambda: 0, lambda machine: None)

    def restored() -> bool:
        app.processEvents()
        return view.viewer.scaling is Scaling.ONE and bool(window.findChildren(WindowMemory))

    until(restored)
    (memory,) = window.findChildren(WindowMemory)
    tabs.resize(700, 500)
    view.viewer.set_scaling(Scaling.WIDTH)
    app.processEvents()
    memory.save()
    memory._saving.join()
    saved = settings.load("fake").window(0)
    assert saved == WindowSettings((50, 60), (333, 222), scaling=Scaling.WIDTH, smooth=False)
    window.close()
    tabs.deleteLater()
    app.processEvents()
