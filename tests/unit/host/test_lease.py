"""The lease of a machine, without a machine."""

from __future__ import annotations

import asyncio

import pytest

from kju.errors import UsageError
from kju.host import lease as leases
from kju.host.lease import HostLease
from kju.protocol.leases import MAX_LEASE, Lease, Renew


@pytest.fixture
def clock() -> list[float]:
    """Return the time in a list; the lease's clock reads it."""
    return [100.0]


def made(clock: list[float], until: float = 115.0) -> HostLease:
    lease = Lease(holder="lab/n1", generation=2, until=until, facts={"name": "a"})
    return HostLease(lease, clock=lambda: clock[0])


def renewal(until: float, holder: str = "lab/n1", generation: int = 2) -> Renew:
    return Renew(holder=holder, generation=generation, until=until)


def seconds(lease: HostLease) -> float:
    return float(lease.info()["seconds"])


def test_a_renewal_moves_the_end_and_never_back(clock: list[float]) -> None:
    lease = made(clock)
    lease.renew(renewal(120.0))
    assert seconds(lease) == 20
    lease.renew(renewal(110.0))
    assert seconds(lease) == 20


def test_a_renewal_after_the_end_is_refused(clock: list[float]) -> None:
    lease = made(clock)
    clock[0] = 115.0
    with pytest.raises(UsageError, match="has ended"):
        lease.renew(renewal(130.0))
    assert seconds(lease) == 0


@pytest.mark.parametrize(("holder", "generation"), [("lab/n2", 2), ("lab/n1", 1), ("lab/n1", 3)])
def test_another_holder_and_another_start_are_refused(
    clock: list[float], holder: str, generation: int
) -> None:
    lease = made(clock)
    with pytest.raises(UsageError, match="that of lab/n1, start 2"):
        lease.renew(renewal(130.0, holder, generation))
    assert seconds(lease) == 15


def test_a_lease_is_never_longer_than_an_hour(clock: list[float]) -> None:
    lease = made(clock, until=1e9)
    assert seconds(lease) == MAX_LEASE
    clock[0] = 200.0
    lease.renew(renewal(1e9))
    assert seconds(lease) == MAX_LEASE


async def test_a_lease_that_has_ended_is_noticed_at_once(clock: list[float]) -> None:
    assert "lab/n1 did not renew it" in await made(clock, until=99.0).run_out()


async def test_a_lease_that_ended_while_the_computer_slept_is_noticed_at_the_next_look(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LOOK", 0.001)
    waiting = asyncio.create_task(made(clock, until=3000.0).run_out())
    await asyncio.sleep(0)
    assert not waiting.done()
    clock[0] += MAX_LEASE  # the event loop's clock has not moved
    async with asyncio.timeout(60):
        assert "did not renew it" in await waiting


def test_the_facts_are_in_the_info(clock: list[float]) -> None:
    assert made(clock).info() == {
        "holder": "lab/n1",
        "generation": 2,
        "seconds": 15.0,
        "facts": {"name": "a"},
    }
