"""SHELL: a screen that is served elsewhere as a machine's emulator: the machine is its mirror."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ...errors import UnavailableError, UsageError
from ...protocol.messages import Keys, Launch, Point, Request
from ...remote import address
from ...remote.mirror import Inlet, Said, check_readable
from ...remote.transport import Engine
from ...store.running import Claim
from ...surface import Mark, State
from ...wire.messages import Event
from .. import events
from ..base import Emulator, Ended
from ..console import Console
from ..launch import surface_address
from . import endpoint as reach
from .console import MirrorConsole
from .devices import mirror_devices

log = logging.getLogger(__name__)

#: Seconds for the sender to let us in.
GREETING = 10.0
#: Events that a sender may tell within so many seconds: more would push out this mirror's own, and
#: hang up on those who listen.
MAX_EVENTS, EVENTS_WITHIN = 64, 10.0

_encode = msgspec.msgpack.Encoder().encode


class Prepared(NamedTuple):
    """A mirror that may be tried."""

    request: Launch
    name: str

    def emulator(self, claim: Claim) -> Emulator:
        """The mirror."""
        return MirrorEmulator(claim, self)


def prepare_mirror(request: Launch) -> Prepared:
    """Check a launch of a mirror.

    Raises:
        UsageError: The address is none, or something leaves this computer unprotected.
        MissingError: What reads the codec is not installed.
    """
    if request.remote is None:
        raise UsageError("a mirror needs to know where to look")
    reach.options(request.remote).check(insecure=request.remote.insecure)
    check_readable(request.remote.codec, lossy=request.remote.lossy)
    return Prepared(request, address.parse(request.running))


class MirrorEmulator(Emulator):
    """A screen that is served elsewhere."""

    kind = "mirror"

    def __init__(self, claim: Claim, prepared: Prepared) -> None:
        super().__init__()
        self._prepared = prepared
        self._machine = claim.name
        self._consoles: list[MirrorConsole] = []
        self._engine: Engine | None = None
        self._inlet: Inlet | None = None
        self._up = False
        self._told_at: deque[float] = deque(maxlen=MAX_EVENTS)

    @property
    def consoles(self) -> Sequence[Console]:
        """The one screen."""
        return self._consoles

    async def start(self, ended: Ended) -> None:
        """Connect.

        Raises:
            UnavailableError: Nobody serves this screen, or not to us.
            KjuError: zenoh opens no session, or there is no memory for the surface.
        """
        request, name = self._prepared.request, self._prepared.name
        remote = request.remote
        if remote is None:
            raise UsageError("a mirror needs to know where to look")
        self._engine = await Engine.open(reach.options(remote))
        where = surface_address(request, self._machine)(0)
        console = MirrorConsole(where, name, mirror_devices(self._forward))
        self._consoles.append(console)
        await console.open()
        if console.mirror is None:
            raise UsageError(f"the surface {where} cannot be made")
        self._inlet = Inlet(
            self._engine, name, console.mirror, remote.role,
            user=remote.user, prove=reach.prover(remote, name), audience=remote.audience,
            lossy=remote.lossy, codec=remote.codec,
            tell=self._told, happened=self._happened,
        )  # fmt: skip
        console.connect(self._inlet)
        await self._inlet.open(GREETING)

    def _told(self, said: Said) -> None:
        for console in self._consoles:
            if console.mirror is not None:
                console.mirror.set_link(said)
        if said.live is not self._up:
            self._up = said.live
            self.tell("link", {"up": said.live, "reason": said.reason})

    def _happened(self, event: Event) -> None:
        now = time.monotonic()
        if len(self._told_at) == MAX_EVENTS and now - self._told_at[0] < EVENTS_WITHIN:
            log.info("%s sends events without end: one is left out", self._prepared.name)
            return
        if told := events.from_remote(event.name, event.data):
            self._told_at.append(now)
            self.tell(*told)

    async def _forward(self, request: Request) -> Mark:
        if self._inlet is None:
            raise UnavailableError("the mirror is not connected yet")
        if not isinstance(request, Keys | Point):
            raise UsageError("a mirror sends keys and the pointer on, nothing else")
        console = self._consoles[0]
        ours, _ = await self._inlet.input(_encode(request))
        return console.mark._replace(version=ours)

    def _only_qemu(self, what: str) -> UsageError:
        return UsageError(f"a mirror has no {what}: do that where {self._prepared.name} is served")

    async def powerdown(self) -> None:
        """The machine is elsewhere.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{self._machine} is a mirror: its machine is stopped where it runs")

    async def end(self) -> None:
        """Leave."""
        if self._inlet is not None:
            self._inlet.close()
            for console in self._consoles:
                # The thread that draws would wait for a client's hold.
                console.surface.release_hold()
            await self._inlet.drawn()
        if self._engine is not None:
            await self._engine.close()

    async def close(self, state: State, reason: str) -> None:
        """Say the last word."""
        await super().close(state, reason)

    def info(self) -> dict[str, Any]:
        """Where it looks, and how that is."""
        inlet = self._inlet
        said = inlet.said if inlet else Said(False, "not connected yet")
        remote = self._prepared.request.remote
        welcome = inlet.receiver.welcome if inlet else None
        lossy = inlet is not None and welcome is not None and welcome.lossy
        return {
            "mirror": {
                "of": f"{address.SCHEME}{self._prepared.name}",
                "connect": list(remote.connect) if remote else [],
                "up": said.live,
                "reason": said.reason,
                "role": welcome.role if welcome else "",
                "sender": inlet.receiver.sender if inlet else "",
                "datagrams": self._engine.datagrams if self._engine else False,
                "sealed": inlet.receiver.seal is not None if inlet else False,
                "version": inlet.receiver.version if inlet else 0,
                "received": inlet.received if inlet else 0,
                "codec": welcome.codec if welcome else "",
                "lossy": lossy,
                "exact": inlet.receiver.exact if inlet else True,
            },
            "appended": [],
            "notes": [],
        }
