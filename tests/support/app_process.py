"""`kju desktop` in a process of its own, which obeys lines of JSON on its standard input.

A test can kill it at any moment. It is the real app, drawn without a display: only the commands
come from a pipe, as a user's would from the keyboard. Run as a program, this file is that process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .wait import until

#: The folder of this package, for the process.
_TESTS = Path(__file__).resolve().parents[1]


class AppProcess:
    """One running app.

    Args:
        environment: Additional variables.

    Attributes:
        process: The process.
    """

    def __init__(self, environment: Mapping[str, str] = {}) -> None:
        known = {
            "QT_QPA_PLATFORM": "offscreen",
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.app_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | known | dict(environment), cwd=_TESTS, text=True,
        )  # fmt: skip
        self._errors: list[str] = []
        # The pipe must not fill.
        threading.Thread(target=self._read_errors, daemon=True).start()
        self.ask("state")

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    @property
    def errors(self) -> str:
        """Tracebacks of the app; empty if nothing failed."""
        return "".join(
            line
            for line in self._errors
            if not line.startswith(("This plugin", "qt.accessibility"))
        )

    def ask(self, command: str, *arguments: Any) -> Any:
        """Give a command; return its result.

        Raises:
            BrokenPipeError: The app has ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer or "result" not in json.loads(answer):
            until(lambda: self.process.poll() is not None or "Error" in self.errors)
            ended = self.process.poll()
            raise BrokenPipeError(f"the app failed at {command} ({ended}): {self.errors}")
        return json.loads(answer)["result"]

    def entry(self, name: str) -> tuple[str, str]:
        """Return the state of a machine on the wall, and the reason; empty if it has no tile."""
        state, reason = self.ask("state").get(name, ("", ""))
        return state, reason

    def until_state(self, name: str, *states: str) -> None:
        """Wait until the wall shows a machine in one of these states."""
        until(lambda: self.entry(name)[0] in states, what=f"{name} is {states}")

    def end(self) -> None:
        """End the app as a user does."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=60)


# ---- The process


def _main() -> None:
    from PySide6.QtCore import QObject, QSocketNotifier, Signal

    from kju.desktop.qt import app

    class Lines(QObject):
        read = Signal(str)

    class Driven(app.Desktop):
        """The app with its commands."""

        def __init__(self) -> None:
            super().__init__()
            self._commands = _Commands(self)
            self._input = QSocketNotifier(0, QSocketNotifier.Type.Read)
            self._input.activated.connect(self._read)

        def _read(self) -> None:
            line = sys.stdin.readline()
            if not line:
                self._input.setEnabled(False)
                return
            command, *arguments = json.loads(line)
            answer: dict[str, Any] = {}
            try:
                answer["result"] = getattr(self._commands, command)(*arguments)
            finally:  # the traceback is the app's error
                print(json.dumps(answer), flush=True)

    app.Desktop = Driven  # type: ignore[misc]
    sys.stdin = os.fdopen(0, "r", buffering=1)
    app.show_desktop([])


class _Commands:
    """Commands to the app: what its menus, keys and pages do."""

    def __init__(self, desktop: Any) -> None:
        self._desktop = desktop
        self._said: list[str] = []
        self._bar: Any = None
        desktop.window.statusBar().messageChanged.connect(self._said.append)

    def state(self) -> dict[str, tuple[str, str]]:
        """Return state and reason of each machine."""
        entries = self._desktop.machines.entries
        return {key.name: (entry.state.value, entry.reason) for key, entry in entries.items()}

    def said(self) -> list[str]:
        """Return all messages of the status bar."""
        return self._said

    def act(self, action: str, name: str, tag: str = "") -> None:
        """Do an action of the machine menu, without its dialog."""
        from kju.desktop.actions import Action, ActionOptions
        from kju.desktop.machines.entry import MachineKey

        runner = self._desktop.managing.actions.runner
        runner.run(Action[action], [MachineKey("", name)], ActionOptions(tag=tag))

    def open(self, name: str) -> None:
        """Open the console in a tab, and the snapshot page behind it."""
        entry = next(e for k, e in self._desktop.machines.entries.items() if k.name == name)
        self._desktop.managing.open_tree(entry)
        self._desktop.window.consoles.open_tab(name)

    def show(self, what: str, name: str) -> None:
        """Show a page or a dialog: panel, tree, create, remotes, shortcuts, or one of the tree."""
        from kju.desktop.machines.entry import MachineKey

        managing, entries = self._desktop.managing, self._desktop.machines.entries
        if what == "panel":
            self._desktop.window.wall.select(MachineKey("", name))
            managing.panel.set_collapsed(False)
        elif what == "tree":
            managing.open_tree(entries[MachineKey("", name)])
        elif what == "create":
            self._desktop._create.new_machine()
        elif what == "remotes":
            managing._show_remotes()
        elif what == "shortcuts":
            self._desktop.window.menus.show_shortcuts()
        else:
            managing._pages[MachineKey("", name)].buttons[what].click()

    def tab_order(self) -> dict[str, list[str]]:
        """Return the names of the active window's controls: reached by Tab, and not reached."""
        from PySide6.QtCore import Qt
        from PySide6.QtWidgets import (
            QAbstractButton,
            QApplication,
            QComboBox,
            QLineEdit,
            QTabBar,
            QWidget,
        )

        from kju.desktop.qt.wall.tile_actions import TileActions

        window = QApplication.activeModalWidget() or self._desktop.window
        reached, at = [], window
        while (at := at.nextInFocusChain()) is not window:
            if at.isVisible() and at.isEnabled() and at.focusPolicy() & Qt.FocusPolicy.TabFocus:
                reached.append(at)
        controls = [
            widget
            for widget in window.findChildren(QWidget)
            if isinstance(widget, (QAbstractButton, QComboBox, QLineEdit))
            and widget.isVisible()
            and widget.isEnabled()
            and widget.window() is window
            # Ctrl+W closes a tab; the buttons on a tile are in its menu, too.
            and not isinstance(widget.parent(), QTabBar | TileActions)
        ]
        name = lambda each: each.accessibleName() or getattr(each, "text", str)()  # noqa: E731
        missed = [name(each) for each in controls if each not in reached]
        return {"reached": [name(each) for each in reached], "missed": missed}

    def dialogs(self) -> list[str]:
        """Return the titles of the open dialogs."""
        from PySide6.QtWidgets import QApplication, QDialog

        tops = QApplication.topLevelWidgets()
        return [
            each.windowTitle() for each in tops if isinstance(each, QDialog) and each.isVisible()
        ]

    def press_key(self, key: str) -> None:
        """Press a key where the focus is, as the window system would."""
        from PySide6.QtCore import QEvent, Qt
        from PySide6.QtGui import QKeyEvent
        from PySide6.QtWidgets import QApplication

        target = QApplication.focusWidget() or QApplication.activeWindow()
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            number, none = getattr(Qt.Key, f"Key_{key}"), Qt.KeyboardModifier.NoModifier
            QApplication.sendEvent(target, QKeyEvent(kind, number, none))

    def focus(self) -> str:
        """Return the name of the control with the focus."""
        from PySide6.QtWidgets import QApplication

        found: Any = QApplication.focusWidget()
        return str(found.accessibleName() or getattr(found, "text", str)()) if found else ""

    def close(self, name: str) -> None:
        """Close all tabs but the wall's."""
        tabs = self._desktop.window.tabs
        while tabs.count() > 1:
            tabs.tabCloseRequested.emit(1)

    def console(self, name: str) -> Any:
        """Return the state of the console's view."""
        view = self._console(name).view
        size = view.frame.shape[1::-1] if view.frame is not None else None
        return {"size": size, "status": view.accessibleDescription()}

    def press(self, name: str, count: int) -> None:
        """Press and release keys in the console."""
        for number in range(count):
            self._console(name).view.viewer.input.key(30 + number % 8, True)
            self._console(name).view.viewer.input.key(30 + number % 8, False)

    def paste(self, name: str, text: str, layout: str = "us") -> None:
        """Type a text, without the question."""
        from kju.viewers.qt.tools.paste_dialog import PasteBar
        from kju.viewers.tools.paste import PastePlan

        view, target = self._console(name).view, self._console(name).tools.paste._target
        plans = {target: PastePlan.make(text, layout)}
        self._bar = PasteBar(view, view, plans, self._desktop.post)

    def record(self, name: str, path: str) -> None:
        """Begin a recording."""
        self._console(name).tools.record.record(Path(path))

    def save_screenshot(self, name: str) -> None:
        """Save a screenshot in the user's folder of pictures."""
        self._console(name)._capture.save()

    def note(self, name: str) -> str:
        """Return the last message on the picture of a console."""
        return self._console(name)._note.text

    def stop_recording(self, name: str) -> None:
        """End a recording."""
        self._console(name).tools.record.stop()

    def resize(self, name: str, count: int) -> None:
        """Make the guest follow the view, and change the view's size often."""
        window, console = self._desktop.window, self._console(name)
        console.view.viewer.guest_size.set_sticky(True)
        for number in range(count):
            window.resize(900 + number % 7 * 30, 700 - number % 5 * 20)

    def _console(self, name: str) -> Any:
        return self._desktop.window.consoles._first(name)


if __name__ == "__main__":
    _main()
