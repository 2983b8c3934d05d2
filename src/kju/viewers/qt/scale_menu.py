"""Menu entries for the size of the picture, and for the size of the guest's screen."""

from __future__ import annotations

import html

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu

from ...escaping import one_line
from ..geometry import Scaling
from .widget import ScreenView

_SCALES = {
    Scaling.FIT: "Fit the window",
    Scaling.SHRINK: "Fit, never enlarged",
    Scaling.INTEGER: "Whole multiples",
    Scaling.ONE: "1:1",
    Scaling.WIDTH: "Fill the width",
}


def add_scale_actions(menu: QMenu, view: ScreenView) -> None:
    """Fill the menu "Scale" of one screen.

    The marks are set when the menu opens. In a view that sends no input, or whose display cannot be
    resized, the entries for the guest's size are off, and a tooltip has the reason.
    """
    menu.setToolTipsVisible(True)
    menu.aboutToShow.connect(_ScaleEntries(menu, view).update)


class _ScaleEntries(QObject):
    """The entries of the menu, which owns this."""

    def __init__(self, menu: QMenu, view: ScreenView) -> None:
        super().__init__(menu)
        self._view = view
        viewer = view.viewer
        self._scales: dict[Scaling, QAction] = {}
        group = QActionGroup(menu)
        for scaling, label in _SCALES.items():
            action = self._scales[scaling] = menu.addAction(label)
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, wanted=scaling: viewer.set_scaling(wanted))
            group.addAction(action)
        menu.addSeparator()
        self._smooth = menu.addAction("Smooth pixels")
        self._smooth.setCheckable(True)
        self._smooth.triggered.connect(viewer.set_smooth)
        menu.addSeparator()
        self._usual = menu.addAction("Resize window to guest")
        self._usual.triggered.connect(viewer.picture.take_usual_size)
        self._once = menu.addAction("Resize guest to window")
        self._once.triggered.connect(viewer.guest_size.resize_once)
        self._sticky = menu.addAction("Keep guest at the window's size")
        self._sticky.setCheckable(True)
        self._sticky.triggered.connect(viewer.guest_size.set_sticky)
        self.update()

    def update(self) -> None:
        """Set the marks, and which entries are on."""
        viewer = self._view.viewer
        self._scales[viewer.scaling].setChecked(True)
        self._smooth.setChecked(viewer.picture.smooth)
        self._sticky.setChecked(viewer.guest_size.sticky)
        refusal = "this window is view only" if viewer.view_only else viewer.guest_size.refusal
        for action in (self._once, self._sticky):
            action.setEnabled(not refusal)
            action.setToolTip(_plain(f"Not possible: {one_line(refusal)}") if refusal else "")
        full = self._view.window().isFullScreen() or self._view.window().isMaximized()
        why = "the window fills the display" if full else ""
        if viewer.picture.mode is None:
            why = "there is no picture yet"
        self._usual.setEnabled(not why)
        self._usual.setToolTip(_plain(f"Not possible: {why}") if why else "")


def _plain(words: str) -> str:
    """Return a tooltip with these words, in which Qt finds no other HTML."""
    return f"<qt>{html.escape(words)}</qt>"
