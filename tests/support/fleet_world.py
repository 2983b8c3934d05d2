"""A pretended fleet: nodes, keepers, hosts, a network and a clock around the real decisions.

What starts, ends, waits and gets lost is a method here; what is decided about it is the code of
`kju.fleet`. A host lives until its lease ends, and then up to `END_TIME` longer.
"""

from collections import Counter
from dataclasses import dataclass, field

from kju.errors import FleetFullError, MachineExistsError
from kju.fleet.keeping import Asked, Keeping
from kju.fleet.messages import (
    END_TIME,
    LEASE,
    REPORT_INTERVAL,
    FleetState,
    Gone,
    Grant,
    KeeperOrder,
    MachineSpec,
    StartOrder,
)
from kju.fleet.placement import Demand, Instance, NodeFacts, Part, Room
from kju.fleet.roster import Roster

GIB = 1 << 30
#: The step of the clock.
STEP = 0.5


@dataclass
class Host:
    """A host on a node. It may be starting, or ending for a moment after its lease."""

    start: StartOrder
    until: float
    started: bool = False
    hangs: bool = False


@dataclass
class PretendedNode:
    facts: NodeFacts
    keeper: Keeping | None = None
    hosts: dict[Instance, Host] = field(default_factory=dict)
    #: Its computer is off for ever; its processes are stopped; its messages do not arrive.
    dead: bool = False
    stopped: bool = False
    cut_off: bool = False
    #: Its messages arrive only one by one, by `World.deliver`.
    slow: bool = False
    asked: float = -1e9

    @property
    def works(self):
        return self.keeper is not None and not self.dead and not self.stopped


@dataclass
class Message:
    """On its way: a report to the controller, or a grant or an order to a keeper."""

    node: PretendedNode
    keeper: Keeping
    asked: Asked | None = None
    grant: Grant | None = None
    order: tuple[int, KeeperOrder] | None = None


class World:
    def __init__(self, lease=LEASE):
        self.now = 1000.0
        self.lease = lease
        self.roster = Roster(lease=lease)
        self.nodes = {}
        self.mail = []
        self.told = []
        self._told_of = self.roster
        self._told = 0
        self._serial = 0

    # ---- What is done to it

    def add_node(self, total, *, kvm=False):
        self._serial += 1
        node = PretendedNode(NodeFacts(f"n{self._serial}", total, kvm))
        self.nodes[node.facts.name] = node
        self.start_keeper(node)
        return node

    def start_keeper(self, node, overlooks=frozenset()):
        """Start a keeper; it finds the hosts that run, but for some whose host hangs."""
        found = tuple(
            host.start
            for instance, host in node.hosts.items()
            if host.started and host.until > self.now and instance.name not in overlooks
        )
        for instance, host in node.hosts.items():
            host.hangs = host.hangs or instance.name in overlooks
        self._serial += 1
        node.keeper = Keeping(self._serial, found, lease=self.lease)
        node.asked = -1e9

    def kill_node(self, node):
        node.dead, node.keeper = True, None
        node.hosts.clear()

    def restart_controller(self):
        self._serial += 1
        self.hear()
        # Ray fails the calls of an actor that has ended; its answers may still be on their way.
        self.mail = [each for each in self.mail if each.grant is not None or each.order is not None]
        self.roster = Roster(
            lease=self.lease,
            first_session=self._serial * 1_000_000,
            recover_until=self.now + self.lease + END_TIME,
        )

    def submit(self, specs):
        """Return whether the machines have a place."""
        try:
            self.roster.submit(specs, self.now)
        except (FleetFullError, MachineExistsError):
            return False
        self._post()
        return True

    def end(self, name):
        self.roster.end(name, "it was asked to end", self.now)
        self._post()

    def finish_start(self, node, instance, *, fault=""):
        host = node.hosts[instance]
        if fault:
            self._vanish(node, instance, "failed", fault)
        else:
            host.started = True
            if node.works:
                node.keeper.started(instance)

    def crash(self, node, instance):
        self._vanish(node, instance, "lost", "QEMU was killed")

    # ---- Messages

    def ask(self, node):
        if node.works:
            asked = node.keeper.ask(node.facts, self.now)
            node.asked = self.now
            if not node.cut_off:
                self.mail.append(Message(node, node.keeper, asked=asked))

    def deliver(self, message):
        """Take a message from the mail, and deliver it unless its end is dead or stopped."""
        self.mail.remove(message)
        node = message.node
        if message.grant is None and message.order is None:
            grant = self.roster.report(message.asked.report, self.now)
            if grant is not None:
                self.mail.append(Message(node, message.keeper, message.asked, grant))
            self._post()
        elif node.stopped or node.cut_off:
            self.mail.append(message)  # it waits for the node: nothing says how long
        elif node.works and node.keeper is message.keeper:
            if message.grant is not None:
                self._do(node, node.keeper.granted(message.grant, message.asked, self.now))
            else:
                self._do(node, node.keeper.ordered(*message.order, self.now))

    def _post(self):
        for sent in self.roster.take_orders():
            node = self.nodes[sent.node]
            if node.keeper is not None:
                order = (sent.session, sent.order)
                self.mail.append(Message(node, node.keeper, order=order))

    def _do(self, node, todo):
        for instance in todo.renew:
            host = node.hosts.get(instance)
            # A host refuses a renewal after the end of its lease.
            if host is not None and host.until > self.now and not host.hangs:
                host.until = max(host.until, todo.until)
        for start in todo.start:
            there = {instance.name: host for instance, host in node.hosts.items()}
            other = there.get(start.instance.name)
            if other is None:
                node.hosts[start.instance] = Host(start, todo.until)
            elif other.start.instance != start.instance:
                node.keeper.gone(Gone(start.instance, "failed", "the name is taken"))
            elif other.hangs:
                self._vanish(node, start.instance, "lost", "its host did not answer")
            elif other.started:
                node.keeper.started(start.instance)
        for instance in todo.end:
            if instance in node.hosts:
                self._vanish(node, instance, "ended", "its controller ended it")
            else:
                node.keeper.gone(Gone(instance, "ended", "it did not run"))

    def _vanish(self, node, instance, kind, reason):
        node.hosts.pop(instance, None)
        if node.works:
            node.keeper.gone(Gone(instance, kind, reason))

    # ---- Time

    def advance(self, seconds):
        """Let time pass, with no message."""
        end = self.now + seconds
        while self.now < end:
            self.now += STEP
            for node in self.nodes.values():
                if node.stopped:
                    continue
                for instance, host in list(node.hosts.items()):
                    if self.now >= host.until + END_TIME - STEP:
                        self._vanish(node, instance, "lost", "its lease has ended")
                if node.works:
                    # A keeper notices what ended while it was stopped.
                    for instance in set(node.keeper.held) - set(node.hosts):
                        node.keeper.gone(Gone(instance, "lost", "its host has ended"))
            self.roster.tick(self.now)
            self._post()
            self.check()

    def run(self, seconds):
        """Let time pass while messages arrive at once and starts take a moment."""
        end = self.now + seconds
        while self.now < end:
            self.advance(STEP)
            for node in self.nodes.values():
                if node.works and self.now - node.asked >= REPORT_INTERVAL:
                    self.ask(node)
                for instance, host in list(node.hosts.items()):
                    if not host.started and not node.stopped and not node.slow:
                        self.finish_start(node, instance)
            waiting = None
            while self.mail and len(self.mail) != waiting:
                waiting = len(self.mail)
                for message in [each for each in self.mail if not each.node.slow]:
                    self.deliver(message)
            self.check()

    # ---- What must hold

    def hear(self):
        """Take the changes of the roster, as its clients do."""
        log = self.roster.log
        self.told += log.since(self._told if self._told_of is self.roster else 0)
        self._told_of, self._told = self.roster, log.count

    def living(self):
        """Return the hosts whose guests run: not those of a stopped node."""
        return [
            (node, host)
            for node in self.nodes.values()
            if not node.stopped
            for host in node.hosts.values()
        ]

    def check(self):
        self.hear()
        names = Counter(host.start.spec.name for _, host in self.living())
        assert not [name for name, count in names.items() if count > 1], f"twice: {names}"
        for node in self.nodes.values():
            used = room_of(host.start.spec.demand for host in node.hosts.values())
            assert not node.facts.total.lacks(used), f"{node.facts.name} is overfull"

    def settle(self):
        """Let everything come to rest, and compare what is said with what is."""
        for node in self.nodes.values():
            node.stopped = node.cut_off = node.slow = False
            if node.keeper is None and not node.dead:
                self.start_keeper(node)
        self.run(4 * self.lease)
        running = {host.start.instance: node.facts.name for node, host in self.living()}
        said = {
            Instance(status.name, status.generation): status.node
            for status in self.roster.statuses()
            if status.state is FleetState.RUNNING
        }
        assert said == running
        for status in self.roster.statuses():
            assert status.state is not FleetState.STARTING, status
            over = status.state in (FleetState.PLACING, FleetState.LOST, FleetState.ENDED)
            assert bool(status.reason) == over, status

    def check_changes(self):
        """Check that no machine was started again without a word about its last start."""
        last = {}
        for status in self.told:
            before = last.get(status.name)
            if before is not None and status.generation > before.generation:
                over = (FleetState.PLACING, FleetState.LOST, FleetState.ENDED)
                assert before.state in over, (before, status)
            last[status.name] = status


def room_of(demands):
    demands = list(demands)
    parts = {part for demand in demands for part in demand.parts}
    return sum((each.room for each in (*demands, *parts)), Room())


def spec(name, memory=1, *, part="", owner="", max_restarts=0, kvm=False, spread=False):
    """A machine of so many GiB; a base that it shares takes one more, once."""
    parts = (Part(part, Room(tmpfs=GIB)),) if part else ()
    demand = Demand(Room(memory=memory * GIB), parts, kvm)
    return MachineSpec(name, demand, {}, owner, max_restarts, spread)
