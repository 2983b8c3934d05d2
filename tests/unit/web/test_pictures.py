"""Small pictures of a screen that cannot be opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kju.errors import UnavailableError
from kju.surface.consumer import Consumer
from kju.web import pictures
from kju.web.pictures import SmallPictures


class Wall:
    """A socket that shows one machine."""

    wall = frozenset({"debian"})

    def has_room(self) -> bool:
        return True

    def send(self, data: bytes) -> None:
        raise AssertionError("a picture of a screen that cannot be opened")


class Broken:
    """A screen that cannot be opened."""

    def __init__(self) -> None:
        self.attempts = 0

    async def set_rate(self, rate: float | None) -> None:
        return

    async def open(self, changed: Callable[[], None]) -> None:
        self.attempts += 1
        raise UnavailableError("no surface")

    @property
    def consumer(self) -> Consumer:
        raise UnavailableError("no surface")

    def close(self) -> None:
        return


@pytest.mark.parametrize(("pause", "attempts"), [(3600.0, 1), (0.0, 2)])
async def test_a_failed_screen_is_opened_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, pause: float, attempts: int
) -> None:
    monkeypatch.setattr(pictures, "RETRY_TIME", pause)
    broken, wall = Broken(), Wall()
    made = SmallPictures(lambda: [wall], lambda name: broken)
    made.update(["debian"])
    for _ in range(10):  # turns of the loop
        await asyncio.sleep(0)
    made.update(["debian"])
    for _ in range(10):
        await asyncio.sleep(0)
    assert broken.attempts == attempts
    await made.close()
