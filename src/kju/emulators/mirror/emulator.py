"""SHELL: a mirror as a machine's emulator: a screen that another host serves."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...errors import UnavailableError, UsageError
from ...protocol.launch_options import Launch, Remote
from ...protocol.messages import Keys, Point, Resize
from ...protocol.values import Request
from ...remote import addresses
from ...remote.addresses import SessionOptions, endpoint
from ...remote.mirror import Mirror, check_codec
from ...remote.mirror_link import LinkStatus
from ...remote.proof import Prover
from ...remote.transport import Engine
from ...remote.trust import Trust
from ...store.running import Claim
from ...surface import Mark
from ...wire.messages import MachineEvent
from ..base import CommandPlan, Emulator, Ended
from ..console import Console
from ..console_surface import surface_address
from ..events import MachineEvents, from_remote
from ..launch import EmulatorFactory
from .console import MirrorConsole, MirrorSurface

log = logging.getLogger(__name__)

#: Seconds for the sender to accept this mirror.
ACCEPT_TIMEOUT = 10.0
#: Events passed on within so many seconds: more would displace this machine's own events, and
#: disconnect clients that read slowly.
MAX_EVENTS, _EVENTS_WITHIN = 64, 10.0

_encode = msgspec.msgpack.Encoder().encode


class _PreparedMirror(NamedTuple):
    """A checked launch of a mirror.

    Attributes:
        request: The request.
        remote: Its part on the connection.
        name: The remote screen's.
    """

    request: Launch
    remote: Remote
    name: str

    @property
    def default_name(self) -> str:
        """The remote screen, whose last part is the machine's name."""
        running = self.request.running
        return running.rpartition("/")[2].partition(":")[2] or running

    def dry_run(self, name: str) -> dict[str, Any]:
        """Return an empty command: a mirror runs no program."""
        return {"command": [], "mirror": {"screen": self.request.running}, "notes": []}


def _prepare(request: Launch, new_disks: Collection[str]) -> _PreparedMirror:
    """Check a launch of a mirror.

    Raises:
        UsageError: The address is not valid, or something would leave this computer unprotected.
        MissingError: The codec's library is not installed.
    """
    remote = request.remote
    if remote is None:
        raise UsageError("a mirror needs an address to connect to")
    _connection_options(remote).check(insecure=remote.insecure)
    check_codec(remote.codec, lossy=remote.lossy)
    return _PreparedMirror(request, remote, addresses.parse_screen(request.running))


def _connection_options(remote: Remote) -> SessionOptions:
    """Return the options of the network engine.

    Raises:
        UsageError: An endpoint is not valid, or the user has no certificate here.
    """
    tls = Trust(Path(remote.trust)).tls(remote.user) if remote.trust else None
    protocol = "tls" if tls else "tcp"
    return SessionOptions(connect=[endpoint(each, protocol) for each in remote.connect], tls=tls)


def _prover(remote: Remote, name: str) -> Prover | None:
    """Return the prover of the user's identity; None without a trust folder."""
    if not remote.trust:
        return None
    return Prover(Trust(Path(remote.trust)), remote.user, name, remote.sender)


class _MirrorEmulator(Emulator):
    """A screen that another host serves."""

    kind = "mirror"

    def __init__(self, claim: Claim, prepared: _PreparedMirror, events: MachineEvents) -> None:
        super().__init__(events)
        self._prepared = prepared
        self._machine = claim.name
        self._consoles: list[MirrorConsole] = []
        self._engine: Engine | None = None
        self._mirror: Mirror | None = None
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
        self._engine = await Engine.open(_connection_options(remote))
        where = surface_address(prepared.request, self._machine, 0)
        surface = MirrorSurface(0, where, self.events.note_mode, lambda: self._mirror)
        console = MirrorConsole(surface, prepared.name, self._forward)
        self._consoles.append(console)
        await console.open()
        if console.source is None:
            raise UsageError(f"the surface {where} cannot be made")
        self._mirror = Mirror(
            self._engine, prepared.name, console.source, remote.role,
            user=remote.user, prove=_prover(remote, prepared.name), audience=remote.audience,
            lossy=remote.lossy, codec=remote.codec,
            on_status=self._link_changed, on_event=self._pass_on_event,
        )  # fmt: skip
        await self._mirror.open(ACCEPT_TIMEOUT)
        console.rest_if_unviewed()

    def _link_changed(self, status: LinkStatus) -> None:
        for console in self._consoles:
            if console.source is not None:
                console.source.set_link(status)
        if status.live is not self._up:
            self._up = status.live
            self.events.happen("link", {"up": status.live, "reason": status.reason})

    def _pass_on_event(self, event: MachineEvent) -> None:
        now = time.monotonic()
        times = self._event_times
        if len(times) == MAX_EVENTS and now - times[0] < _EVENTS_WITHIN:
            log.info("%s sends too many events: one is dropped", self._prepared.name)
            return
        if passed := from_remote(event.name, event.data):
            times.append(now)
            self.events.happen(*passed)

    async def _forward(self, request: Request) -> Mark:
        if self._mirror is None:
            raise UnavailableError("the mirror is not connected yet")
        if not isinstance(request, Keys | Point | Resize):
            raise UsageError("a mirror forwards keys, the pointer and sizes only")
        console = self._consoles[0]
        ours, _ = await self._mirror.input(_encode(request))
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
        if self._mirror is not None:
            self._mirror.close()
            for console in self._consoles:
                # The drawing thread would wait for the end of a client's hold.
                console.surface.release_hold()
            await self._mirror.drawing_finished()
        if self._engine is not None:
            await self._engine.close()

    def info(self) -> dict[str, Any]:
        """Return the remote screen's address and the state of the link."""
        mirror = self._mirror
        status = mirror.status if mirror else LinkStatus(False, "not connected yet")
        welcome = mirror.receiver.welcome if mirror else None
        return {
            self.kind: {
                "of": f"{addresses.SCHEME}{self._prepared.name}",
                "connect": list(self._prepared.remote.connect),
                "up": status.live,
                "reason": status.reason,
                "role": welcome.role if welcome else "",
                "sender": mirror.receiver.sender if mirror else "",
                "datagrams": self._engine.datagrams if self._engine else False,
                "sealed": mirror.receiver.seal is not None if mirror else False,
                "version": mirror.receiver.picture.version if mirror else 0,
                "received": mirror.received if mirror else 0,
                "codec": welcome.codec if welcome else "",
                "lossy": welcome is not None and welcome.lossy,
                "exact": mirror.receiver.picture.exact if mirror else True,
            },
            **CommandPlan().info(),
        }


FACTORY = EmulatorFactory(_prepare, _MirrorEmulator)
