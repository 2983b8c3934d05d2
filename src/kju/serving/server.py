"""Serves the machines of this computer on the network, over zenoh."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from ..errors import UsageError
from ..remote import addresses
from ..remote.addresses import SessionOptions, endpoint
from ..remote.transport import Engine
from ..store.paths import local_network
from ..wire.greeting import Admission, Admit
from .served_machine import AdmitTo, ServedMachine, ServedMachines
from .zenoh_carrier import ZenohCarrier

#: Seconds between two searches for new machines.
TICK = 1.0
#: Looks without a process that listens at the socket, after which this one does.
_MISSES = 2


def anyone(name: str) -> Admit:
    """Admit every viewer. On this user's own socket, every viewer is this user."""
    return lambda hello, raw: Admission(hello.role)


class Server:
    """Serves machines of this computer on the network.

    New connections may use half of the files that this process may open. ``kju serve`` raises that
    limit (RLIMIT_NOFILE); other programs must do so themselves.

    Args:
        names: The names of machines; none for all, including those that are started later.
        prefix: The part of the network names before a machine's name; by default this host's name.
        options: The endpoints; by default this user's own socket.
        admit: Decides about viewers, such as ``partial(kju.remote.proof.Authenticator, trust)``.
            The default admits everybody, so it must not be reachable from other computers.
        insecure: Allow unencrypted endpoints, and everybody who reaches them to control machines.

    Raises:
        UsageError: A name is not valid, an endpoint needs encryption, or other computers reach an
            endpoint without authentication.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        prefix: str = "",
        options: SessionOptions | None = None,
        admit: AdmitTo = anyone,
        insecure: bool = False,
    ) -> None:
        self._options = options or SessionOptions(listen=[endpoint(local_network())])
        self._options.check(insecure=insecure)
        remote = [each for each in self._options.listen if not each.is_local]
        if admit is anyone and not insecure and (remote or self._options.connect):
            where = ", ".join(map(str, [*remote, *self._options.connect]))
            raise UsageError(
                f"every client that reaches {where} could view and control these machines, even"
                " with TLS: authenticate viewers (kju cert host, kju trust; in Python pass admit),"
                " or allow it with --insecure"
            )
        self._names, self._admit = list(names), admit
        self.prefix = prefix or socket.gethostname().split(".")[0]
        addresses.check_screen(f"{self.prefix}/x")
        self._machines: ServedMachines | None = None
        self._engine: Engine | None = None

    @property
    def served(self) -> dict[str, ServedMachine]:
        """The served machines, by name."""
        return self._machines.served if self._machines else {}

    async def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until this is cancelled. A machine that was restarted is served again.

        Several processes of one user may serve at the user's own socket: the first one listens, and
        another one takes its place when it ends.

        Raises:
            KjuError: A named machine is missing at the start, or zenoh cannot open a session.
        """
        own = endpoint(local_network())
        if list(self._options.listen) != [own] or self._options.connect:
            await self._serve(await Engine.open(self._options), ready, may_end=False)
            return
        while True:
            await self._serve(await Engine.meet(own), ready, may_end=True)
            ready = _nothing

    async def _serve(self, engine: Engine, ready: Callable[[], object], *, may_end: bool) -> None:
        """Serve with a session until this is cancelled, or no other process is at its socket."""
        self._engine = engine
        machines = self._machines = ServedMachines(
            self._names, f"{self.prefix}/", lambda name: ZenohCarrier(engine, name), self._admit
        )
        missed = 0
        try:
            await machines.start()
            ready()
            while missed < _MISSES:
                await asyncio.sleep(TICK)
                await machines.update()
                missed = missed + 1 if may_end and engine.has_lost_meeting() else 0
        finally:
            await machines.close()
            await engine.close()


def _nothing() -> None:
    pass


async def find(options: SessionOptions, seconds: float = 2.0) -> list[str]:
    """Return the sorted names of the screens that are served on the network."""
    engine = await Engine.open(options)
    try:
        tokens = await asyncio.to_thread(engine.find_tokens, addresses.presence("**"), seconds)
    finally:
        await engine.close()
    return sorted(filter(None, map(addresses.screen_of, tokens.keys)))
