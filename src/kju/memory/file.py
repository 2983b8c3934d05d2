"""A named file mapped by both sides, and POSIX shared memory, which is a file in /dev/shm.

A producer holds a record lock on its file for as long as it lives: the kernel drops it
with the process, however that ended, so the lock is what tells a live producer from a dead
one, across pid namespaces too. A file gets its name when it is whole: nobody ever maps half
a surface. It may take the name of a surface whose producer is dead; those who map that one
keep their arrays, and their next call says that it was replaced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from glob import escape
from pathlib import Path

from ..errors import ConflictError, FormatError, LimitError
from .descriptor import Descriptor
from .shared import Segment, map_memory

MAGIC = b"kju-surf"

# struct flock: type, whence, start, length, pid; whole file
_LOCK = struct.Struct("hh4xqqi4x")


def create_file(path: Path, size: int) -> Segment:
    """Make a surface's file; its name appears with `Segment.commit`.

    Raises:
        ConflictError: The name is taken by something else, or by a live producer.
        LimitError: There is no space.
        OSError: The directory can't be written.
    """
    refuse_unless_free(path, str(path))
    _remove_remains(path)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    number, nameless = _open_new(hidden)
    descriptor = Descriptor(number)
    try:
        os.ftruncate(number, size)
        lock_for_life(number)
        mapping = map_memory(number, size, writable=True)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise

    def commit() -> None:
        refuse_unless_free(path, str(path))
        if nameless:
            link_open_file(number, hidden)
        hidden.replace(path) if path.exists() else _link_new(hidden, path)

    def close() -> None:
        hidden.unlink(missing_ok=True)
        unlock(number)

    return Segment(
        str(path),
        mapping,
        descriptor,
        on_commit=commit,
        on_close=close,
        on_reserve=lambda wanted: reserve(number, wanted, path.parent),
    )


def open_file(path: Path) -> Segment:
    """Map a surface's file read-only.

    Raises:
        FormatError: It is no file, or too short for a surface.
        OSError: It can't be read.
    """
    descriptor = Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    status = os.fstat(descriptor.fileno())
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        raise FormatError(f"{path} is not a surface", f"{status.st_size} bytes", "a surface's file")
    mapping = map_memory(descriptor.fileno(), status.st_size)
    return Segment(str(path), mapping, descriptor, path=path)


def reserve(number: int, size: int, where: Path) -> None:
    """Allocate the first *size* bytes, so that writing them can't fail later.

    Raises:
        LimitError: There is no space.
    """
    try:
        os.posix_fallocate(number, 0, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        status = os.statvfs(where)
        free = status.f_bavail * status.f_frsize
        raise LimitError(
            f"no space for the surface: {where} has {free} bytes free, {size} are needed; "
            "free some, or choose another place",
            f"free space of {where}",
            free,
            size,
        ) from error


def lock_for_life(number: int) -> None:
    """Hold a record lock on an open file until `unlock`, or the end of the process."""
    fcntl.fcntl(number, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


def unlock(number: int) -> None:
    """Drop the record lock, which closing alone does not while arrays keep the mapping."""
    fcntl.fcntl(number, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))


def is_locked(number: int) -> bool:
    """Whether another process holds the record lock of a live producer."""
    question = _LOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(number, fcntl.F_OFD_GETLK, question)
    return bool(_LOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _remove_remains(path: Path) -> None:
    """Remove what producers left that were killed while one's file replaced another's."""
    for remains in path.parent.glob(f".{escape(path.name)}.*"):
        if not re.fullmatch(r"\d+\.[0-9a-f]{8}", remains.name[len(path.name) + 2 :]):
            continue
        try:
            refuse_unless_free(remains, str(remains))
            remains.unlink(missing_ok=True)
        except (ConflictError, OSError):
            continue  # alive, or not ours


def _open_new(hidden: Path) -> tuple[int, bool]:
    """A new file, without a name where the file system can: then a kill leaves nothing."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(hidden.parent, flags | os.O_TMPFILE, 0o600), True
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    return os.open(hidden, flags | os.O_CREAT | os.O_EXCL, 0o600), False


def link_open_file(number: int, path: Path) -> None:
    """Give a file without a name one.

    Raises:
        FileExistsError: The name is taken.
    """
    # Python follows the link in /proc only when it calls linkat: hence src_dir_fd.
    os.link(f"/proc/self/fd/{number}", path, src_dir_fd=number)


def _link_new(hidden: Path, path: Path) -> None:
    """Give a file its name unless somebody else has just taken it."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        raise ConflictError(f"{path} has just been made by somebody else") from None
    hidden.unlink()


def refuse_unless_free(path: Path, address: str) -> None:
    """Raise unless a name is free, or that of a surface whose producer is dead.

    Raises:
        ConflictError: It is neither.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    descriptor = Descriptor(number)
    if not stat.S_ISREG(os.fstat(number).st_mode) or os.pread(number, 8, 0) != MAGIC:
        raise ConflictError(f"{address} exists and is not a surface; nothing was overwritten")
    if is_locked(number):
        raise ConflictError(f"{address} belongs to a producer that is alive; choose another name")
    descriptor.close()
