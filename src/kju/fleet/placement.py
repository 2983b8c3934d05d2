"""Which node gets a machine: the room of nodes, and what a machine takes of it. I/O-free.

A machine takes room of its own, and shares parts with the other machines of its node: the copy of
an image, or a base of forks. A part takes its room once, from the first of these machines to the
last. One that lies on the node already, unused, still takes its room again when it is used, except
that nothing has to be copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct, field

from ..errors import FleetFullError

#: Nodes that a message about a full fleet names.
_NAMED_NODES = 3
_GIB = 1 << 30

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
    """

    memory: Bytes = 0
    tmpfs: Bytes = 0
    disk: Bytes = 0
    processors: Annotated[float, Meta(ge=0, le=1e6)] = 0.0

    def __add__(self, other: Room) -> Room:
        return Room(
            self.memory + other.memory,
            self.tmpfs + other.tmpfs,
            self.disk + other.disk,
            self.processors + other.processors,
        )

    def lacks(self, needed: Room) -> dict[str, str]:
        """Return what is missing of *needed* here, in words, by the name of the resource."""
        found = {}
        for name in ("memory", "tmpfs", "disk"):
            if (missing := getattr(needed, name) - getattr(self, name)) > 0:
                found[name] = f"{missing / _GIB:.2g} GiB of {name}"
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
    )


class Part(Struct, frozen=True, omit_defaults=True):
    """What the machines of a node share.

    Attributes:
        key: The SHA-256 of an image, or the name of a base.
        room: The room that it takes on a node.
    """

    key: Annotated[str, Meta(min_length=1, max_length=256)]
    room: Room = Room()

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
        at_hand: The nodes on which its parts need no copy: they take no room there.
    """

    room: Room = Room()
    parts: Annotated[tuple[Part, ...], Meta(max_length=64)] = ()
    kvm: bool = False
    node: Annotated[str, Meta(max_length=256)] = ""
    at_hand: Annotated[frozenset[str], Meta(max_length=10_000)] = frozenset()


class NodeFacts(Struct, frozen=True, omit_defaults=True):
    """A node, as its keeper reports it.

    Attributes:
        name: The node's name, the second part of its machines' addresses.
        total: The room for machines of this fleet.
        kvm: Whether it has hardware virtualization.
        parts: The keys of the parts that lie on it.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    total: Room
    kvm: bool = False
    parts: Annotated[frozenset[str], Meta(max_length=10_000)] = frozenset()


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
    _users: Counter[Part] = field(default_factory=Counter)

    @property
    def used(self) -> Room:
        """The room that its machines take."""
        return self._used

    def take(self, instance: Instance, demand: Demand) -> None:
        """Take the room for a machine, even if there is too little."""
        self._used = self._used + self._needed(demand)
        self._users.update(self._parts(demand))
        self.taken[instance] = demand

    def release(self, instance: Instance) -> None:
        """Release the room of a machine. Does nothing if it has none here."""
        if (demand := self.taken.pop(instance, None)) is None:
            return
        self._users.subtract(self._parts(demand))
        self._users = +self._users
        # From the beginning: sums of floats do not return to what they were.
        self._used = sum((each.room for each in self.taken.values()), Room())
        self._used = sum((part.room for part in self._users), self._used)

    def lacks(self, demand: Demand) -> dict[str, str]:
        """Return why a machine has no place here, in words, by subject; empty if it has one."""
        if demand.node and demand.node != self.facts.name:
            return {"node": f"is not {demand.node}"}
        if self.draining:
            return {"draining": "is being drained"}
        found = room_left(self.facts.total, self._used).lacks(self._needed(demand))
        if demand.kvm and not self.facts.kvm:
            found["kvm"] = "KVM"
        return found

    def bytes_to_copy(self, demand: Demand) -> int:
        """Return the bytes of the machine's parts that do not lie here."""
        here = self.facts.parts
        return sum(
            part.size
            for part in self._parts(demand)
            if part.key not in here and not self._users[part]
        )

    def _needed(self, demand: Demand) -> Room:
        """Return the room that a machine takes in addition to the parts in use."""
        new = (part.room for part in self._parts(demand) if not self._users[part])
        return sum(new, demand.room)

    def _parts(self, demand: Demand) -> tuple[Part, ...]:
        """Return the parts of a machine that take room here."""
        return () if self.facts.name in demand.at_hand else demand.parts


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
        FleetFullError: No node has room; the message names what is missing.
    """
    nodes = list(nodes)
    fitting = [node for node in nodes if not node.lacks(demand)]
    if not fitting:
        raise _full({node.facts.name: node.lacks(demand) for node in nodes}, demand)

    def cost(node: Node) -> tuple[bool, int, int, int, str]:
        left = room_left(node.facts.total, node.used)
        machines = len(node.taken) if spread else 0
        return node.silent, machines, node.bytes_to_copy(demand), left.memory, node.facts.name

    return min(fitting, key=cost)


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
