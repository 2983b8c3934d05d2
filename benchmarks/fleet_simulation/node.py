"""A pretended node: its keeper is the product's; its hosts have the product's leases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from kju.errors import MachineNotFoundError
from kju.fleet.keeper import Controlling, Keeper
from kju.fleet.messages import END_TIME, EndKind, MachineSpec, StartOrder
from kju.fleet.placement import Instance, NodeFacts, Room
from kju.host.lease import HostLease
from kju.protocol.leases import Lease, Renew

from .images import ImageCache, Images
from .ledger import Ledger, NodeUse
from .loop import PretendedLoop, Process
from .measured import Measured


class PretendedHost:
    """A host: a process with a lease. It starts, shows its first picture, and ends.

    Attributes:
        picture: Done with the time of the first picture.
    """

    def __init__(self, node: PretendedNode, start: StartOrder, lease: Lease) -> None:
        self.name = start.spec.name
        self.start = start
        self.process = Process(node.computer)
        self.started: asyncio.Future[None] = node.loop.create_future()
        self.over: asyncio.Future[tuple[EndKind, str]] = node.loop.create_future()
        self._node = node
        self._lease = HostLease(lease, clock=node.clock)
        node.loop.begin(self.process, self._run())
        node.loop.begin(self.process, self._end_with_lease())

    @property
    def lease_has_ended(self) -> bool:
        return self._lease.has_ended

    async def renew(self, lease: Lease) -> None:
        self._lease.renew(Renew(lease.holder, lease.generation, lease.until))

    async def finish(self) -> PretendedHost:
        either: list[asyncio.Future[Any]] = [self.started, self.over]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self.started.done():
            raise MachineNotFoundError(f"{self.name} ended: {self.over.result()[1]}", self.name)
        return self

    def give_up(self) -> None:
        self.end("ended", "it was asked to end")

    async def ended(self) -> tuple[EndKind, str]:
        return await asyncio.shield(self.over)

    async def stop(self) -> None:
        await asyncio.sleep(self._node.measured.stop(self._node.random))
        self.end("ended", "it was asked to end")

    async def close(self) -> None:
        """Nothing is open."""

    def end(self, kind: EndKind, reason: str) -> None:
        """End its processes: none is left."""
        if not self.over.done():
            self.process.end()
            self._node.left(self)
            self.over.set_result((kind, reason))

    async def _run(self) -> None:
        node = self._node
        copied = [await node.images.fetch(part) for part in self.start.spec.demand.parts]
        await asyncio.sleep(node.measured.start(node.random))
        self.started.set_result(None)
        await asyncio.sleep(node.measured.picture(node.random))
        node.shows(self.start.instance, copied=any(copied))

    async def _end_with_lease(self) -> None:
        reason = await self._lease.run_out()
        await asyncio.sleep(self._node.random.uniform(0, END_TIME))
        self.end("lost", reason)


class PretendedNode:
    """A node: a computer with a clock of its own, a disk, a keeper and hosts.

    Args:
        name: Its name.
        total: What it has.
        loop: The loop.
        images: All images.
        measured: Times and sizes.
        ledger: What happens is noted there.
        random: Chance.
        shows: Called with an instance whose first picture is shown, and whether it has waited for
            a copy of its image.
    """

    def __init__(
        self,
        name: str,
        total: Room,
        loop: PretendedLoop,
        images: Images,
        measured: Measured,
        ledger: Ledger,
        random: Random,
        shows: Callable[..., None],
    ) -> None:
        self.name = name
        self.loop = loop
        self.measured = measured
        self.random = random
        self.computer = Process()
        self.keeper: Keeper | None = None
        self.keeper_process = Process(self.computer)
        self.hosts: dict[Instance, PretendedHost] = {}
        self.use = NodeUse(name, total, ledger.breaches)
        self.images = ImageCache(self.use, images, loop, self.computer)
        self.shows = shows
        self.cut_off = False
        self._ledger = ledger
        # No two clocks agree.
        self._offset = random.uniform(-5e4, 5e4)

    @property
    def works(self) -> bool:
        return self.keeper is not None and self.keeper_process.runs

    # ---- The node's hosts, as its keeper uses them

    def clock(self) -> float:
        return self.loop.time() + 1e5 + self._offset

    def find(self, holder: str) -> list[StartOrder]:
        return [host.start for host in self.hosts.values()]

    def base_of(self, name: str) -> str:
        return ""

    def last_log(self, name: str) -> tuple[str, ...]:
        return ()

    def start(self, launch: dict[str, Any], name: str, lease: Lease) -> PretendedHost:
        spec = msgspec.convert(lease.facts, MachineSpec)
        order = StartOrder(spec, lease.generation)
        self._ledger.begins(order.instance)
        self.use.add(spec.demand.room, spec.demand.parts)
        host = self.hosts[order.instance] = PretendedHost(self, order, lease)
        return host

    async def attach(self, name: str) -> PretendedHost:
        return self._named(name)

    async def kill(self, name: str) -> None:
        self._named(name).end("lost", "it was killed")

    def close(self) -> None:
        pass

    def _named(self, name: str) -> PretendedHost:
        for instance, host in self.hosts.items():
            if instance.name == name:
                return host
        raise MachineNotFoundError(f"{self.name} has no machine {name!r}", name)

    # ---- What happens to it

    def start_keeper(self, fleet: str, controller: Controlling) -> None:
        """Start a keeper; the old one has ended."""
        self.keeper_process.end()
        self.keeper_process = process = Process(self.computer)
        total = self.use.total

        def facts() -> NodeFacts:
            return NodeFacts(self.name, total, parts=self.images.keys)

        self.keeper = keeper = Keeper(
            fleet, self.name, facts, controller,
            starts=max(4, 2 * int(total.processors)), hosts=self,
        )  # fmt: skip
        self.loop.begin(process, keeper.run())

    def end_keeper(self) -> None:
        self.keeper = None
        self.keeper_process.end()

    def left(self, host: PretendedHost) -> None:
        """Note that no process of a host is left."""
        del self.hosts[host.start.instance]
        self.use.remove(host.start.spec.demand.room, host.start.spec.demand.parts)
        self._ledger.ends(host.start.instance, self.loop.time())

    def turn_off(self) -> None:
        """Turn the computer off for ever."""
        self.computer.end()
        self.keeper = None
        for instance in self.hosts:
            self._ledger.ends(instance, self.loop.time())
        self.hosts.clear()
        self.images.lose()

    def stop(self) -> None:
        """Stop all of its processes."""
        self.computer.stop()
        for instance in self.hosts:
            self._ledger.freezes(instance, self.loop.time())

    def go_on(self) -> None:
        """Continue all of its processes; each looks at the clock first."""
        self.loop.resume(self.computer)
        self.loop.outside(0, self._thaw)

    def _thaw(self) -> None:
        for instance, host in self.hosts.items():
            self._ledger.thaws(instance, self.loop.time(), ends=host.lease_has_ended)
