"""Windows of the fake machine, in a process of their own: for `run_scene` of test_heads.py."""

from __future__ import annotations

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QMenu

from kju.viewers.input.grab import RELEASE
from kju.viewers.qt.heads import HeadFactory, HeadsRow, HeadWindows, raise_window
from kju.viewers.qt.widget import ScreenView
from kju.viewers.qt.window import MachineWindow

from .qt_wait import until

__all__ = [
    "HeadWindows", "HeadsRow", "QMenu", "actions_of", "app", "end", "factory", "make_view",
    "make_window", "run", "until",
]  # fmt: skip

app = QApplication(["kju"])


def make_view(console: int) -> ScreenView:
    """Return a view of the fake machine's only screen, whichever is asked for."""
    view = ScreenView()
    view.show_machine("fake", release=RELEASE)
    return view


def make_window(console: int) -> MachineWindow:
    return MachineWindow(make_view(console))


factory = HeadFactory(make_window, make_view, raise_window)


def actions_of(window: MachineWindow) -> dict[str, QAction]:
    """Return the actions of a window's menus by their texts."""
    return {a.text(): a for menu in window.findChildren(QMenu) for a in menu.actions()}


def run() -> None:
    app.processEvents()


def end() -> None:
    """End without Python's teardown of Qt's objects."""
    for window in app.topLevelWidgets():
        window.close()
    run()
