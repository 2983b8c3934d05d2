"""What really happens in a simulated fleet, and what must hold of it at any moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

from kju.fleet.placement import Instance, Part, Room


class PromiseBrokenError(AssertionError):
    """The fleet has done what it must never do."""


class Breaches(list[PromiseBrokenError]):
    """The broken promises. A keeper takes an error of its node for a failed start, and goes on."""

    def add(self, text: str) -> NoReturn:
        """Note a broken promise.

        Raises:
            PromiseBrokenError: Always.
        """
        self.append(PromiseBrokenError(text))
        raise self[-1]


@dataclass
class NodeUse:
    """The real use of a node.

    Attributes:
        name: The node.
        total: What it has.
        breaches: Takes uses beyond it.
        used: What its machines use.
        disk: Bytes of the images on its disk, with those that are being copied.
    """

    name: str
    total: Room
    breaches: Breaches
    used: Room = field(default_factory=Room)
    disk: int = 0
    highest: int = 0
    _parts: Counter[Part] = field(default_factory=Counter)

    def add(self, room: Room, parts: tuple[Part, ...]) -> None:
        """Note the room of a machine that exists from now on."""
        self.used = self.used + room
        self._parts.update(parts)
        # The images are counted as they lie on the disk.
        lacking = Room(self.total.memory, self.total.tmpfs).lacks(
            Room(self.used.memory, self.used.tmpfs)
        )
        if lacking:
            self.breaches.add(f"{self.name} is used beyond its room: {lacking}")
        self.highest = max(self.highest, self.used.memory)

    def remove(self, room: Room, parts: tuple[Part, ...]) -> None:
        """Note that no process of a machine is left."""
        self.used = Room(self.used.memory - room.memory, self.used.tmpfs - room.tmpfs)
        self._parts.subtract(parts)

    def in_use(self, part: Part) -> bool:
        """Return whether a machine uses a part."""
        return self._parts[part] > 0

    def write(self, size: int) -> None:
        """Note that an image's bytes are on the disk, or will be."""
        self.disk += size
        if self.disk > self.total.disk:
            self.breaches.add(f"{self.name} has {self.disk} bytes of images on its disk")


class Ledger:
    """The machines that exist, and all that have existed.

    Attributes:
        breaches: The broken promises.
        started: The instances that have existed.
        ended_at: When each ended, or was stopped and did not go on.
        most: The most machines at a time.
        overlaps: Seconds for which a machine with an ended lease ran beside its successor, after
            its stopped node had been continued.
    """

    def __init__(self) -> None:
        self.breaches = Breaches()
        self.started: set[Instance] = set()
        self.ended_at: dict[Instance, float] = {}
        self.most = 0
        self._living: dict[str, Instance] = {}
        self.overlaps: list[float] = []
        self._frozen: dict[Instance, float] = {}
        self._late: dict[Instance, float] = {}

    def begins(self, instance: Instance) -> None:
        """Note that a host has started.

        Raises:
            PromiseBrokenError: It has existed, or another one of the name exists.
        """
        if instance in self.started:
            self.breaches.add(f"{instance} was started twice")
        self.started.add(instance)
        self._lives(instance)

    def ends(self, instance: Instance, now: float) -> None:
        """Note that no process of an instance is left."""
        self.ended_at[instance] = self._frozen.pop(instance, now)
        if self._living.get(instance.name) == instance:
            del self._living[instance.name]
        if (since := self._late.pop(instance, None)) is not None:
            self.overlaps.append(now - since)

    def freezes(self, instance: Instance, now: float) -> None:
        """Note that a machine is stopped with its node: it does nothing, for now."""
        self._frozen[instance] = now
        if self._living.get(instance.name) == instance:
            del self._living[instance.name]

    def thaws(self, instance: Instance, now: float, *, ends: bool) -> None:
        """Note that a stopped machine goes on.

        Args:
            instance: The machine.
            now: The time.
            ends: Its lease has ended, so that its host kills it. No lease prevents that it runs
                for that moment; it is measured.

        Raises:
            PromiseBrokenError: Another one of the name exists now.
        """
        if instance in self._frozen:
            if not ends:
                del self._frozen[instance]
                self._lives(instance)
            elif instance.name in self._living:
                self._late[instance] = now

    def lives(self, instance: Instance) -> bool:
        """Return whether a machine exists, and is not stopped."""
        return self._living.get(instance.name) == instance

    @property
    def living(self) -> list[Instance]:
        """The machines that exist, and are not stopped."""
        return list(self._living.values())

    def _lives(self, instance: Instance) -> None:
        other = self._living.setdefault(instance.name, instance)
        if other != instance:
            self.breaches.add(f"{instance} exists beside {other}")
        self.most = max(self.most, len(self._living))
