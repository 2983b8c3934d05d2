"""SHELL: work that may block, on a few threads; its results go to the toolkit's thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from ..errors import KjuError

_T = TypeVar("_T")


class Background:
    """Runs work on daemon threads, which start with the first work.

    Args:
        post: Calls a function on the toolkit's thread, from any thread.
        workers: Number of threads.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None], workers: int = 2) -> None:
        self._post = post
        self._workers = workers
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def run(
        self,
        work: Callable[[], _T],
        done: Callable[[_T], object] = lambda result: None,
        failed: Callable[[str], object] = lambda reason: None,
    ) -> None:
        """Run *work*, and then *done* with its result or *failed* with the reason.

        After `close` nothing is run: the toolkit may have no thread to post to any more.
        """
        if self._closed:
            return

        def call() -> None:
            try:
                result = work()
            except (KjuError, OSError) as error:
                reason = str(error)
                self._post(lambda: _discard(failed(reason)))
            else:
                self._post(lambda: _discard(done(result)))

        self._work.put(call)
        if len(self._threads) < self._workers:
            thread = threading.Thread(target=self._run, name="kju-work", daemon=True)
            self._threads.append(thread)
            thread.start()

    def post(self, call: Callable[[], None]) -> None:
        """Call a function on the toolkit's thread."""
        self._post(call)

    def close(self, seconds: float = 0.0) -> None:
        """End the threads after their present work; wait for them for *seconds*."""
        self._closed = True
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(seconds)

    def _run(self) -> None:
        while (call := self._work.get()) is not None:
            call()


def _discard(result: object) -> None:
    """Take a result of no use."""
