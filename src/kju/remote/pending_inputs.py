"""The inputs that a mirror has sent, and the versions that show their effect."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from ..errors import InputError, KjuError, RoleError
from ..wire.messages import Done

#: The most versions of the sender whose counterparts here are remembered.
MAX_MARKS = 1024


class PendingInputs:
    """The inputs of one session without a result."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._results: dict[int, asyncio.Future[Done]] = {}
        self._number = 0

    def add(self) -> tuple[int, asyncio.Future[Done]]:
        """Return the number of a new input and the future of its result."""
        self._number += 1
        result = self._results[self._number] = self._loop.create_future()
        return self._number, result

    def remove(self, number: int) -> None:
        """Forget an input."""
        self._results.pop(number, None)

    def finish(self, done: Done) -> None:
        """Set the result of an input."""
        result = self._results.get(done.number)
        if result is not None and not result.done():
            result.set_result(done)

    def fail_all(self, reason: str) -> None:
        """Fail the inputs of a session that has ended, and count from 1 again."""
        for result in self._results.values():
            if not result.done():
                result.set_exception(
                    InputError(f"the link ended ({reason}): the input may have been carried out")
                )
        self._results.clear()
        self._number = 0


class _Mark(NamedTuple):
    theirs: int
    ours: int


class VersionMarks:
    """Pairs of a sender's version and the target's version that showed it first."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque(maxlen=MAX_MARKS)

    def restart(self, ours: int) -> None:
        """Begin a session."""
        self._marks.clear()
        self.add(0, ours)

    def add(self, theirs: int, ours: int) -> None:
        """Add a pair."""
        self._marks.append(_Mark(theirs, ours))

    def ours(self, theirs: int, default: int) -> int:
        """Return the target's version when it showed nothing newer than a sender's version."""
        for mark in reversed(self._marks):
            if mark.theirs <= theirs:
                return mark.ours
        return self._marks[0].ours if self._marks else default


def input_error(done: Done) -> KjuError:
    """Return the error of a failed input."""
    kinds: dict[str, type[KjuError]] = {"InputError": InputError, "RoleError": RoleError}
    return kinds.get(done.error, KjuError)(done.reason)
