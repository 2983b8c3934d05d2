"""SHELL: keeps a terminal showing a surface, or a pipe informed about it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator

from ...client.surface import Surface
from ...errors import (
    GeometryError,
    ProducerGoneError,
    UnavailableError,
    WaitTimeoutError,
)
from ...surface import NOTHING_TAKEN, Change, Mark, State
from .ability import ability
from .canvas import Canvas
from .status import Status, fitted, mean_colour
from .tty import Tty

# A terminal that is redrawn oftener costs more than anybody sees; and a picture that is
# dear to draw leaves at least as much time to others as it took.
REDRAWS_PER_SECOND = 30
# A key is noticed, and a status refreshed, this long after it at the latest.
_TICK = 0.1
_QUIT = b"qQ\x03\x04"
_SOURCE_SECONDS = 2.0


class Watched:
    """A surface with a name, and what can be said about it.

    Args:
        name: As the user knows it.
        surface: What is watched.
        source: Says what fills it; asked every few seconds.
    """

    def __init__(self, name: str, surface: Surface, source: Callable[[], str] = lambda: "") -> None:
        self.name = name
        self.surface = surface
        self._source = source
        self._source_text = ""
        self._source_due = 0.0
        self._counted = (time.monotonic(), surface.version)
        self._rate = 0.0
        self._gone = ""

    def next_change(self, mark: Mark, seconds: float) -> Change | None:
        """What changes after *mark*; None where nothing did for so long.

        Raises:
            ProducerGoneError: The producer closed the surface or died, and none is awaited.
            MemoryLostError: The file below was cut.
        """
        try:
            change = self.surface.wait(mark, timeout=seconds)
        except WaitTimeoutError as late:
            # A surface that is followed waits for its next producer, and says why.
            cause = late.__cause__
            self._gone = str(cause) if isinstance(cause, ProducerGoneError) else ""
            return None
        self._gone = ""
        return change

    def status(self, *, drawn: float | None = None, colour: bool = False) -> Status:
        """What is to be said now."""
        now, version, surface = time.monotonic(), self.surface.version, self.surface
        since, before = self._counted
        if now - since >= 1:
            self._rate = max(0, version - before) / (now - since)
            self._counted = (now, version)
        if now >= self._source_due:
            self._source_due = now + _SOURCE_SECONDS
            self._source_text = self._source()
        mean = self._colour() if colour else None
        state, reason = surface.state
        if self._gone and state in (State.LIVE, State.PAUSED):
            state, reason = State.GONE, self._gone  # it died without a word
        return Status(
            self.name, surface.mode, version, self._rate, self._source_text, state, reason,
            drawn, mean,
        )  # fmt: skip

    def _colour(self) -> tuple[int, int, int] | None:
        try:
            return mean_colour(self.surface.view())
        except UnavailableError:
            return None


def show(watched: Watched, hint: str = "q quits", seconds: float = 0) -> None:
    """Show a surface on this process's terminal until a key, or the producer, ends it.

    Args:
        watched: What to show.
        hint: What the status line says at its right end.
        seconds: After which to end by itself; 0 is never.

    Raises:
        ProducerGoneError: The producer closed the surface or died.
        MemoryLostError: The file below was cut.
        KeyboardInterrupt: Ctrl-C; the terminal has been given back.
    """
    can = ability(os.environ, sys.stdout.encoding or "")
    deadline = time.monotonic() + seconds if seconds else float("inf")
    with Tty() as terminal:
        canvas = Canvas(can, *terminal.size())
        mark, drawn, pause = NOTHING_TAKEN, _Rate(), 0.0
        while time.monotonic() < deadline:
            if any(key in _QUIT for key in terminal.keys(pause)):
                return
            if terminal.resized:
                terminal.resized = False
                canvas.resize(*terminal.size())
                mark = NOTHING_TAKEN
            change = watched.next_change(mark, _TICK)
            began = time.monotonic()
            if change is not None:
                mark = _take(watched.surface, change, canvas)
                drawn.count(began)
            parts = watched.status(drawn=drawn.per_second(began)).parts
            data = canvas.paint(fitted(parts, hint, canvas.columns))
            cost = time.monotonic() - began
            # A slow line is not a cost: what is written next is newer by as much.
            terminal.write(data)
            left = began + 1 / REDRAWS_PER_SECOND - time.monotonic()
            pause = max(cost, left) if change is not None else 0.0


def reports(watched: Watched, seconds: float = 0) -> Iterator[Status]:
    """Say once a second what a surface shows, for pipes and dumb terminals.

    Raises:
        ProducerGoneError: The producer closed the surface or died.
        MemoryLostError: The file below was cut.
    """
    end = time.monotonic() + seconds if seconds else float("inf")
    while True:
        yield watched.status(colour=True)
        due = time.monotonic() + 1
        if due > end:
            return
        # Waiting for a change that the mark already has is how the end is noticed.
        while (left := due - time.monotonic()) > 0:
            change = watched.next_change(watched.surface.mark, left)
            if change is not None:
                time.sleep(min(max(0.0, due - time.monotonic()), 0.2))


def _take(surface: Surface, change: Change, canvas: Canvas) -> Mark:
    """Sample what changed; returns the mark to go on from."""
    mode = change.mode
    try:
        canvas.take((mode.width, mode.height), change.rects, surface.view)
    except GeometryError:  # a smaller mode has come
        return NOTHING_TAKEN
    now = surface.mark
    same = (now.incarnation, now.epoch) == (change.mark.incarnation, change.mark.epoch)
    return change.mark if same else NOTHING_TAKEN


class _Rate:
    """How often something happened in the last whole second."""

    def __init__(self) -> None:
        self._second = 0
        self._now = self._before = 0

    def count(self, moment: float) -> None:
        self.per_second(moment)
        self._now += 1

    def per_second(self, moment: float) -> float:
        second = int(moment)
        if second != self._second:
            self._before = self._now if second == self._second + 1 else 0
            self._now, self._second = 0, second
        return self._before
