"""Requests for a size: the newest wins, few are passed on, the last one always is."""

from __future__ import annotations

import asyncio

import pytest

from kju.emulators import resizing
from kju.emulators.resizing import ResizeRequests
from kju.errors import QemuError


class Guest:
    """Records the sizes that are passed on, and their times."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.times: list[float] = []
        self.error: Exception | None = None

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


def test_newest_of_many_requests_is_passed_on() -> None:
    guest = Guest()

    async def ask() -> None:
        requests = ResizeRequests(guest.resize)
        await asyncio.gather(*(requests.request(100 + n, 200) for n in range(50)))

    asyncio.run(ask())
    assert guest.sizes == [(149, 200)]


def test_sizes_are_an_interval_apart_and_the_last_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resizing, "INTERVAL", 0.02)
    guest = Guest()

    async def ask() -> None:
        requests, tasks = ResizeRequests(guest.resize), []
        for number in range(30):
            tasks.append(asyncio.create_task(requests.request(300 + number, 200)))
            while number == 0 and not guest.sizes:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    asyncio.run(ask())
    assert guest.sizes[0] == (300, 200)
    assert guest.sizes[-1] == (329, 200)
    assert len(guest.sizes) < 30
    gaps = [b - a for a, b in zip(guest.times, guest.times[1:], strict=False)]
    assert min(gaps) >= 0.0199


def test_failure_is_raised_to_each_waiting_client_and_is_not_the_end() -> None:
    guest = Guest()

    async def ask() -> None:
        requests = ResizeRequests(guest.resize)
        guest.error = QemuError("refused", "web")
        with pytest.raises(QemuError, match="refused"):
            await requests.request(640, 480)
        guest.error = None
        await requests.request(800, 600)

    asyncio.run(ask())
    assert guest.sizes == [(640, 480), (800, 600)]


def test_cancelled_client_does_not_stop_the_others() -> None:
    guest = Guest()

    async def ask() -> None:
        requests = ResizeRequests(guest.resize)
        await requests.request(640, 480)
        first = asyncio.create_task(requests.request(800, 600))
        await asyncio.sleep(0)
        second = asyncio.create_task(requests.request(1024, 768))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()

    asyncio.run(ask())
    assert guest.sizes == [(640, 480), (1024, 768)]
