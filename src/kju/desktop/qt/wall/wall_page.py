"""The first page of the main window: search, filters, the wall, the side panel."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ....viewers.qt.palette import GRID
from ...machines.entry import MachineKey
from ...machines.machines import Machines
from ...wall.empty import EmptyAction, Setup, no_machines, nothing_found
from ...wall.search import Filter, Order, parse
from .empty_page import EmptyPage
from .flow_layout import FlowLayout
from .wall import TILE_WIDTHS, Wall

#: Milliseconds after the last key before a search begins.
_SEARCH_MS = 80
_SLIDER_WIDTH = 96


class _SearchField(QLineEdit):
    """The search field; Esc empties it, and then leaves it."""

    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            if self.text():
                self.clear()
            else:
                self.left.emit()
            return
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.left.emit()
            return
        super().keyPressEvent(event)


class WallPage(QWidget):
    """The wall with everything around it.

    Args:
        machines: All machines.
        picture: Returns a machine's newest picture.

    Attributes:
        wall: The wall.
        search: The search field.
        stack: The wall, or the page in place of an empty one.
        empty: That page.
        setup: This computer's setup; set it by `set_setup`.
    """

    #: The search, the filter or the order is another.
    searched = Signal()
    #: There are no machines, and this computer's setup is unknown.
    setup_wanted = Signal()

    def __init__(
        self,
        machines: Machines,
        picture: Callable[[MachineKey], QImage | None],
    ) -> None:
        super().__init__()
        self._machines = machines
        self.wall = Wall(machines, picture)
        self.search = _SearchField()
        self.stack = QStackedWidget()
        self.stack.addWidget(self.wall)
        self.empty = EmptyPage()
        self.stack.addWidget(self.empty)
        self.setup = Setup()
        self._filters = QButtonGroup(self, exclusive=True)
        self._order = QComboBox()
        self._size = QSlider(Qt.Orientation.Horizontal)
        self._count = QLabel(textFormat=Qt.TextFormat.PlainText)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(self.stack)
        self._soon = QTimer(self, singleShot=True, interval=_SEARCH_MS)
        self._soon.timeout.connect(self._search)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._bar = self._make_bar()
        layout.addWidget(self._bar)
        layout.addWidget(self._splitter, 1)
        machines.subscribe(lambda changed: self._show_count())
        self.empty.pressed.connect(self._empty_pressed)
        self._show_count()

    # ---- The bar

    def _make_bar(self) -> QWidget:
        bar = QWidget()
        flow = FlowLayout(bar, margin=GRID, spacing=GRID)
        self.search.setPlaceholderText("Search name, state, label, text:\N{HORIZONTAL ELLIPSIS}")
        self.search.setAccessibleName("Search machines")
        self.search.setToolTip(
            "Words of a name, a state, a label or a host. name:, state:, label: and host: restrict"
            ' a word; text:"login failed" reads the screens.'
        )
        self.search.setClearButtonEnabled(True)
        for button in self.search.findChildren(QToolButton):
            button.setAccessibleName("Empty the search")
        self.search.setMinimumWidth(self.search.fontMetrics().horizontalAdvance("m" * 20))
        self.search.textChanged.connect(lambda: self._soon.start())
        self.search.left.connect(self.wall.setFocus)
        flow.addWidget(self.search)
        flow.addWidget(self._make_filters())
        flow.addWidget(self._make_order())
        flow.addWidget(self._make_slider())
        flow.addWidget(self._count)
        return bar

    def _make_filters(self) -> QWidget:
        group = QWidget()
        group.setAccessibleName("Filter")
        row = QHBoxLayout(group)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for chosen in Filter:
            button = QToolButton()
            button.setText(chosen.value)
            button.setAccessibleName(f"Show {chosen.value.lower()} machines")
            button.setCheckable(True)
            button.setChecked(chosen is Filter.ALL)
            button.setProperty("filter", chosen)
            button.setAutoRaise(True)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            self._filters.addButton(button)
            row.addWidget(button)
        self._filters.buttonClicked.connect(lambda button: self._search())
        return group

    def _make_order(self) -> QWidget:
        self._order.setAccessibleName("Order of the machines")
        self._order.setToolTip("Order of the machines")
        for order in Order:
            self._order.addItem(order.value, order)
        self._order.currentIndexChanged.connect(lambda index: self._search())
        return self._order

    def _make_slider(self) -> QWidget:
        least, usual, most = TILE_WIDTHS
        self._size.setAccessibleName("Size of the tiles")
        self._size.setToolTip("Size of the tiles (Ctrl+wheel)")
        self._size.setRange(least, most)
        self._size.setSingleStep(GRID * 2)
        self._size.setPageStep(GRID * 8)
        self._size.setValue(usual)
        self._size.setFixedWidth(_SLIDER_WIDTH)
        self._size.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self._size.valueChanged.connect(self.wall.set_tile_width)
        self.wall.tile_width_changed.connect(self._size.setValue)
        return self._size

    def add_to_bar(self, widget: QWidget) -> None:
        """Add a widget to the end of the bar."""
        if (flow := self._bar.layout()) is not None:
            flow.addWidget(widget)

    def take_focus(self) -> None:
        """Give the wall the focus, or the search above an empty one."""
        has_wall = self.stack.currentWidget() is self.wall
        (self.wall if has_wall else self.search).setFocus()

    # ---- The search

    @property
    def chosen(self) -> Filter:
        """The filter."""
        button = self._filters.checkedButton()
        found = button.property("filter") if button is not None else Filter.ALL
        return found if isinstance(found, Filter) else Filter.ALL

    @property
    def order(self) -> Order:
        """The order."""
        found = self._order.currentData()
        return found if isinstance(found, Order) else Order.NAME

    def set_order(self, order: Order) -> None:
        """Choose an order."""
        self._order.setCurrentIndex(list(Order).index(order))

    def _show_all(self) -> None:
        """Empty the search and drop the filter."""
        self.search.clear()
        self._filters.buttons()[0].setChecked(True)
        self._search()

    def refresh(self) -> None:
        """Search again: texts of screens were read."""
        self.wall.tiles.refresh(set())
        self._show_count()

    def _search(self) -> None:
        self._soon.stop()
        self.wall.tiles.search(parse(self.search.text()), self.chosen, self.order)
        self._show_count()
        self.searched.emit()

    def _show_count(self) -> None:
        total, here = len(self._machines.entries), self.wall.tiles.rowCount()
        runs = sum(entry.state.runs for entry in self._machines.entries.values())
        text = f"{runs} of {total} running" if here == total else f"{here} of {total} shown"
        self._count.setText(text if total else "")
        self._show_empty(total, here)

    # ---- Empty states

    def set_setup(self, setup: Setup) -> None:
        """Take this computer's setup."""
        self.setup = setup
        self._show_count()

    def _show_empty(self, total: int, here: int) -> None:
        if here or not self._machines.scanned:
            self.stack.setCurrentWidget(self.wall)
            return
        if total:
            self.empty.show_state(nothing_found(self.search.text(), self.chosen))
        else:
            self.empty.show_state(no_machines(self.setup))
            if not self.setup.known:
                self.setup_wanted.emit()
        self.stack.setCurrentWidget(self.empty)

    def _empty_pressed(self, action: EmptyAction) -> None:
        if action is EmptyAction.SHOW_ALL:
            self._show_all()
            self.wall.setFocus()

    # ---- The side panel

    def set_side_panel(self, panel: QWidget, width: int) -> None:
        """Put a panel beside the wall; the wall gets narrower, and is never covered."""
        self._splitter.addWidget(panel)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setStretchFactor(1, 0)
        panel.resize(width, panel.height())
        self._splitter.setSizes([10_000, width])
