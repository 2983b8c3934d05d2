"""The machines of a fleet and the nodes that they are on: what its controller decides. I/O-free.

- A name is placed again only when its last instance has ended for certain: there are never two.
- An end is certain when a keeper reports it, or when the node's last grant has run out. Without
  that a node may be cut off from the controller, and go on.
- A machine that its node does not report has ended only if the order to start it has arrived.
- A start, an end and a loss are each a `MachineStatus` in `log`: no loss is silent.

Times are those of the caller's clock, which must not go back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..errors import (
    FleetFullError,
    MachineNotFoundError,
    UsageError,
)
from .change_log import ChangeLog
from .messages import (
    END_TIME,
    LEASE,
    SILENT_AFTER,
    EndOrder,
    FleetState,
    Gone,
    Grant,
    Held,
    KeeperOrder,
    KeeperReport,
    MachineSpec,
    MachineStatus,
    StartOrder,
)
from .placement import Choices, Demand, Instance, Node, Wanted, take_room
from .records import NEVER, MachineRecord, NameRecord, NodeRecord, SentOrder

#: Machines that are over and are not forgotten.
MAX_OVER = 10_000


class Roster:
    """The machines and the nodes of a fleet.

    Args:
        lease: Seconds for which a grant permits machines to run.
        first_session: The number of the first session. A controller that was restarted must not
            repeat those of its last process.
        recover_until: Until this time machines that nodes report and that are unknown are taken
            in: the controller was restarted. Nothing may be placed before `recovering` is false.
        wall: Seconds since the epoch at the zero of the caller's clock, for `MachineStatus.since`.

    Attributes:
        log: The changes of machines.
    """

    def __init__(
        self,
        *,
        lease: float = LEASE,
        first_session: int = 1,
        recover_until: float = -NEVER,
        wall: float = 0.0,
    ) -> None:
        self.log = ChangeLog(wall)
        self._lease = lease
        self._recover_until = recover_until
        self._records: dict[str, MachineRecord] = {}
        #: The held ones of each node, by name; the ones whose end will be certain at some time;
        #: the ones that wait for room. A report and a tick do not look at all machines.
        self._held: defaultdict[str, dict[str, MachineRecord]] = defaultdict(dict)
        self._uncertain: dict[str, MachineRecord] = {}
        self._waiting: dict[str, MachineRecord] = {}
        self._members: dict[str, NodeRecord] = {}
        self._owners: dict[str, float] = {}
        self._forget_at = MAX_OVER
        self._names = NameRecord()
        self._draining: set[str] = set()
        self._next_session = first_session
        self._sent: list[SentOrder] = []

    # ---- Machines

    def recovering(self, now: float) -> bool:
        """Return whether machines may run that no report has named yet."""
        return now < self._recover_until

    def submit(self, specs: Sequence[MachineSpec], now: float) -> list[MachineStatus]:
        """Place machines, all or none, and order their starts.

        Raises:
            MachineExistsError: A name is in use.
            FleetFullError: A machine has no place.
            UsageError: A name occurs twice, or the roster is recovering.
        """
        if self.recovering(now):
            raise UsageError("the fleet's controller was restarted and waits for reports of nodes")
        names = [spec.name for spec in specs]
        self._names.promised.difference_update(names)
        if len(set(names)) < len(names):
            raise UsageError("a name occurs twice")
        for name in names:
            if (old := self._records.get(name)) is not None:
                old.require_over()
        self._forget()
        generations = [self._generation(name) for name in names]
        nodes = take_room(
            [member.node for member in self._members.values()],
            [
                Wanted(Instance(spec.name, generation + 1), spec.demand, spec.spread)
                for spec, generation in zip(specs, generations, strict=True)
            ],
        )
        for spec, node, generation in zip(specs, nodes, generations, strict=True):
            status = MachineStatus(spec.name, FleetState.PLACING, generation)
            self._records[spec.name] = record = MachineRecord(spec, status, generation + 1)
            if spec.owner:
                self._owners.setdefault(spec.owner, now)
            self._start_on(record, node, now)
        return [self._records[name].status for name in names]

    def _generation(self, name: str) -> int:
        """Return the number of the last start under a name."""
        old = self._records.get(name)
        return old.status.generation if old is not None else self._names.forgotten

    def free_names(self, stem: str, count: int) -> list[str]:
        """Return names for machines, made from *stem* and numbers, that the fleet does not have.

        They are returned once, until a machine of the name was submitted: two programs that launch
        at the same time get different ones.
        """
        return self._names.promise(stem, count, self._records.keys())

    def end(
        self, name: str, reason: str, now: float, generation: int | None = None
    ) -> MachineStatus:
        """End a machine, and start it no more. It has ended when its state is `ended`.

        Args:
            name: The machine.
            reason: Why.
            now: Seconds.
            generation: Its newest start, to end only that; None for any.

        Raises:
            MachineNotFoundError: The fleet has no machine of this name.
            MachineLostError: The newest start is another one.
        """
        record = self._record(name)
        if generation not in (None, record.status.generation):
            raise self.log.lost(name, generation)
        if record.held:
            if not record.ending:
                record.ending = reason
                self._order(self._members[record.status.node], EndOrder(record.instance))
        elif record.status.state is not FleetState.ENDED:
            self._waiting.pop(name, None)
            self._change(record, FleetState.ENDED, now, reason)
        return record.status

    def submitted(self, start: Instance) -> MachineStatus:
        """Return the state of a machine that was submitted with this first start.

        Raises:
            MachineLostError: It is over, and its name is another machine's.
        """
        record = self._records.get(start.name)
        if record is None or record.first != start.generation:
            raise self.log.lost(*start)
        return record.status

    def status(self, name: str) -> MachineStatus:
        """Return the state of a machine.

        Raises:
            MachineNotFoundError: The fleet has no machine of this name.
        """
        return self._record(name).status

    def statuses(self) -> list[MachineStatus]:
        """Return the states of all machines, by name."""
        return [record.status for _, record in sorted(self._records.items())]

    # ---- Owners

    def renew_owner(self, owner: str, now: float) -> None:
        """Note that the owner of machines is alive."""
        self._owners[owner] = now

    def forget_owner(self, owner: str, now: float) -> None:
        """End the machines of an owner that has ended."""
        self._owners.pop(owner, None)
        for record in self._records.values():
            if record.spec.owner == owner:
                self.end(record.spec.name, f"its owner {owner} has ended", now)

    # ---- Nodes

    def report(self, report: KeeperReport, now: float) -> Grant | None:
        """Take the report of a keeper; None for one that was overtaken by a later one."""
        self.tick(now)
        name = report.facts.name
        member = self._members.get(name)
        # A restarted controller learns it from there.
        if report.draining and member is None:
            self._draining.add(name)
        is_known = member is not None and member.keeper == report.keeper
        if member is not None and is_known and report.number <= member.report:
            return None
        if member is not None:
            # First: a new session orders the start of each machine that is not known to have ended.
            for gone in report.gone:
                self._take_gone(member, gone, now)
        if member is None or not is_known or member.session != report.session:
            member, seen = self._begin_session(report, member), 0
        else:
            seen = report.seen
        member.last, member.report = now, report.number
        member.node.facts = report.facts
        if member.node.silent:
            self._set_silent(member, False, now)
        member.orders = {n: order for n, order in member.orders.items() if n > seen}
        for held in report.held:
            self._take_held(member, held, now)
        self._find_missing(member, report, seen, now)
        self._place_waiting(now)
        keep = frozenset(
            record.instance
            for record in self._on(name)
            if record.certain_at == NEVER and not record.ending
        )
        orders = tuple(member.orders.values())
        return Grant(member.session, keep, orders, member.node.draining)

    def drain(self, node: str, is_on: bool = True) -> list[str]:
        """Place no more machines on a node; return the names of those that are on it.

        Without *is_on* machines are placed there again.

        Raises:
            UsageError: The fleet has no such node.
        """
        if node not in self._members:
            raise UsageError(f"the fleet has no node {node!r}; nodes: {', '.join(self.nodes())}")
        self._members[node].node.draining = is_on
        (self._draining.add if is_on else self._draining.discard)(node)
        return [record.spec.name for record in self._on(node)]

    def nodes(self) -> dict[str, Node]:
        """Return the nodes, by name."""
        return {name: member.node for name, member in sorted(self._members.items())}

    def take_orders(self) -> list[SentOrder]:
        """Return the orders to send now; each is returned once."""
        sent, self._sent = self._sent, []
        return sent

    def tick(self, now: float) -> None:
        """Notice what has happened by the passing of time; call it at least every second."""
        for name, member in list(self._members.items()):
            if now - member.last > self._lease + END_TIME:
                del self._members[name]
                reason = f"the node {name} has not reported for {now - member.last:.0f} s"
                for record in self._on(name):
                    self._ended(record, FleetState.LOST, reason, now)
                self._held.pop(name, None)
            elif now - member.last > SILENT_AFTER and not member.node.silent:
                self._set_silent(member, True, now)
        for owner, last in list(self._owners.items()):
            if now - last > self._lease:
                self.forget_owner(owner, now)
        for record in list(self._uncertain.values()):
            if now > record.certain_at:
                self._ended(record, FleetState.LOST, record.status.reason, now)
        self._place_waiting(now)

    # ---- Reports

    def _begin_session(self, report: KeeperReport, old: NodeRecord | None) -> NodeRecord:
        name = report.facts.name
        session, self._next_session = self._next_session, self._next_session + 1
        node = old.node if old is not None else Node(report.facts)
        node.draining = name in self._draining
        member = NodeRecord(node, session, 0.0, report.keeper, 0)
        self._members[name] = member
        reported = {held.start.instance for held in report.held}
        for record in self._on(name):
            record.start = 0
            # No order of the last session counts any more.
            if record.instance not in reported and record.status.state is FleetState.STARTING:
                record.start = self._order(
                    member, StartOrder(record.spec, record.status.generation)
                )
            if record.ending:
                self._order(member, EndOrder(record.instance))
        return member

    def _set_silent(self, member: NodeRecord, silent: bool, now: float) -> None:
        """Record that a node is silent, or reports again, and report that for its machines.

        They may go on: nothing is started elsewhere before the node's last grant has run out.
        """
        member.node.silent = silent
        name = member.node.facts.name
        reason = f"its node {name} has not reported for {SILENT_AFTER:.0f} s" if silent else ""
        for record in self._on(name):
            if record.status.state in (FleetState.STARTING, FleetState.RUNNING):
                self._change(record, record.status.state, now, reason)

    def _take_gone(self, member: NodeRecord, gone: Gone, now: float) -> None:
        member.node.release(gone.instance)
        record = self._records.get(gone.instance.name)
        if record is None or not self._is_on(member, record, gone.instance):
            return
        state = FleetState.LOST if gone.kind == "lost" else FleetState.ENDED
        self._ended(record, state, gone.reason, now, gone.log)

    def _take_held(self, member: NodeRecord, held: Held, now: float) -> None:
        instance, spec = held.start.instance, held.start.spec
        record = self._records.get(instance.name)
        if self.recovering(now) and (
            record is None or record.status.generation < instance.generation
        ):
            record = self._take_in(member, held, now)
        if record is None or not self._is_on(member, record, instance):
            # It takes room until it has ended, and is not kept.
            if instance not in member.node.taken:
                member.node.take(instance, spec.demand)
                self._order(member, EndOrder(instance))
            return
        # One that was announced as lost does not come back: its lease is not renewed.
        if held.running and record.status.state is FleetState.STARTING:
            self._change(record, FleetState.RUNNING, now)

    def _take_in(self, member: NodeRecord, held: Held, now: float) -> MachineRecord:
        """Take in a machine that was started by this controller's last process."""
        instance, spec = held.start.instance, held.start.spec
        status = MachineStatus(
            spec.name, FleetState.STARTING, instance.generation, member.node.facts.name,
            self.log.time(now),
        )  # fmt: skip
        if (old := self._records.get(spec.name)) is not None and old.held:
            # Only the newest instance is kept; the node of the other one is told to end it.
            self._order(self._members[old.status.node], EndOrder(old.instance))
            reason = f"start {instance.generation} of it is on {status.node}"
            self._change(old, FleetState.LOST, now, reason)
            self._let_go(old)
        self._records[spec.name] = record = MachineRecord(spec, status, instance.generation)
        self._hold(record)
        member.node.take(instance, spec.demand)
        if spec.owner:
            self._owners.setdefault(spec.owner, now)
        self._change(record, FleetState.STARTING, now)
        return record

    def _find_missing(
        self, member: NodeRecord, report: KeeperReport, seen: int, now: float
    ) -> None:
        reported = {held.start.instance for held in report.held}
        for record in self._on(member.node.facts.name):
            if record.instance in reported or record.start > seen:
                continue
            # Its keeper does not know it, and cannot say whether a process is left of it.
            if record.certain_at == NEVER:
                record.certain_at = now + self._lease + END_TIME
                self._uncertain[record.spec.name] = record
                reason = record.ending or "its node does not find it any more"
                self._change(record, FleetState.LOST, now, reason)
        for key in [key for key in member.node.taken if key not in reported]:
            record_of = self._records.get(key.name)
            if record_of is None or not self._is_on(member, record_of, key):
                member.node.release(key)

    # ---- Changes

    def _ended(
        self,
        record: MachineRecord,
        state: FleetState,
        reason: str,
        now: float,
        log: tuple[str, ...] = (),
    ) -> None:
        """Note the certain end of an instance; the next one waits if it was lost."""
        if (member := self._members.get(record.status.node)) is not None:
            member.node.release(record.instance)
        self._let_go(record)
        if record.ending:
            state, reason = FleetState.ENDED, record.ending
        if (record.status.state, record.status.reason, log) != (state, reason, ()):
            self._change(record, state, now, reason, log)
        allowed = record.spec.max_restarts
        if state is FleetState.LOST and (allowed < 0 or record.restarts < allowed):
            record.restarts += 1
            self._waiting[record.spec.name] = record
            self._change(record, FleetState.PLACING, now, reason)

    def _place_waiting(self, now: float) -> None:
        """Place the machines that were lost and wait for room.

        Call it when everything that has happened by now is noted. A silent node gets none of them:
        if it was lost too, each would be lost once more without a start.
        """
        if not self._waiting or self.recovering(now):
            return
        choices = Choices([m.node for m in self._members.values() if not m.node.silent])
        # Placing a machine makes no room: the next one with the same demand has no place either.
        full: dict[Demand, str] = {}
        for record in list(self._waiting.values()):
            demand = record.spec.demand
            if demand not in full:
                try:
                    node = choices.next(demand, spread=record.spec.spread)
                except FleetFullError as error:
                    full[demand] = str(error)
                else:
                    self._start_on(record, node, now)
                    continue
            if record.status.reason != full[demand]:
                self._change(record, FleetState.PLACING, now, full[demand])

    def _start_on(self, record: MachineRecord, node: Node, now: float) -> None:
        member = self._members[node.facts.name]
        status = record.status
        record.status = MachineStatus(
            status.name, status.state, status.generation + 1, node.facts.name, self.log.time(now)
        )
        # `submit` has taken it, to place all of its machines or none.
        if record.instance not in node.taken:
            node.take(record.instance, record.spec.demand)
        self._hold(record)
        record.start = self._order(member, StartOrder(record.spec, record.status.generation))
        self._change(record, FleetState.STARTING, now)

    def _hold(self, record: MachineRecord) -> None:
        """Note that the instance of a record may exist on its node."""
        record.held = True
        self._held[record.status.node][record.spec.name] = record
        self._waiting.pop(record.spec.name, None)

    def _let_go(self, record: MachineRecord) -> None:
        """Note that no process of a record's instance is left."""
        record.held, record.start, record.certain_at = False, 0, NEVER
        self._held[record.status.node].pop(record.spec.name, None)
        self._uncertain.pop(record.spec.name, None)

    def _change(
        self,
        record: MachineRecord,
        state: FleetState,
        now: float,
        reason: str = "",
        log: tuple[str, ...] = (),
    ) -> None:
        old = record.status
        since = old.since if state is old.state else self.log.time(now)
        record.status = MachineStatus(old.name, state, old.generation, old.node, since, reason, log)
        self.log.add(record.status)

    def _order(self, member: NodeRecord, what: StartOrder | EndOrder) -> int:
        number = member.next_order
        member.next_order += 1
        member.orders[number] = order = KeeperOrder(number, what)
        self._sent.append(SentOrder(member.node.facts.name, member.session, order))
        return number

    def _forget(self) -> None:
        """Forget the machines that were over first: a fleet may run for years."""
        if len(self._records) < self._forget_at:
            return
        over = [record for record in self._records.values() if record.is_over]
        over.sort(key=lambda record: record.status.since)
        for record in over[:-MAX_OVER]:
            self._names.forgotten = max(self._names.forgotten, record.status.generation)
            del self._records[record.spec.name]
        self._forget_at = len(self._records) + MAX_OVER // 10

    # ---- Look-ups

    def _on(self, node: str) -> list[MachineRecord]:
        """Return the machines that a node may hold."""
        return list(self._held[node].values())

    def _is_on(self, member: NodeRecord, record: MachineRecord, instance: Instance) -> bool:
        """Return whether an instance is the one that a record has on a node.

        The node is compared too: a restarted controller may repeat a generation.
        """
        here = record.held and record.status.node == member.node.facts.name
        return here and record.instance == instance

    def _record(self, name: str) -> MachineRecord:
        try:
            return self._records[name]
        except KeyError:
            raise MachineNotFoundError(f"the fleet has no machine {name!r}", name) from None
