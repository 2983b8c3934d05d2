"""SHELL: the controller of a fleet: the roster with a clock, and those who wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import MachineLostError
from .messages import (
    END_TIME,
    LEASE,
    Changes,
    FleetState,
    Grant,
    KeeperOrder,
    KeeperReport,
    MachineSpec,
    MachineStatus,
)
from .placement import Instance, Node
from .records import SentOrder
from .roster import Roster

#: Seconds between two looks at the clock.
_TICK = 0.5
#: Orders of a launch that are sent before reports are answered: a call of Ray takes 0.2 ms.
_SLICE = 100

#: Launches that are over and can be abandoned: the last ones.
_MAX_LAUNCHED = 100
#: Why machines of an abandoned launch end.
_ABANDONED = "its program ended its launch"

#: Sends an order to the keeper of a node: the node, the session and the order.
SendOrder = Callable[[str, int, KeeperOrder], object]


class FleetController:
    """Decides about a fleet.

    Args:
        send: Sends an order; it may be lost.
        restarted: A controller of this fleet has run before: its machines may run still.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        send: SendOrder,
        *,
        restarted: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._clock = clock
        now = clock()
        # Milliseconds of the wall clock: a restarted controller does not repeat a session.
        first = self._process = time.time_ns() // 1_000_000
        recover = now + LEASE + END_TIME if restarted else now
        self._roster = Roster(first_session=first, recover_until=recover, wall=time.time() - now)
        #: Those that run, by the tokens of their programs.
        self._launches: dict[str, asyncio.Task[Any]] = {}
        #: The machines of those that are over.
        self._launched: OrderedDict[str, list[Instance]] = OrderedDict()
        #: Those who wait for a change of a machine, by its name: thousands may wait, each for one.
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._changes = 0

    async def run(self) -> None:
        """Notice what happens by the passing of time, until this is cancelled."""
        while True:
            await asyncio.sleep(_TICK)
            self._roster.tick(self._clock())
            self._after()

    async def report(self, report: KeeperReport) -> Grant | None:
        """Answer the report of a keeper."""
        grant = self._roster.report(report, self._clock())
        self._after()
        return grant

    async def launch(self, specs: Sequence[MachineSpec], token: str = "") -> list[MachineStatus]:
        """Start machines, all or none; return when all of them run.

        Args:
            specs: The machines.
            token: The launch, for `abandon`, which cancels the task that calls this.

        Raises:
            FleetFullError: A machine has no place.
            MachineExistsError: A name is in use.
            MachineLostError: One did not start, or was lost before the others ran; none is left.
        """
        task = asyncio.current_task()
        if token and task is not None:
            self._launches[token] = task
        try:
            return await self._launch(specs, token)
        finally:
            self._launches.pop(token, None)

    def abandon(self, token: str) -> None:
        """End a launch, or the machines of one that is over: its program has not got them."""
        if (work := self._launches.get(token)) is not None:
            work.cancel()
        self._end_submitted(self._launched.pop(token, ()), _ABANDONED)

    async def end(self, name: str, reason: str, generation: int | None = None) -> MachineStatus:
        """End a machine; return when it has ended.

        Args:
            name: The machine.
            reason: Why.
            generation: Its newest start, to end only that; None for any.

        Raises:
            MachineNotFoundError: The fleet has no machine of this name.
            MachineLostError: The newest start is another one.
        """
        ended = self._roster.end(name, reason, self._clock(), generation)
        self._after()
        while (status := self._roster.status(name)).state is not FleetState.ENDED:
            if status.generation != ended.generation:
                break  # the name is another machine's
            await self._change(name)
        return status

    async def end_all(self, reason: str) -> None:
        """End all machines; return when they have ended."""
        names = [status.name for status in self._roster.statuses()]
        await asyncio.gather(*(self.end(name, reason) for name in names))

    def lost(self, name: str, generation: int) -> MachineLostError:
        """Return the error for a start of a machine that is over: see `ChangeLog.lost`."""
        return self._roster.log.lost(name, generation)

    def free_names(self, stem: str, count: int) -> list[str]:
        """Return names that the fleet does not have: see `Roster.free_names`."""
        return self._roster.free_names(stem, count)

    def status(self, name: str) -> MachineStatus:
        """Return the state of a machine.

        Raises:
            MachineNotFoundError: The fleet has no machine of this name.
        """
        return self._roster.status(name)

    def statuses(self) -> list[MachineStatus]:
        """Return the states of all machines, by name."""
        return self._roster.statuses()

    def changes(self, mark: tuple[int, int] | None) -> Changes:
        """Return the changes of machines since a mark; without one all that are kept.

        A mark of the controller's last process stands for the begin of this one.
        """
        since = mark[1] if mark is not None and mark[0] == self._process else 0
        kept = self._roster.log.since(since)
        count = self._roster.log.count
        # Without a mark nothing was missed: the caller sees the fleet for the first time.
        missed = count - since - len(kept) if mark is not None else 0
        return Changes((self._process, count), tuple(kept), missed)

    def renew_owner(self, owner: str) -> None:
        """Note that an owner is alive."""
        self._roster.renew_owner(owner, self._clock())

    def forget_owner(self, owner: str) -> None:
        """End the machines of an owner: it closes the fleet."""
        self._roster.forget_owner(owner, self._clock())
        self._after()

    def nodes(self) -> dict[str, Node]:
        """Return the nodes as they are now, by name."""
        return {name: node.copy() for name, node in self._roster.nodes().items()}

    def node_names(self) -> list[str]:
        """Return the names of the nodes that report."""
        return list(self._roster.nodes())

    def drain(self, node: str, is_on: bool = True) -> list[str]:
        """Place no more machines on a node, or some again: see `Roster.drain`."""
        names = self._roster.drain(node, is_on)
        self._roster.tick(self._clock())  # machines may wait for this node
        self._after()
        return names

    async def _launch(self, specs: Sequence[MachineSpec], token: str) -> list[MachineStatus]:
        while self._roster.recovering(self._clock()):
            await asyncio.sleep(_TICK)
        submitted = self._roster.submit(specs, self._clock())
        starts = [Instance(status.name, status.generation) for status in submitted]
        tasks: list[asyncio.Task[None]] = []
        why = "another one of its launch did not start"
        try:
            await self._send_slowly()
            while True:
                tasks = [asyncio.create_task(self._started(start)) for start in starts]
                await asyncio.gather(*tasks)
                statuses = [self._roster.submitted(start) for start in starts]
                # One that has run may have been lost before the last one did.
                if all(status.state is FleetState.RUNNING for status in statuses):
                    break
            self._launched[token] = starts
            while len(self._launched) > _MAX_LAUNCHED:
                self._launched.popitem(last=False)
            return statuses
        except BaseException as error:
            is_abandoned = isinstance(error, asyncio.CancelledError)
            self._end_submitted(starts, _ABANDONED if is_abandoned else why)
            raise
        finally:
            for task in tasks:
                task.cancel()

    def _end_submitted(self, starts: Iterable[Instance], why: str) -> None:
        """End submitted machines, but no later machines of their names."""
        for start in starts:
            with contextlib.suppress(MachineLostError):
                self._roster.submitted(start)
                self._roster.end(start.name, why, self._clock())
        self._after()

    async def _started(self, start: Instance) -> None:
        """Return when a submitted machine runs.

        Raises:
            MachineLostError: It does not, and is not started again.
        """
        while (status := self._roster.submitted(start)).state is not FleetState.RUNNING:
            if status.state.is_over:
                raise self._roster.log.lost(start.name, status.generation)
            await self._change(start.name)

    async def _change(self, name: str) -> None:
        """Return after the next change of a machine."""
        changed = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, []).append(changed)
        await changed

    async def _send_slowly(self) -> None:
        """Send the orders of a launch, and answer reports in between: it may have thousands."""
        orders = self._roster.take_orders()
        for begin in range(0, len(orders), _SLICE):
            self._send_all(orders[begin : begin + _SLICE])
            await asyncio.sleep(0)
        self._after()

    def _send_all(self, orders: Sequence[SentOrder]) -> None:
        for node, session, order in orders:
            with contextlib.suppress(Exception):  # it is sent again in the answer to a report
                self._send(node, session, order)

    def _after(self) -> None:
        """Send the orders of a decision, and wake those who wait for it."""
        self._send_all(self._roster.take_orders())
        changes = self._roster.log.since(self._changes)
        names = {status.name for status in changes}
        if len(changes) < self._roster.log.count - self._changes:
            names = set(self._waiting)  # more than the roster keeps
        self._changes = self._roster.log.count
        for name in names & self._waiting.keys():
            for changed in self._waiting.pop(name):
                if not changed.done():
                    changed.set_result(None)
