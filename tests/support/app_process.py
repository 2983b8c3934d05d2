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
        known = {"QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": os.pathsep.join(sys.path)}
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
        return "".join(line for line in self._errors if not line.startswith("This plugin"))

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
        if not answer:
            raise BrokenPipeError(f"the app has ended: {self.errors}")
        return json.loads(answer)

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
            print(json.dumps(getattr(self._commands, command)(*arguments)), flush=True)

    app.Desktop = Driven  # type: ignore[misc]
    sys.stdin = os.fdopen(0, "r", buffering=1)
    app.show_desktop([])


class _Commands:
    """Commands to the app: what its menus, keys and pages do."""

    def __init__(self, desktop: Any) -> None:
        self._desktop = desktop
        self._said: list[str] = []
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
        from kju.viewers.tools.paste import PastePlan

        tool = self._console(name).tools.paste
        tool._type(tool._target, PastePlan.make(text, layout))

    def record(self, name: str, path: str) -> None:
        """Begin a recording."""
        self._console(name).tools.record.record(Path(path))

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
        return self._desktop.window.consoles._open[name]


if __name__ == "__main__":
    _main()
