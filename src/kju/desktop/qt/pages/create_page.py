"""The page that makes or edits a machine: its fields, QEMU's command line, Start.

`kju.desktop.pages.create` decides; `kju.desktop.pages.create_worker` runs what can block. This
draws, and forwards the user's actions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ....client.requests import LaunchPlan
from ....errors import KjuError
from ....escaping import one_line
from ...pages.create import CreateForm
from ...pages.create_worker import DryRuns, Made, make, read_definition
from .create_view import CreateView, Foot

_RUNNING = "The machine is running: changes take effect at its next start."


class _Posts(QObject):
    """Carries the calls of other threads to the page's."""

    answered = Signal(int, object)
    made = Signal(object)
    read = Signal(str, object)


class CreatePage(QWidget):
    """The page.

    Args:
        taken: Returns the names of all machines, for the proposed name.
        parent: Its parent.

    Attributes:
        form: The values and errors that the page shows.
        view: The fields and the command line.
        foot: The buttons.
    """

    #: The machine of this name runs now.
    started = Signal(str)
    #: The machine of this name is defined, or its definition was changed; it was not started.
    saved = Signal(str)
    #: The user has given up.
    cancelled = Signal()

    def __init__(self, taken: Callable[[], Collection[str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.form = CreateForm()
        self.view, self.foot = CreateView(), Foot()
        self._taken = taken
        self._busy = self._running = False
        self._posts = posts = _Posts()
        self._dry_runs = DryRuns(posts.answered.emit)
        posts.answered.connect(self._answered)
        posts.made.connect(self._made)
        posts.read.connect(self._opened)
        self.destroyed.connect(self._dry_runs.close)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.view, 1)
        column.addWidget(self.foot)
        self.view.edited.connect(self._edited)
        self.view.entered.connect(self.foot.start.click)
        self.foot.ordered.connect(self._order)
        self.foot.cancelled.connect(self.cancelled)
        for keys, button in (
            ("Ctrl+Return", self.foot.start),
            ("Ctrl+S", self.foot.save),
            ("Esc", self.foot.cancel),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(button.click)
        self.setAcceptDrops(True)
        self.new_machine()

    def new_machine(self, path: str | None = None) -> None:
        """Show the form of a new machine; with a path, that is its image."""
        self.form = CreateForm(self._taken())
        self._running = False
        if path:
            self.form.take_file(path)
        self.view.show_title("New machine")
        self._show_form()
        self.focus_first()

    def focus_first(self) -> None:
        """Give the focus to the first field to fill in."""
        self.view.rows["name" if self.form.values["image"] else "image"].editor.setFocus()

    def edit_machine(self, name: str, *, running: bool = False) -> None:
        """Show a machine's definition, once it has been read.

        Args:
            name: The machine.
            running: Whether it runs: then it can be changed, and not started.
        """
        self.form = CreateForm()
        self._running = running
        self.view.show_title(f"Edit {one_line(name)}")
        self._set_busy(True)
        read_definition(name, self._posts.read.emit)

    def take_file(self, path: str) -> None:
        """Use a file as the image."""
        self.form.take_file(path)
        self._changed()

    def _shut(self) -> None:
        """End the page's thread soon; the page shows no answers from then on."""
        self._dry_runs.close()

    @property
    def has_failed(self) -> bool:
        """True if the last order was not carried out as a whole."""
        return bool(self.form.failures)

    # -- what the user and the threads do

    def _edited(self, key: str, value: str | bool) -> None:
        self.form.set(key, value)
        self._changed()

    def _changed(self) -> None:
        """Show the form, and ask for a dry run of it."""
        self._dry_runs.ask(self.form.revision, self.form.dry_run())
        self._refresh()

    def _answered(self, revision: int, result: LaunchPlan | KjuError) -> None:
        if not self.form.answer(revision, result):
            return
        if self.form.revision != revision:
            self._changed()  # a disk was proposed
        else:
            self._refresh()

    def _order(self, start: bool) -> None:
        if self._busy:
            return
        try:
            order = self.form.order(start=start)
        except KjuError as error:
            self.form.fail(error)
            order = None
        if order is None:
            self._refresh()
            return
        self._set_busy(True)
        make(order, self._posts.made.emit)

    def _made(self, made: Made) -> None:
        self._set_busy(False)
        order = made.order
        if made.error is None:
            (self.started if order.start else self.saved).emit(order.name)
            return
        # The field of the error is found by the values that were sent.
        self.form.fail(made.error)
        if made.written and order.old is None:
            # It is defined, and did not start: the page goes on with the defined machine.
            failures = self.form.failures
            self.edit_machine(order.name)
            self.form.failures = failures
        self._refresh()
        if made.written:
            self.saved.emit(order.name)

    def _opened(self, name: str, text: str | KjuError) -> None:
        failed = self.form.failures
        try:
            if isinstance(text, KjuError):
                raise text
            form = CreateForm()
            form.edit(name, text)
        except KjuError as error:
            self.form.fail(error)
            self._refresh()
            return
        self.form = form
        self._show_form()
        self.form.failures.update(failed)
        self._refresh()

    # -- drawing

    def _show_form(self) -> None:
        """Show another form."""
        self.view.show_fields(self.form)
        self.foot.show_machine(new=self.form.is_new, running=self._running)
        self._set_busy(False)
        self._changed()

    def _set_busy(self, on: bool) -> None:
        self._busy = on
        self.view.set_usable(not on)
        for button in (self.foot.start, self.foot.save):
            button.setEnabled(not on)

    def _refresh(self) -> None:
        errors = self.form.errors
        self.view.refresh(self.form, errors)
        general = errors.pop("", "")
        notes = [*self.form.notes, *([_RUNNING] if self._running else [])]
        self.foot.refresh(general, notes)
        if not self._busy:
            wrong = self.form.is_wrong
            self.foot.save.setEnabled(not wrong)
            self.foot.start.setEnabled(not wrong and self.form.can_start)

    # -- Qt's events

    def event(self, event: QEvent) -> bool:
        # A missing file may be there now, or QEMU installed.
        if event.type() == QEvent.Type.WindowActivate and not self._busy and self.form.errors:
            self._changed()
        return super().event(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._shut()
        super().closeEvent(event)
        self.deleteLater()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _local_file(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if path := _local_file(event):
            event.acceptProposedAction()
            self.take_file(path)


def _local_file(event: QDropEvent) -> str:
    """Return the path of the one local file that is dropped; empty for anything else."""
    urls = event.mimeData().urls()
    return urls[0].toLocalFile() if len(urls) == 1 and urls[0].isLocalFile() else ""
