"""The recording of a script in a console window: start and stop, and the script at the end."""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QStandardPaths, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...errors import KjuError
from ...escaping import lines, one_line
from ...viewers.qt import icons
from ...viewers.qt.background import QtBackground
from ...viewers.qt.menu import Section
from ...viewers.qt.palette import (
    GRID,
    ScalingButton,
    fixed_font,
    plain_tooltip,
    wrapped_label,
)
from ...viewers.qt.view_parts import ViewParts
from ...viewers.targets import MachineTarget
from ..background import RecordedScript, ScriptRecording
from ..forms import STYLES, Style


class ScriptTool(QObject):
    """The scripts of one window; it records what its user does as `kju codegen` does.

    Args:
        console: The window's parts; its menu and strip get the actions.
    """

    def __init__(self, console: ViewParts) -> None:
        super().__init__(console.window)
        self._console = console
        self._background = QtBackground(self)
        self._recording: ScriptRecording | None = None
        self._steps = 0
        self._indicator = self._make_indicator()
        console.add_to_strip(self._indicator)
        console.menu.separate(Section.TOOLS)
        add = console.menu.add
        self._record = add(Section.TOOLS, "Record a script", self.toggle, icon="script")
        self._record_as = add(
            Section.TOOLS, "Record a script as\N{HORIZONTAL ELLIPSIS}", self.record_as
        )
        if self._target is None:
            for action in (self._record, self._record_as):
                console.menu.set_refusal(action, "only machines are recorded")
        console.window.installEventFilter(self)

    @property
    def _target(self) -> MachineTarget | None:
        """The current view's screen; None if it is not a machine's."""
        target = self._console.view.viewer.target
        return target if isinstance(target, MachineTarget) else None

    @property
    def recording(self) -> ScriptRecording | None:
        """The recording that runs; None without one."""
        return self._recording

    def _make_indicator(self) -> QToolButton:
        button = ScalingButton()
        button.setIcon(icons.icon("script"))
        button.setAccessibleName("Stop the script")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setAutoRaise(True)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(self.stop)
        button.hide()
        return button

    # ---- Actions

    def toggle(self) -> None:
        """Begin a script in the user's folder of documents, or end the present one."""
        if self._recording is not None:
            self.stop()
        elif (target := self._target) is not None:
            self.record(_script_path(target.name))

    def record_as(self) -> None:
        """Ask for a file, and begin a script in it."""
        target = self._target
        if target is None or self._recording is not None:
            return
        path = _script_path(target.name)
        dialog = QFileDialog(
            self._console.window, "Record a script", str(path.parent), "Python (*.py)"
        )
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(".py")
        dialog.selectFile(path.name)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.record(Path(path)))
        dialog.open()

    def record(self, path: Path) -> None:
        """Begin a script in a new file."""
        target = self._target
        if target is None or self._recording is not None:
            return
        post = self._background.post
        self._steps = 0
        self._recording = ScriptRecording(
            target.name,
            target.console,
            path,
            lambda lines: post(lambda: self._show_step(lines)),
            lambda recorded: post(lambda: self._ended(recorded)),
        )
        self._console.menu.set_text(self._record, "Stop the script")
        self._console.menu.set_refusal(self._record_as, "a script is being recorded")
        self._indicator.setEnabled(True)
        self._indicator.show()
        self._show_step([])

    def stop(self) -> None:
        """End the script; it is finished on its thread."""
        if self._recording is not None:
            self._indicator.setEnabled(False)
            self._recording.stop()

    def _show_step(self, lines: list[str]) -> None:
        self._steps += bool(lines)
        words = f"Recording a script, {self._steps} {'step' if self._steps == 1 else 'steps'}"
        self._indicator.setText(f"SCRIPT {self._steps}")
        self._indicator.setAccessibleName(f"{words}; stop")
        last = f": {one_line(lines[-1])}" if lines else ""
        self._indicator.setToolTip(plain_tooltip(f"Stop the script{last}"))

    def _ended(self, recorded: RecordedScript) -> None:
        self._recording = None
        self._indicator.hide()
        self._console.menu.set_text(self._record, "Record a script")
        self._console.menu.set_refusal(self._record_as, "")
        if recorded.error:
            self._console.notify(one_line(f"the script ended: {recorded.error}"))
        if recorded.recorder is not None:
            dialog = ScriptDialog(recorded, self._console.window)
            dialog.finished.connect(dialog.deleteLater)
            dialog.open()

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        """End the script when the window closes. The process waits for the file."""
        closes = event.type() == QEvent.Type.Close and source is self._console.window
        if closes and self._recording is not None:
            self._recording.stop()
        return False


def _script_path(machine: str) -> Path:
    """Return a path for a script in the user's folder of documents, if that exists."""
    found = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    folder = Path(found) if found and Path(found).is_dir() else Path.home()
    # The name of a remote screen has slashes.
    return folder / time.strftime(f"{machine.replace('/', '-')}-%Y%m%d-%H%M%S.py")


_NAMES: dict[Style, str] = {
    "script": "A script",
    "pytest": "A test for pytest",
    "asyncio": "A script with asyncio",
}


class ScriptDialog(QDialog):
    """Show a recorded script, which is saved already; it can be copied, and get another form."""

    def __init__(self, recorded: RecordedScript, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recorded = recorded
        self.setWindowTitle("Recorded script")
        self._text = QPlainTextEdit(lines(recorded.source), readOnly=True)
        self._text.setFont(fixed_font())
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._text.setTabChangesFocus(True)
        self._text.setAccessibleName("Script")
        path = QLineEdit(one_line(str(recorded.path)), readOnly=True)
        path.setAccessibleName("File of the script")
        self._form = QComboBox()
        for style in STYLES:
            self._form.addItem(_NAMES[style], style)
        self._form.currentIndexChanged.connect(self._change_form)
        self._problem = wrapped_label("")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("&Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(self._copy)
        buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.addRow("Saved in:", path)
        form.addRow("&Form:", self._form)
        column = QVBoxLayout(self)
        column.setSpacing(GRID)
        column.addLayout(form)
        column.addWidget(self._text, 1)
        for note in recorded.notes:
            column.addWidget(_note(note))
        column.addWidget(self._problem)
        column.addWidget(buttons)
        self._show_problem("")
        self.resize(720, 420)
        self._text.setFocus()

    @property
    def text(self) -> str:
        """The script, as it is shown."""
        return self._text.toPlainText()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text)

    def _change_form(self) -> None:
        recorder = self._recorded.recorder
        if recorder is None:
            return
        try:
            self._text.setPlainText(lines(recorder.save_as(self._form.currentData())))
        except KjuError as error:
            self._show_problem(str(error))
        else:
            self._show_problem("")

    def _show_problem(self, words: str) -> None:
        self._problem.setText(one_line(words))
        self._problem.setVisible(bool(words))


def _note(words: str) -> QLabel:
    label = wrapped_label(one_line(f"Note: {words}"))
    label.setMinimumHeight(label.sizeHint().height())
    return label
