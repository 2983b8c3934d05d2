"""A surface for programs with threads: waits sleep on the surface's futex."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from ..errors import FormatError
from ..surface import NOTHING_TAKEN, Change, Mark
from .base import SurfaceBase


class Surface(SurfaceBase):
    """One surface, opened read-only: see `SurfaceBase`."""

    __doc__ = SurfaceBase.__doc__

    def wait(self, since: Mark | None = None, timeout: float | None = None) -> Change:
        """Sleep until pixels changed; other threads run meanwhile.

        Args:
            since: What has been taken already; by default everything until now.
            timeout: Seconds; None waits as long as the producer lives.

        Returns:
            What changed since the mark.

        Raises:
            WaitTimeoutError: Nothing changed.
            ProducerGoneError: Nothing will: the producer closed the surface or died. This
                is noticed within a second.
            MemoryLostError: The file below was cut.
        """
        return self._run(self.mark if since is None else since, timeout)

    def changes(
        self, since: Mark = NOTHING_TAKEN, timeout: float | None = None
    ) -> Iterator[Change]:
        """Yield what changed, again and again: first everything, then damage.

        A consumer that is slow gets fewer and larger changes, never a queue of old ones.

        Args:
            since: Where to start; by default nothing has been taken yet.
            timeout: Seconds between two changes after which `WaitTimeoutError` is raised.

        Raises:
            WaitTimeoutError: Nothing changed for *timeout* seconds.
            ProducerGoneError: The producer closed the surface or died.
            MemoryLostError: The file below was cut.
        """
        while True:
            change = self._run(since, timeout)
            yield change
            since = change.mark

    def _run(self, mark: Mark, timeout: float | None) -> Change:
        waiting = self._waiting(mark, timeout)
        found: Change | None = None
        try:
            while True:
                reader = self._consumer.reader
                version, state = reader.version, reader.state_code
                milliseconds = waiting.send(found)
                try:
                    found = self._consumer.wait_changes(mark, version, state, milliseconds)
                except FormatError:
                    found = None  # the next look finds out what became of the memory
        except StopIteration as done:
            change: Change = done.value
            return change

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
