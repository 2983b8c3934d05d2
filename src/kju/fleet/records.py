"""The records of a roster: a machine, a node, an order to send. I/O-free."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct, field

from .messages import KeeperOrder, MachineSpec, MachineStatus
from .placement import Instance, Node

NEVER = float("inf")


class MachineRecord(Struct):
    """One name of the fleet.

    Attributes:
        spec: The machine.
        status: Its state.
        held: Its instance may exist on the node of its status.
        start: The number of the order to start it in the node's session; 0 for none.
        ending: Why it is to end; empty if it is not.
        certain_at: When the end of an instance that was lost from sight is certain.
        restarts: How often it was started again.
    """

    spec: MachineSpec
    status: MachineStatus
    held: bool = False
    start: int = 0
    ending: str = ""
    certain_at: float = NEVER
    restarts: int = 0

    @property
    def instance(self) -> Instance:
        """The newest instance."""
        return Instance(self.spec.name, self.status.generation)


class NodeRecord(Struct):
    """A node of the fleet.

    Attributes:
        node: Its room.
        session: Its session.
        last: When its last report arrived.
        keeper: The process of its keeper.
        report: The number of the last report.
        orders: The orders that have not arrived, as far as is known.
        next_order: The number of the next order.
    """

    node: Node
    session: int
    last: float
    keeper: int
    report: int
    orders: dict[int, KeeperOrder] = field(default_factory=dict)
    next_order: int = 1


class NameRecord(Struct):
    """The names that no machine has.

    Attributes:
        promised: Those that were returned to programs, which have launched no machines of them yet.
        forgotten: The highest generation of forgotten names: one that is used again repeats none.
    """

    promised: set[str] = field(default_factory=set)
    forgotten: int = 0


class SentOrder(NamedTuple):
    """An order to send to a keeper now.

    Attributes:
        node: The keeper's node.
        session: The node's session.
        order: The order.
    """

    node: str
    session: int
    order: KeeperOrder
