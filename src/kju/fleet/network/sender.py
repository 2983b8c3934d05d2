"""SHELL: the process that serves a node's machines on the network.

    python -m kju.fleet.network.sender

It is a process of its own: the work for viewers must not delay the leases, which the keeper renews.
Its first line of input is a `SenderSetup`, each later one the machines that run, by name, with the
numbers of their starts. It ends with its input, that is with its keeper.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sys
from typing import TypeAlias

import msgspec
from msgspec import Struct

from ...client.aio.link import AsyncLink
from ...errors import MachineGoneError, MachineLostError, MachineNotFoundError
from ...files import raise_descriptor_limit
from ...protocol.messages import GetInfo, Info
from ...remote.proof import Authenticator
from ...serving.served_machine import AdmitTo, ServedMachine
from ...serving.server import anyone
from ...serving.zenoh_carrier import ZenohCarrier
from ..near import check_start
from .joining import FleetNetwork, Joined, stay_joined
from .news import RunningStart, start_key

log = logging.getLogger(__name__)

#: Seconds until the next attempt to serve a machine.
_PAUSE = 1.0
#: Bytes of a line of input.
_MAX_LINE = 1 << 24

#: The machines that run, by name, and the numbers of their starts.
RunningMachines: TypeAlias = dict[str, int]


class SenderSetup(Struct, frozen=True):
    """The first line of input.

    Attributes:
        fleet: The name of the fleet.
        node: The name of the node.
        network: The network.
    """

    fleet: str
    node: str
    network: FleetNetwork


class FleetSender:
    """Serves the machines of a node.

    Args:
        setup: The node, and the network.
    """

    def __init__(self, setup: SenderSetup) -> None:
        self._setup = setup
        self._running: RunningMachines = {}
        self._joined: Joined | None = None
        self._tasks: dict[RunningStart, asyncio.Task[None]] = {}

    def show(self, running: RunningMachines) -> None:
        """Serve these machines, and no others."""
        self._running = running
        self._follow()

    async def run(self) -> None:
        """Serve until this is cancelled."""
        where = f"{self._setup.fleet}/{self._setup.node}"
        await stay_joined(self._setup.network, self._use, where)

    async def _use(self, joined: Joined) -> None:
        self._joined = joined
        self._follow()
        try:
            await asyncio.Event().wait()
        finally:
            self._joined = None
            tasks = list(self._tasks.values())
            self._follow()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self) -> None:
        """Begin and end the serving of machines."""
        node, joined = self._setup.node, self._joined
        running = self._running.items() if joined is not None else ()
        wanted = {RunningStart(node, name, generation) for name, generation in running}
        for start in self._tasks.keys() - wanted:
            self._tasks.pop(start).cancel()
        if joined is not None:
            for start in wanted - self._tasks.keys():
                self._tasks[start] = asyncio.create_task(self._serve(joined, start))

    async def _serve(self, joined: Joined, start: RunningStart) -> None:
        """Serve a start of a machine until it ends, also if its host was busy."""
        while True:
            try:
                await self._serve_once(joined, start)
            except (MachineGoneError, MachineNotFoundError, MachineLostError):
                return  # its keeper reports that
            except Exception as error:  # zenoh's errors have no common root
                log.warning("%s is not served: %s", start.name, error)
            await asyncio.sleep(_PAUSE)

    async def _serve_once(self, joined: Joined, start: RunningStart) -> None:
        engine, trust = joined
        holder = f"{self._setup.fleet}/{start.node}"
        link = await AsyncLink.attach(start.name, "view", "kju fleet")
        try:
            info = (await link.ask(GetInfo(), Info)).info
            check_start(info, start.name, holder, start.generation)
        except BaseException:
            link.close()
            raise
        admit: AdmitTo = functools.partial(Authenticator, trust) if trust else anyone
        served = ServedMachine(
            link, f"{holder}/{start.name}", info["kind"],
            lambda name: ZenohCarrier(engine, name), admit,
        )  # fmt: skip
        undo = engine.declare_token(start_key(self._setup.fleet, start))
        try:
            await served.run()
        finally:
            undo()


async def serve_input() -> None:
    """Serve the machines that the lines of the standard input name, until its end."""
    reader = asyncio.StreamReader(limit=_MAX_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    sender = FleetSender(msgspec.json.decode(await reader.readline(), type=SenderSetup))
    serving = asyncio.create_task(sender.run())
    decoder = msgspec.json.Decoder(RunningMachines)
    try:
        while line := await reader.readline():
            sender.show(decoder.decode(line))
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def main() -> None:
    """Serve a node's machines until the input ends."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    raise_descriptor_limit()
    asyncio.run(serve_input())


if __name__ == "__main__":
    main()
