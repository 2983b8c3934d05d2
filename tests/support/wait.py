"""Waits for conditions, with one bound for a hang."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

#: Seconds after which a condition that does not hold is taken for a hang. A busy computer needs
#: many times what a quiet one does, so no test asks for less.
HANG = 180.0


def until(condition: Callable[[], object], what: str = "") -> None:
    """Return when *condition* holds; fail when it does not within HANG.

    A condition that is costly to ask is asked less often, so that it takes at most half of a
    processor from the program that it waits for.
    """
    asked = time.monotonic()
    deadline = asked + HANG
    while not condition():
        answered = time.monotonic()
        assert answered < deadline, f"not within {HANG} s: {what or condition}"
        time.sleep(min(max(answered - asked, 0.005), 0.1))
        asked = time.monotonic()


async def until_async(condition: Callable[[], object], what: str = "") -> None:
    """Return when *condition* holds; other tasks run meanwhile. Fail when it does not in HANG."""
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline, f"not within {HANG} s: {what or condition}"
        await asyncio.sleep(0.001)
