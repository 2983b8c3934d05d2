"""The records of a roster: a machine, a node, an order to send. I/O-free."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from msgspec import Struct, field

from ..errors import MachineExistsError
from .messages import KeeperOrder, MachineSpec, MachineStatus
from .placement import Instance, Node

NEVER = float("inf")
#: Names that are promised to programs.
MAX_PROMISED = 200_000


class MachineRecord(Struct):
    """One name of the fleet.

    Attributes:
        spec: The machine.
        status: Its state.
        first: Its first start; those before were of another machine of the name.
        held: Its instance may exist on the node of its status.
        start: The number of the order to start it in the node's session; 0 for none.
        ending: Why it is to end; empty if it is not.
        certain_at: When the end of an instance that was lost from sight is certain.
        restarts: How often it was started again.
    """

    spec: MachineSpec
    status: MachineStatus
    first: int
    held: bool = False
    start: int = 0
    ending: str = ""
    certain_at: float = NEVER
    restarts: int = 0

    @property
    def instance(self) -> Instance:
        """The newest instance."""
        return Instance(self.spec.name, self.status.generation)

    @property
    def is_over(self) -> bool:
        """Whether the machine has ended for certain, and is not started again."""
        return not self.held and self.status.state.is_over

    def require_over(self) -> None:
        """Check that another machine can have the name.

        Raises:
            MachineExistsError: The machine is not over.
        """
        status = self.status
        if not self.is_over:
            raise MachineExistsError(
                f"the fleet has a machine {status.name!r} already, {status.state.value} on"
                f" {status.node or 'no node yet'}; end it first, or choose another name",
                status.name,
            )


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

    def promise(self, stem: str, count: int, taken: Container[str]) -> list[str]:
        """Return names made from *stem* and numbers that are neither taken nor promised."""
        if len(self.promised) > MAX_PROMISED:  # to programs that have not launched anything
            self.promised.clear()
        found: list[str] = []
        number = 0
        while len(found) < count:
            number += 1
            name = f"{stem}-{number}"
            if name not in taken and name not in self.promised:
                found.append(name)
        self.promised.update(found)
        return found


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
