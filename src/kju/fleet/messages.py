"""The messages between the controller of a fleet and its keepers. I/O-free.

A keeper sends a `KeeperReport` every `REPORT_INTERVAL` seconds; the controller answers with a
`Grant`. It permits the keeper to run the machines that it names for `LEASE` seconds **from the
moment at which the report was sent**. So neither side needs the other's clock, and an answer that
is late is short, never long: a machine has ended before the controller starts it elsewhere.

Orders are numbered. An order is sent at once, and again in every grant until a report says that it
has arrived. A *session* is the time from a node's first report to its last one; a keeper carries
out no order of another session.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, field

from .bases.source import FleetBase
from .images.source import FleetImage
from .placement import Demand, Instance, NodeFacts

#: The names of fleets.
FLEET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
#: Seconds after which a machine ends by itself, unless its lease is renewed.
LEASE = 15.0
#: Seconds in which a host whose lease has ended kills its emulator.
END_TIME = 2.0
#: Seconds between two reports of a keeper.
REPORT_INTERVAL = 2.0
#: Seconds without a report after which a node is silent: three reports are missing.
SILENT_AFTER = 3.5 * REPORT_INTERVAL


class FleetState(enum.Enum):
    """The state of a machine of a fleet."""

    PLACING = "placing"
    STARTING = "starting"
    RUNNING = "running"
    LOST = "lost"
    ENDED = "ended"

    @property
    def is_over(self) -> bool:
        """Whether the newest start of the machine has ended."""
        return self in (FleetState.LOST, FleetState.ENDED)


class MachineSpec(Struct, frozen=True, omit_defaults=True):
    """A machine as its owner asked for it.

    Attributes:
        name: Its name, unique in the fleet.
        demand: The resources that it needs of a node.
        launch: The fields of its `kju.protocol.launch_options.Launch`.
        owner: The program that it ends with; empty if it is detached.
        max_restarts: How often it is started again after it was lost; -1 for no limit.
        spread: Prefer nodes with few machines.
        image: Its image, which is looked for on the node, and copied to it; None for one without
            an image, or with one whose path every node has.
        base: The base that it is a fork of, which is used where it lies, or copied to the node;
            None for a machine that boots.
    """

    name: str
    demand: Demand = Demand()
    launch: dict[str, Any] = field(default_factory=dict)
    owner: str = ""
    max_restarts: int = 0
    spread: bool = False
    image: FleetImage | None = None
    base: FleetBase | None = None


class MachineStatus(Struct, frozen=True, omit_defaults=True):
    """The state of one machine, and why it has it.

    Attributes:
        name: Its name.
        state: Its state.
        generation: The number of its newest start.
        node: The node that it is on, or was on last.
        since: When it entered the state, in seconds since the epoch, by the controller's clock.
        reason: Why it is lost, ended or not placed yet; of one that starts or runs, why it may be
            lost: its node is silent. Empty otherwise.
        log: The last lines of the logs of its host and its emulator, if it is lost or did not start
            and its node could still read them.
    """

    name: str
    state: FleetState
    generation: int
    node: str = ""
    since: float = 0.0
    reason: str = ""
    log: tuple[str, ...] = ()


class Changes(Struct, frozen=True):
    """Changes of a fleet's machines, the oldest first.

    Attributes:
        mark: The controller's process, and the number of the newest change.
        statuses: The states that the machines entered.
        missed: Changes since the last mark that are no longer kept.
    """

    mark: tuple[int, int]
    statuses: tuple[MachineStatus, ...] = ()
    missed: int = 0


class StartOrder(Struct, frozen=True, tag=True):
    """The order to start a machine.

    Attributes:
        spec: The machine.
        generation: The number of this start.
    """

    spec: MachineSpec
    generation: int

    @property
    def instance(self) -> Instance:
        """The instance."""
        return Instance(self.spec.name, self.generation)


class EndOrder(Struct, frozen=True, tag=True):
    """The order to end a machine.

    Attributes:
        instance: The machine.
    """

    instance: Instance


class KeeperOrder(Struct, frozen=True):
    """An order to a keeper.

    Attributes:
        number: Counts the orders of a session, from 1.
        what: The order.
    """

    number: int
    what: StartOrder | EndOrder


#: How a machine has come to its end: on request or by itself; it did not start; it failed.
EndKind: TypeAlias = Literal["ended", "failed", "lost"]


class Held(Struct, frozen=True):
    """A machine that a keeper reports.

    Attributes:
        start: The machine.
        running: It has started.
    """

    start: StartOrder
    running: bool


class Gone(Struct, frozen=True):
    """The end of a machine, for certain: no process of it is left.

    Attributes:
        instance: The machine.
        kind: How it has ended.
        reason: Why.
        log: The last lines of its logs, if it has failed.
    """

    instance: Instance
    kind: EndKind
    reason: str
    log: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class KeeperReport(Struct, frozen=True):
    """The report of a keeper.

    Attributes:
        facts: The node.
        keeper: A random number of the keeper's process.
        number: Counts the reports of this process, from 1.
        session: The session that the keeper knows; 0 for none.
        seen: All orders of this session up to this number have arrived.
        held: The machines that start or run, or may do so.
        gone: The ended machines, until a grant has answered a report with them.
        draining: The newest grant had `draining`: a restarted controller learns it from here.
    """

    facts: NodeFacts
    keeper: int
    number: int
    session: int = 0
    seen: Annotated[int, Meta(ge=0)] = 0
    held: tuple[Held, ...] = ()
    gone: tuple[Gone, ...] = ()
    draining: bool = False


class Grant(Struct, frozen=True):
    """The answer to a report.

    Attributes:
        session: The node's session from now on.
        keep: The machines whose leases are to be renewed.
        orders: The orders that have not arrived yet.
        draining: The node gets no further machines.
    """

    session: int
    keep: frozenset[Instance] = frozenset()
    orders: tuple[KeeperOrder, ...] = ()
    draining: bool = False
