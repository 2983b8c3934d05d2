"""The machines of one node, as its keeper knows them. I/O-free.

`Keeping` has what decides; `kju.fleet.keeper` carries it out. Times are those of one clock, which
the hosts of the node read too.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import structs

from .messages import LEASE, EndOrder, Gone, Grant, Held, KeeperOrder, KeeperReport, StartOrder
from .placement import Instance, NodeFacts


class Asked(NamedTuple):
    """A report that was sent.

    Attributes:
        report: The report.
        at: When it was sent.
    """

    report: KeeperReport
    at: float


class Todo(NamedTuple):
    """The present work of a keeper.

    Attributes:
        start: Machines to start, with a lease until `until`.
        end: Machines to end.
        renew: Machines whose leases are to be renewed until `until`.
        until: The end of the leases.
    """

    start: tuple[StartOrder, ...] = ()
    end: tuple[Instance, ...] = ()
    renew: tuple[Instance, ...] = ()
    until: float = 0.0


class Keeping:
    """The machines of a node, and what its controller permits.

    Args:
        keeper: A random number of this process.
        found: The machines that run on the node already: a keeper was restarted.
        lease: Seconds for which a grant permits machines to run.

    Attributes:
        until: The end of the newest grant.
        held: The machines that start or run.
        until_of: Until when each of them may run; without those that no grant has named.
    """

    def __init__(
        self, keeper: int, found: tuple[StartOrder, ...] = (), *, lease: float = LEASE
    ) -> None:
        self.until = 0.0
        self.held: dict[Instance, Held] = {
            start.instance: Held(start, running=True) for start in found
        }
        self.until_of: dict[Instance, float] = {}
        self._keeper, self._reports = keeper, 0
        self._lease = lease
        self._session = 0
        self._seen = 0
        self._gone: list[Gone] = []
        self._draining = False

    def ask(self, facts: NodeFacts, now: float) -> Asked:
        """Return the report to send now. The answer to an earlier one is ignored from now on."""
        self._reports += 1
        report = KeeperReport(
            self._with_copies(facts), self._keeper, self._reports, self._session, self._seen,
            tuple(self.held.values()), tuple(self._gone), self._draining,
        )  # fmt: skip
        return Asked(report, now)

    def _with_copies(self, facts: NodeFacts) -> NodeFacts:
        """Return the facts with the room of the copies of machines that run.

        It is counted as used already. That of a machine that starts is free until it is written.
        """
        running = [held.start.spec for held in self.held.values() if held.running]
        copies = facts.total.copies + sum(spec.demand.room.copies for spec in running)
        return structs.replace(facts, total=structs.replace(facts.total, copies=copies))

    def granted(self, grant: Grant, asked: Asked, now: float) -> Todo:
        """Take the answer to a report."""
        if asked.report.number != self._reports:
            return Todo()
        self.until = asked.at + self._lease
        self._draining = grant.draining
        self._gone = [gone for gone in self._gone if gone not in asked.report.gone]
        if grant.session != self._session:
            self._session, self._seen = grant.session, 0
        renew = tuple(one for one in self.held if one in grant.keep)
        self.until_of.update(dict.fromkeys(renew, self.until))
        todo = [self.ordered(grant.session, order, now) for order in grant.orders]
        return Todo(
            tuple(start for each in todo for start in each.start),
            tuple(end for each in todo for end in each.end),
            renew,
            self.until,
        )

    def ordered(self, session: int, order: KeeperOrder, now: float) -> Todo:
        """Take one order; it is ignored if it is not the next one of this session.

        After the end of the grant nothing is started: the controller may have given the machine to
        another node. An order that is ignored has not arrived, and is sent again.
        """
        if session != self._session or order.number != self._seen + 1:
            return Todo()
        if isinstance(order.what, StartOrder) and now >= self.until:
            return Todo()
        self._seen += 1
        if isinstance(order.what, EndOrder):
            known = order.what.instance in self.held
            return Todo(end=(order.what.instance,) if known else ())
        if order.what.instance in self.held:
            return Todo()
        self.held[order.what.instance] = Held(order.what, running=False)
        self.until_of[order.what.instance] = self.until
        return Todo(start=(order.what,), until=self.until)

    def started(self, instance: Instance) -> None:
        """Note that a machine has started."""
        if (held := self.held.get(instance)) is not None:
            self.held[instance] = Held(held.start, running=True)

    def gone(self, gone: Gone) -> None:
        """Note that no process of a machine is left."""
        self.until_of.pop(gone.instance, None)
        if self.held.pop(gone.instance, None) is not None:
            self._gone.append(gone)
