"""SHELL: the images of the machines of one keeper: where they lie, found or copied once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from ...errors import KjuError
from ...store.forks.description import FileIdentity
from ..placement import Instance
from .cache import ImageCache
from .files import file_identity, require_same
from .hashes import sha256_of
from .source import FleetImage

log = logging.getLogger(__name__)

#: Images that are copied or read at the same time; more of them only take longer, each and all.
_COPIES = 2


class Pieces(Protocol):
    """The contents of images of other nodes."""

    def pieces(self, image: FleetImage) -> Iterable[bytes]:
        """Return the contents of an image, in order.

        Raises:
            KjuError: It has changed, or its node does not send it.
        """


class KeptImages:
    """The images of one keeper's machines.

    Args:
        node: The keeper's node.
        pieces: The contents of images of other nodes.
        open_cache: Opens the copies on this computer.
    """

    def __init__(
        self, node: str, pieces: Pieces, open_cache: Callable[[], ImageCache] = ImageCache.open
    ) -> None:
        self._node = node
        self._open_cache = open_cache
        self._opened: ImageCache | None = None
        self._opening = threading.Lock()
        self._pieces = pieces
        self._turns = asyncio.Semaphore(_COPIES)
        self._users: dict[str, set[Instance]] = {}
        self._work: dict[str, asyncio.Task[Path]] = {}
        self._tasks: set[asyncio.Task[Path]] = set()
        self._locks: dict[str, int] = {}
        #: Files outside the cache that were read: the file, and its key.
        self._read: dict[str, tuple[FileIdentity, str]] = {}

    @property
    def _cache(self) -> ImageCache:
        # When it is needed: machines without an image run on a node whose cache is not usable.
        with self._opening:
            if self._opened is None:
                self._opened = self._open_cache()
            return self._opened

    def facts(self) -> tuple[int, frozenset[str]]:
        """Return the bytes that copies may take here, and the keys of the images that lie here."""
        read = frozenset(key for _, key in list(self._read.values()))
        try:
            return self._cache.room(), self._cache.keys() | read
        except (KjuError, OSError) as error:
            log.warning("this node copies no images: %s", error)
            return 0, read

    def device(self) -> int:
        """Return the device of the disk that has the copies; -1 if it is not usable."""
        with contextlib.suppress(KjuError, OSError):
            return self._cache.path.stat().st_dev
        return -1

    def is_likely_here(self, image: FleetImage) -> bool:
        """Return whether a file at an image's path looks like it; its contents are not read."""
        found = file_identity(Path(image.path))
        second = 1_000_000_000  # file systems and copies keep times with different precision
        return found is not None and (found.size, found.modified // second) == (
            image.size, image.file.modified // second
        )  # fmt: skip

    async def hold(self, instance: Instance, image: FleetImage) -> Path:
        """Return the path of an image for a machine; it stays there until `release`.

        A file at the image's own path is used if its contents are the image's; otherwise it is
        copied into the cache, once for all machines that wait for it.

        Raises:
            KjuError: It cannot be copied: see `ImageCache.fill`.
        """
        self._users.setdefault(image.key, set()).add(instance)
        work = self._work.get(image.key)
        # Each time: a file outside the cache may have changed.
        if work is None or work.done():
            work = self._work[image.key] = asyncio.create_task(self._get(image))
            self._tasks.add(work)
            work.add_done_callback(self._done)
        try:
            return await asyncio.shield(work)
        except BaseException:
            self.release(instance)
            raise

    def adopt(self, instance: Instance, image: FleetImage) -> None:
        """Hold the copy of an image for a machine that the last keeper has started."""
        self._users.setdefault(image.key, set()).add(instance)
        if image.key not in self._locks:
            with contextlib.suppress(KjuError):  # its emulator has the file open in any case
                if (lock := self._cache.find(image)) is not None:
                    self._locks[image.key] = lock

    def release(self, instance: Instance) -> None:
        """Note that a machine no longer uses an image, or no longer waits for it."""
        for key, users in list(self._users.items()):
            users.discard(instance)
            if not users:
                del self._users[key]
                # Work that still runs notices that nobody wants it.
                self._work.pop(key, None)
                if (lock := self._locks.pop(key, None)) is not None:
                    os.close(lock)

    async def close(self) -> None:
        """Hold no image any more; return when nothing is copied."""
        for instance in {each for users in self._users.values() for each in users}:
            self.release(instance)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._opened is not None:
            self._opened.close()

    def _done(self, work: asyncio.Task[Path]) -> None:
        self._tasks.discard(work)
        # asyncio logs an error that nobody has asked for: all who waited may have given up.
        if not work.cancelled():
            work.exception()

    async def _get(self, image: FleetImage) -> Path:
        def is_wanted() -> bool:
            return self._work.get(image.key) is task

        task = asyncio.current_task()
        async with self._turns:
            path = Path(image.path)
            if await asyncio.to_thread(self._is_here, path, image, is_wanted):
                return path
            if image.key not in self._locks:
                lock = await asyncio.to_thread(
                    self._cache.fill, image, lambda: self._pieces.pieces(image), is_wanted
                )
                if not is_wanted() or image.key in self._locks:
                    os.close(lock)
                else:
                    self._locks[image.key] = lock
        return self._cache.path / image.key

    def _is_here(self, path: Path, image: FleetImage, is_wanted: Callable[[], bool]) -> bool:
        """Return whether the file at an image's path has its contents."""
        found = file_identity(path)
        if self._node == image.node:
            # There is no other place from which it could be copied.
            require_same(path, image.file, found)
        if found is None or found.size != image.size:
            return False
        if self._node == image.node and found == image.file:
            self._read[str(path)] = (found, image.key)
            return True
        if self._read.get(str(path), (None, ""))[0] != found:
            sha256, found = sha256_of(path, is_wanted)
            self._read[str(path)] = (found, FleetImage(sha256, found, image.path, "").key)
        return self._read[str(path)][1] == image.key
