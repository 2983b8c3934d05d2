"""POSIX shared memory: a file in /dev/shm that goes with its last user.

Every user holds a shared lock (flock) on the file. Whoever closes it and can have the lock
alone was the last, and removes the name; after a kill the next `sweep` finds that nobody
holds the lock, and does.

Source:
    shm_overview(7), flock(2).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .._system import Mapping
from ..errors import ConflictError, FormatError
from .descriptor import Descriptor
from .file import MAGIC, lock_for_life, reserve
from .segment import Segment

DIRECTORY = Path("/dev/shm")  # noqa: S108  where shm_open(3) puts its names


def create_posix(name: str, size: int) -> Segment:
    """Make a segment under a new name.

    Raises:
        ConflictError: The name is taken.
        LimitError: /dev/shm has no space.
    """
    path = _path(name)
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConflictError(f"posix:/{path.name} exists; choose another name") from None
    fcntl.flock(number, fcntl.LOCK_SH)
    descriptor = Descriptor(number)
    os.ftruncate(number, size)
    lock_for_life(number)
    return Segment(
        f"posix:/{path.name}",
        Mapping(number, size, writable=True),
        descriptor,
        on_close=lambda: remove_if_last(number, path),
        on_reserve=lambda wanted: reserve(number, wanted, DIRECTORY),
    )


def open_posix(name: str) -> Segment:
    """Map a segment read-only.

    Raises:
        FormatError: It is empty.
        OSError: There is none, or it can't be read.
    """
    path = _path(name)
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    descriptor = Descriptor(number)
    fcntl.flock(number, fcntl.LOCK_SH)
    status = os.fstat(number)
    if not status.st_nlink:  # removed between open and lock
        raise FileNotFoundError(f"posix:/{path.name} has just been removed")
    if not status.st_size:
        raise FormatError(f"posix:/{path.name} is not a surface", "0 bytes", "a surface")
    return Segment(
        f"posix:/{path.name}",
        Mapping(number, status.st_size),
        descriptor,
        on_close=lambda: remove_if_last(number, path),
    )


def remove_if_last(number: int, path: Path) -> bool:
    """Remove the name when nobody else uses the file open as *number*."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        if os.path.samestat(path.stat(), os.fstat(number)):
            path.unlink()
            return True
    except FileNotFoundError:
        pass
    return False


def sweep_posix() -> list[str]:
    """Remove the segments that killed processes left; returns their addresses."""
    removed = []
    for path in DIRECTORY.iterdir() if DIRECTORY.is_dir() else ():
        try:
            if path.stat().st_uid != os.getuid() or not path.is_file():
                continue
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        descriptor = Descriptor(number)
        if os.pread(number, len(MAGIC), 0) == MAGIC and remove_if_last(number, path):
            removed.append(f"posix:/{path.name}")
        descriptor.close()
    return removed


def _path(name: str) -> Path:
    plain = name.removeprefix("/")
    if not plain or "/" in plain or plain in (".", "..") or "\0" in plain:
        raise ConflictError(f"a POSIX name is one word after a slash, not {name!r}")
    return DIRECTORY / plain
