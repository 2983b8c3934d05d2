"""A simulated fleet: many nodes, a network, faults, and users with episodes.

The controller, the keepers, their decisions and the leases of hosts are the product's code. Here is
what happens to them. Each episode is a machine of its own: launched, used for some time, ended.
What the fleet promises is checked at each start and end of a machine, and once more at the end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from kju.errors import FleetFullError, MachineLostError
from kju.fleet.controller import FleetController
from kju.fleet.messages import (
    END_TIME,
    LEASE,
    REPORT_INTERVAL,
    FleetState,
    Grant,
    KeeperOrder,
    KeeperReport,
    MachineSpec,
    MachineStatus,
)
from kju.fleet.placement import Demand, Instance, Part, Room
from kju.fleet.specs import machine_specs

from ..measure import progress
from .images import Images
from .ledger import Ledger, PromiseBrokenError
from .loop import PretendedLoop, Process
from .measured import Measured
from .node import PretendedNode

_GIB = 1 << 30
#: Seconds after the end of a machine in which its user must be told.
WORD_LIMIT = 2 * (LEASE + END_TIME) + 30.0
#: Seconds between two looks at the changes of machines.
_LOOK = 0.25
_OWNER = "user"


class Plan(NamedTuple):
    """A simulation.

    Attributes:
        nodes: Nodes at a time; one that was killed is replaced after `replaced_after`.
        machines: Machines at a time.
        episodes: All episodes.
        seconds: The mean of an episode, from the machine's start.
        node: What each node has.
        memory: Guests' memory, as in the options of a launch.
        images: Disk images.
        image_size: Bytes of each.
        link: Bytes per second from one node to another: an assumption.
        kill_every, stop_every, cut_every, keeper_every, crash_every: Mean seconds between two of
            such faults in the fleet; 0 for none.
        stopped_for: Seconds for which a node is stopped or cut off.
        replaced_after: Seconds until a killed node is replaced.
        max_restarts: How often a lost machine is started again by the fleet itself.
        seed: The beginning of chance.
    """

    nodes: int = 50
    machines: int = 1000
    episodes: int = 100_000
    seconds: float = 30.0
    node: Room = Room(memory=36 * _GIB, disk=100 * 10**9, processors=16)
    memory: tuple[str, ...] = ("512M", "1G", "2G")
    images: int = 8
    image_size: int = 20 * 10**9
    link: float = 10e9 / 8
    kill_every: float = 120.0
    stop_every: float = 120.0
    cut_every: float = 240.0
    keeper_every: float = 120.0
    crash_every: float = 60.0
    stopped_for: float = 30.0
    replaced_after: float = 60.0
    max_restarts: int = 1
    seed: int = 1


class Word(NamedTuple):
    """What the fleet has said about the end of an instance."""

    at: float
    state: FleetState
    reason: str


class _Wire:
    """The controller, as the keeper of a node reaches it."""

    def __init__(self, fleet: SimulatedFleet, node: PretendedNode) -> None:
        self._fleet, self._node = fleet, node

    async def report(self, report: KeeperReport) -> Grant | None:
        return await self._fleet.carry(self._node, report)


class SimulatedFleet:
    """A fleet and its users.

    Args:
        plan: What happens.
        measured: Times.

    Attributes:
        faults: How many of each kind happened.
        pictures: Seconds from the request of a launch to the first picture, of machines that did
            not wait for a copy of their image.
        pictures_with_copy: The same of those that did.
        words: Seconds from the end of a machine that nobody asked for to the fleet's word.
    """

    def __init__(self, plan: Plan, measured: Measured) -> None:
        self.plan, self.measured = plan, measured
        self.loop = PretendedLoop()  # type: ignore[abstract]  # asyncio's tasks use no more of it
        self.random = Random(plan.seed)
        self.ledger = Ledger()
        self.images = Images(plan.link)
        self.nodes: dict[str, PretendedNode] = {}
        self.faults: Counter[str] = Counter()
        self.pictures: list[float] = []
        self.pictures_with_copy: list[float] = []
        self.words: list[float] = []
        self.full = 0
        self.repeated = 0
        self.completed: set[int] = set()
        self.highest_use = 0.0
        self._word: dict[Instance, Word] = {}
        self._awaited: dict[Instance, asyncio.Future[Word]] = {}
        self._asked: dict[str, float] = {}
        self._next = 0
        self._heard = 0
        self._process = Process()
        self.controller = self._process.context.run(
            lambda: FleetController(self._send, clock=self.loop.time)
        )

    def run(self) -> None:
        """Simulate until all episodes are complete.

        Raises:
            PromiseBrokenError: The fleet has not kept a promise.
        """
        self.loop.run(self._run())

    async def _run(self) -> None:
        plan = self.plan
        self.loop.begin(self._process, self.controller.run())
        for _ in range(plan.nodes):
            self._add_node()
        while len(self.controller.nodes()) < plan.nodes:
            await asyncio.sleep(_LOOK)
        faults = [
            asyncio.create_task(self._happen(every, fault))
            for every, fault in (
                (plan.kill_every, self._kill_node),
                (plan.stop_every, self._stop_node),
                (plan.cut_every, self._cut_off_node),
                (plan.keeper_every, self._kill_keeper),
                (plan.crash_every, self._crash_machine),
            )
            if every
        ]
        stay = asyncio.create_task(self._stay())
        users = asyncio.gather(*(self._use() for _ in range(plan.machines)))
        await self._listen(users.done)
        await users
        for task in faults:
            task.cancel()
        # What is stopped goes on, and what nobody renews ends.
        end = self.loop.time() + plan.stopped_for + 2 * (LEASE + END_TIME)
        await self._listen(lambda: self.loop.time() > end)
        stay.cancel()
        self._check_end()

    # ---- Users

    async def _use(self) -> None:
        while self._next < self.plan.episodes:
            episode, self._next = self._next, self._next + 1
            await self._play(episode)

    async def _play(self, episode: int) -> None:
        """Play an episode, again from its beginning whenever its machine is lost."""
        spec = self._spec(episode)
        self._asked[spec.name] = self.loop.time()
        status: MachineStatus | None = None
        while True:
            status = status or await self._launched(spec)
            instance = Instance(status.name, status.generation)
            if await self._survives(instance, self.random.expovariate(1 / self.plan.seconds)):
                break
            self.repeated += 1
            status = await self._restarted(instance)
        if episode in self.completed:
            raise PromiseBrokenError(f"episode {episode} was completed twice")
        self.completed.add(episode)
        progress("episodes", len(self.completed), self.plan.episodes)
        await self.controller.end(spec.name, "its episode is complete")

    async def _launched(self, spec: MachineSpec) -> MachineStatus:
        while True:
            try:
                return (await self.controller.launch([spec]))[0]
            except FleetFullError:
                self.full += 1
                await asyncio.sleep(self.random.uniform(1, 3))
            except MachineLostError as error:
                if not str(error):
                    raise PromiseBrokenError(f"{spec.name} was lost without a reason") from error
                self.repeated += 1

    async def _survives(self, instance: Instance, seconds: float) -> bool:
        """Return whether a machine lives until its episode is complete."""
        if instance in self._word:
            return False
        word = self._awaited[instance] = self.loop.create_future()
        try:
            await asyncio.wait([word], timeout=seconds)
            if word.done():
                return False
            if self.ledger.lives(instance):
                return True
            # Its user knows that it has ended, and waits for the fleet to say so.
            await asyncio.wait([word], timeout=WORD_LIMIT)
            if not word.done() and not self.ledger.lives(instance):
                raise PromiseBrokenError(f"{instance} was lost without a word")
            return not word.done()
        finally:
            del self._awaited[instance]

    async def _restarted(self, lost: Instance) -> MachineStatus | None:
        """Return the state of a machine that the fleet has started again; None if it does not."""
        while True:
            status = self.controller.status(lost.name)
            if status.state in (FleetState.LOST, FleetState.ENDED):
                return None
            if status.state is FleetState.RUNNING and status.generation > lost.generation:
                return status
            await asyncio.sleep(_LOOK)

    def _spec(self, episode: int) -> MachineSpec:
        plan, random = self.plan, self.random
        options = {"memory": random.choice(plan.memory)}
        (spec,) = machine_specs(
            [f"e{episode}"], options, owner=_OWNER, max_restarts=plan.max_restarts
        )
        parts: tuple[Part, ...] = ()
        if plan.images:
            # The first image has half of the machines, the second one a quarter.
            number = min(plan.images - 1, int(random.expovariate(0.7)))
            parts = (Part(f"image-{number}", Room(disk=plan.image_size)),)
        return MachineSpec(
            spec.name, Demand(spec.demand.room, parts), spec.launch, spec.owner, spec.max_restarts
        )

    async def _stay(self) -> None:
        while True:
            self.controller.renew_owner(_OWNER)
            await asyncio.sleep(REPORT_INTERVAL)

    # ---- What the fleet says

    async def _listen(self, until: Callable[[], bool]) -> None:
        while not until():
            self._hear()
            await asyncio.sleep(_LOOK)
        self._hear()

    def _hear(self) -> None:
        if self.ledger.breaches:
            raise self.ledger.breaches[0]
        log = self.controller._roster.log
        changes = log.since(self._heard)
        if len(changes) < log.count - self._heard:
            raise PromiseBrokenError("changes were dropped before anybody could hear them")
        self._heard = log.count
        for status in changes:
            if status.state not in (FleetState.LOST, FleetState.ENDED):
                continue
            instance = Instance(status.name, status.generation)
            heard = Word(self.loop.time(), status.state, status.reason)
            word = self._word.setdefault(instance, heard)
            if not word.reason:
                raise PromiseBrokenError(f"{instance} has ended without a reason")
            waits = self._awaited.get(instance)
            if waits is not None and not waits.done():
                waits.set_result(word)

    def _shown(self, instance: Instance, *, copied: bool) -> None:
        if (asked := self._asked.pop(instance.name, None)) is not None:
            pictures = self.pictures_with_copy if copied else self.pictures
            pictures.append(self.loop.time() - asked)

    # ---- Messages

    async def carry(self, node: PretendedNode, report: KeeperReport) -> Grant | None:
        """Carry a report, and bring the answer; either is lost if the node is cut off."""
        answer: asyncio.Future[Grant | None] = self.loop.create_future()
        self._after_a_way(self._arrive, node, report, answer)
        return await answer

    def _arrive(
        self, node: PretendedNode, report: KeeperReport, answer: asyncio.Future[Grant | None]
    ) -> None:
        if not node.cut_off:
            task = self.loop.begin(self._process, self.controller.report(report))
            task.add_done_callback(
                lambda done: self._after_a_way(self._answer, node, done.result(), answer)
            )

    def _answer(
        self, node: PretendedNode, grant: Grant | None, answer: asyncio.Future[Grant | None]
    ) -> None:
        if not node.cut_off and not answer.done():
            answer.set_result(grant)

    def _send(self, name: str, session: int, order: KeeperOrder) -> None:
        self._after_a_way(self._order, self.nodes[name], session, order)

    def _order(self, node: PretendedNode, session: int, order: KeeperOrder) -> None:
        if not node.cut_off and node.keeper is not None:
            context = node.keeper_process.context.copy()
            self.loop.call_soon(node.keeper.order, session, order, context=context)

    def _after_a_way(self, callback: Callable[..., None], *args: Any) -> None:
        self.loop.outside(self.measured.one_way(self.random), callback, *args)

    # ---- Faults

    async def _happen(self, every: float, fault: Callable[[PretendedNode], None]) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / every))
            if nodes := [each for each in self.nodes.values() if each.works and not each.cut_off]:
                self.faults[fault.__name__.strip("_")] += 1
                fault(self.random.choice(nodes))

    def _add_node(self) -> None:
        name = f"n{len(self.nodes) + 1}"
        node = self.nodes[name] = PretendedNode(
            name, self.plan.node, self.loop, self.images, self.measured, self.ledger,
            self.random, self._shown,
        )  # fmt: skip
        node.start_keeper("lab", _Wire(self, node))

    def _kill_node(self, node: PretendedNode) -> None:
        node.turn_off()
        self.loop.outside(self.plan.replaced_after, self._add_node)

    def _stop_node(self, node: PretendedNode) -> None:
        node.stop()
        self.loop.outside(self.plan.stopped_for, node.go_on)

    def _cut_off_node(self, node: PretendedNode) -> None:
        node.cut_off = True
        self.loop.outside(self.plan.stopped_for, self._join, node)

    def _join(self, node: PretendedNode) -> None:
        node.cut_off = False

    def _kill_keeper(self, node: PretendedNode) -> None:
        node.end_keeper()
        # The time in which Ray starts a worker.
        self.loop.outside(3.0, self._start_keeper, node)

    def _start_keeper(self, node: PretendedNode) -> None:
        if not node.computer.ended:
            node.start_keeper("lab", _Wire(self, node))

    def _crash_machine(self, node: PretendedNode) -> None:
        if node.hosts:
            self.random.choice(list(node.hosts.values())).end("lost", "QEMU was killed")

    # ---- The end

    def _check_end(self) -> None:
        if self.completed != set(range(self.plan.episodes)):
            raise PromiseBrokenError("episodes are missing")
        if self.ledger.living:
            raise PromiseBrokenError(f"machines are left: {self.ledger.living[:3]}")
        silent = [each for each in self.ledger.started if each not in self._word]
        if silent:
            raise PromiseBrokenError(f"{len(silent)} ended without a word: {silent[:3]}")
        for instance, word in self._word.items():
            if word.state is FleetState.LOST and instance in self.ledger.ended_at:
                self.words.append(word.at - self.ledger.ended_at[instance])
        self.highest_use = max(
            node.use.highest / node.use.total.memory for node in self.nodes.values()
        )
