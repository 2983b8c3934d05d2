"""SHELL: recording what a machine shows and what is done to it, for a report.

Rules:

- A record has a connection of its own that only views, and a thread that sleeps until the screen
  changes. Neither the machine nor the program waits for it.
- What it holds is bounded: pictures in number and bytes (`film`), input in bytes, waits in number.
- What a wait looked at last is a picture too, so that the page shows what a program saw when it
  went on.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from ..client.frame import Frame
from ..client.machine import attach
from ..client.waits import newest_frame
from ..errors import FormatError, KjuError, WaitTimeoutError
from ..files import write_output
from ..protocol.input_log import Input, decode
from ..store.logs import LIMIT
from ..surface import NOTHING_TAKEN, Mark
from . import page
from .film import MOST, MOST_BYTES, Film
from .inputs import in_words
from .story import Event, Failure, Story
from .tail import Tail

if TYPE_CHECKING:
    from ..client import aio
    from ..client.machine import Machine
    from ..client.witness import Waited

#: Pictures a second at most. To compare and compress one of 1280x800 takes 35 to 110 ms on a busy
#: computer, whose guests need the processor more: it rests four times as long as that took.
RATE = 4.0
_RESTS = 4
# As much as the machine itself keeps of its input.
_MOST_INPUT = 2 * LIMIT
_MOST_WAITS = 2000
# Frames of waits that are not yet compressed: a loop of waits may be faster than that.
_MOST_FRAMES = 4
# A thread that sleeps on a screen notices within this that the record ends.
_NOTICED = 0.1


def recording(
    machine: Machine | aio.Machine,
    target: str | os.PathLike[str] | None = None,
    *,
    console: int = 0,
    title: str = "",
) -> Record:
    """Begin to record a machine, until `Record.close` or the end of a ``with`` block.

    Args:
        machine: What to record. The waits of this very object are recorded with it, and what all
            clients type and click; that needs the control role.
        target: Where to write the report when the block ends, however it ends.
        console: Which of its screens.
        title: The report's heading; by default the machine's name.

    Raises:
        MachineError: The machine is not there any more.
        UsageError: It has no such console.
    """
    return Record(machine, target, console=console, title=title)


class Record:
    """A machine's screen and input over a time: see `recording`.

    Attributes:
        name: The machine's name.
        failure: Why it went wrong, if it did: what the report begins with.
    """

    def __init__(
        self,
        machine: Machine | aio.Machine,
        target: str | os.PathLike[str] | None = None,
        *,
        console: int = 0,
        title: str = "",
        rate: float = RATE,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """As `recording`, with limits.

        Args:
            machine: What to record.
            target: Where to write the report when a ``with`` block ends.
            console: Which of its screens.
            title: The report's heading.
            rate: Pictures a second at most.
            most: Pictures at most; what is left is spread over the whole time.
            most_bytes: Bytes of pictures at most.
        """
        self.name: str = machine.name
        self.failure: Failure | None = None
        self._title = title or machine.name
        self._target = target
        self._console = console
        self._rest = 1.0 / rate
        self._film = Film(most, most_bytes)
        self._frames: deque[tuple[float, Frame]] = deque(maxlen=_MOST_FRAMES)
        self._waits: deque[Event] = deque(maxlen=_MOST_WAITS)
        self._notes: deque[Event] = deque(maxlen=_MOST_WAITS)
        self._inputs: deque[tuple[float, float, bytes]] = deque()
        self._input_bytes = self._lost = 0
        self._read_at = 0.0
        self._lock = threading.RLock()
        self._hurry = threading.Event()
        self._ending = False
        self._ended: float | None = None
        self._watched = machine.screens[console]
        self._view = attach(machine.name, "view")
        try:
            self._screen = self._view.screens[console]
            info = self._view.info()
        except BaseException:
            self._view.close()
            raise
        self._facts = _facts(info)
        self._wall, self._began = time.time(), time.monotonic()
        self._offset = self._wall - float(info.get("started", self._wall))
        self._tail = Tail(machine._paths.input_log) if machine.role == "control" else None
        if self._tail is None:
            self.note("input is not recorded: this client only views")
        self._witness = self._waited
        self._watched._witnesses += (self._witness,)
        self._thread = threading.Thread(target=self._run, name="kju record", daemon=True)
        self._thread.start()

    # ---- What a program says

    def note(self, words: str) -> None:
        """Add a line of one's own to the report, now."""
        now = self._now()
        self._notes.append(Event(now, now, "note", words))

    def fail(self, error: BaseException | str) -> None:
        """Say what went wrong. The first is kept: what follows is often its consequence."""
        if self.failure is None:
            self.failure = _failure(error)
            self._hurry.set()

    # ---- What there is

    @property
    def inputs(self) -> list[Input]:
        """What all clients have typed and done with the pointer, with the record's own times."""
        self._listen()
        with self._lock:
            return [entry for line in self._inputs for entry in _entries(*line, self._offset)]

    def story(self) -> Story:
        """Everything so far."""
        if self._ended is None:
            self._look(final=True)
        inputs = self.inputs
        with self._lock:
            words = [
                Event(d.time, d.ended, d.kind, d.words, places=d.places, times=d.times)
                for d in in_words(inputs, self._console)
            ]
            events = sorted([*words, *self._waits, *self._notes], key=_told)
            forgotten = f"the first {self._lost} inputs are forgotten" if self._lost else ""
            seconds = self._now() if self._ended is None else self._ended
            return Story(
                name=self.name,
                began=self._wall,
                seconds=seconds,
                facts=self._facts,
                pictures=tuple(self._film.pictures),
                events=tuple(events),
                forgotten=forgotten,
            )

    def save(self, target: str | os.PathLike[str]) -> None:
        """Write the report: one HTML file that needs nothing else.

        Raises:
            FileError: It can't be written; an old file is as it was.
        """
        save(target, [self], title=self._title, failure=self.failure)

    def close(self) -> None:
        """End the record. It can be saved afterwards; a second call does nothing."""
        if self._ended is not None:
            return
        # Another may have begun to listen meanwhile, and goes on.
        others = tuple(w for w in self._watched._witnesses if w is not self._witness)
        self._watched._witnesses = others
        self._ending = True
        self._hurry.set()
        self._thread.join()
        self._look(final=True)
        self._listen()
        self._ended = self._now()
        if self._tail is not None:
            self._tail.close()
        self._view.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self.fail(error)
        self.close()
        if self._target is not None:
            self.save(self._target)

    # ---- Recording

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _run(self) -> None:
        mark = NOTHING_TAKEN
        while not self._ending:
            self._listen()
            try:
                change = self._screen.wait(mark, timeout=_NOTICED)
            except WaitTimeoutError:
                continue
            except KjuError as error:
                if not self._ending:
                    self.note(str(error))
                return
            began = time.monotonic()
            mark = self._look() or change.mark
            self._hurry.wait(max(self._rest, _RESTS * (time.monotonic() - began)))
            self._hurry.clear()

    def _look(self, *, final: bool = False) -> Mark | None:
        """Take what waits have seen, and what the screen shows now; returns its mark."""
        with self._lock:
            while self._frames:
                at, frame = self._frames.popleft()
                self._film.show(at, frame, (frame.incarnation, frame.version))
            at = self._now()
            try:
                frame = newest_frame(self._screen)
            except KjuError:
                return None  # the next wait says why
            self._film.show(at, frame, (frame.incarnation, frame.version), final=final)
            epoch = frame.mode.epoch if frame.mode else 0
            return Mark(frame.incarnation, epoch, frame.version)

    def _listen(self) -> None:
        """Take what has been put in since the last time."""
        if self._tail is None or self._ended is not None:
            return
        with self._lock:
            since, self._read_at = self._read_at, self._now()
            for line in self._tail.read():
                self._inputs.append((since, self._read_at, line))
                self._input_bytes += len(line)
            while self._input_bytes > _MOST_INPUT:
                self._input_bytes -= len(self._inputs.popleft()[2])
                self._lost += 1

    def _waited(self, waited: Waited) -> None:
        """A wait of the program's is over; this is its thread."""
        began, ended = waited.began - self._began, waited.ended - self._began
        kind, answer = ("found", "") if waited.error is None else _why(waited.error)
        rect = getattr(waited.found, "rect", None)
        if rect is not None:
            answer = f"found at {rect.x}, {rect.y}, {rect.width}x{rect.height}"
        self._waits.append(Event(began, ended, kind, waited.what, answer, rect=rect))
        if isinstance(waited.frame, Frame):
            self._frames.append((ended, waited.frame))
            self._hurry.set()


def save(
    target: str | os.PathLike[str],
    records: list[Record],
    *,
    title: str,
    failure: Failure | BaseException | str | None = None,
    verdict: str = "",
) -> None:
    """Write one report of several records, one below the other.

    Args:
        target: A path.
        records: What to show.
        title: Its heading.
        failure: What went wrong.
        verdict: One word for how it ended; by default ``failed`` with a failure.

    Raises:
        FileError: It can't be written; an old file is as it was.
    """
    if isinstance(failure, (BaseException, str)):
        failure = _failure(failure)
    stories = [record.story() for record in records]
    text = page.page(stories, title=title, failure=failure, verdict=verdict)
    write_output(target, text.encode())


def _told(event: Event) -> float:
    """A wait is told when it is over, anything else when it begins."""
    return event.ended if event.kind in ("found", "missed", "broken") else event.time


def _why(error: BaseException) -> tuple[str, str]:
    words = str(error) or type(error).__name__
    return ("missed" if isinstance(error, WaitTimeoutError) else "broken"), words


def _failure(error: BaseException | str) -> Failure:
    if isinstance(error, str):
        return Failure(error)
    png = io.BytesIO()
    from ..vision.timeout import ScreenTimeoutError

    if isinstance(error, ScreenTimeoutError):
        error.save(png)
    return Failure(f"{type(error).__name__}: {error}", png.getvalue())


def _entries(since: float, until: float, line: bytes, offset: float) -> list[Input]:
    """A line of the log on the record's clock; the computer's may have been set meanwhile."""
    from msgspec.structs import replace

    with contextlib.suppress(FormatError):
        return [
            replace(entry, time=min(max(entry.time - offset, since), until))
            for entry in decode(line)
        ]
    return []


def _facts(info: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What of a machine's info tells a reader what ran."""
    found = []
    for words, keys in (
        ("QEMU", ("qemu", "version")),
        ("accelerator", ("accelerator", "name")),
        ("arguments", ("qemu", "arguments")),
        ("X display", (str(info.get("kind", "")), "display")),
    ):
        value: Any = info
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value:
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((words, text))
    return tuple(found)
