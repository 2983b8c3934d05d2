"""SHELL: the states and the changes of a fleet's machines, from its controller to the network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ..messages import Changes, MachineStatus
from .joining import FleetNetwork, Joined, stay_joined
from .news import (
    Envelope,
    changes_key,
    controller_key,
    encode_envelope,
    encode_news,
    state_key,
    what_of,
)

#: Seconds between two looks for changes.
_LOOK = 0.5
#: Covers a controller's message, in place of another one that a host has signed.
SIGNED = b"news of a fleet"


class States(Protocol):
    """A controller, as far as it is published."""

    def statuses(self) -> list[MachineStatus]:
        """Return the states of all machines, by name."""

    def changes(self, mark: tuple[int, int] | None) -> Changes:
        """Return the changes of machines since a mark; without one all that are kept."""


class Publisher:
    """Publishes a controller's states.

    Args:
        fleet: The name of the fleet.
        states: The controller.
        network: The network.
    """

    def __init__(self, fleet: str, states: States, network: FleetNetwork) -> None:
        self._fleet, self._states, self._network = fleet, states, network

    async def run(self) -> None:
        """Publish until this is cancelled."""
        await stay_joined(self._network, self._use, f"the controller of {self._fleet}")

    async def _use(self, joined: Joined) -> None:
        engine, fleet = joined.engine, self._fleet
        sealed = _sealing(joined)

        def answer(key: str, question: bytes) -> Iterator[tuple[str, bytes]]:
            what = what_of(key)
            if what is None:
                return
            changes = self._states.changes(None)
            statuses: Sequence[MachineStatus] = changes.statuses
            if what == "statuses":
                statuses = self._states.statuses()
            for part, body in enumerate(encode_news(*changes.mark, statuses)):
                at = state_key(fleet, what, part)
                yield at, sealed(at, question, body)

        mark = self._states.changes(None).mark
        undo = [
            engine.answer(f"kju/fleet-state/{fleet}/**", answer),
            # Last: a watcher that sees it asks at once.
            engine.declare_token(controller_key(fleet)),
        ]
        try:
            while True:
                await asyncio.sleep(_LOOK)
                found = self._states.changes(mark)
                if found.mark == mark:
                    continue
                mark = found.mark
                for body in encode_news(*mark, found.statuses):
                    at = changes_key(fleet)
                    engine.put_reliable(at, sealed(at, b"", body))
        finally:
            for each in undo:
                each()


def _sealing(joined: Joined) -> Callable[[str, bytes, bytes], bytes]:
    trust = joined.trust

    def sealed(key: str, question: bytes, body: bytes) -> bytes:
        proof = trust.sign("host", SIGNED, key.encode(), question, body) if trust else b""
        return encode_envelope(Envelope(body, proof))

    return sealed
