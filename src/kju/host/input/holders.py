"""Who holds what is down: keys or buttons that several clients share. I/O-free."""

from __future__ import annotations

from collections.abc import Hashable, Iterable


class Holders:
    """For each thing that is down, the clients that hold it."""

    def __init__(self) -> None:
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
