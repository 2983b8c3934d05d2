"""Pretended disk images: which node has which, what is copied, and how long that takes.

It stands for the cache of a node: an image is copied once, however many machines wait for it; an
image in use is never dropped; of the others the one that was used longest ago is dropped first.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from kju.fleet.placement import Part

from .ledger import NodeUse
from .loop import PretendedLoop, Process

#: Seconds between two looks for a node that can send an image.
_LOOK = 0.5


class Images:
    """The images of all nodes.

    Args:
        rate: Bytes per second from one node to another.

    Attributes:
        moved: Bytes that were copied completely.
        wasted: Bytes of copies that were not completed, as if they had been.
        copies: Copies that were completed.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.moved = 0
        self.wasted = 0
        self.copies = 0
        self._holders: Counter[Part] = Counter()
        self._sent: Counter[Part] = Counter()

    async def begin(self, part: Part) -> None:
        """Wait until a holder, or the owner, can send: each sends to one node at a time."""
        while self._sent[part] > self._holders[part]:
            await asyncio.sleep(_LOOK)
        self._sent[part] += 1

    def complete(self, part: Part) -> None:
        """Note that a copy is complete: its node is a holder."""
        self._sent[part] -= 1
        self._holders[part] += 1
        self.copies += 1
        self.moved += part.size

    def abandon(self, part: Part) -> None:
        """Note that a copy that began is not completed."""
        self._sent[part] -= 1
        self.wasted += part.size

    def lose(self, part: Part) -> None:
        """Note that a holder has it no more."""
        self._holders[part] -= 1


class ImageCache:
    """The images on the disk of one node.

    Args:
        use: The node's use.
        images: All images.
        loop: The loop.
        computer: The node's process that copies.
    """

    def __init__(
        self, use: NodeUse, images: Images, loop: PretendedLoop, computer: Process
    ) -> None:
        self._use, self._images = use, images
        self._loop, self._computer = loop, computer
        #: The one that was used longest ago is the first.
        self._held: dict[Part, None] = {}
        self._copies: dict[Part, asyncio.Task[None]] = {}
        self._begun: set[Part] = set()

    @property
    def keys(self) -> frozenset[str]:
        """The images that lie on the node."""
        return frozenset(part.key for part in self._held)

    async def fetch(self, part: Part) -> bool:
        """Return when an image lies on the node: whether it had to be copied.

        A machine uses it from before to after this.
        """
        if part in self._held:
            del self._held[part]
            self._held[part] = None
            return False
        if part not in self._copies:
            self._make_room(part.size)
            self._use.write(part.size)
            self._copies[part] = self._loop.begin(self._computer, self._copy(part))
        await asyncio.shield(self._copies[part])
        return True

    def lose(self) -> None:
        """Lose all: the node is off."""
        for part in self._held:
            self._images.lose(part)
        for part in self._begun:
            self._images.abandon(part)

    async def _copy(self, part: Part) -> None:
        await self._images.begin(part)
        self._begun.add(part)
        await asyncio.sleep(part.size / self._images.rate)
        self._begun.discard(part)
        self._images.complete(part)
        self._held[part] = None
        del self._copies[part]

    def _make_room(self, size: int) -> None:
        """Drop images that no machine uses, then copies that no machine waits for any more."""
        for part in [each for each in self._held if not self._use.in_use(each)]:
            if self._use.disk + size <= self._use.total.disk:
                return
            del self._held[part]
            self._images.lose(part)
            self._use.write(-part.size)
        for part in [each for each in self._copies if not self._use.in_use(each)]:
            if self._use.disk + size <= self._use.total.disk:
                return
            self._copies.pop(part).cancel()
            if part in self._begun:
                self._begun.discard(part)
                self._images.abandon(part)
            self._use.write(-part.size)
