"""SHELL: follows a machine's screen and its input log, and writes the script.

Rules:

- The recorder has its own connection with the view role, and a thread that copies the screen when
  it changes, at most 25 times a second. Neither the machine nor its viewers wait for it.
- The frames of a step are taken from the copies at its times, so that they show the screen that
  the person saw. Another thread reads them, which may take longer than the next step.
- The script is written after each step, whole, and can be read only by this user: it may contain
  passwords.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ..acting.logged import LogReader, check_keyboard
from ..client.launching import attach
from ..client.looks import newest_frame
from ..client.targets import check_console
from ..errors import KjuError, UnavailableError, WaitTimeoutError
from ..files import check_new, make_folders, write_output
from ..report.tail import Tail, timed_entries
from ..surface import NOTHING_TAKEN
from .forms import Style
from .reading import History
from .script import Script, Views
from .steps import ScriptStep, StepJoiner

if TYPE_CHECKING:
    from ..client.surface import Screen
    from ..vision.needle import Needle
    from .reading import ReadFrame

#: Seconds between two looks at the input log.
POLL = 0.05
_FRAME_SECONDS = 0.04


class Recorder:
    """Records a machine's input as a script, from its constructor to `finish`.

    Args:
        name: The machine's name.
        on_lines: Called with the lines of each step.
        output: File of the script, which must not exist; None writes none.
        console: Index of the screen.
        style: The form of the script.
        layout: The guest's keyboard layout.
        language: Tesseract's name of the language on the screen.
        passwords: Write passwords into the script.

    Raises:
        MachineNotFoundError: The machine is not running.
        UsageError: It has no such console, or the layout is unknown.
        FileError: The file exists.
    """

    def __init__(
        self,
        name: str,
        on_lines: Callable[[list[str]], object],
        *,
        output: Path | None = None,
        console: int = 0,
        style: Style = "script",
        layout: str = "us",
        language: str = "eng",
        passwords: bool = False,
    ) -> None:
        self._reader = LogReader(console, check_keyboard(layout), rests=True)
        if output is not None:
            check_new(output)
        self._on_lines = on_lines
        self._files = _Files(output, name)
        self._machine = attach(name, "view")
        try:
            check_console(self._machine, console)
            self.script = Script(
                name, self._files.save_image, console=console, style=style, passwords=passwords
            )
            started = float(self._machine.info().get("started", time.time()))
            self._offset = time.time() - started - time.monotonic()
            self._tail = Tail(self._machine._paths.input_log)
        except BaseException:
            self._machine.close()
            raise
        self._joiner = StepJoiner()
        self._frames = _Frames(self._machine.screens[console], language)
        self._views: dict[float, tuple[ReadFrame, ReadFrame]] = {}
        self._read_at = time.monotonic()
        self._steps: SimpleQueue[tuple[ScriptStep, Views] | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._writer = threading.Thread(target=self._run, name="kju codegen writer", daemon=True)
        self._writer.start()

    @property
    def end_reason(self) -> str | None:
        """The reason why the machine has ended; None while it runs."""
        return self._machine.end_reason

    def poll(self) -> None:
        """Take the input since the last call, and write the steps that are complete."""
        since, now = self._read_at, time.monotonic()
        self._read_at = now
        done: list[ScriptStep] = []
        for line in self._tail.read():
            for entry in timed_entries(since, now, line, self._offset):
                for action in self._reader.read([entry]):
                    done += self._joiner.add([action])
                    self._keep_views(action.began, action.approached)
        if pressed := self._reader.pressed:
            self._keep_views(*pressed)
        for action in self._reader.rest(now):
            done += self._joiner.add([action])
            self._keep_views(action.began, action.approached)
        self._queue(done + self._joiner.end_idle(now))
        if self._failure is not None:
            raise self._failure

    def finish(self) -> str:
        """Take the last input, end the recording, and return the script."""
        try:
            self.poll()
            self._queue(self._joiner.end())
            last = self._frames.newest()
        finally:
            self._steps.put(None)
            self._writer.join()
            self._frames.close()
            self._tail.close()
            self._machine.close()
        if self._failure is not None:
            raise self._failure
        if last is not None and (lines := self.script.end(last)):
            self._on_lines(lines)
        return self._save()

    def save_as(self, style: Style) -> str:
        """Write the script in another form, after `finish`; return it.

        Raises:
            FileError: The file cannot be written; the old one is unchanged.
        """
        self.script.style = style
        return self._save()

    def _keep_views(self, began: float, approached: float) -> None:
        """Keep the frames of the time at which an action began."""
        if began not in self._views:
            shown, clear = self._frames.at(began), self._frames.at(approached)
            if shown is not None and clear is not None:
                self._views[began] = shown, clear

    def _queue(self, steps: list[ScriptStep]) -> None:
        """Give complete steps with their frames to the writer."""
        if not steps:
            return
        after = self._frames.newest()
        for step in steps:
            views = self._views.pop(step.began, None)
            if views is None or after is None:
                raise UnavailableError("the screen has no picture: wait until the guest shows one")
            self._steps.put((step, Views(*views, after)))
        pending = self._joiner.pending
        begins = {pending.began} if pending else set()
        if pressed := self._reader.pressed:
            begins.add(pressed[0])
        self._views = {began: each for began, each in self._views.items() if began in begins}

    # ---- The writer's thread

    def _run(self) -> None:
        while (queued := self._steps.get()) is not None:
            try:
                self._on_lines(self.script.add(*queued))
                self._save()
            except BaseException as error:  # raised by the next call
                self._failure = error
                return

    def _save(self) -> str:
        """Write the script as it is now, and return it."""
        source = self.script.source(self._files.images.name)
        self._files.write(source)
        return source


class _Frames:
    """Copies of a screen, made by a thread when it changes."""

    def __init__(self, screen: Screen, language: str) -> None:
        self._screen = screen
        self._history = History(language)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._copy()
        self._thread = threading.Thread(target=self._run, name="kju codegen", daemon=True)
        self._thread.start()

    def at(self, time: float) -> ReadFrame | None:
        """Return the frame of a time."""
        with self._lock:
            return self._history.at(time)

    def newest(self) -> ReadFrame | None:
        """Return the newest frame, as the guest shows it now."""
        with contextlib.suppress(KjuError):
            self._screen.refresh()
            self._copy()
        with self._lock:
            return self._history.newest()

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        mark = NOTHING_TAKEN
        while not self._ending.is_set():
            try:
                mark = self._screen.wait(mark, timeout=_FRAME_SECONDS).mark
            except WaitTimeoutError:
                continue
            except KjuError:
                return  # the machine has ended; `Recorder.end_reason` has the reason
            self._copy()
            self._ending.wait(_FRAME_SECONDS)

    def _copy(self) -> None:
        with contextlib.suppress(KjuError):
            frame = newest_frame(self._screen)
            with self._lock:
                self._history.add(time.monotonic(), frame)


class _Files:
    """The script and its images, in a folder beside it."""

    def __init__(self, output: Path | None, name: str) -> None:
        self._output = output
        stem = Path(name.replace("/", "-")) if output is None else output.with_suffix("")
        self.images = stem.with_name(f"{stem.name}-images")
        self._written = False
        self._source = ""

    def write(self, source: str) -> None:
        """Write the script; a second time in place of the first."""
        if self._output is not None and source != self._source:
            write_output(self._output, source.encode(), mode=0o600, replace=self._written)
            self._written = True
            self._source = source

    def save_image(self, needle: Needle) -> str:
        """Save an image under a new name; return the name."""
        make_folders(self.images)
        number = 1
        while (path := self.images / f"image-{number}.png").exists():
            number += 1
        needle.save(path)
        return path.name
