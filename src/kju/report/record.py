"""SHELL: the recording of a machine's screen, input, waits, events and serial port for a report.

Rules:

- A record has its own connection with the view role, and a thread that sleeps until the screen
  changes. Neither the machine nor the program waits for it.
- All of it is bounded: pictures in number and bytes (`film`), input and output in bytes
  (`streams`), waits in number.
- The last frame of each wait is a picture as well, so that the page shows the screen on which the
  program continued.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from ..client.consumer.frame import Frame
from ..client.launching import attach
from ..client.looks import newest_frame
from ..errors import KjuError, WaitTimeoutError
from ..files import write_output
from ..surface import NOTHING_TAKEN, Mark
from ..vision.timeout import Best, ScreenError
from . import page
from .film import MOST, MOST_BYTES, Film
from .markup import time_of
from .story import Failure, Story, StoryEvent
from .streams import Streams
from .tail import RecordedInput

if TYPE_CHECKING:
    from ..client import aio
    from ..client.looks import Waited
    from ..client.machine import Machine
    from ..client.surface import Screen
    from ..protocol.input_log import Input

#: Pictures per second at most. Comparing and compressing one of 1280x800 takes 35 to 110 ms on a
#: busy computer, where the guest needs the processor: the pause is four times that.
RATE = 4.0
_PAUSE_FACTOR = 4
_MAX_WAITS = 2000
# Places of one wait that are drawn.
_MAX_SEEN = 100
# Frames of waits that are not compressed yet: a loop of waits may be faster than the compression.
_MAX_FRAMES = 4
# Longest delay before the sleeping thread notices the record's end.
_POLL_SECONDS = 0.1


def recording(
    machine: Machine | aio.Machine,
    target: str | os.PathLike[str] | None = None,
    *,
    console: int = 0,
    title: str = "",
) -> Record:
    """Record a machine until `Record.close` or the end of a ``with`` block.

    Args:
        machine: The machine. The waits of this object are recorded with it, and the input of all
            clients; recording input needs the control role.
        target: Path of the report, which is written when the block ends, also after an error.
        console: Index of the screen.
        title: The report's heading; by default the machine's name.

    Raises:
        MachineError: The machine is not running any more.
        UsageError: It has no such console.
    """
    return Record(machine, target, console=console, title=title)


class Record:
    """A machine's screen and input over a time: see `recording`.

    Attributes:
        failure: The error that the report begins with; None without one.
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
        """Begin, as `recording` does, with limits.

        Args:
            machine: The machine.
            target: Path of the report, which is written when a ``with`` block ends.
            console: Index of the screen.
            title: The report's heading.
            rate: Pictures per second at most.
            most: Pictures at most; those that are kept are spread over the whole time.
            most_bytes: Bytes of pictures at most.
        """
        self.failure: Failure | None = None
        self._title = title or machine.name
        self._target = target
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._ending = False
        self._ended: float | None = None
        self._watched = machine.screens[console]
        self._view = attach(machine.name, "view")
        try:
            self._screen = _RecordedScreen(
                self._view.screens[console], Film(most, most_bytes), rate
            )
            info = self._view.info()
        except BaseException:
            self._view.close()
            raise
        wall, self._began = time.time(), time.monotonic()
        # The record's name, begin and facts; `story` adds the rest.
        self._begin = Story(machine.name, wall, 0.0, _facts(info), (), ())
        self._events = _Events()
        log = machine._paths.input_log if machine.role == "control" else None
        recorded = RecordedInput(log, console, wall - float(info.get("started", wall)))
        self._streams = Streams(self._view, recorded, wall)
        if log is None:
            self.note("input is not recorded: this client has the view role")
        self._watched._witnesses += (self._add_wait,)
        self._thread = threading.Thread(target=self._run, name="kju record", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The machine's name."""
        return self._begin.name

    # ---- Entries of the program

    def note(self, words: str) -> None:
        """Add a line of your own to the report, at this moment."""
        now = self._now()
        self._events.notes.append(StoryEvent(now, now, "note", words))

    def fail(self, error: BaseException | str) -> None:
        """Set the failure. The first one is kept: later ones are often its consequence."""
        if self.failure is None:
            self.failure = _failure(error)
            self._wake.set()

    # ---- The result

    @property
    def inputs(self) -> list[Input]:
        """Keys and pointer actions of all clients, with the record's own times."""
        self._read_streams()
        with self._lock:
            return self._streams.entries()

    def story(self) -> Story:
        """Return everything recorded so far."""
        if self._ended is None:
            self._take_picture(final=True)
        self._read_streams()
        with self._lock:
            done = self._streams.story_events()
            events = sorted([*done, *self._events.waits, *self._events.notes], key=time_of)
            return self._begin._replace(
                seconds=self._now() if self._ended is None else self._ended,
                pictures=tuple(self._screen.film.pictures),
                events=tuple(events),
                forgotten=self._streams.forgotten,
            )

    def save(self, target: str | os.PathLike[str]) -> None:
        """Write the report: one HTML file that needs no other file.

        Raises:
            FileError: It cannot be written; an old file is as it was.
        """
        save(target, [self], title=self._title, failure=self.failure)

    def close(self) -> None:
        """End the record. It can be saved afterwards; a second call does nothing."""
        if self._ended is not None:
            return
        # Other records of this screen keep their witnesses.
        others = tuple(w for w in self._watched._witnesses if w != self._add_wait)
        self._watched._witnesses = others
        self._ending = True
        self._wake.set()
        self._thread.join()
        self._take_picture(final=True)
        self._read_streams()
        self._ended = self._now()
        self._streams.close()
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
            self._read_streams()
            try:
                change = self._screen.screen.wait(mark, timeout=_POLL_SECONDS)
            except WaitTimeoutError:
                continue
            except KjuError as error:
                if not self._ending:
                    self.note(str(error))
                return
            began = time.monotonic()
            mark = self._take_picture() or change.mark
            self._wake.wait(self._screen.pause(time.monotonic() - began))
            self._wake.clear()

    def _take_picture(self, *, final: bool = False) -> Mark | None:
        """Take the frames of waits, and the newest frame; return its mark."""
        with self._lock:
            return self._screen.take(self._now(), final=final)

    def _read_streams(self) -> None:
        """Take the input, events and serial output since the last time."""
        if self._ended is None:
            with self._lock:
                self._streams.read(self._now())

    def _add_wait(self, waited: Waited) -> None:
        """Take a wait that has ended; called on the program's thread."""
        ended = waited.ended - self._began
        self._events.waits.append(_event_of(waited, waited.began - self._began, ended))
        if isinstance(waited.frame, Frame):
            self._screen.frames.append((ended, waited.frame))
            self._wake.set()


class _Events:
    """Waits and notes, each in its order."""

    def __init__(self) -> None:
        self.waits: deque[StoryEvent] = deque(maxlen=_MAX_WAITS)
        self.notes: deque[StoryEvent] = deque(maxlen=_MAX_WAITS)


class _RecordedScreen:
    """The screen of a record, and the pictures taken of it.

    Attributes:
        screen: The screen, through the record's own connection.
        film: The pictures.
        frames: Frames of waits that are not in the film yet, with their times.
    """

    def __init__(self, screen: Screen, film: Film, rate: float) -> None:
        self.screen = screen
        self.film = film
        self.frames: deque[tuple[float, Frame]] = deque(maxlen=_MAX_FRAMES)
        self._pause = 1.0 / rate

    def take(self, now: float, *, final: bool) -> Mark | None:
        """Add the waits' frames and the newest one to the film; return the newest one's mark."""
        while self.frames:
            at, frame = self.frames.popleft()
            self.film.show(at, frame, (frame.incarnation, frame.version))
        try:
            frame = newest_frame(self.screen)
        except KjuError:
            return None  # the next wait raises the reason
        self.film.show(now, frame, (frame.incarnation, frame.version), final=final)
        epoch = frame.mode.epoch if frame.mode else 0
        return Mark(frame.incarnation, epoch, frame.version)

    def pause(self, cost: float) -> float:
        """Return the seconds to wait before the next picture, when the last one took *cost*."""
        return max(self._pause, _PAUSE_FACTOR * cost)


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
        records: The records.
        title: The heading.
        failure: The error.
        verdict: One word for the result; by default ``failed`` with a failure.

    Raises:
        FileError: It cannot be written; an old file is as it was.
    """
    if isinstance(failure, (BaseException, str)):
        failure = _failure(failure)
    stories = [record.story() for record in records]
    text = page.page(stories, title=title, failure=failure, verdict=verdict)
    write_output(target, text.encode())


def _event_of(waited: Waited, began: float, ended: float) -> StoryEvent:
    """Return a wait with the places that it found, or that it saw instead."""
    if waited.error is not None:
        kind, answer = _outcome(waited.error)
        best = getattr(waited.error, "best", Best())
        region = getattr(waited.error, "region", waited.region)
        seen = best.places[:_MAX_SEEN]
        return StoryEvent(
            began, ended, kind, waited.what, answer, rect=best.rect, region=region, seen=seen
        )
    result, seen, answer = waited.found, (), ""
    if type(result) is tuple and result:  # the places of a locator
        seen = tuple(place.rect for place in result[1:_MAX_SEEN])
        result = result[0]
    rect = getattr(result, "rect", None)
    if rect is not None:
        answer = f"found at {rect.x}, {rect.y}, {rect.width}x{rect.height}"
    answer = getattr(result, "words", answer)
    return StoryEvent(
        began, ended, "found", waited.what, answer, rect=rect, region=waited.region, seen=seen
    )


def _outcome(error: BaseException) -> tuple[str, str]:
    words = str(error) or type(error).__name__
    return ("missed" if isinstance(error, WaitTimeoutError) else "broken"), words


def _failure(error: BaseException | str) -> Failure:
    if isinstance(error, str):
        return Failure(error)
    png = io.BytesIO()
    if isinstance(error, ScreenError):
        error.save(png)
    return Failure(f"{type(error).__name__}: {error}", png.getvalue())


def _facts(info: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the parts of a machine's info that identify it."""
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
