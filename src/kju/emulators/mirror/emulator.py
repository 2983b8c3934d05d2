"""SHELL: a mirror as a machine's emulator: a screen that another host serves."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from ...errors import UnavailableError, UsageError
from ...protocol.messages import Keys, Point, Request
from ...remote import addresses
from ...remote.mirror import Mirror
from ...remote.mirror_link import LinkStatus
from ...remote.transport import Engine
from ...store.claims import Claim
from ...surface import Mark, State
from ...wire.messages import Event
from .. import events
from ..base import Emulator, Ended, surface_address
from ..console import Console
from ..plan import Plan
from .console import MirrorConsole
from .devices import mirror_devices
from .launch import Prepared, connection_options, prover

log = logging.getLogger(__name__)

#: Seconds for the sender to accept this mirror.
ACCEPT_TIMEOUT = 10.0
#: Events passed on within so many seconds: more would displace this machine's own events, and
#: disconnect clients that read slowly.
MAX_EVENTS, EVENTS_WITHIN = 64, 10.0

_encode = msgspec.msgpack.Encoder().encode


class MirrorEmulator(Emulator):
    """A screen that another host serves."""

    kind = "mirror"

    def __init__(self, claim: Claim, prepared: Prepared) -> None:
        super().__init__()
        self._prepared = prepared
        self._machine = claim.name
        self._consoles: list[MirrorConsole] = []
        self._engine: Engine | None = None
        self._inlet: Mirror | None = None
        self._up = False
        self._event_times: deque[float] = deque(maxlen=MAX_EVENTS)

    @property
    def consoles(self) -> Sequence[Console]:
        """The one screen."""
        return self._consoles

    async def start(self, ended: Ended) -> None:
        """Connect.

        Raises:
            UnavailableError: The screen is not served, or not to this user.
            KjuError: The network session could not be opened, or memory for the surface is
                missing.
        """
        prepared, remote = self._prepared, self._prepared.remote
        self._engine = await Engine.open(connection_options(remote))
        where = surface_address(prepared.request, self._machine)(0)
        console = MirrorConsole(where, prepared.name, mirror_devices(self._forward))
        self._consoles.append(console)
        await console.open()
        if console.mirror is None:
            raise UsageError(f"the surface {where} cannot be made")
        self._inlet = Mirror(
            self._engine, prepared.name, console.mirror, remote.role,
            user=remote.user, prove=prover(remote, prepared.name), audience=remote.audience,
            lossy=remote.lossy, codec=remote.codec,
            tell=self._link_changed, happened=self._pass_on_event,
        )  # fmt: skip
        console.connect(self._inlet)
        await self._inlet.open(ACCEPT_TIMEOUT)

    def _link_changed(self, status: LinkStatus) -> None:
        for console in self._consoles:
            if console.mirror is not None:
                console.mirror.set_link(status)
        if status.live is not self._up:
            self._up = status.live
            self.tell("link", {"up": status.live, "reason": status.reason})

    def _pass_on_event(self, event: Event) -> None:
        now = time.monotonic()
        times = self._event_times
        if len(times) == MAX_EVENTS and now - times[0] < EVENTS_WITHIN:
            log.info("%s sends too many events: one is dropped", self._prepared.name)
            return
        if passed := events.from_remote(event.name, event.data):
            times.append(now)
            self.tell(*passed)

    async def _forward(self, request: Request) -> Mark:
        if self._inlet is None:
            raise UnavailableError("the mirror is not connected yet")
        if not isinstance(request, Keys | Point):
            raise UsageError("a mirror forwards keys and the pointer only")
        console = self._consoles[0]
        ours, _ = await self._inlet.input(_encode(request))
        return console.mark._replace(version=ours)

    def _unsupported(self, what: str) -> UsageError:
        return UsageError(f"a mirror has no {what}: do that where {self._prepared.name} is served")

    async def powerdown(self) -> None:
        """Refuse: the machine runs on another host.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{self._machine} is a mirror: its machine is stopped where it runs")

    async def end(self) -> None:
        """Disconnect."""
        if self._inlet is not None:
            self._inlet.close()
            for console in self._consoles:
                # The drawing thread would wait for the end of a client's hold.
                console.surface.release_hold()
            await self._inlet.drawing_finished()
        if self._engine is not None:
            await self._engine.close()

    async def close(self, state: State, reason: str) -> None:
        """Set the last state."""
        await super().close(state, reason)

    def info(self) -> dict[str, Any]:
        """Return the remote screen's address and the state of the link."""
        inlet = self._inlet
        status = inlet.status if inlet else LinkStatus(False, "not connected yet")
        welcome = inlet.receiver.welcome if inlet else None
        return {
            self.kind: {
                "of": f"{addresses.SCHEME}{self._prepared.name}",
                "connect": list(self._prepared.remote.connect),
                "up": status.live,
                "reason": status.reason,
                "role": welcome.role if welcome else "",
                "sender": inlet.receiver.sender if inlet else "",
                "datagrams": self._engine.datagrams if self._engine else False,
                "sealed": inlet.receiver.seal is not None if inlet else False,
                "version": inlet.receiver.picture.version if inlet else 0,
                "received": inlet.received if inlet else 0,
                "codec": welcome.codec if welcome else "",
                "lossy": welcome is not None and welcome.lossy,
                "exact": inlet.receiver.picture.exact if inlet else True,
            },
            **Plan().info(),
        }


def create(claim: Claim, prepared: Prepared) -> MirrorEmulator:
    """Make the emulator of a prepared launch."""
    return MirrorEmulator(claim, prepared)
