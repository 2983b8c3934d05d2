"""SHELL: the keeper of one node: starts hosts, renews their leases, reports them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec

from ..errors import KjuError, MachineGoneError, MachineNotFoundError, UnavailableError
from ..protocol.leases import Lease
from .bases.keeping import KeptBases
from .hosts import HostStart, KeptHost, LocalHosts, NodeHosts, Renewals
from .images.keeping import KeptImages
from .keeping import Keeping, Todo
from .messages import (
    LEASE,
    REPORT_INTERVAL,
    EndKind,
    Gone,
    Grant,
    KeeperOrder,
    KeeperReport,
    StartOrder,
)
from .placement import Instance, NodeFacts

log = logging.getLogger(__name__)

#: Seconds for the controller's answer; a later one is ignored.
REPORT_TIMEOUT = 5.0
#: Hosts that start at the same time. More of them only start later, each and all.
STARTS = max(4, 2 * (os.cpu_count() or 1))
#: Seconds between two looks at a machine that waits.
_LOOK = 0.05
#: Seconds between two attempts at something that the node could not do.
_RETRY = 1.0
T = TypeVar("T")


class Controlling(Protocol):
    """The controller, as a keeper reaches it."""

    async def report(self, report: KeeperReport) -> Grant | None:
        """Take a report, and answer it.

        Raises:
            Exception: The controller cannot be reached now.
        """


class Showing(Protocol):
    """Has the machines of a node served on the network: see `kju.fleet.network.node_sender`."""

    def show(self, instance: Instance) -> None:
        """Serve a machine."""

    def hide(self, instance: Instance) -> None:
        """Serve a machine no more. No effect if it is not served."""

    async def close(self) -> None:
        """Serve no machine."""


class Keeper:
    """Keeps the machines of one node.

    Args:
        fleet: The name of the fleet.
        node: The name of the node.
        facts: Measures the node.
        controller: The fleet's controller.
        starts: Hosts that start at the same time.
        lease: Seconds for which an answer permits machines to run.
        hosts: The node's hosts; those of this computer by default.
        images: The images of its machines, which this object closes; None for a node to which none
            is copied.
        sender: Serves its machines on the network; closed by this object. None for no network.
        bases: The bases of its machines, which this object closes; None for a node without forks.
    """

    def __init__(
        self,
        fleet: str,
        node: str,
        facts: Callable[[], NodeFacts],
        controller: Controlling,
        *,
        starts: int = STARTS,
        lease: float = LEASE,
        hosts: NodeHosts | None = None,
        images: KeptImages | None = None,
        sender: Showing | None = None,
        bases: KeptBases | None = None,
    ) -> None:
        self._holder = f"{fleet}/{node}"
        self._facts = facts
        self._controller = controller
        self._node_hosts = hosts or LocalHosts()
        self._images, self._bases, self._sender = images, bases, sender
        self._starts = asyncio.Semaphore(starts)
        self._starting: dict[Instance, HostStart] = {}
        self._unwanted: set[Instance] = set()
        self._hosts: dict[Instance, KeptHost] = {}
        self._renewals = Renewals(self._node_hosts, lease)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()
        found = tuple(self._node_hosts.find(self._holder))
        # Before anything is copied here, which may remove unused images.
        for start in found:
            if images is not None and start.spec.image is not None:
                images.adopt(start.instance, start.spec.image)
            if bases is not None and start.spec.base is not None:
                local = self._node_hosts.base_of(start.spec.name)
                bases.adopt(start.instance, start.spec.base, local)
        number = random.SystemRandom().randrange(1 << 53)
        self._keeping = Keeping(number, found, lease=lease)

    async def run(self) -> None:
        """Keep the machines until this is cancelled; they go on until their leases end."""
        try:
            for instance in list(self._keeping.held):
                self._begin(self._adopt(instance))
            while True:
                await self._report()
                self._hurry.clear()
                try:
                    async with asyncio.timeout(REPORT_INTERVAL):
                        await self._hurry.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for host in self._hosts.values():
                await host.close()
            if self._sender is not None:
                await self._sender.close()
            self._node_hosts.close()
            if self._bases is not None:
                await self._bases.close()
            if self._images is not None:
                await self._images.close()

    def order(self, session: int, order: KeeperOrder) -> None:
        """Take an order that the controller sends at once."""
        self._do(self._keeping.ordered(session, order, self._node_hosts.clock()))

    async def _report(self) -> None:
        asked = self._keeping.ask(await asyncio.to_thread(self._facts), self._node_hosts.clock())
        try:
            async with asyncio.timeout(REPORT_TIMEOUT):
                grant = await self._controller.report(asked.report)
        except Exception as error:  # Ray's errors have no common root
            # Without an answer the leases run out: that is the plan.
            log.warning("the controller of %s does not answer: %r", self._holder, error)
            return
        if grant is not None:
            self._do(self._keeping.granted(grant, asked, self._node_hosts.clock()))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _do(self, todo: Todo) -> None:
        for start in todo.start:
            self._begin(self._start(start))
        for instance in todo.renew:
            lease = self._lease(instance, todo.until)
            if (host := self._hosts.get(instance)) is not None:
                self._begin(self._renew(host, lease, instance))
            elif (starting := self._starting.get(instance)) is not None:
                self._begin(self._renew_start(starting, lease))
        for instance in todo.end:
            self._begin(self._end(instance))

    def _lease(self, instance: Instance, until: float) -> Lease:
        facts = msgspec.to_builtins(self._keeping.held[instance].start.spec)
        return Lease(holder=self._holder, generation=instance.generation, until=until, facts=facts)

    # ---- One machine

    async def _start(self, start: StartOrder) -> None:
        instance = start.instance
        try:
            launch = await self._until_unwanted(instance, self._launch_here(start))
        except Exception as error:  # Ray's errors have no common root
            log.error("%s did not start: %r", instance.name, error)
            self._gone(instance, "failed", str(error) or repr(error))
            return
        async with self._starts:
            # Its turn may come late. Without a launch its lease had ended before, and it stays
            # lost if the lease was renewed since: its files are not here.
            if launch is None or self._is_unwanted(instance):
                self._never_started(instance)
                return
            try:
                lease = self._lease(instance, self._keeping.until_of[instance])
                starting = self._node_hosts.start(launch, instance.name, lease)
                self._starting[instance] = starting
                host = await starting.finish()
            except Exception as error:  # also of a launch that this version of kju does not know
                if instance in self._unwanted:
                    self._gone(instance, "ended", "it was to end before it had started")
                    return
                log.error("%s did not start: %r", instance.name, error)
                await self._failed(instance, "failed", str(error) or repr(error))
                return
            finally:
                self._starting.pop(instance, None)
        await self._watch(host, instance)

    async def _launch_here(self, start: StartOrder) -> dict[str, Any]:
        """Return the launch of a machine, whose files may have to be copied to this node first."""
        spec, launch = start.spec, start.spec.launch
        if spec.image is not None:
            if self._images is None:
                raise UnavailableError(f"no images are copied to {self._holder}")
            launch = {**launch, "image": str(await self._images.hold(start.instance, spec.image))}
        if spec.base is not None:
            if self._bases is None:
                raise UnavailableError(f"no bases are copied to {self._holder}")
            launch = {**launch, "base": await self._bases.hold(start.instance, spec.base)}
        return launch

    async def _until_unwanted(
        self, instance: Instance, launching: Coroutine[Any, Any, dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Return a launch; None if the machine was not to be started any more meanwhile."""
        work = asyncio.create_task(launching)
        try:
            while not work.done():
                await asyncio.wait([work], timeout=_LOOK)
                if not work.done() and self._is_unwanted(instance):
                    return None
            return work.result()
        finally:
            work.cancel()

    def _is_unwanted(self, instance: Instance) -> bool:
        """Return whether a machine is to end, or its lease has ended, before it was started."""
        until = self._keeping.until_of.get(instance, 0.0)
        return instance in self._unwanted or self._node_hosts.clock() >= until

    def _never_started(self, instance: Instance) -> None:
        if instance in self._unwanted:
            self._gone(instance, "ended", "it was to end before it was started")
        else:
            self._gone(instance, "lost", "its lease ended before it was started")

    async def _renew_start(self, starting: HostStart, lease: Lease) -> None:
        with contextlib.suppress(KjuError):  # its host ends with the lease then
            await starting.renew(lease)

    async def _adopt(self, instance: Instance) -> None:
        """Watch a machine that the last keeper of this node has started."""
        # Its lease has ended by then: a keeper renews none before it is connected.
        deadline = self._renewals.latest_end()
        while True:
            try:
                async with self._starts:
                    host = await self._node_hosts.attach(instance.name)
            except (KjuError, TimeoutError, OSError) as error:
                is_over = self._node_hosts.clock() >= deadline
                if isinstance(error, MachineGoneError | MachineNotFoundError) or is_over:
                    # Nothing may be left of it: its host cannot be told to end.
                    await self._kill(instance.name)
                    await self._failed(instance, "lost", f"its host did not answer: {error}")
                    return
                await asyncio.sleep(_RETRY)
            else:
                await self._watch(host, instance)
                return

    async def _watch(self, host: KeptHost, instance: Instance) -> None:
        self._hosts[instance] = host
        self._keeping.started(instance)
        self._hurry.set()
        if self._sender is not None:
            self._sender.show(instance)
        try:
            how, reason = await self._until_done("the end of", instance.name, host.ended)
        finally:
            self._hosts.pop(instance, None)
            self._renewals.forget(instance)
            if self._sender is not None:
                self._sender.hide(instance)
        if how == "ended":
            self._gone(instance, how, reason)
        else:
            await self._failed(instance, how, reason)

    async def _renew(self, host: KeptHost, lease: Lease, instance: Instance) -> None:
        if not await self._renewals.renew(host, lease, instance):
            log.error("%s is killed: its lease has ended", host.name)
            await self._kill(host.name)

    async def _end(self, instance: Instance) -> None:
        # One that waits for its start is not started.
        self._unwanted.add(instance)
        try:
            if (starting := self._starting.get(instance)) is not None:
                starting.give_up()
            while instance in self._keeping.held and instance not in self._hosts:
                await asyncio.sleep(_LOOK)
        finally:
            self._unwanted.discard(instance)
        if (host := self._hosts.get(instance)) is not None:
            await host.stop()

    async def _failed(self, instance: Instance, kind: EndKind, reason: str) -> None:
        """Report the end of a machine with its last log lines."""
        last: tuple[str, ...] = ()
        try:
            last = await asyncio.to_thread(self._node_hosts.last_log, instance.name)
        except (KjuError, OSError) as error:
            log.warning("the logs of %s cannot be read: %s", instance.name, error)
        self._gone(instance, kind, reason, last)

    async def _kill(self, name: str) -> None:
        await self._until_done("to kill", name, lambda: self._node_hosts.kill(name))

    async def _until_done(self, what: str, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Repeat work until it succeeds: it fails where this computer has run out of something."""
        while True:
            try:
                return await work()
            except (KjuError, OSError) as error:
                log.error("%s %s is tried again: %s", what, name, error)
                await asyncio.sleep(_RETRY)

    def _gone(
        self, instance: Instance, kind: EndKind, reason: str, last: tuple[str, ...] = ()
    ) -> None:
        if self._images is not None:
            self._images.release(instance)
        if self._bases is not None:
            self._bases.release(instance)
        self._keeping.gone(Gone(instance, kind, reason, last))
        self._hurry.set()
