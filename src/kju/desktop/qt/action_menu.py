"""Actions on the selected machines: their menu items, confirmations, and results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from ...errors import KjuError, UsageError
from ...escaping import one_line
from ...store.paths import check_name
from ...viewers.qt import icons
from .. import removal
from ..actions import (
    NO_OPTIONS,
    Action,
    ActionOptions,
    ActionRun,
    ActionRunner,
    applicable,
    confirmation,
    proposed_clone_name,
    proposed_tag,
    refusal,
)
from ..machines.entry import MachineEntry, MachineKey
from ..pages.snapshot_tree import SnapshotForest, tag_fault
from .dialogs import Form, FormLine, Question

#: Names that a clone's form asks for; more machines get proposed names.
_MAX_FIELDS = 6
_ICONS = {
    Action.START: "start",
    Action.PAUSE: "pause",
    Action.RESUME: "start",
    Action.RESET: "reset",
    Action.POWER: "power",
    Action.STOP: "stop",
    Action.END: "end",
    Action.SNAPSHOT: "snapshot",
    Action.CLONE: "copy",
    Action.REMOVE: "close",
}
_KEYS = {
    Action.START: "Ctrl+Return",
    Action.PAUSE: "Ctrl+P",
    Action.RESUME: "Ctrl+Shift+P",
    Action.RESET: "Ctrl+Shift+R",
    Action.POWER: "Ctrl+Shift+B",
    Action.STOP: "Ctrl+Shift+S",
    Action.END: "Ctrl+Shift+E",
    Action.SNAPSHOT: "Ctrl+S",
    Action.CLONE: "Ctrl+D",
    Action.REMOVE: "Delete",
}
#: Actions of which a user gives details first.
_ASKS = (Action.SNAPSHOT, Action.CLONE, Action.REMOVE)


class ActionMenu(QObject):
    """The actions on machines, as menu items for the selection and for any other machines.

    Args:
        window: The window; dialogs stand over it.
        names: Returns the names of all machines of this computer.

    Attributes:
        runner: Runs everything that waits.
        actions: The menu items.
    """

    #: A result in words, and whether something failed.
    summarized = Signal(str, bool)
    #: A machine has been removed or cloned.
    _progressed = Signal(object)
    _called = Signal(object)

    def __init__(self, window: QWidget, names: Callable[[], Sequence[str]]) -> None:
        super().__init__(window)
        self._window, self._names = window, names
        self._selection: list[MachineEntry] = []
        self._progressed.connect(self._show_progress)
        self._called.connect(lambda call: call())
        self.runner = ActionRunner(self._progressed.emit)
        self.actions = {action: self._make(action) for action in Action}
        self.show_selection([])

    def _make(self, action: Action) -> QAction:
        asks = action in _ASKS or bool(action.rule.warning and action is not Action.STOP)
        made = QAction(action.value + ("\N{HORIZONTAL ELLIPSIS}" if asks else ""), self)
        made.setIcon(icons.icon(_ICONS[action]))
        made.setShortcut(QKeySequence(_KEYS[action]))
        made.triggered.connect(lambda: self.trigger(action, self._selection))
        return made

    def _post(self, call: Callable[[], None]) -> None:
        """Call a function on the toolkit's thread, in order. Any thread may post."""
        self._called.emit(call)

    def show_selection(self, entries: Sequence[MachineEntry]) -> None:
        """Take the selected machines; items that apply to none of them are disabled."""
        self._selection = list(entries)
        for action, item in self.actions.items():
            possible = applicable(action, self._selection)
            item.setEnabled(bool(possible))
            reasons = [refusal(action, entry) for entry in self._selection[:3]]
            item.setStatusTip("" if possible else one_line("; ".join(reasons)))

    def trigger(self, action: Action, entries: Sequence[MachineEntry]) -> None:
        """Do something with machines, after a question where one is due."""
        possible = applicable(action, entries)
        if not possible:
            reasons = "; ".join(refusal(action, entry) for entry in entries[:3])
            self.summarized.emit(one_line(reasons), True)
        elif action is Action.SNAPSHOT:
            self._ask_tag(possible)
        elif action is Action.CLONE:
            self._ask_clone_names(possible)
        elif action is Action.REMOVE:
            self._examine_removal(possible)
        elif question := confirmation(action, possible):
            Question(
                self._window, action.value, question, action.value,
                lambda _: self._run(action, possible),
            )  # fmt: skip
        else:
            self._run(action, possible)

    def _run(
        self,
        action: Action,
        entries: Sequence[MachineEntry],
        options: ActionOptions = NO_OPTIONS,
    ) -> None:
        self.runner.run(action, [entry.key for entry in entries], options)

    def _show_progress(self, run: ActionRun) -> None:
        self.summarized.emit(run.summary, bool(run.failures))

    # ---- Details

    def _ask_tag(self, entries: list[MachineEntry]) -> None:
        count = len(entries)
        one = one_line(entries[0].name, 64)
        text = f"Saves memory, disks and screen of {one if count == 1 else f'{count} machines'}."
        field = FormLine("Name", proposed_tag(), lambda tag: tag_fault(tag, SnapshotForest()))
        Form(
            self._window, "Save snapshot", text, [field], "Save",
            lambda texts, _: self._run(Action.SNAPSHOT, entries, ActionOptions(tag=texts[0])),
        )  # fmt: skip

    def _ask_clone_names(self, entries: list[MachineEntry]) -> None:
        taken = list(self._names())
        proposed: dict[str, str] = {}
        for entry in entries:
            proposed[entry.name] = proposed_clone_name(entry.name, taken)
            taken.append(proposed[entry.name])
        asked = list(proposed)[:_MAX_FIELDS]
        have = set(self._names())
        fields = [
            FormLine(
                "Name of the clone" if len(entries) == 1 else f"Clone of {one_line(name, 32)}",
                proposed[name],
                lambda text: name_fault(text, have),
            )
            for name in asked
        ]
        text = (
            "The disks of a clone are overlays: the machine itself cannot be started while a clone"
            " of it exists."
        )

        def clone(texts: list[str], _: list[bool]) -> None:
            names = proposed | dict(zip(asked, texts, strict=True))
            self._run(Action.CLONE, entries, ActionOptions(new_names=names))

        Form(self._window, "Clone", text, fields, "Clone", clone)

    def _examine_removal(self, entries: list[MachineEntry]) -> None:
        names = [entry.name for entry in entries]

        def examine() -> None:
            try:
                found = [removal.examine(name) for name in names]
            except KjuError as error:
                text = one_line(str(error))
                self._post(lambda: self.summarized.emit(text, True))
                return
            self._post(lambda: self._ask_removal(found))

        if not self.runner.submit_reading(examine):
            self.summarized.emit("too many actions are waiting; try again later", True)

    def _ask_removal(self, found: list[removal.Removal]) -> None:
        if why := removal.refused(found):
            self.summarized.emit(one_line(why.replace("\n", "; ")), True)
            return
        keys = [MachineKey("", name) for name in removal.in_order(found)]
        Question(
            self._window, "Remove", removal.question(found), "Remove",
            lambda _: self.runner.run(Action.REMOVE, keys),
        )  # fmt: skip

    def close(self) -> None:
        """End the threads; the window closes."""
        self.runner.close()


def name_fault(name: str, taken: set[str]) -> str:
    """Return why a new machine cannot have this name; empty if it can."""
    try:
        check_name(name)
    except UsageError as error:
        return str(error).partition(": ")[2] or str(error)
    return f"a machine named {name} exists already" if name in taken else ""
