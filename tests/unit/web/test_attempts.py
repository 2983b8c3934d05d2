"""The limits of wrong passwords, and whose turn it is."""

from __future__ import annotations

import asyncio

import pytest

from kju.web import attempts
from kju.web.attempts import TooManyError, Turns, WrongKeys, WrongPasswords, network_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_a_customer_is_an_address_or_64_bits_of_one(one: str, other: str, *, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


def test_wrong_passwords_lock_out_only_their_address_and_name() -> None:
    wrong = WrongPasswords()
    for _ in range(attempts.MAX_WRONG_PASSWORDS):
        wrong.check("192.0.2.1", "ann", 0.0)
        wrong.count("192.0.2.1", "ann", 0.0)
    with pytest.raises(TooManyError, match="wait a minute"):
        wrong.check("192.0.2.1", "ann", 59.0)
    wrong.check("192.0.2.1", "bob", 59.0)
    wrong.check("192.0.2.2", "ann", 59.0)
    wrong.check("192.0.2.1", "ann", 61.0)


def test_an_address_has_a_limit_over_all_names() -> None:
    wrong = WrongPasswords()
    for number in range(attempts.MAX_WRONG_PASSWORDS_IN_ALL):
        wrong.check("192.0.2.1", f"user{number}", 0.0)
        wrong.count("192.0.2.1", f"user{number}", 0.0)
    with pytest.raises(TooManyError):
        wrong.check("192.0.2.1", "ann", 0.0)
    wrong.check("192.0.2.2", "ann", 0.0)


def test_wrong_keys_are_counted_by_address_and_in_all() -> None:
    wrong = WrongKeys()
    found = [wrong.count("192.0.2.1", 0.0) for _ in range(attempts.MAX_WRONG + 1)]
    assert found == [False] * attempts.MAX_WRONG + [True]
    assert not wrong.count("192.0.2.2", 0.0)
    assert not wrong.count("192.0.2.1", 61.0)


class Door:
    """Logins that wait, begin and end as the test says."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.begun: list[str] = []
        self.refused: list[str] = []
        self.end = asyncio.Semaphore(0)
        self.running = self.most = 0

    async def log_in(self, address: str) -> None:
        try:
            async with self.turns.turn(address):
                self.running += 1
                self.most = max(self.most, self.running)
                self.begun.append(address)
                await self.end.acquire()
                self.running -= 1
        except TooManyError:
            self.refused.append(address)

    async def add(self, *addresses: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.log_in(each)) for each in addresses]
        await self.settle()
        return tasks

    async def settle(self) -> None:
        for _ in range(5):  # turns of the loop
            await asyncio.sleep(0)

    async def finish(self, tasks: list[asyncio.Task[None]]) -> None:
        while not all(each.done() for each in tasks):
            self.end.release()
            await self.settle()


async def test_one_check_is_made_at_a_time_and_addresses_take_turns() -> None:
    door = Door()
    tasks = await door.add("a", "a", "a", "a", "b", "b", "c")
    await door.finish(tasks)
    assert door.begun == ["a", "a", "b", "c", "a", "b", "a"]
    assert (door.most, door.refused) == (1, [])


async def test_an_address_with_many_logins_is_refused_more() -> None:
    door = Door()
    tasks = await door.add(*"a" * (attempts.MAX_WAITING_OF_ADDRESS + 3), "b")
    assert door.refused == ["a"] * 2
    await door.finish(tasks)
    assert door.begun[2] == "b"


async def test_a_flood_of_addresses_does_not_refuse_a_new_one() -> None:
    door = Door()
    flood = [f"192.0.2.{number // 2}" for number in range(attempts.MAX_WAITING + 20)]
    tasks = await door.add(*flood, "b")
    assert len(door.refused) == 20
    assert "b" not in door.refused
    await door.finish(tasks)
    assert "b" in door.begun


async def test_a_login_that_is_cancelled_passes_its_turn_on() -> None:
    door = Door()
    first, second, third = await door.add("a", "b", "c")
    second.cancel()
    await door.settle()
    door.end.release()
    await door.settle()
    assert door.begun == ["a", "c"]
    third.cancel()
    await door.settle()
    await door.finish(await door.add("d"))
    assert door.begun == ["a", "c", "d"]
    assert door.turns._waiting == {}
    assert first.done()
