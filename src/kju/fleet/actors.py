"""SHELL: the controller and the keepers of a fleet as actors of Ray.

Each runs its own event loop in a thread. Ray starts the loop of an actor with its first call, but a
keeper that Ray has restarted gets none: it has to report by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import KjuError
from ..store.forks import places
from ..store.forks.bases import is_here
from .bases.keeping import KeptBases
from .bases.manifest import Manifests
from .bases.source import BaseManifest, FleetBase
from .connecting import NAMESPACE
from .controller import FleetController
from .hosts import memory_of_others
from .images.cache import free_bytes
from .images.keeping import KeptImages
from .images.source import FleetImage
from .images.transfer import RemoteFiles, SharedPieces
from .keeper import Keeper
from .messages import (
    REPORT_INTERVAL,
    Grant,
    KeeperOrder,
    KeeperReport,
    MachineSpec,
    MachineStatus,
)
from .network.joining import FleetNetwork
from .network.node_sender import NodeSender
from .network.publisher import Publisher
from .network.sender import SenderSetup
from .placement import NodeFacts, Room

log = logging.getLogger(__name__)

T = TypeVar("T")
#: Characters of a computer's name in the name of its node.
_HOST_LENGTH = 57
#: The most seconds between two attempts to start a keeper.
_MAX_PAUSE = 60.0


def controller_name(fleet: str) -> str:
    """Return the name of a fleet's controller."""
    return f"kju-controller-{fleet}"


def keeper_name(fleet: str, node: str) -> str:
    """Return the name of the keeper of a node."""
    return f"kju-keeper-{fleet}-{node}"


def alive_nodes() -> dict[str, dict[str, Any]]:
    """Return Ray's nodes, by the names that a fleet gives them."""
    untyped: Any = ray
    return {_node_name(node): node for node in untyped.nodes() if node["Alive"]}


def _node_name(node: dict[str, Any]) -> str:
    """Return the name of a node: its computer's, and a part of its number."""
    host = re.sub(r"[^A-Za-z0-9-]+", "-", node["NodeManagerHostname"].split(".")[0])
    # Names on the network have 64 characters at most; a pod's may have 63.
    return f"{host[:_HOST_LENGTH].strip('-') or 'node'}-{node['NodeID'][:6]}"


def start_controller(fleet: str, network: FleetNetwork) -> Any:  # noqa: ANN401  Ray's own type
    """Return the controller of a fleet; start a missing one on the head node.

    The cluster ends with its head. On any other node the controller could be lost with that node.
    """
    return (
        ray.remote(ControllerActor)
        .options(
            name=controller_name(fleet), namespace=NAMESPACE, lifetime="detached",
            get_if_exists=True, num_cpus=0, resources={"node:__internal_head__": 0.001},
            max_restarts=-1, max_concurrency=10_000,
        )
        .remote(fleet, network)
    )  # fmt: skip


class _LoopThread:
    """An event loop in a thread; the process ends if its main task fails."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="kju-fleet", daemon=True).start()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the main task. Ray restarts an actor whose process has ended."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)

        def ended(_: object) -> None:
            log.critical("the actor fails", exc_info=future.exception())
            os._exit(1)

        future.add_done_callback(ended)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for it in this loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))


class KeeperStarts:
    """Starts the keepers of nodes; on a node where one fails, it tries more and more rarely.

    Args:
        fleet: The name of the fleet.
        network: The network that its machines are served on.

    Attributes:
        faults: Why keepers do not start, by the names of their nodes.
    """

    def __init__(self, fleet: str, network: FleetNetwork) -> None:
        self._fleet, self._network = fleet, network
        self.faults: dict[str, str] = {}
        self._starting: dict[str, Any] = {}
        #: When to try again, and after how many seconds, by node.
        self._again: dict[str, tuple[float, float]] = {}

    def start_missing(self, known: Collection[str]) -> None:
        """Start a keeper on each node that has none.

        Args:
            known: The nodes whose keepers report.
        """
        nodes = alive_nodes()
        for name in [*self.faults]:
            if name in known or name not in nodes:
                self.faults.pop(name)
                self._again.pop(name, None)
        for name, node in nodes.items():
            if name not in known and self._may_start(name):
                self._starting[name] = self._start(name, node)

    def _may_start(self, name: str) -> bool:
        """Return whether to start a keeper now; note why the last one did not start."""
        if (starting := self._starting.get(name)) is not None:
            done, _ = ray.wait([starting], timeout=0)
            if not done:
                return False
            del self._starting[name]
            try:
                ray.get(starting)
            except ray.exceptions.RayError as error:
                _, pause = self._again.get(name, (0.0, REPORT_INTERVAL))
                self._again[name] = time.monotonic() + pause, min(2 * pause, _MAX_PAUSE)
                self.faults[name] = str(error).strip().rpartition("\n")[2]
                log.error("%s gets no machines: %s", name, self.faults[name])
        again, _ = self._again.get(name, (0.0, 0.0))
        return time.monotonic() >= again

    def _start(self, name: str, node: dict[str, Any]) -> Any:  # noqa: ANN401  Ray's reference
        """Start a keeper, unless it runs; return a reference that is ready when it has started."""
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        keeper = (
            ray.remote(KeeperActor)
            .options(
                name=keeper_name(self._fleet, name), namespace=NAMESPACE, lifetime="detached",
                get_if_exists=True, num_cpus=0, max_restarts=-1, scheduling_strategy=strategy,
            )
            .remote(self._fleet, name, node["Resources"], self._network)
        )  # fmt: skip
        untyped: Any = keeper
        return untyped.__ray_ready__.remote()


class ControllerActor:
    """The controller of a fleet.

    Args:
        fleet: The name of the fleet.
        network: The network that its machines are served on.
    """

    def __init__(self, fleet: str, network: FleetNetwork) -> None:
        self._fleet, self._network = fleet, network
        self._keepers: dict[str, Any] = {}
        restarted = ray.get_runtime_context().was_current_actor_reconstructed
        self._thread = _LoopThread()
        self._starts = KeeperStarts(fleet, network)
        self._controller = FleetController(self._send, restarted=restarted)
        self._thread.begin(self._controller.run())
        self._thread.begin(self._start_keepers())
        self._thread.begin(Publisher(fleet, self._controller, network).run())

    async def report(self, report: KeeperReport) -> Grant | None:
        """Answer the report of a keeper."""
        name = report.facts.name
        # One without a session has just started; a restarted controller knows none.
        if report.session == 0 or name not in self._keepers:
            self._keepers[name] = await asyncio.to_thread(
                ray.get_actor, keeper_name(self._fleet, name), NAMESPACE
            )
        return await self._thread.call(self._controller.report(report))

    async def launch(self, specs: Sequence[MachineSpec], token: str) -> list[MachineStatus]:
        """Start machines: see `FleetController.launch`."""
        return await self._thread.call(self._controller.launch(specs, token))

    # These do the same when they are repeated. Ray does that if this process was restarted.
    @ray.method(max_task_retries=-1)
    async def end(self, name: str, reason: str, generation: int | None) -> MachineStatus:
        """End a machine: see `FleetController.end`."""
        return await self._thread.call(self._controller.end(name, reason, generation))

    @ray.method(max_task_retries=-1)
    async def end_all(self, reason: str) -> None:
        """End all machines: see `FleetController.end_all`."""
        await self._thread.call(self._controller.end_all(reason))

    @ray.method(max_task_retries=-1)
    async def ask(self, what: str, *arguments: Any) -> Any:  # noqa: ANN401  any method's result
        """Call a method of the controller that does not wait."""
        return await self._thread.call(self._ask(getattr(self._controller, what), arguments))

    @ray.method(max_task_retries=-1)
    async def network(self) -> FleetNetwork:
        """Return the network that the fleet's machines are served on."""
        return self._network

    @ray.method(max_task_retries=-1)
    async def keeper_faults(self) -> dict[str, str]:
        """Return why keepers do not start, by the names of their nodes."""
        return dict(self._starts.faults)

    async def _ask(self, method: Callable[..., T], arguments: tuple[object, ...]) -> T:
        return method(*arguments)

    async def _start_keepers(self) -> None:
        """Start a keeper on each node that has none; nodes join at any time."""
        while True:
            try:
                known = frozenset(self._controller.node_names())
                await asyncio.to_thread(self._starts.start_missing, known)
            except Exception as error:  # Ray's errors have no common root
                log.warning("the keepers of %s were not started: %r", self._fleet, error)
            await asyncio.sleep(REPORT_INTERVAL)

    def _send(self, node: str, session: int, order: KeeperOrder) -> None:
        if (keeper := self._keepers.get(node)) is not None:
            keeper.order.remote(session, order)


class KeeperActor:
    """The keeper of a node.

    Args:
        fleet: The name of the fleet.
        node: The name of the node.
        resources: The resources that Ray has on the node.
        network: The network that its machines are served on.
    """

    def __init__(
        self, fleet: str, node: str, resources: dict[str, float], network: FleetNetwork
    ) -> None:
        self._thread = _LoopThread()
        self._node = node
        self._shared = SharedPieces()
        self._manifests = Manifests()
        remote = RemoteFiles(lambda other: ray.get_actor(keeper_name(fleet, other), NAMESPACE))
        self._images = KeptImages(node, remote)
        self._bases = KeptBases(node, self._images, remote)
        self._keeper = Keeper(
            fleet,
            node,
            lambda: node_facts(fleet, node, resources, self._images, self._bases),
            _RemoteController(fleet),
            images=self._images,
            sender=NodeSender(SenderSetup(fleet, node, network)),
            bases=self._bases,
        )
        self._thread.begin(self._keeper.run())

    async def order(self, session: int, order: KeeperOrder) -> None:
        """Take an order."""
        self._thread.loop.call_soon_threadsafe(self._keeper.order, session, order)

    async def piece(self, image: FleetImage, number: int) -> list[Any]:
        """Return the reference to a piece of an image of this node: see `SharedPieces.get`."""
        # In a list: Ray would replace a bare reference by the piece.
        return [await asyncio.to_thread(self._shared.get, image, number)]

    async def manifest(self, name: str) -> BaseManifest:
        """Return the manifest of a base of this node: see `Manifests.get`."""
        return await asyncio.to_thread(self._manifests.get, name, self._node)

    async def at_hand(self, images: Sequence[FleetImage], base: FleetBase | None) -> frozenset[str]:
        """Return the keys of those of some files that this node seems to have without a copy."""
        return await asyncio.to_thread(self._at_hand, images, base)

    def _at_hand(self, images: Sequence[FleetImage], base: FleetBase | None) -> frozenset[str]:
        if base is not None and is_here(base.id):
            # Then the files below it lie here too.
            return frozenset([base.key, *(image.key for image in images)])
        return frozenset(image.key for image in images if self._images.is_likely_here(image))


class _RemoteController:
    """The controller, as a keeper reaches it."""

    def __init__(self, fleet: str) -> None:
        self._name = controller_name(fleet)
        self._actor: Any = None

    async def report(self, report: KeeperReport) -> Grant | None:
        # Looked up after a report without an answer only: another controller may have the name
        # then. A look-up asks Ray's head, which may take longer than a lease when a node is lost.
        actor, self._actor = self._actor, None
        if actor is None:
            actor = await asyncio.to_thread(ray.get_actor, self._name, NAMESPACE)
        grant: Grant | None = await asyncio.wrap_future(actor.report.remote(report).future())
        self._actor = actor
        return grant


def node_facts(
    fleet: str, node: str, resources: dict[str, float], images: KeptImages, bases: KeptBases
) -> NodeFacts:
    """Return the room of a node: Ray's resources, the tmpfs without the object store, the disks.

    The machines of other fleets on the node take their part of it.
    """
    disk, copied = images.facts()
    tmpfs, forked = bases.facts()
    copies, device = _room_for_copies()
    room = Room(
        memory=max(0, int(resources.get("memory", 0)) - memory_of_others(fleet, node)),
        tmpfs=max(0, tmpfs - int(resources.get("object_store_memory", 0))),
        disk=disk,
        processors=resources.get("CPU", 0.0),
        copies=copies,
    )
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    return NodeFacts(node, room, kvm, copied | forked, one_disk=device == images.device())


def _room_for_copies() -> tuple[int, int]:
    """Return the free bytes of the disk that machines write to, and its device."""
    try:
        root = places.disk_root()
        return free_bytes(root), root.stat().st_dev
    except (KjuError, OSError) as error:
        log.warning("this node has no disk for the copies of machines: %s", error)
        return 0, -1
