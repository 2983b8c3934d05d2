"""The holders of keys, buttons or fingers that several clients share.

- A key is down in the guest from its first holder's press to its last holder's release.
- A holder is recorded before the press, and removed after the release: a release that fails is
  repeated later.
- Releases that fail for a client that disconnects are repeated before any other input, and when
  the guest runs again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence

from ..errors import KjuError

log = logging.getLogger(__name__)


class _Disconnected:
    """The holder in place of disconnected clients whose keys are still down."""


_DISCONNECTED = _Disconnected()


class Holders:
    """The clients that hold each key (or button, or finger).

    Args:
        put: Presses or releases keys in the guest.
        what: The noun for the log.
    """

    def __init__(self, put: Callable[[Sequence[int], bool], Awaitable[object]], what: str) -> None:
        self._put = put
        self._what = what
        self._clients: dict[int, set[Hashable]] = {}

    @property
    def held(self) -> list[int]:
        """The keys that are down, sorted."""
        return sorted(self._clients)

    def by(self, client: Hashable) -> list[int]:
        """Return the keys that one client holds, in the order of their first press."""
        return [thing for thing, clients in self._clients.items() if client in clients]

    def alone(self, client: Hashable, thing: int) -> bool:
        """Return whether no other client holds a key: then this client's input counts."""
        return not self._clients.get(thing, set()) - {client}

    def press(self, client: Hashable, things: Iterable[int]) -> None:
        """Record that a client holds these."""
        for thing in things:
            self._clients.setdefault(thing, set()).add(client)

    def release(self, client: Hashable, things: Iterable[int]) -> None:
        """Record that a client no longer holds these."""
        for thing in things:
            clients = self._clients.get(thing, set())
            clients.discard(client)
            if not clients:
                self._clients.pop(thing, None)

    async def lift(self, client: Hashable, things: Iterable[int]) -> list[int]:
        """Release those of these keys that a client holds; return those that stayed down.

        An error is logged, not raised: there is another already, or no client to receive it.
        """
        mine = set(self.by(client)) & set(things)
        effective = sorted(thing for thing in mine if self.alone(client, thing))
        try:
            if effective:
                await self._put(effective, False)
        except KjuError as error:
            log.warning("%s %s could not be released: %s", self._what, effective, error)
            self.release(client, mine - set(effective))
            return effective
        self.release(client, mine)
        return []

    async def leave(self, client: Hashable) -> None:
        """Release everything that a client holds."""
        stayed = await self.lift(client, self.by(client))
        self.press(_DISCONNECTED, stayed)
        self.release(client, stayed)

    @property
    def has_unreleased(self) -> bool:
        """True if keys of disconnected clients could not be released yet."""
        return bool(self.by(_DISCONNECTED))

    def restore(self, client: Hashable, things: Iterable[int], *, present: bool) -> None:
        """Record that a client still holds these: their release has failed.

        Args:
            client: The client that released them.
            things: The keys or buttons.
            present: Whether the client is still connected.
        """
        self.press(client if present else _DISCONNECTED, things)

    async def settle(self) -> None:
        """Release the keys of disconnected clients."""
        await self.lift(_DISCONNECTED, self.by(_DISCONNECTED))

    async def put_all(self, down: bool) -> None:
        """Release everything held in the guest, or press it again."""
        if self._clients:
            await self._put(self.held, down)

    def forget(self) -> None:
        """Record that the guest has restarted: nothing is down in it."""
        self._clients.clear()
