"""Who holds what is down: keys, buttons or fingers that several clients share.

Rules:

- Something is down in the guest from when its first holder presses it until the last has let go.
- It is noted as held before it is pressed, and as let go of after it has been released: what fails
  half-way is released later, not forgotten.
- What a client that has left could not let go of is released before anything else is done, and
  when the guest runs again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence

from ...errors import KjuError

log = logging.getLogger(__name__)


class _Left:
    """Stands for the clients that left something down."""


_LEFT = _Left()


class Holders:
    """For each thing that is down, the clients that hold it.

    Args:
        put: Has the guest see these things as down, or as up.
        what: What they are, for the log.
    """

    def __init__(self, put: Callable[[Sequence[int], bool], Awaitable[object]], what: str) -> None:
        self._put = put
        self._what = what
        self._of: dict[int, set[Hashable]] = {}

    @property
    def held(self) -> list[int]:
        """What is down, sorted."""
        return sorted(self._of)

    def by(self, client: Hashable) -> list[int]:
        """What one client holds, in the order in which it was pressed first."""
        return [thing for thing, clients in self._of.items() if client in clients]

    def alone(self, client: Hashable, thing: int) -> bool:
        """Whether nobody else holds it: then what this client does with it is felt."""
        return not self._of.get(thing, set()) - {client}

    def press(self, client: Hashable, things: Iterable[int]) -> None:
        """Note that a client holds these."""
        for thing in things:
            self._of.setdefault(thing, set()).add(client)

    def release(self, client: Hashable, things: Iterable[int]) -> None:
        """Note that a client does not."""
        for thing in things:
            clients = self._of.get(thing, set())
            clients.discard(client)
            if not clients:
                self._of.pop(thing, None)

    async def let_go(self, client: Hashable, things: Iterable[int]) -> list[int]:
        """Release what a client holds of these, and return what stayed down.

        Nothing is raised for it: there is a reason already, or nobody to tell.
        """
        mine = set(self.by(client)) & set(things)
        felt = sorted(thing for thing in mine if self.alone(client, thing))
        try:
            if felt:
                await self._put(felt, False)
        except KjuError as error:
            log.warning("%s %s could not be released: %s", self._what, felt, error)
            self.release(client, mine - set(felt))
            return felt
        self.release(client, mine)
        return []

    async def leave(self, client: Hashable) -> None:
        """Let go of everything that a client holds."""
        stayed = await self.let_go(client, self.by(client))
        self.press(_LEFT, stayed)
        self.release(client, stayed)

    @property
    def left(self) -> bool:
        """Whether clients that have left hold something that could not be released yet."""
        return bool(self.by(_LEFT))

    def restore(self, client: Hashable, things: Iterable[int], *, present: bool) -> None:
        """Note that a client still holds these: their release has failed.

        Args:
            client: The client that released them.
            things: The keys or buttons.
            present: Whether the client is still connected.
        """
        self.press(client if present else _LEFT, things)

    async def settle(self) -> None:
        """Release what clients that have left could not."""
        await self.let_go(_LEFT, self.by(_LEFT))

    async def put_all(self, down: bool) -> None:
        """Have the guest see everything that is held as up, or as down again."""
        if self._of:
            await self._put(self.held, down)

    def forget(self) -> None:
        """The guest is another one now, in which nothing is down."""
        self._of.clear()
