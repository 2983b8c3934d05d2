"""Which node gets a machine: the room of nodes, and what a machine takes of it. I/O-free.

A machine takes room of its own, and shares parts with the other machines of its node: the copy of
an image, or a base of forks. A part takes its room once, from the first of these machines to the
last. One that lies on the node already, unused, still takes its room again when it is used, except
that nothing has to be copied.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct, field, structs

from ..errors import FleetFullError

#: Nodes that a message about a full fleet names.
_NAMED_NODES = 3
_GIB = 1 << 30
#: The resources that are bytes, and their names in a message.
_BYTES = {
    "memory": "memory",
    "tmpfs": "tmpfs",
    "disk": "disk",
    "copies": "disk for the copies of machines",
}

Bytes = Annotated[int, Meta(ge=0, le=1 << 60)]


class Instance(NamedTuple):
    """One start of a machine: a name never has two instances at a time.

    Attributes:
        name: The machine's name.
        generation: Counts the starts under this name, from 1.
    """

    name: str
    generation: int


class Room(Struct, frozen=True, omit_defaults=True):
    """An amount of each resource: of a node, or for a machine.

    Attributes:
        memory: Bytes of memory, without those in a tmpfs.
        tmpfs: Bytes in a tmpfs, which are memory that cannot be reclaimed: bases of forks, and the
            object store of Ray.
        disk: Bytes of the disk that has copies of images.
        processors: Processors.
        copies: Bytes of the disk that has copies of images which single machines write to.
    """

    memory: Bytes = 0
    tmpfs: Bytes = 0
    disk: Bytes = 0
    processors: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    copies: Bytes = 0

    def __add__(self, other: Room) -> Room:
        return Room(
            self.memory + other.memory,
            self.tmpfs + other.tmpfs,
            self.disk + other.disk,
            self.processors + other.processors,
            self.copies + other.copies,
        )

    def lacks(self, needed: Room) -> dict[str, str]:
        """Return what is missing of *needed* here, in words, by the name of the resource."""
        found = {}
        for name, title in _BYTES.items():
            if (missing := getattr(needed, name) - getattr(self, name)) > 0:
                found[name] = f"{missing / _GIB:.2g} GiB of {title}"
        # The sum of many shares differs from the whole by rounding.
        if (short := needed.processors - self.processors) > 1e-6:
            found["processors"] = f"{short:.2g} processors"
        return found


def room_left(total: Room, used: Room) -> Room:
    """Return what is left of a node's room; nothing of a resource that is used beyond it."""
    return Room(
        max(0, total.memory - used.memory),
        max(0, total.tmpfs - used.tmpfs),
        max(0, total.disk - used.disk),
        max(0.0, total.processors - used.processors),
        max(0, total.copies - used.copies),
    )


class Part(Struct, frozen=True, omit_defaults=True):
    """What the machines of a node share.

    Attributes:
        key: The SHA-256 of an image, or the name of a base.
        room: The room that it takes on a node; of one key it is always the same.
        at_hand: The nodes on which it needs no copy: it takes no room there.
    """

    key: Annotated[str, Meta(min_length=1, max_length=256)]
    room: Room = Room()
    at_hand: Annotated[frozenset[str], Meta(max_length=10_000)] = frozenset()

    @property
    def size(self) -> int:
        """The bytes to copy to a node without it."""
        return self.room.memory + self.room.tmpfs + self.room.disk


class Demand(Struct, frozen=True, omit_defaults=True):
    """What a machine needs of a node.

    Attributes:
        room: The room that only this machine takes.
        parts: What it shares with other machines of the node.
        kvm: Whether it needs hardware virtualization.
        node: The only node that it may run on; empty for any.
    """

    room: Room = Room()
    parts: Annotated[tuple[Part, ...], Meta(max_length=64)] = ()
    kvm: bool = False
    node: Annotated[str, Meta(max_length=256)] = ""


class NodeFacts(Struct, frozen=True, omit_defaults=True):
    """A node, as its keeper reports it.

    Attributes:
        name: The node's name, the second part of its machines' addresses.
        total: The room for machines of this fleet.
        kvm: Whether it has hardware virtualization.
        parts: The keys of the parts that lie on it.
        one_disk: Whether copies of images and those of single machines are on one disk.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    total: Room
    kvm: bool = False
    parts: Annotated[frozenset[str], Meta(max_length=10_000)] = frozenset()
    one_disk: bool = False


class Node(Struct):
    """A node and the room that is taken on it.

    Attributes:
        facts: The newest report.
        draining: It gets no further machines.
        silent: It has not reported for a while; it gets a machine if no other node has room.
        taken: The demands of its machines, by instance.
    """

    facts: NodeFacts
    draining: bool = False
    silent: bool = False
    taken: dict[Instance, Demand] = field(default_factory=dict)
    _used: Room = Room()
    _users: Counter[str] = field(default_factory=Counter)
    _parts: dict[str, Part] = field(default_factory=dict)

    def copy(self) -> Node:
        """Return a node of the same content, which does not change with this one."""
        return Node(
            self.facts, self.draining, self.silent, self.taken.copy(), self._used,
            self._users.copy(), self._parts.copy(),
        )  # fmt: skip

    @property
    def used(self) -> Room:
        """The room that its machines take."""
        return self._used

    def take(self, instance: Instance, demand: Demand) -> None:
        """Take the room for a machine, even if there is too little."""
        self._used = self._used + self._needed(demand)
        for part in self._shared(demand):
            self._users[part.key] += 1
            self._parts.setdefault(part.key, part)
        self.taken[instance] = demand

    def release(self, instance: Instance) -> None:
        """Release the room of a machine. Does nothing if it has none here."""
        if (demand := self.taken.pop(instance, None)) is None:
            return
        for part in self._shared(demand):
            self._users[part.key] -= 1
            if not self._users[part.key]:
                del self._users[part.key], self._parts[part.key]
        # From the beginning: sums of floats do not return to what they were.
        self._used = sum((each.room for each in self.taken.values()), Room())
        self._used = sum((part.room for part in self._parts.values()), self._used)

    def lacks(self, demand: Demand) -> dict[str, str]:
        """Return why a machine has no place here, in words, by subject; empty if it has one."""
        if demand.node and demand.node != self.facts.name:
            return {"node": f"is not {demand.node}"}
        if self.draining:
            return {"draining": "is being drained"}
        needed = self._needed(demand)
        if self.facts.one_disk and needed.copies:
            needed = structs.replace(needed, copies=needed.copies + self._to_be_copied(demand))
        found = room_left(self.facts.total, self._used).lacks(needed)
        if demand.kvm and not self.facts.kvm:
            found["kvm"] = "KVM"
        return found

    def bytes_to_copy(self, demand: Demand) -> int:
        """Return the bytes of the machine's parts that do not lie here."""
        here = self.facts.parts
        return sum(
            part.size
            for part in self._shared(demand)
            if part.key not in here and not self._users[part.key]
        )

    def _needed(self, demand: Demand) -> Room:
        """Return the room that a machine takes in addition to the parts in use."""
        new = (part.room for part in self._shared(demand) if not self._users[part.key])
        return sum(new, demand.room)

    def _to_be_copied(self, demand: Demand) -> int:
        """Return the bytes of images that are still to be copied, those of a machine included."""
        here = self.facts.parts
        parts = self._parts | {part.key: part for part in self._shared(demand)}
        return sum(part.room.disk for key, part in parts.items() if key not in here)

    def _shared(self, demand: Demand) -> tuple[Part, ...]:
        """Return the parts of a machine that take room here."""
        name = self.facts.name
        return tuple(part for part in demand.parts if name not in part.at_hand)


def choose_node(nodes: Iterable[Node], demand: Demand, *, spread: bool = False) -> Node:
    """Return the node for a machine.

    Nodes without room are left out. The others are ordered: nodes that report before silent ones,
    then by the bytes to copy, the fewest first, then by the memory left, the least first, so that
    large machines find a place later.

    Args:
        nodes: The nodes.
        demand: What the machine needs.
        spread: Prefer the node with the fewest machines.

    Raises:
        FleetFullError: No node has room; the message names the missing resources.
    """
    return Choice(nodes, demand, spread=spread).take()


class Choice:
    """The choice of nodes for several machines with one demand: each as `choose_node` chooses it.

    The nodes are ordered once, not for each machine: a launch may have thousands. The caller takes
    the room of a machine before the next `take`, and nothing else changes meanwhile.

    Args:
        nodes: The nodes.
        demand: What each machine needs.
        spread: Prefer the node with the fewest machines.
    """

    def __init__(self, nodes: Iterable[Node], demand: Demand, *, spread: bool = False) -> None:
        self._nodes = list(nodes)
        self._demand = demand
        self._spread = spread
        self._last: Node | None = None
        self._fitting = [(self._cost(node), node) for node in self._nodes if not node.lacks(demand)]
        heapq.heapify(self._fitting)

    def take(self) -> Node:
        """Return the node for the next machine.

        Raises:
            FleetFullError: No node has room; the message names the missing resources.
        """
        if (node := self._last) is not None:
            # Only this one has changed.
            heapq.heappop(self._fitting)
            if not node.lacks(self._demand):
                heapq.heappush(self._fitting, (self._cost(node), node))
        if not self._fitting:
            self._last = None
            raise _full(
                {node.facts.name: node.lacks(self._demand) for node in self._nodes}, self._demand
            )
        self._last = self._fitting[0][1]
        return self._last

    def _cost(self, node: Node) -> tuple[bool, int, int, int, str]:
        """Return what orders the nodes; no two are equal, because their names are not."""
        left = room_left(node.facts.total, node.used)
        machines = len(node.taken) if self._spread else 0
        return node.silent, machines, node.bytes_to_copy(self._demand), left.memory, node.facts.name


class Choices:
    """The choice of nodes for machines one after the other; those with one demand stand together.

    Args:
        nodes: The nodes.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = list(nodes)
        self._choice: Choice | None = None
        self._wanted: tuple[Demand, bool] | None = None

    def next(self, demand: Demand, *, spread: bool) -> Node:
        """Return the node for a machine, whose room the caller takes before the next call.

        Raises:
            FleetFullError: No node has room; the message names the missing resources.
        """
        if self._choice is None or self._wanted != (demand, spread):
            self._choice = Choice(self._nodes, demand, spread=spread)
            self._wanted = demand, spread
        return self._choice.take()


class Wanted(NamedTuple):
    """A machine without a place.

    Attributes:
        instance: Its next start.
        demand: Its demand.
        spread: Prefer the node with the fewest machines.
    """

    instance: Instance
    demand: Demand
    spread: bool


def take_room(nodes: Iterable[Node], machines: Iterable[Wanted]) -> list[Node]:
    """Take the room of machines, all or none, and return their nodes.

    Raises:
        FleetFullError: A machine has no place.
    """
    choices = Choices(nodes)
    taken: list[tuple[Node, Instance]] = []
    try:
        for instance, demand, spread in machines:
            node = choices.next(demand, spread=spread)
            node.take(instance, demand)
            taken.append((node, instance))
    except BaseException:
        for node, instance in taken:
            node.release(instance)
        raise
    return [node for node, _ in taken]


def _full(lacking: Mapping[str, Mapping[str, str]], demand: Demand) -> FleetFullError:
    # Another node than the wanted one is no answer, unless the wanted one is missing.
    own = {name: found for name, found in lacking.items() if "node" not in found}
    if not lacking:
        text = "the fleet has no node"
    elif not own:
        text = f"the fleet has no node {demand.node!r}"
    else:
        # The nodes that lack the least come first.
        nodes = sorted(own, key=lambda name: (len(own[name]), name))
        named = [f"{name} {_sentence(own[name])}" for name in nodes[:_NAMED_NODES]]
        if more := len(nodes) - len(named):
            named.append(f"{more} more nodes lack {', '.join(_subjects(own, nodes))}")
        text = "no node has room: " + "; ".join(named)
    return FleetFullError(text, {name: tuple(found.values()) for name, found in lacking.items()})


def _sentence(found: Mapping[str, str]) -> str:
    if "draining" in found:
        return found["draining"]
    return f"lacks {' and '.join(found.values())}"


def _subjects(own: Mapping[str, Mapping[str, str]], nodes: list[str]) -> list[str]:
    counted = Counter(subject for name in nodes[_NAMED_NODES:] for subject in own[name])
    return ["room (drained)" if name == "draining" else name for name, _ in counted.most_common()]
