"""SHELL: the bases of the machines of one keeper: where they lie, or copied once."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from ...errors import ForkError, KjuError, LimitError
from ...store.forks import bases, places
from ...store.forks.bases import Base
from ..images.keeping import KeptImages
from ..placement import Instance
from .copying import RemoteBases, copy_from
from .source import FleetBase

log = logging.getLogger(__name__)

#: Seconds for which a copy stays after its last machine: the next launch needs none.
KEPT_FOR = 60.0


class KeptBases:
    """The bases of one keeper's machines.

    Args:
        node: The keeper's node.
        images: The images of its machines.
        remote: The bases of other nodes.
    """

    def __init__(self, node: str, images: KeptImages, remote: RemoteBases) -> None:
        self._node = node
        self._images = images
        self._remote = remote
        #: One copy at a time: each takes all of the network.
        self._turn = asyncio.Lock()
        self._users: dict[str, set[Instance]] = {}
        self._work: dict[str, asyncio.Task[Base]] = {}
        self._held: dict[str, Base] = {}
        self._dropping: set[asyncio.Task[None]] = set()
        #: The room of the copies that this keeper has made.
        self._copies: dict[str, int] = {}

    def facts(self) -> tuple[int, frozenset[str]]:
        """Return the bytes of memory that copies may take here, and the keys of the bases here."""
        root = places.base_roots()[0]
        try:
            found = places.space(root if root.is_dir() else root.parent)
        except OSError as error:
            log.warning("this node copies no bases: %s", error)
            return 0, frozenset()
        free = max(0, found.free - found.reserved)
        return free + sum(self._copies.copy().values()), frozenset(self._held.copy())

    async def hold(self, instance: Instance, base: FleetBase) -> str:
        """Return the ID of a base on this node for a machine; it stays there until `release`.

        The base itself is used if it lies on this computer. Otherwise it is copied, once for all
        machines that wait for it.

        Raises:
            KjuError: It cannot be copied: see `copy_from`.
        """
        self._users.setdefault(base.key, set()).add(instance)
        try:
            if (held := self._held.get(base.key)) is None:
                work = self._work.get(base.key)
                if work is None or work.done():
                    work = self._work[base.key] = asyncio.create_task(self._get(base))
                    work.add_done_callback(_settled)
                held = await asyncio.shield(work)
            return held.id
        except BaseException:
            self.release(instance)
            raise

    def adopt(self, instance: Instance, base: FleetBase, name: str) -> None:
        """Hold the base of a machine that the last keeper has started.

        Args:
            instance: The machine.
            base: The base.
            name: Its ID on this node; empty if the machine does not name it.
        """
        self._users.setdefault(base.key, set()).add(instance)
        if base.key not in self._held:
            # Its host holds it in any case.
            with contextlib.suppress(KjuError):
                self._keep(base, bases.open_base(name))

    def release(self, instance: Instance) -> None:
        """Note that a machine no longer uses a base, or no longer waits for it."""
        for key, users in list(self._users.items()):
            users.discard(instance)
            if not users:
                del self._users[key]
                self._unused(key)

    async def close(self) -> None:
        """Hold no base any more; return when nothing is copied."""
        self._users.clear()
        await asyncio.gather(*self._work.values(), return_exceptions=True)
        for key in list(self._held):
            self._drop_unused(key)
        await asyncio.gather(*self._dropping, return_exceptions=True)

    def _keep(self, base: FleetBase, held: Base) -> None:
        self._held[base.key] = held
        if held.id != base.id:
            self._copies[base.key] = base.tmpfs

    def _unused(self, key: str) -> None:
        seconds = KEPT_FOR if key in self._copies else 0.0
        asyncio.get_running_loop().call_later(seconds, self._drop_unused, key)

    def _drop_unused(self, key: str) -> None:
        """Release a base unless a machine uses it again."""
        if key not in self._users and (held := self._held.pop(key, None)) is not None:
            self._copies.pop(key, None)
            # Its last release may write a frozen machine's data to its disk.
            work = asyncio.create_task(asyncio.to_thread(held.release))
            self._dropping.add(work)
            work.add_done_callback(self._dropping.discard)

    async def _get(self, base: FleetBase) -> Base:
        async with self._turn:
            held = await asyncio.to_thread(_open_here, base)
            if held is None:
                held = await self._copy(base)
            self._keep(base, held)
            if base.key not in self._users:
                self._unused(base.key)
            return held

    async def _copy(self, base: FleetBase) -> Base:
        if base.node == self._node:
            raise ForkError(
                f"the base {base.tag} of {base.machine} does not exist any more on {base.node}: its"
                " machine and its forks there have ended; freeze a machine again"
            )
        # The copy keeps them afterwards: `kju.fleet.images.cache` removes none below a base.
        user = Instance(base.key, 0)
        try:
            files = {}
            for image in base.images:
                files[image.path] = str(await self._images.hold(user, image))
            try:
                return await asyncio.to_thread(self._copied, base, files)
            except LimitError:
                unused = [key for key in self._copies if key not in self._users]
                if not unused:
                    raise
            for key in unused:
                self._drop_unused(key)
            await asyncio.gather(*self._dropping, return_exceptions=True)
            return await asyncio.to_thread(self._copied, base, files)
        finally:
            self._images.release(user)

    def _copied(self, base: FleetBase, files: dict[str, str]) -> Base:
        return copy_from(self._remote, base, files, lambda: base.key in self._users)


def _settled(work: asyncio.Task[Base]) -> None:
    # asyncio logs an error that nobody has asked for: all who waited may have given up.
    if not work.cancelled():
        work.exception()


def _open_here(base: FleetBase) -> Base | None:
    """Return a base that lies on this computer; None if it has to be copied."""
    return bases.open_base(base.id) if bases.is_here(base.id) else None
