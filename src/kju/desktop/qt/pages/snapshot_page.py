"""Page with the snapshots of one machine: a tree with pictures, and what can be done with them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QCloseEvent, QIcon, QImage, QImageReader, QKeySequence, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ....client.requests import Snapshot
from ....escaping import one_line
from ....viewers.qt import icons
from ....viewers.qt.background import QtBackground
from ....viewers.qt.palette import GRID, PlainLabel, plain_tooltip
from ...actions import ActionRunner, proposed_clone_name, proposed_tag
from ...machines.entry import MachineEntry
from ...pages.snapshot_tree import (
    SnapshotForest,
    SnapshotModel,
    removal_question,
    tag_fault,
    unusable,
)
from ...removal import size_words
from ..action_menu import name_fault
from ..dialogs import Form, FormLine, Question

PICTURE = QSize(112, 70)
_TAG = Qt.ItemDataRole.UserRole
#: Snapshots that are drawn; a machine with more has a note, and the command line.
_MAX_DRAWN = 2000
#: Pixels of a picture that is read; a larger file is refused before it is decoded.
MAX_PIXELS = 64 << 20
_HERE = "you are here"


class _SnapshotTreeView(QTreeWidget):
    """The tree. It keeps its selection and its scroll position when the snapshots change.

    Args:
        runner: Reads the pictures.
    """

    def __init__(self, runner: ActionRunner) -> None:
        super().__init__()
        self._runner = runner
        self._poster = QtBackground(self)
        self._pictures: dict[tuple[str, float], QIcon] = {}
        self.setAccessibleName("Snapshots")
        self.setHeaderLabels(["Snapshot", "Saved", "Memory"])
        self.setIconSize(PICTURE)
        self.setUniformRowHeights(True)
        self.setExpandsOnDoubleClick(False)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)

    @property
    def tag(self) -> str:
        """The tag of the selected snapshot; empty for none."""
        item = self.currentItem()
        return str(item.data(0, _TAG)) if item is not None and item.isSelected() else ""

    def show_forest(self, forest: SnapshotForest) -> None:
        """Draw these snapshots."""
        selected = self.tag or (forest.here.tag if forest.here else "")
        at = self.verticalScrollBar().value()
        self.blockSignals(True)
        self.clear()
        items: dict[str, QTreeWidgetItem] = {}
        path: list[QTreeWidgetItem] = []
        for node in forest.nodes()[:_MAX_DRAWN]:
            del path[node.depth :]
            above: QTreeWidget | QTreeWidgetItem = path[-1] if path else self
            item = self._make_item(above, node.snapshot)
            items[node.snapshot.tag] = item
            path.append(item)
        self.expandAll()
        if selected in items:
            self.setCurrentItem(items[selected])
        self.blockSignals(False)
        self.verticalScrollBar().setValue(at)
        self._read_pictures([node.snapshot for node in forest.nodes()[:_MAX_DRAWN]])

    def _make_item(
        self, above: QTreeWidget | QTreeWidgetItem, snapshot: Snapshot
    ) -> QTreeWidgetItem:
        shown = one_line(snapshot.tag, 64)
        words = [shown]
        if snapshot.current:
            words.append(_HERE)
        if why := unusable(snapshot):
            words.append("cannot be loaded")
        saved = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(snapshot.time))
        columns = ["   ".join(words), saved, size_words(snapshot.size)]
        item = QTreeWidgetItem(above, columns)
        item.setData(0, _TAG, snapshot.tag)
        item.setSizeHint(0, QSize(0, PICTURE.height() + GRID))  # the pictures do not touch
        item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        item.setToolTip(0, plain_tooltip(f"{shown}: {why}" if why else snapshot.tag))
        font = item.font(0)
        font.setBold(snapshot.current)
        item.setFont(0, font)
        item.setIcon(0, self._pictures.get(_picture_key(snapshot)) or _no_picture())
        return item

    def _read_pictures(self, snapshots: Sequence[Snapshot]) -> None:
        """Read the pictures that are not known yet, on a thread."""
        wanted = [s for s in snapshots if s.picture and _picture_key(s) not in self._pictures]
        kept = {_picture_key(snapshot) for snapshot in snapshots}
        self._pictures = {key: icon for key, icon in self._pictures.items() if key in kept}
        size = PICTURE * self.devicePixelRatioF()
        for snapshot in wanted:
            self._pictures[_picture_key(snapshot)] = _no_picture()

        def read() -> None:
            for snapshot in wanted:
                picture = _small_picture(snapshot.picture or "", size)
                self._poster.post(functools.partial(self._take_picture, snapshot, picture))

        if wanted:
            self._runner.submit_reading(read)

    def _take_picture(self, snapshot: Snapshot, picture: QImage) -> None:
        if picture.isNull():
            return
        picture.setDevicePixelRatio(self.devicePixelRatioF())
        shown = QPixmap.fromImage(picture)
        icon = QIcon(shown)
        # Qt tints the picture of a selected row otherwise.
        icon.addPixmap(shown, QIcon.Mode.Selected)
        self._pictures[_picture_key(snapshot)] = icon
        found = self.findItems("*", Qt.MatchFlag.MatchWildcard | Qt.MatchFlag.MatchRecursive, 0)
        for item in found:
            if item.data(0, _TAG) == snapshot.tag:
                item.setIcon(0, icon)


def _picture_key(snapshot: Snapshot) -> tuple[str, float]:
    return snapshot.picture or "", snapshot.time


def _no_picture() -> QIcon:
    """Return an empty icon of the pictures' size, so that names stand below each other."""
    empty = QPixmap(PICTURE)
    empty.fill(Qt.GlobalColor.transparent)
    return QIcon(empty)


class SnapshotPage(QWidget):
    """The snapshots of one machine.

    Args:
        runner: Runs everything that waits.
        names: Returns the names of all machines of this computer.

    Attributes:
        model: The snapshots, and the work on them.
        tree: Their view.
    """

    closed = Signal()

    def __init__(self, runner: ActionRunner, names: Callable[[], Sequence[str]]) -> None:
        super().__init__()
        self._names = names
        self._poster = QtBackground(self)
        self._drawn: SnapshotForest | None = None
        self.model = SnapshotModel(runner, self._poster.post, self._show_state)
        self.tree = _SnapshotTreeView(runner)
        self.title = PlainLabel()
        self.message = QLabel(textFormat=Qt.TextFormat.PlainText, wordWrap=True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.buttons = self._make_buttons()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID, GRID, GRID, GRID)
        layout.setSpacing(GRID)
        layout.addWidget(self.title)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.message)
        row = QHBoxLayout()
        row.setSpacing(GRID)
        for button in self.buttons.values():
            row.addWidget(button)
        row.addStretch(1)
        layout.addLayout(row)
        self.tree.itemSelectionChanged.connect(self._show_buttons)
        self.tree.itemActivated.connect(lambda item, column: self._ask_load())
        self._show_state()

    def _make_buttons(self) -> dict[str, QPushButton]:
        table = (
            ("Save", "snapshot", "Ins", self._ask_save),
            ("Load", "start", "", self._ask_load),
            ("Branch", "copy", "Ctrl+B", self._ask_branch),
            ("Remove", "close", "Del", self._ask_remove),
        )
        made = {}
        for word, icon, key, ask in table:
            button = QPushButton(icons.icon(icon), f"&{word}\N{HORIZONTAL ELLIPSIS}")
            button.setAccessibleName(f"{word} snapshot")
            button.setAutoDefault(False)
            button.clicked.connect(ask)
            if key:
                action = QAction(word, self)
                action.setShortcut(QKeySequence(key))
                action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                action.triggered.connect(button.click)
                self.addAction(action)
            made[word] = button
        return made

    def show_machine(self, entry: MachineEntry | None) -> None:
        """Show the snapshots of a machine, or its new state."""
        self.model.show_machine(entry)
        name = one_line(entry.name, 64) if entry else ""
        state = f" ({entry.state.value})" if entry else ""
        self.title.set_text(f"Snapshots of {name}{state}" if name else "Snapshots")
        self.setWindowTitle(f"{name}: snapshots")
        self._show_state()

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.closed.emit()
        self.deleteLater()

    # ---- State

    def _show_state(self) -> None:
        state = self.model.state
        if state.forest is not self._drawn:
            self._drawn = state.forest
            self.tree.show_forest(state.forest)
        text = state.message
        if state.busy:
            text = f"{state.busy}\N{HORIZONTAL ELLIPSIS}"
        elif not text:
            text = self.model.refusal() or self._hint()
        self.message.setText(text)
        self.message.setVisible(bool(text))
        self.message.setAccessibleName(text)
        self._show_buttons()

    def _hint(self) -> str:
        count = len(self.model.state.forest.by_tag)
        if count > _MAX_DRAWN:
            return (
                f"{count} snapshots; the first {_MAX_DRAWN} are shown. All of them: kju snapshot ls"
            )
        if count:
            return "" if self.model.runs else "Loading a snapshot starts the machine."
        if self.model.runs:
            return "No snapshot yet: Save keeps memory, disks and screen of this moment."
        return "No snapshot. The machine must run to save one."

    def _show_buttons(self) -> None:
        forest, idle = self.model.state.forest, not self.model.state.busy
        snapshot = forest.by_tag.get(self.tree.tag)
        why = self.model.refusal()
        off = "" if self.model.runs else "the machine is off; start it first"
        chosen = "" if snapshot else "no snapshot is selected"
        unfit = unusable(snapshot) if snapshot else ""
        branchable = (
            ""
            if not self.model.runs
            else ("the machine is running and its disks are in use; stop it first")
        )
        reasons = {
            "Save": why or off,
            "Load": why or chosen or unfit,
            "Branch": why or chosen or unfit or branchable,
            "Remove": why or chosen or off,
        }
        for word, reason in reasons.items():
            button = self.buttons[word]
            button.setEnabled(idle and not reason)
            button.setToolTip(plain_tooltip(reason[:1].upper() + reason[1:]))
            button.setAccessibleDescription(one_line(reason))

    # ---- Questions

    def _ask_save(self) -> None:
        forest = self.model.state.forest
        field = FormLine("Name", proposed_tag(), lambda tag: tag_fault(tag, forest))
        Form(
            self, "Save snapshot", "Saves memory, disks and screen. The guest stands still"
            " meanwhile.", [field], "Save", lambda texts, _: self.model.save(texts[0]),
        )  # fmt: skip

    def _ask_load(self) -> None:
        tag, forest = self.tree.tag, self.model.state.forest
        if not tag or not self.buttons["Load"].isEnabled():
            return
        shown = one_line(tag, 64)
        if not self.model.runs:
            Question(
                self, "Load snapshot", f"Start the machine and return to {shown}?\n\nDisk contents"
                " written since the snapshot are lost, unless another snapshot holds them.",
                "Start and load", lambda _: self.model.load(tag),
            )  # fmt: skip
            return
        field = FormLine("Name", proposed_tag(), lambda text: tag_fault(text, forest))

        def load(texts: list[str], boxes: list[bool]) -> None:
            self.model.load(tag, texts[0] if boxes[0] else "")

        Form(
            self, "Load snapshot", f"Return to {shown}? The present state is lost, unless it is"
            " saved first.", [field], "Load", load, [("Save the present state first", True)],
        )  # fmt: skip

    def _ask_branch(self) -> None:
        tag, entry = self.tree.tag, self.model.entry
        if not tag or entry is None:
            return
        taken = set(self._names())
        proposed = proposed_clone_name(entry.name, list(taken))
        field = FormLine("Name of the clone", proposed, lambda text: name_fault(text, taken))
        Form(
            self, "Branch into a clone", f"The clone gets copies of the disks, with all snapshots,"
            f" and begins at {one_line(tag, 64)}.", [field], "Clone and start",
            lambda texts, _: self.model.branch(tag, texts[0]),
        )  # fmt: skip

    def _ask_remove(self) -> None:
        tag, forest = self.tree.tag, self.model.state.forest
        if not tag:
            return
        below = len(forest.below(tag))
        Question(
            self, "Remove snapshot", removal_question(forest, tag, with_below=False), "Remove",
            lambda ticked: self.model.remove(tag, with_below=ticked),
            choice=f"Also remove the {below} below it" if below else "",
            other=removal_question(forest, tag, with_below=True),
        )  # fmt: skip


def _small_picture(path: str, size: QSize) -> QImage:
    """Return a picture scaled into a size; an empty one if it cannot be read. Any thread."""
    reader = QImageReader(path)
    reader.setDecideFormatFromContent(True)
    whole = reader.size()
    if not whole.isValid() or whole.width() * whole.height() > MAX_PIXELS:
        return QImage()
    picture = reader.read()
    if picture.isNull():
        return QImage()
    return picture.scaled(
        size, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
