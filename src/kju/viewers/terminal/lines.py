"""SHELL: lines about a surface, one a second, for pipes and terminals without a cursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ...client.surface import Surface
from ...errors import ProducerGoneError, UnavailableError, WaitTimeoutError
from ...surface import State
from .dots import mean_colour
from .status import SurfaceStatus

_SOURCE_SECONDS = 2.0
# Pause after a change, so that a busy guest does not wake this process for each one.
_PAUSE = 0.2


class LineReporter:
    """Status of one surface, second by second.

    Args:
        name: As the user knows it.
        surface: The surface.
        source: Returns the source of its pixels; called every few seconds.
    """

    def __init__(self, name: str, surface: Surface, source: Callable[[], str] = lambda: "") -> None:
        self._name = name
        self._surface = surface
        self._source = source
        self._source_text = ""
        self._source_due = 0.0
        self._counted = (time.monotonic(), surface.version)
        self._gone = ""

    def reports(self, seconds: float = 0) -> Iterator[SurfaceStatus]:
        """Yield the status once a second.

        Args:
            seconds: Time after which to end; 0 is never.

        Raises:
            ProducerGoneError: The producer closed the surface or died.
            MemoryLostError: The file below was cut.
        """
        end = time.monotonic() + seconds if seconds else float("inf")
        while True:
            yield self._status()
            due = time.monotonic() + 1
            if due > end:
                return
            # Waiting for a change after the newest mark is how the producer's end is noticed.
            while (left := due - time.monotonic()) > 0:
                if self._wait(left):
                    time.sleep(min(max(0.0, due - time.monotonic()), _PAUSE))

    def _wait(self, seconds: float) -> bool:
        """Wait for a change; return False where there was none."""
        try:
            self._surface.wait(self._surface.mark, timeout=seconds)
        except WaitTimeoutError as late:
            # A surface that is followed waits for its next producer; the cause is the reason.
            cause = late.__cause__
            self._gone = str(cause) if isinstance(cause, ProducerGoneError) else ""
            return False
        self._gone = ""
        return True

    def _status(self) -> SurfaceStatus:
        now, version, surface = time.monotonic(), self._surface.version, self._surface
        since, before = self._counted
        self._counted = now, version
        rate = max(0, version - before) / (now - since) if now > since else 0.0
        if now >= self._source_due:
            self._source_due = now + _SOURCE_SECONDS
            self._source_text = self._source()
        state, reason = surface.state
        if self._gone and state in (State.LIVE, State.PAUSED):
            state, reason = State.GONE, self._gone  # it died without closing the surface
        return SurfaceStatus(
            self._name, surface.mode, version, rate, self._source_text, state, reason or "",
            self._mean_colour(),
        )  # fmt: skip

    def _mean_colour(self) -> tuple[int, int, int] | None:
        try:
            return mean_colour(self._surface.view())
        except UnavailableError:
            return None
