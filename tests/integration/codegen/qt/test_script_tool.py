"""A script that is recorded in a console window, whose guest is an X server with a form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import x_guest, xservers

import kju
from kju.viewers.input.grab import RELEASE

pytestmark = pytest.mark.usefixtures("runtime_folder")
pytest.importorskip("tesserocr")
pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from support.qt_wait import until  # noqa: E402  after the skip


@pytest.fixture
def form(tmp_path: Path) -> Iterator[x_guest.Form]:
    xservers.need("Xvfb", "xdotool", "xwd")
    with x_guest.form(tmp_path) as form:
        yield form


@pytest.fixture
def offscreen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")


class Window:
    """A console window of the form, without a display."""

    def __init__(self) -> None:
        from PySide6.QtWidgets import QApplication

        from kju.codegen.qt.script_tool import ScriptTool
        from kju.viewers.qt.widget import ScreenView
        from kju.viewers.qt.window import MachineWindow

        self.app = QApplication.instance() or QApplication(["kju"])
        self.view = ScreenView()
        self.view.show_machine("form", release=RELEASE)
        self.window = MachineWindow(self.view)
        self.tool = ScriptTool(self.window.console)
        self.notes = self._record_notes()
        self.window.resize(900, 700)
        self.window.show()

    def _record_notes(self) -> list[str]:
        """Return the list of the notes so far, which grows: one may soon replace another."""
        label, notes = self.window._note._text, list[str]()
        show = label.setText

        def record(text: str) -> None:
            notes.append(text)
            show(text)

        label.setText = record  # type: ignore[method-assign]
        return notes

    @property
    def dialog(self) -> Any:
        """The dialog that is open, or None."""
        from PySide6.QtWidgets import QDialog

        shown = [each for each in self.window.findChildren(QDialog) if each.isVisible()]
        return next(iter(shown), None)

    def records(self, path: Path) -> Any:
        """Begin a script; return its recording."""
        self.tool.record(path)
        recording: Any = self.tool.recording
        until(lambda: recording.began, "it records")
        return recording


@pytest.fixture
def window(form: x_guest.Form, offscreen: None) -> Iterator[Window]:
    # The guest is another process, which uses its display: it began before.
    window = Window()
    yield window
    recording = window.tool.recording
    window.window.close()
    assert recording is None or recording.wait(60)
    until(lambda: window.tool.recording is None)
    window.window.deleteLater()


def test_script_of_the_window_is_shown_and_saved(
    form: x_guest.Form, window: Window, tmp_path: Path
) -> None:
    from PySide6.QtGui import QGuiApplication

    path, indicator = tmp_path / "form.py", window.tool._indicator
    assert indicator.isHidden()
    window.records(path)
    assert indicator.text() == "SCRIPT 0"
    assert not window.tool._record_as.isEnabled()
    with kju.attach("form") as machine:
        machine.pointer.click(300, 56)
        until(lambda: "SCRIPT 1" in indicator.text(), "the click is counted")
        machine.keyboard.type("Ann")
        form.until_said("field Name: Ann")
        until(lambda: "SCRIPT 2" in indicator.text(), "the text is counted")
    indicator.click()
    until(lambda: window.dialog is not None, "the script is shown")
    dialog = window.dialog
    assert 'screen.text("Name:").right_of(188).fill("Ann", select=None)' in dialog.text
    assert dialog.text == path.read_text()
    assert not [note for note in window.notes if "the script ended" in note], "it was stopped"
    assert indicator.isHidden() and window.tool._record_as.isEnabled()
    dialog._form.setCurrentIndex(1)
    assert "def test_form() -> None:" in dialog.text and dialog.text == path.read_text()
    dialog._copy()
    assert QGuiApplication.clipboard().text() == dialog.text
    dialog.close()


def test_closed_window_finishes_its_script(window: Window, tmp_path: Path) -> None:
    recording = window.records(tmp_path / "form.py")
    window.window.close()
    assert recording.wait(60)
    compile((tmp_path / "form.py").read_text(), "script", "exec")


def test_script_into_an_existing_file_says_so(window: Window, tmp_path: Path) -> None:
    (tmp_path / "form.py").write_text("mine")
    window.tool.record(tmp_path / "form.py")
    until(lambda: any("is not replaced" in note for note in window.notes), "the reason is shown")
    assert window.tool.recording is None and window.dialog is None
    assert (tmp_path / "form.py").read_text() == "mine"


@pytest.mark.usefixtures("offscreen")
def test_script_needs_a_machine(tmp_path: Path) -> None:
    from PySide6.QtWidgets import QApplication

    from kju.codegen.qt.script_tool import ScriptTool
    from kju.viewers.qt.widget import ScreenView
    from kju.viewers.qt.window import MachineWindow
    from kju.viewers.targets import SurfaceTarget

    assert QApplication.instance() or QApplication(["kju"])
    view = ScreenView()
    view.show_target(SurfaceTarget(str(tmp_path / "none")), release=RELEASE)
    window = MachineWindow(view)
    tool = ScriptTool(window.console)
    assert not tool._record.isEnabled()
    assert "only machines are recorded" in tool._record.toolTip()
    tool.toggle()
    assert tool.recording is None
    window.close()
