"""Panel beside the wall: details, snapshots, events and log of the selected machine."""

from __future__ import annotations

import os
import time

from PySide6.QtCore import QFileSystemWatcher, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent, QTextCursor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QTabWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ....client.requests import Event
from ....escaping import lines, one_line
from ....viewers.qt import icons
from ....viewers.qt.background import QtBackground
from ....viewers.qt.palette import GRID, PlainLabel, fixed_font, plain_tooltip, tool_button
from ...actions import ActionRunner
from ...machines.entry import MachineEntry, MachineKey
from ...pages.details import DetailsSection
from ...pages.logs import EventLog, LogText, event_line
from ...pages.panel import PanelModel, PanelPage
from ...pages.snapshot_tree import SnapshotModel

#: Logical pixels.
_MIN_WIDTH, USUAL_WIDTH = 200, 320
#: Lines that a text page keeps.
MAX_LINES = 2000
#: Milliseconds between two readings of a log that grows.
_FOLLOW_MS = 250
#: Snapshots in the small list.
_MAX_SNAPSHOTS = 200
#: Sections that are closed until the user opens them.
_CLOSED = frozenset(("Added arguments and reasons",))
_NOTHING = "Select a machine to see its details."


class SidePanel(QWidget):
    """Details, snapshots, events and log of one machine. It never covers the wall.

    Args:
        runner: Runs everything that waits.

    Attributes:
        model: The snapshots and facts that it shows.
        tabs: Its pages.
    """

    #: The machine's whole snapshot tree is wanted.
    tree_wanted = Signal(object)
    #: It was hidden or shown; True for hidden.
    collapsed = Signal(bool)
    #: It was hidden while it had the focus.
    left = Signal()
    #: It was made wider or narrower, in logical pixels.
    resized = Signal(int)

    def __init__(self, runner: ActionRunner) -> None:
        super().__init__()
        poster = QtBackground(self)
        self.model = PanelModel(runner, poster.post, self._show_state)
        self.events = EventLog(os.getpid())
        self._width = USUAL_WIDTH
        self.title = PlainLabel()
        self._is_collapsed = False
        self._hide = tool_button("close", "Hide the side panel")
        self._hide.clicked.connect(lambda: self.set_collapsed(True))
        self.tabs = QTabWidget()
        self.details = _Details()
        self.snapshots = _Snapshots(runner, poster)
        self._event_text = _LineView("Events")
        self.log = _Log()
        self._fill_tabs()
        self.tabs.currentChanged.connect(lambda index: self._tell_page())
        self.snapshots.tree_wanted.connect(self._want_tree)
        self.log.grew.connect(self.model.refresh)
        self.setMinimumWidth(_MIN_WIDTH)
        self._lay_out()
        self._show_state()

    def _fill_tabs(self) -> None:
        pages: dict[PanelPage, QWidget] = {
            PanelPage.DETAILS: self.details,
            PanelPage.SNAPSHOTS: self.snapshots,
            PanelPage.EVENTS: self._event_text,
            PanelPage.LOG: self.log,
        }
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(True)
        for page, widget in pages.items():
            self.tabs.addTab(widget, page.value)
        self.tabs.setAccessibleName("Pages of the side panel")

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(GRID, GRID // 2, GRID // 2, GRID // 2)
        head.addWidget(self.title, 1)
        head.addWidget(self._hide)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.setAlignment(head, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.tabs, 1)

    # ---- The machine

    def show_machine(self, entry: MachineEntry | None) -> None:
        """Show a machine, or its new state; None for none."""
        before = self.model.state.entry
        self.model.show_machine(entry)
        if self._visible_page() is PanelPage.SNAPSHOTS:
            self.snapshots.show_machine(entry)
        if (entry and entry.key) != (before and before.key):
            self._show_events()

    def take_event(self, key: MachineKey, event: Event) -> None:
        """Take an event of any machine."""
        if not self.events.add(key, event):
            return
        entry = self.model.state.entry
        if entry is not None and entry.key == key:
            if self._visible_page() is PanelPage.EVENTS:
                self._event_text.append([event_line(event)])
            self.snapshots.model.on_event(key, event.name)

    def forget(self, key: MachineKey) -> None:
        """Forget the events of a machine that exists no longer."""
        self.events.discard(key)

    @property
    def page(self) -> PanelPage:
        """The chosen page."""
        return list(PanelPage)[self.tabs.currentIndex()]

    # ---- Visibility

    @property
    def is_collapsed(self) -> bool:
        """True while the wall has the panel's width as well."""
        return self._is_collapsed

    def set_collapsed(self, on: bool) -> None:
        """Hide the panel, or show it again."""
        if on == self._is_collapsed:
            return
        wide = self._width
        focus = self.window().focusWidget()
        had_focus = focus is not None and self.isAncestorOf(focus)
        self._is_collapsed = on
        self.setVisible(not on)
        if not on:
            self._share_width(wide)
        self._tell_page()
        self.collapsed.emit(on)
        if had_focus:
            self.left.emit()

    def _share_width(self, width: int) -> None:
        """Give the rest of the splitter's width to the wall."""
        splitter = self.parentWidget()
        if isinstance(splitter, QSplitter):
            splitter.setSizes([max(1, splitter.width() - width), width])

    @property
    def open_width(self) -> int:
        """The width while it is not collapsed."""
        return self._width

    def sizeHint(self) -> QSize:
        return QSize(USUAL_WIDTH, super().sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not self.is_collapsed and event.size().width() != event.oldSize().width():
            self._width = event.size().width()
            self.resized.emit(event.size().width())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._tell_page()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._tell_page()

    def _visible_page(self) -> PanelPage | None:
        return self.page if self.isVisible() and not self.is_collapsed else None

    def _tell_page(self) -> None:
        page = self._visible_page()
        self.model.show_page(page)
        self.log.set_following(page is PanelPage.LOG)
        if page is PanelPage.SNAPSHOTS:
            self.snapshots.show_machine(self.model.state.entry)
        elif page is PanelPage.EVENTS:
            self._show_events()

    # ---- Drawing

    def _show_state(self) -> None:
        state = self.model.state
        self.title.set_text(one_line(state.entry.name, 64) if state.entry else "No machine")
        self.details.show_sections(state.sections, state.fault if state.entry else _NOTHING)
        self.log.show_log(state.log)

    def _show_events(self) -> None:
        entry = self.model.state.entry
        events = self.events.last(entry.key) if entry else ()
        self._event_text.show_lines([event_line(event) for event in events])

    def _want_tree(self) -> None:
        if self.model.state.entry is not None:
            self.tree_wanted.emit(self.model.state.entry)


class _Details(QWidget):
    """Facts in two columns."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn: tuple[DetailsSection, ...] = ()
        self._closed = set(_CLOSED)
        self.note = QLabel(textFormat=Qt.TextFormat.PlainText, wordWrap=True)
        self.note.setMargin(GRID)
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Details")
        self.tree.setColumnCount(2)
        self.tree.setHeaderHidden(True)
        self.tree.setRootIsDecorated(True)
        self.tree.setIndentation(2 * GRID)
        self.tree.setWordWrap(True)
        self.tree.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.tree.setFrameShape(QTreeWidget.Shape.NoFrame)
        header = self.tree.header()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.note)
        layout.addWidget(self.tree, 1)

    def show_sections(self, sections: tuple[DetailsSection, ...], note: str) -> None:
        """Draw these facts; closed sections stay closed."""
        self.note.setText(one_line(note))
        self.note.setVisible(bool(note))
        if sections == self._drawn:
            return
        self._drawn = sections
        for index in range(self.tree.topLevelItemCount()):
            if (item := self.tree.topLevelItem(index)) is not None:
                change = self._closed.discard if item.isExpanded() else self._closed.add
                change(item.text(0))
        at = self.tree.verticalScrollBar().value()
        self.tree.clear()
        for section in sections:
            top = QTreeWidgetItem(self.tree, [section.title])
            top.setFirstColumnSpanned(True)
            font = top.font(0)
            font.setBold(True)
            top.setFont(0, font)
            for row in section.rows:
                fact = QTreeWidgetItem(top, [one_line(row.name, 200), one_line(row.value, 4000)])
                fact.setToolTip(1, plain_tooltip(one_line(row.value, 1000)))
                fact.setToolTip(0, plain_tooltip(one_line(row.name, 1000)))
                fact.setTextAlignment(0, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
                if not row.value:
                    fact.setFirstColumnSpanned(True)
            top.setExpanded(section.title not in self._closed)
        self.tree.verticalScrollBar().setValue(at)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.tree.header().resizeSection(0, self.width() * 2 // 5)


class _LineView(QPlainTextEdit):
    """Lines of plain text; it follows the last one unless the user has scrolled up."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setReadOnly(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setMaximumBlockCount(MAX_LINES)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.setFont(fixed_font())
        self._text: list[str] = []

    def show_lines(self, text: list[str]) -> None:
        """Show these lines; only new ones are drawn where they continue the old ones."""
        text = text[-MAX_LINES:]
        if text == self._text:
            return
        if self._text and text[: len(self._text)] == self._text:
            self.append(text[len(self._text) :])
            return
        self._text = text
        follows = self._follows()
        at = self.verticalScrollBar().value()
        self.setPlainText(lines("\n".join(text)))
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum() if follows else at)

    def append(self, text: list[str]) -> None:
        """Add lines."""
        self._text = (self._text + text)[-MAX_LINES:]
        follows = self._follows()
        if self.toPlainText():
            self.appendPlainText(lines("\n".join(text)))
        else:
            self.setPlainText(lines("\n".join(text)))
        if follows:
            self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    def _follows(self) -> bool:
        return self.verticalScrollBar().value() >= self.verticalScrollBar().maximum()

    def to_end(self) -> None:
        """Scroll to the last line."""
        self.moveCursor(QTextCursor.MoveOperation.End)
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())


class _Log(QWidget):
    """The end of the logs, which is read again when a file grows."""

    grew = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.view = _LineView("Log")
        self.note = QLabel(textFormat=Qt.TextFormat.PlainText, wordWrap=True)
        self.note.setMargin(GRID)
        self.follow = QCheckBox("Follow")
        self.follow.setAccessibleName("Follow the log")
        self.follow.setChecked(True)
        self.follow.toggled.connect(self._follow_toggled)
        self._visible = False
        self._paths: tuple[str, ...] = ()
        self._soon = QTimer(self, singleShot=True, interval=_FOLLOW_MS)
        self._soon.timeout.connect(self.grew)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.fileChanged.connect(lambda path: self._soon.start())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.note)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.follow)

    def show_log(self, log: LogText) -> None:
        """Draw a log, and follow its files."""
        self.note.setText(one_line(log.note))
        self.note.setVisible(bool(log.note))
        self.view.show_lines(list(log.lines))
        self._paths = log.paths
        self._watch()

    def set_following(self, visible: bool) -> None:
        """Take whether the page is visible: a hidden one follows nothing."""
        self._visible = visible
        self._watch()

    def _follow_toggled(self, on: bool) -> None:
        self._watch()
        if on:
            self.view.to_end()
            self.grew.emit()

    def _watch(self) -> None:
        wanted = set(self._paths) if self._visible and self.follow.isChecked() else set()
        have = set(self._watcher.files())
        if gone := list(have - wanted):
            self._watcher.removePaths(gone)
        if new := list(wanted - have):
            self._watcher.addPaths(new)


class _Snapshots(QWidget):
    """A short list of the snapshots, newest first."""

    tree_wanted = Signal()

    def __init__(self, runner: ActionRunner, poster: QtBackground) -> None:
        super().__init__()
        self.model = SnapshotModel(runner, poster.post, self._show_state)
        self.list = QListWidget()
        self.list.setAccessibleName("Snapshots")
        self.list.setFrameShape(QListWidget.Shape.NoFrame)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.itemActivated.connect(lambda item: self.tree_wanted.emit())
        self.note = QLabel(textFormat=Qt.TextFormat.PlainText, wordWrap=True)
        self.note.setMargin(GRID)
        self.open = QPushButton(icons.icon("snapshot"), "Snapshot &tree\N{HORIZONTAL ELLIPSIS}")
        self.open.setAccessibleName("Open the snapshot tree")
        self.open.clicked.connect(self.tree_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.note)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.open)
        self._show_state()

    def show_machine(self, entry: MachineEntry | None) -> None:
        """Show a machine's snapshots, or its new state."""
        self.model.show_machine(entry)

    def _show_state(self) -> None:
        forest = self.model.state.forest
        newest = sorted(forest.by_tag.values(), key=lambda each: each.time, reverse=True)
        self.list.clear()
        for snapshot in newest[:_MAX_SNAPSHOTS]:
            saved = time.strftime("%Y-%m-%d %H:%M", time.localtime(snapshot.time))
            here = "   you are here" if snapshot.current else ""
            item = QListWidgetItem(f"{one_line(snapshot.tag, 64)}   {saved}{here}", self.list)
            item.setToolTip(plain_tooltip(snapshot.tag))
        note = self.model.refusal() or self.model.state.message
        if not note and not newest:
            note = "no snapshot"
        note = note[:1].upper() + note[1:]
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.open.setEnabled(not self.model.refusal())
