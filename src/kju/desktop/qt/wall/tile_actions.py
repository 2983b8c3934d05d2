"""Buttons on the tile below the pointer or with the focus."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from ....viewers.qt.contrast import OverlayFrame
from ...machines.entry import MachineEntry, MachineKey

_SIDE = 20
_MARGIN = 4


class TileAction(NamedTuple):
    """One button.

    Attributes:
        word: Its name, for its tooltip and for screen readers.
        icon: Its icon; without one it shows the word.
        run: Called when it is pressed.
    """

    word: str
    icon: QIcon
    run: Callable[[], object]


class TileActions(OverlayFrame):
    """A row of buttons at the bottom of a tile's picture.

    Args:
        parent: The viewport of the wall.

    Attributes:
        choose: Returns the actions of a machine.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.choose: Callable[[MachineEntry], list[TileAction]] = lambda entry: []
        self._shown: tuple[MachineKey, tuple[str, ...]] | None = None
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        self._row.setSpacing(_MARGIN)
        self.setAutoFillBackground(True)
        self.hide()

    def show_for(self, entry: MachineEntry | None, picture: QRect) -> None:
        """Show the buttons of a machine at the bottom of its picture; None hides them."""
        actions = self.choose(entry) if entry else []
        if entry is None or not actions or picture.isEmpty():
            self._shown = None
            self.hide()
            return
        shown = (entry.key, tuple(action.word for action in actions))
        if shown != self._shown:
            self._shown = shown
            self._fill(entry, actions, picture)
        size = self.sizeHint()
        self.setGeometry(
            picture.right() - size.width() + 1,
            picture.bottom() - size.height() + 1,
            size.width(),
            size.height(),
        )
        self.show()
        self.raise_()

    def _fill(self, entry: MachineEntry, actions: list[TileAction], picture: QRect) -> None:
        while (item := self._row.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        # As high as a line of text, if that fits on the tile.
        room = picture.width() // len(actions) - 4 * _MARGIN
        side = max(_SIDE, min(self.fontMetrics().height(), room))
        for action in actions:
            button = QToolButton(self)
            button.setAutoRaise(True)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setToolTip(action.word)
            button.setAccessibleName(f"{action.word} {entry.name}")
            if action.icon.isNull():
                button.setText(action.word)
            else:
                button.setIcon(action.icon)
                button.setIconSize(QSize(side, side))
            button.clicked.connect(lambda _=False, run=action.run: run())
            self._row.addWidget(button)
            button.show()
