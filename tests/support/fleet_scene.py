"""A controller and keepers in this process, with real hosts: no Ray."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from kju.fleet.controller import FleetController
from kju.fleet.keeper import Keeper
from kju.fleet.messages import FleetState, MachineSpec
from kju.fleet.network.joining import FleetNetwork
from kju.fleet.network.node_sender import NodeSender
from kju.fleet.network.publisher import Publisher
from kju.fleet.network.sender import SenderSetup
from kju.fleet.placement import Demand, NodeFacts, Room

GIB = 1 << 30


class Scene:
    """A controller, and the keepers of nodes by name; a node is a name only.

    Args:
        network: Serve the machines there.
    """

    def __init__(self, network: FleetNetwork | None = None) -> None:
        self.network = network
        self.keepers: dict[str, Keeper] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.controller = FleetController(
            lambda node, session, order: self.keepers[node].order(session, order)
        )
        self.tasks[""] = asyncio.create_task(self.controller.run())
        if network is not None:
            self.start_publisher()

    def start_publisher(self) -> None:
        assert self.network is not None
        publisher = Publisher("lab", self.controller, self.network)
        self.tasks["publisher"] = asyncio.create_task(publisher.run())

    def start_keeper(self, node: str, **options: Any) -> None:
        facts = NodeFacts(node, Room(memory=4 * GIB))
        if self.network is not None:
            options["sender"] = NodeSender(SenderSetup("lab", node, self.network))
        keeper = Keeper("lab", node, lambda: facts, self.controller, **options)
        self.keepers[node] = keeper
        self.tasks[node] = asyncio.create_task(keeper.run())

    async def stop(self, node: str) -> None:
        task = self.tasks.pop(node)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def state(self, name: str) -> tuple[FleetState, int]:
        (found,) = [each for each in self.controller.statuses() if each.name == name]
        return found.state, found.generation


def spec(name: str, memory: int = 1, **more: object) -> MachineSpec:
    """Return a machine of Xvfb."""
    demand = Demand(Room(memory=memory * GIB))
    return MachineSpec(name, demand, {"emulator": "xvfb"}, **more)  # type: ignore[arg-type]
