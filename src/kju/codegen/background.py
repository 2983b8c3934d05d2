"""SHELL: a recording of a script on a thread of its own, for a window."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..errors import KjuError
from .recorder import POLL, Recorder


class RecordedScript(NamedTuple):
    """A script whose recording has ended.

    Attributes:
        path: Its file.
        recorder: Its recorder, for another form of it; None if the recording could not begin.
        source: The script.
        error: The reason why the recording ended by itself; empty if it was stopped.
    """

    path: Path
    recorder: Recorder | None
    source: str = ""
    error: str = ""

    @property
    def notes(self) -> list[str]:
        """Remarks for the user."""
        return [] if self.recorder is None else list(self.recorder.script.notes)


class ScriptRecording:
    """Records a script until `stop`; it begins at once.

    The callbacks are called on the recording's threads.

    Args:
        name: The machine's name.
        console: Index of the screen.
        path: The script, which must not exist.
        on_lines: Called with the lines of each step.
        on_end: Called once.
    """

    def __init__(
        self,
        name: str,
        console: int,
        path: Path,
        on_lines: Callable[[list[str]], object],
        on_end: Callable[[RecordedScript], object],
    ) -> None:
        self._name, self._console, self._path = name, console, path
        self._on_lines, self._on_end = on_lines, on_end
        self._stopping = threading.Event()
        self._began, self._ended = threading.Event(), threading.Event()
        # Not a daemon: the end of the process waits until the script is written.
        threading.Thread(target=self._run, name="kju-script").start()

    @property
    def began(self) -> bool:
        """True once input is recorded."""
        return self._began.is_set()

    def stop(self) -> None:
        """End the recording; `on_end` follows. A second call does nothing."""
        self._stopping.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the recording has ended; return False if it has not."""
        return self._ended.wait(seconds)

    # ---- The thread

    def _run(self) -> None:
        try:
            self._on_end(self._record())
        finally:
            self._ended.set()

    def _record(self) -> RecordedScript:
        try:
            recorder = Recorder(
                self._name, self._on_lines, output=self._path, console=self._console
            )
        except Exception as error:  # a bug must not leave a recording without an end
            return RecordedScript(self._path, None, error=_words(error))
        source, why = "", ""
        try:
            self._began.set()
            while recorder.end_reason is None and not self._stopping.wait(POLL):
                recorder.poll()
            why = recorder.end_reason or ""
        except Exception as error:  # as above
            why = _words(error)
        try:
            source = recorder.finish()
        except Exception as error:  # as above
            why = why or _words(error)
        return RecordedScript(self._path, recorder, source, why)


def _words(error: Exception) -> str:
    is_expected = isinstance(error, KjuError | OSError)
    return str(error) if is_expected else f"{type(error).__name__}: {error}"
