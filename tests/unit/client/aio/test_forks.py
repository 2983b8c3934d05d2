"""Failed starts of forks: nothing goes on, and nothing is hidden."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kju.client.aio import forks
from kju.client.aio.forks import ForkBase
from kju.errors import KjuError, LimitError, MachineError, MachineExistsError, UsageError
from kju.protocol.launch_options import Launch


class HeldBase:
    """A base that counts its releases."""

    id = "00000000-0000000000000000"
    state = Path("/missing")
    facts = SimpleNamespace(machine="web", tag="ready")
    releases = 0

    def release(self) -> None:
        self.releases += 1


class StartedFork:
    """A fork that cannot be stopped if its name is "stuck-1"."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def stop(self) -> None:
        happened.append(f"stop {self.name}")
        if self.name == "stuck-1":
            raise MachineError("it has not ended", self.name)

    async def close(self) -> None:
        happened.append(f"close {self.name}")


class FakeStarting:
    """A start that fails if the fork's number is 3."""

    def __init__(self, request: Launch) -> None:
        self.request = request

    async def finish(self, make: object) -> StartedFork:
        name = self.request.machine
        if name.endswith("-3"):
            raise MachineExistsError(f"{name} is already running", name)
        return StartedFork(name)

    async def close(self) -> None:
        happened.append(f"give up {self.request.machine}")


happened: list[str] = []


@pytest.fixture(autouse=True)
def starts(monkeypatch: pytest.MonkeyPatch) -> None:
    happened.clear()
    monkeypatch.setattr(forks, "Starting", FakeStarting)
    monkeypatch.setattr(forks.sweeping, "sweep", list)


def opened(spares: int = 0) -> ForkBase[Any]:
    return ForkBase(HeldBase(), StartedFork, spares=spares)  # type: ignore[arg-type]


async def test_forks_that_start_end_with_the_one_that_failed() -> None:
    with pytest.raises(MachineExistsError):
        await opened().fork(4, name="copy")
    ends = ["stop copy-1", "close copy-1", "stop copy-2", "close copy-2"]
    assert happened == ["give up copy-4", *ends]


async def test_detached_forks_that_start_are_stopped_with_the_one_that_failed() -> None:
    with pytest.raises(MachineExistsError):
        await opened().fork(4, name="copy", detach=True)
    ends = ["stop copy-1", "close copy-1", "stop copy-2", "close copy-2"]
    assert happened == ["give up copy-4", *ends]


async def test_fork_that_does_not_end_does_not_keep_the_others() -> None:
    with pytest.raises(MachineExistsError):
        await opened().fork(3, name="stuck")
    assert happened == ["stop stuck-1", "close stuck-1", "stop stuck-2", "close stuck-2"]


async def test_spare_that_cannot_start_does_not_take_the_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NoSpares(FakeStarting):
        def __init__(self, request: Launch) -> None:
            if request.spare:
                raise LimitError("this process can open no more files", "open files", 1, 2)
            super().__init__(request)

    monkeypatch.setattr(forks, "Starting", NoSpares)
    assert (await opened(spares=2).fork(name="copy")).name == "copy"
    assert happened == []


async def test_closed_base_starts_no_spares() -> None:
    base = opened(spares=1)
    await base.close()
    assert happened == ["give up "]
    base._add_spares()
    await base.close()
    assert happened == ["give up "]


async def test_base_is_released_although_a_spare_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(self: FakeStarting) -> None:
        raise KjuError("the host does not end")

    monkeypatch.setattr(FakeStarting, "close", fails)
    base = opened(spares=1)
    with pytest.raises(KjuError):
        await base.close()
    assert base._base.releases == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [-1, 65])
def test_number_of_spares_is_checked_when_it_is_set(number: int) -> None:
    base = opened()
    with pytest.raises(UsageError, match="0 to 64"):
        base.spares = number
    assert base.spares == 0
