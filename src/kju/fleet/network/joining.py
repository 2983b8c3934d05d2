"""SHELL: the connection of a fleet's processes, and of its watchers, to the network.

Without a router the programs of one user on one computer meet at a socket in the user's runtime
folder. The first one forwards the messages of all; when it ends, another one takes its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from ...errors import KjuError, UsageError
from ...remote.addresses import SessionOptions, endpoint, safe_endpoint
from ...remote.transport import Engine
from ...remote.trust import Trust, default_folder
from ...store.paths import local_network

log = logging.getLogger(__name__)

#: Seconds between two looks at the connection.
_LOOK = 1.0
#: Looks without a connection after which another one is opened.
_MISSES = 2
#: Seconds until the next attempt, at first and at most.
FIRST_PAUSE, MAX_PAUSE = 0.5, 30.0


class FleetNetwork(Struct, frozen=True):
    """The network on which a fleet serves its machines.

    Attributes:
        router: Addresses of routers; empty: each computer's own socket of this user.
        insecure: Allow a connection without encryption to other computers, and every client of the
            router to view and control the machines.
    """

    router: tuple[str, ...] = ()
    insecure: bool = False

    def endpoints(self) -> SessionOptions:
        """Return the addresses to connect to, without certificates.

        Raises:
            UsageError: One is not valid.
        """
        where = [safe_endpoint(each, insecure=self.insecure) for each in self.router]
        return SessionOptions(connect=where)


class Joined(NamedTuple):
    """An open connection.

    Attributes:
        engine: The zenoh session.
        trust: This computer's certificate, which proves messages; None on the user's own socket.
    """

    engine: Engine
    trust: Trust | None


async def join(network: FleetNetwork) -> Joined:
    """Connect to the network as a computer of the fleet.

    Raises:
        UsageError: A certificate is missing, or the connection would not be protected.
        KjuError: The network cannot be reached.
    """
    if not network.router:
        return Joined(await Engine.meet(endpoint(local_network())), None)
    options = network.endpoints()
    folder = Path(default_folder())
    trust = None if network.insecure else Trust(folder)
    if any(each.protocol in ("tls", "quic") for each in options.connect):
        options = options._replace(tls=Trust(folder).tls())
    options.check(insecure=network.insecure)
    if trust is not None and not trust.is_host:
        raise UsageError(
            f"this computer has no host certificate in {folder}, so every client of"
            f" {', '.join(network.router)} could control its machines: make one with kju cert host"
        )
    return Joined(await Engine.open(options), trust)


async def stay_joined(
    network: FleetNetwork, use: Callable[[Joined], Awaitable[None]], what: str
) -> None:
    """Use a connection, and another one whenever it has ended, until this is cancelled.

    Args:
        network: The network.
        use: Uses a connection until it is cancelled.
        what: The user, for the log.
    """
    pause, reported = FIRST_PAUSE, ""
    while True:
        try:
            joined = await join(network)
        except KjuError as error:
            if str(error) != reported:
                log.warning("%s is not on the network: %s", what, error)
            reported = str(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)
            continue
        pause, reported = FIRST_PAUSE, ""
        async with _running(use(joined)) as using:
            try:
                await _lost(joined.engine, using)
            except Exception:  # zenoh's errors have no common root, and must not end the caller
                log.exception("%s leaves the network for a moment", what)
            finally:
                using.cancel()
                await asyncio.gather(using, return_exceptions=True)
                await joined.engine.close()


@contextlib.asynccontextmanager
async def _running(work: Awaitable[None]) -> AsyncIterator[asyncio.Future[None]]:
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()


async def _lost(engine: Engine, using: asyncio.Future[None]) -> None:
    """Return when a client's connection is lost, or its use has failed.

    Raises:
        Exception: The use has failed with it.
    """
    missed = 0
    while missed < _MISSES:
        await asyncio.wait([using], timeout=_LOOK)
        if using.done():
            return using.result()
        missed = missed + 1 if engine.has_lost_meeting() else 0
    return None
