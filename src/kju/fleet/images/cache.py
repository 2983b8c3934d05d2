"""SHELL: the copies of images on one computer, for all fleets of this user.

| file | is |
|---|---|
| ``SHA256.SUFFIX`` | a whole copy whose contents were checked |
| ``SHA256.SUFFIX.part`` | a copy that is being written, locked by its writer |
| ``.lock`` | the lock of the folder, held for moments |

A copy gets its name after its SHA-256 was compared and it is on the disk. One that is in use has a
shared flock(2), which ends with the process that holds it; or it is below the disk of a base of
forks, which may outlive its machine. The oldest unused copies are removed
when a new one needs room. Both happen under the folder's lock, so that a copy that was found is not
removed before it is locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from ...errors import FileError, KjuError, LimitError, UnavailableError, UsageError
from ...files import FillingFile, Folder, failing
from ...store.forks.listing import bases_on
from .source import FleetImage

_COPY = re.compile(r"[0-9a-f]{64}(\.[A-Za-z0-9]{1,16})?")
_PART = ".part"
#: Seconds between two looks at a copy that another process writes.
_LOOK = 0.1
#: Space that is left free on the disk: at most this, and this share of it.
_MARGIN, _MARGIN_SHARE = 1 << 30, 20
_UNITS = {"M": 20, "G": 30, "T": 40}


def cache_folder() -> Path:
    """Return the folder of copies; it may be removed while no machine runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kju" / "images"


def cache_limit() -> int | None:
    """Return the most bytes of all copies, from ``$KJU_IMAGE_CACHE``; None without a limit.

    Raises:
        UsageError: The variable is not a number with a unit.
    """
    if not (text := os.environ.get("KJU_IMAGE_CACHE", "")):
        return None
    found = re.fullmatch(r"(\d+)([MGT])", text)
    if found is None:
        raise UsageError(f"KJU_IMAGE_CACHE={text!r}: write a number and a unit, such as 40G")
    return int(found[1]) << _UNITS[found[2]]


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk of a folder, but for those that stay free.

    Raises:
        OSError: The folder is missing.
    """
    disk = os.statvfs(folder)
    margin = min(_MARGIN, disk.f_blocks * disk.f_frsize // _MARGIN_SHARE)
    return max(0, disk.f_bavail * disk.f_frsize - margin)


class ImageCache:
    """The copies of images on this computer.

    Args:
        path: The folder.
        limit: The most bytes of all copies; None for the space of the disk.

    Raises:
        FileError: The folder cannot be made, is another user's, or is writable by others.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self._folder = Folder.open(path, create=True, follow_own_link=True)
        self._limit = limit

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @classmethod
    def open(cls) -> Self:
        """Open the cache of this user.

        Raises:
            FileError: Its folder cannot be used: see the class.
            UsageError: ``$KJU_IMAGE_CACHE`` is not a size.
        """
        return cls(cache_folder(), cache_limit())

    def close(self) -> None:
        """Close the folder."""
        self._folder.close()

    def keys(self) -> frozenset[str]:
        """Return the names of the whole copies."""
        return frozenset(name for name in self._folder.names() if _COPY.fullmatch(name))

    def room(self) -> int:
        """Return the bytes that copies may take here, those that are here included."""
        return self._room(sum(self._sizes().values()))

    def find(self, image: FleetImage) -> int | None:
        """Return the lock of a whole copy, which the caller closes; None without one.

        Raises:
            FileError: The folder cannot be read.
        """
        with self._folder.lock():
            return self._find(image)

    def fill(
        self,
        image: FleetImage,
        pieces: Callable[[], Iterable[bytes]],
        is_wanted: Callable[[], bool],
    ) -> int:
        """Return the lock of a whole copy, which the caller closes; write a missing copy.

        However many processes ask at the same time, one writes and the others wait.

        Args:
            image: The image.
            pieces: Returns its contents in order.
            is_wanted: Returns false to give up.

        Raises:
            LimitError: There is too little room beside the copies in use.
            FileError: The copy cannot be written. Nothing is left of it.
            UsageError: The contents are not the image's.
            UnavailableError: It was given up.
        """
        while True:
            with self._folder.lock():
                if (found := self._find(image)) is not None:
                    return found
                part = self._begin(image)
            if part is not None:
                return self._write(image, part, pieces(), is_wanted)
            if not is_wanted():
                raise UnavailableError(f"the image {image.path} is no longer wanted")
            time.sleep(_LOOK)

    def _write(
        self,
        image: FleetImage,
        part: FillingFile,
        pieces: Iterable[bytes],
        is_wanted: Callable[[], bool],
    ) -> int:
        found = hashlib.sha256()
        try:
            for piece in pieces:
                if not is_wanted():
                    raise UnavailableError(f"the image {image.path} is no longer wanted")
                part.write(piece)
                found.update(piece)
            part.seal()
            if found.hexdigest() != image.sha256:
                raise UsageError(
                    f"the copy of {image.path} has other contents than the image: it was changed"
                    " while it was copied; launch again"
                )
            with self._folder.lock():
                part.finish(image.key)
                if (held := self._find(image)) is None:
                    raise FileError(f"{self.path / image.key} was removed", str(self.path))
                return held
        finally:
            part.discard()

    def _find(self, image: FleetImage) -> int | None:
        """Lock a whole copy; the caller has the folder's lock."""
        status = self._folder.status(image.key)
        if status is None or not self._folder.has(image.key):
            return None
        if status.st_size != image.size:
            # Not by kju: a copy gets its name whole.
            self._folder.remove(image.key)
            return None
        descriptor = self._folder.open_lock(image.key)
        try:
            with failing(self.path / image.key, "locked"):
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                # Not the time of the last change: a base of forks knows its disks by that.
                os.utime(descriptor, ns=(time.time_ns(), os.fstat(descriptor).st_mtime_ns))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    # -- room; the caller has the folder's lock

    def _begin(self, image: FleetImage) -> FillingFile | None:
        """Return a new file for a copy; None if another process writes it."""
        name = image.key + _PART
        if self._folder.status(name) is not None and not self._remove_unlocked(name):
            return None
        self._make_room(image)
        return FillingFile(self._folder, name, image.size)

    def _make_room(self, image: FleetImage) -> None:
        """Remove copies until a new one has room: unfinished ones first, then the oldest.

        Raises:
            LimitError: There is too little, even without the copies that are not in use.
        """
        sizes = self._sizes()
        for name in [name for name in sizes if name.endswith(_PART)]:
            if self._remove_unlocked(name):
                del sizes[name]
        # Nothing is removed for an image that has no room in any case.
        possible = image.size <= self._room(sum(sizes.values()))
        if possible and self._lacks(sizes, image):
            in_bases = {path.name for path in bases_on(self.path.resolve())}
            for name in self._by_age(sizes.keys() - in_bases):
                if self._lacks(sizes, image) and self._remove_unlocked(name):
                    del sizes[name]
        if self._lacks(sizes, image):
            used = sum(sizes.values())
            room = self._room(used)
            raise LimitError(
                f"the image {image.path} needs {_mib(image.size)} in {self.path}, which may hold"
                f" {_mib(room)} and holds {_mib(used)} that stay: free space on the disk, or raise"
                " KJU_IMAGE_CACHE on this node",
                "bytes of images",
                max(0, room - used),
                image.size,
            )

    def _lacks(self, sizes: Mapping[str, int], image: FleetImage) -> bool:
        used = sum(sizes.values())
        return used + image.size > self._room(used)

    def _room(self, used: int) -> int:
        room = used + free_bytes(self.path)
        return room if self._limit is None else min(room, self._limit)

    def _sizes(self) -> dict[str, int]:
        """Return the bytes of each copy, those that are being written included."""
        found = {}
        for name in self._folder.names():
            status = self._folder.status(name)
            if status is not None and _COPY.fullmatch(name.removesuffix(_PART)):
                found[name] = status.st_size
        return found

    def _by_age(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the copies, the one that was used last at the end."""
        known = ((self._folder.status(name), name) for name in names)
        yield from [name for _, name in sorted((s.st_atime_ns, name) for s, name in known if s)]

    def _remove_unlocked(self, name: str) -> bool:
        """Remove a copy that no process uses or writes; return whether it is removed."""
        with contextlib.suppress(KjuError):
            descriptor = self._folder.open_lock(name)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            finally:
                os.close(descriptor)
            # The lock is free, and nobody takes it now: that needs the folder's.
            self._folder.remove(name)
            return True
        return False


def _mib(size: int) -> str:
    return f"{-(-size // (1 << 20)):,} MiB"
