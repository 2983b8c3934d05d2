"""SHELL: the limits of wrong keys and passwords, and the order in which passwords are checked.

Rules:

- Wrong keys and passwords are counted by address: nobody locks out another address, and nobody
  locks out a user. An IPv6 address counts as its /64, which one customer has.
- A wrong password counts for its user name too, so that a user behind the same address as a guesser
  can still log in with another name.
- A password takes a processor for a third of a second, so they are checked one at a time. The
  addresses take turns, so a flood from one address delays the others by one check.
- Only `MAX_WAITING` checks wait. Of more, a random one of the address with the most is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable

from ..errors import KjuError

#: Wrong keys in a minute, from one address and from all. More are answered by status 429.
MAX_WRONG, MAX_WRONG_IN_ALL, WRONG_TIME = 10, 100, 60.0
#: Wrong passwords in a minute from one address: for one user name, and for all.
MAX_WRONG_PASSWORDS, MAX_WRONG_PASSWORDS_IN_ALL = 10, 60
#: Password checks that wait: of one address, and in all.
MAX_WAITING_OF_ADDRESS, MAX_WAITING = 8, 64


class TooManyError(KjuError):
    """Too many attempts, or connections: this one is refused for now."""


def network_of(address: str) -> str:
    """Return the part of an address that one computer, or one customer, has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


class WrongKeys:
    """The wrong keys of the last minute."""

    def __init__(self) -> None:
        self._all: deque[tuple[float, str]] = deque(maxlen=MAX_WRONG_IN_ALL + 1)

    def count(self, address: str, now: float) -> bool:
        """Count one more; return whether there are too many."""
        while self._all and self._all[0][0] < now - WRONG_TIME:
            self._all.popleft()
        network = network_of(address)
        self._all.append((now, network))
        theirs = sum(each == network for _, each in self._all)
        return theirs > MAX_WRONG or len(self._all) > MAX_WRONG_IN_ALL


class WrongPasswords:
    """The wrong passwords of the last minute. Each took a check, so they are few."""

    def __init__(self) -> None:
        self._all: deque[tuple[float, str, str]] = deque(maxlen=10_000)

    def check(self, address: str, user: str, now: float) -> None:
        """Check that another attempt is allowed.

        Raises:
            TooManyError: It is not.
        """
        while self._all and self._all[0][0] < now - WRONG_TIME:
            self._all.popleft()
        network = network_of(address)
        theirs = [name for _, each, name in self._all if each == network]
        if len(theirs) >= MAX_WRONG_PASSWORDS_IN_ALL or theirs.count(user) >= MAX_WRONG_PASSWORDS:
            raise TooManyError("too many wrong passwords: wait a minute")

    def count(self, address: str, user: str, now: float) -> None:
        """Count a wrong one."""
        self._all.append((now, network_of(address), user))


class Turns:
    """Gives the password checks their turns, one at a time."""

    def __init__(self) -> None:
        self._is_busy = False
        #: The address whose turn is next is the first.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for the turn of an address, and have it during the block.

        Raises:
            TooManyError: Too many wait.
        """
        await self._begin(network_of(address))
        try:
            yield
        finally:
            self._next()

    async def _begin(self, network: str) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        queue = self._waiting.setdefault(network, deque())
        if len(queue) >= MAX_WAITING_OF_ADDRESS:
            raise TooManyError("too many logins of your address are being checked: try again")
        if sum(map(len, self._waiting.values())) >= MAX_WAITING:
            self._refuse_one()
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(network, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.exception() is None:
                self._next()  # it was this one's turn already
            else:
                self._forget(network, mine)
            raise

    def _refuse_one(self) -> None:
        most = max(map(len, self._waiting.values()))
        network = secrets.choice([key for key, each in self._waiting.items() if len(each) == most])
        refused = secrets.choice(self._waiting[network])
        self._forget(network, refused)
        if not refused.done():
            refused.set_exception(TooManyError("too many logins are being checked: try again"))

    def _forget(self, network: str, one: asyncio.Future[None]) -> None:
        queue = self._waiting.get(network, deque())
        with contextlib.suppress(ValueError):
            queue.remove(one)
        if not queue:
            self._waiting.pop(network, None)

    def _next(self) -> None:
        """Give the next one its turn: the oldest of the next address."""
        while self._waiting:
            network = next(iter(self._waiting))
            queue = self._waiting.pop(network)
            mine = queue.popleft()
            if queue:
                self._waiting[network] = queue  # behind the other addresses
            if not mine.done():
                mine.set_result(None)
                return
        self._is_busy = False


async def check_in_turn(
    turns: Turns,
    wrong: WrongPasswords,
    sender: tuple[str, str],
    check: Callable[[], bool],
    clock: Callable[[], float],
) -> bool:
    """Check a password in a thread when it is its turn; return whether it is right.

    Args:
        turns: Decides about the order.
        wrong: Counts wrong ones.
        sender: The address and the user name.
        check: Checks the password.
        clock: Returns seconds of the monotonic clock.

    Raises:
        TooManyError: The sender has to wait.
    """
    address, user = sender
    wrong.check(address, user, clock())
    async with turns.turn(address):
        # Those of the same sender that were checked meanwhile count.
        wrong.check(address, user, clock())
        is_right = await asyncio.to_thread(check)
        if not is_right:
            wrong.count(address, user, clock())
        return is_right
