"""A toolkit's thread for tests: calls are posted to it, and a test runs them."""

from __future__ import annotations

import queue
from collections.abc import Callable

from .wait import until


class Posts:
    """Posted calls; `until` runs them while it waits."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def post(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def run(self) -> None:
        while not self._calls.empty():
            self._calls.get()()

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        def holds() -> object:
            self.run()
            return condition()

        until(holds, what=what)
