"""Recording of one console into a video, on a thread of its own.

- The recorder attaches with the view role and reads the surface itself: neither the window nor the
  machine waits for it.
- A frame is added when pixels or the cursor change, at most `VideoKind.rate` times a second. A
  still screen adds nothing; the last frame is shown until the end.
- The input of all clients is written beside the video, one line per entry
  (`kju.protocol.input_log`), with the video's times. It may contain passwords, so only this user
  can read that file.
- The recording ends with the machine, when it is stopped, or when the disk is full. In each case
  the file plays up to there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...client.launching import attach
from ...client.targets import check_console
from ...errors import FormatError, KjuError, ProducerGoneError, UnavailableError
from ...files import GrowingFile, check_new
from ...protocol.input_log import encode
from ...surface import NOTHING_TAKEN, Mark, State
from .video import VideoFile, require_recorder, video_kind

if TYPE_CHECKING:
    from ...client.machine import Machine
    from ...client.surface import Screen

# Longest delay before the thread notices the end of the machine or of the recording.
_POLL_SECONDS = 0.25
# Time to finish the file when the window closes.
_CLOSE_TIMEOUT = 5.0


class Recorded(NamedTuple):
    """A recording that has ended.

    Attributes:
        path: The video.
        seconds: Its duration.
        frames: Its frames.
        error: The reason why it ended by itself; empty if it was stopped.
        playable: The file holds a picture at least.
    """

    path: Path
    seconds: float
    frames: int
    error: str
    playable: bool

    @property
    def words(self) -> str:
        """The result for a user."""
        if not self.playable:
            return f"nothing was recorded: {self.error or 'the screen showed no picture'}"
        saved = f"{self.path} ({clock(self.seconds)})"
        if self.error:
            return f"the recording ended: {self.error}; saved up to there: {saved}"
        return f"saved {saved}"


class VideoRecorder:
    """Records a console until `stop`; it begins at once.

    Args:
        machine: The machine's name.
        console: Index of the console.
        path: The video, which must not exist; its ending chooses the kind.
        on_end: Called once on the recorder's thread.
        with_input: Write the input beside the video; needs a machine of this computer.

    Raises:
        UsageError: The ending of *path* is unknown.
        MissingError: PyAV is not installed.
    """

    def __init__(
        self,
        machine: str,
        console: int,
        path: str | os.PathLike[str],
        on_end: Callable[[Recorded], None],
        *,
        with_input: bool = True,
    ) -> None:
        require_recorder()
        self._kind = video_kind(path)
        self.path = Path(path)
        self._machine, self._console = machine, console
        self._on_end = on_end
        self._with_input = with_input
        self._stopping = threading.Event()
        # Not `Thread.join`: a KeyboardInterrupt in it marks the running thread as ended.
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._file: VideoFile | None = None
        self._input: _InputFile | None = None
        # Not a daemon: the end of the process waits until the file is finished.
        threading.Thread(target=self._run, name="kju-record").start()

    @property
    def seconds(self) -> float:
        """The duration until now."""
        return time.monotonic() - self._began if self._file is not None else 0.0

    def stop(self) -> None:
        """End the recording; `on_end` follows. A second call does nothing."""
        self._stopping.set()

    def close(self) -> None:
        """Stop, and return when the file is finished, or after five seconds."""
        self.stop()
        self._ended.wait(_CLOSE_TIMEOUT)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the recording has ended; return False if it has not."""
        return self._ended.wait(seconds)

    # ---- The thread

    def _run(self) -> None:
        try:
            self._on_end(self._record_and_finish())
        finally:
            self._ended.set()

    def _record_and_finish(self) -> Recorded:
        error = ""
        try:
            # Before the first picture, which may be long in coming.
            check_new(self.path)
            with attach(self._machine, "view") as machine:
                self._record(machine)
        except (KjuError, OSError) as reason:
            error = str(reason)
        seconds = self.seconds
        try:
            if self._file is not None:
                self._file.close(seconds)
        except (KjuError, OSError) as reason:
            error = error or str(reason)
        if self._input is not None:
            self._input.close()
        frames = self._file.frames if self._file is not None else 0
        return Recorded(self.path, seconds, frames, error, frames > 0)

    def _record(self, machine: Machine) -> None:
        check_console(machine, self._console)
        screen = machine.screens[self._console]
        mark, cursor = NOTHING_TAKEN, -1
        state: State | None = None
        due = 0.0
        while not self._stopping.is_set():
            if self._input is not None:
                self._input.read(self.seconds)
            if state is not None and not screen.wait_news(
                mark, cursor, state, seconds=_POLL_SECONDS
            ):
                _check(machine)
                continue
            if (early := due - time.monotonic()) > 0 and self._stopping.wait(early):
                break
            due = time.monotonic() + 1 / self._kind.rate
            mark, cursor, state = self._take(machine, screen)
            if state in (State.GONE, State.CLOSED):
                raise ProducerGoneError(
                    machine.end_reason or screen.state[1] or "the machine ended"
                )

    def _take(self, machine: Machine, screen: Screen) -> tuple[Mark, int, State]:
        """Add the newest frame; return the mark, the cursor's version and the state before it."""
        mark, (state, _), cursor = screen.mark, screen.state, -1
        try:
            cursor = screen.cursor.version
            frame = screen.frame(pixels="bgrx", cursor=True)
        except (UnavailableError, FormatError):
            return mark, cursor, state
        if self._file is None:
            if self._with_input:
                self._input = _InputFile(machine, self._console, self.path)
            file = VideoFile(self.path, frame.shape[1], frame.shape[0])
            self._began = time.monotonic()
            self._file = file
        self._file.add(frame, self.seconds)
        return mark, cursor, state


class _InputFile:
    """The input log beside a video."""

    def __init__(self, machine: Machine, console: int, path: Path) -> None:
        self._console = console
        self._offset = time.time() - float(machine.info().get("started", time.time()))
        self._read_at = 0.0
        from ...report.tail import Tail  # a window must not wait for it at its start

        self._tail = Tail(machine._paths.input_log)
        self._file = GrowingFile(input_path(path), mode=0o600)

    def read(self, now: float) -> None:
        """Write the entries since the last time; *now* is the video's time."""
        from ...report.tail import timed_entries

        since, self._read_at = self._read_at, now
        for line in self._tail.read():
            for entry in timed_entries(since, now, line, self._offset):
                if entry.console == self._console:
                    self._file.write(encode(entry))

    def close(self) -> None:
        """Close both files; a recording without input leaves none."""
        self._tail.close()
        if self._file.size:
            self._file.close()
        else:
            self._file.discard()


def input_path(path: Path) -> Path:
    """Return the path of the input log beside a video."""
    return path.with_name(f"{path.name}.input.jsonl")


def clock(seconds: float) -> str:
    """Return a duration as a clock shows it: ``01:05``, ``1:00:00``."""
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _check(machine: Machine) -> None:
    """Return while the machine runs.

    Raises:
        ProducerGoneError: It has ended.
    """
    if reason := machine.end_reason:
        raise ProducerGoneError(reason)
