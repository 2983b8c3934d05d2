"""POSIX shared memory: a file in /dev/shm that goes with its last user.

Every user holds a shared lock (flock) on the file. Whoever closes it and can have the lock
alone was the last, and removes the name; after a kill the next `sweep` finds that nobody
holds the lock, and does. As with files, a name appears when its surface is whole, and may be
taken over from a dead producer while its last consumers still look.

Source:
    shm_overview(7), flock(2).
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from ..errors import ConflictError, FormatError
from .descriptor import Descriptor
from .file import MAGIC, link_open_file, lock_for_life, refuse_unless_free, reserve, unlock
from .shared import Segment, map_memory

DIRECTORY = Path("/dev/shm")  # noqa: S108  where shm_open(3) puts its names


def create_posix(name: str, size: int) -> Segment:
    """Make a segment; its name appears with `Segment.commit`.

    Raises:
        ConflictError: The name is taken by something else, or by a live producer.
        LimitError: /dev/shm has no space.
    """
    path = _path(name)
    refuse_unless_free(path, f"posix:/{path.name}")
    # Without a name until it is whole: whatever happens before, nothing is left.
    number = os.open(DIRECTORY, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    descriptor = Descriptor(number)
    fcntl.flock(number, fcntl.LOCK_SH)
    os.ftruncate(number, size)
    lock_for_life(number)

    def commit() -> None:
        refuse_unless_free(path, f"posix:/{path.name}")
        # Consumers of a dead producer keep its memory, and its name if nobody wants it.
        path.unlink(missing_ok=True)
        try:
            link_open_file(number, path)
        except FileExistsError:
            raise ConflictError(f"posix:/{path.name} has just been made elsewhere") from None

    def close() -> None:
        remove_if_last(number, path)
        unlock(number)

    return Segment(
        f"posix:/{path.name}",
        map_memory(number, size, writable=True),
        descriptor,
        on_commit=commit,
        on_close=close,
        on_reserve=lambda wanted: reserve(number, wanted, DIRECTORY),
    )


def open_posix(name: str) -> Segment:
    """Map a segment read-only.

    Raises:
        FormatError: It is empty.
        OSError: There is none, or it can't be read.
    """
    path = _path(name)
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    descriptor = Descriptor(number)
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        found = f"{status.st_size} bytes"
        raise FormatError(f"posix:/{path.name} is not a surface", found, "a surface")
    try:  # whoever has the lock alone is removing it; waiting would trust strangers
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileNotFoundError(f"posix:/{path.name} is being removed") from None
    if not os.fstat(number).st_nlink:
        raise FileNotFoundError(f"posix:/{path.name} has just been removed")
    return Segment(
        f"posix:/{path.name}",
        map_memory(number, status.st_size),
        descriptor,
        on_close=lambda: remove_if_last(number, path),
        path=path,
    )


def remove_if_last(number: int, path: Path) -> bool:
    """Remove a surface's name when nobody else uses the file open as *number*."""
    if os.pread(number, len(MAGIC), 0) != MAGIC:
        return False  # somebody's own file, opened by mistake, or cut by somebody
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        if os.path.samestat(path.stat(), os.fstat(number)):
            path.unlink()
            return True
    except (FileNotFoundError, PermissionError):
        pass  # removed already, or another user's
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
        if remove_if_last(number, path):
            removed.append(f"posix:/{path.name}")
        descriptor.close()
    return removed


def _path(name: str) -> Path:
    plain = name.removeprefix("/")
    if not plain or "/" in plain or plain in (".", "..") or "\0" in plain:
        raise ConflictError(f"a POSIX name is one word after a slash, not {name!r}")
    return DIRECTORY / plain
