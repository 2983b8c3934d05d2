"""SHELL: surfaces in named files, and the check whether a producer is alive.

POSIX shared memory is a file in /dev/shm and uses this module too.

A producer holds a record lock on its file while it is alive. The kernel drops the lock with the
process, however that ends, so the lock shows whether a producer is alive, across pid namespaces
too. A file gets its name when the surface in it is complete. It may take the name of a surface
whose producer is dead: consumers of that surface keep their arrays, and their next call raises
`SupersededError`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from functools import lru_cache
from glob import escape
from pathlib import Path

from ..errors import ConflictError, FormatError, LimitError
from ..files import stat_fields
from ..surface import ProducerIdentity
from .shared import Descriptor, SharedMemory, map_memory

MAGIC = b"kju-surf"

# struct flock: type, whence, start, length, pid; whole file
_LOCK = struct.Struct("hh4xqqi4x")


def create_file(path: Path, size: int) -> SharedMemory:
    """Make a surface's file; its name appears with `SharedMemory.commit`.

    Raises:
        ConflictError: The name is in use by another file, or by a live producer.
        LimitError: The file system is full.
        OSError: The directory is not writable.
    """
    refuse_unless_free(path, str(path))
    _remove_remains(path)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd, is_nameless = _open_new(hidden)
    descriptor = Descriptor(fd)
    try:
        os.ftruncate(fd, size)
        lock_for_life(fd)
        mapping = map_memory(fd, size, writable=True)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise

    def commit() -> None:
        refuse_unless_free(path, str(path))
        if is_nameless:
            link_open_file(fd, hidden)
        hidden.replace(path) if path.exists() else _link_new(hidden, path)

    def close() -> None:
        hidden.unlink(missing_ok=True)
        unlock(fd)

    return SharedMemory(
        str(path),
        mapping,
        descriptor,
        on_commit=commit,
        on_close=close,
        on_reserve=lambda wanted: reserve(fd, wanted, path.parent),
    )


def open_file(path: Path) -> SharedMemory:
    """Map a surface's file read-only.

    Raises:
        FormatError: It is not a regular file, or it is empty.
        OSError: It cannot be read.
    """
    descriptor = Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    status = os.fstat(descriptor.fileno())
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        kind = "an empty file" if stat.S_ISREG(status.st_mode) else "not a regular file"
        raise FormatError(f"{path} is not a surface but {kind}", kind, "a surface's file")
    mapping = map_memory(descriptor.fileno(), status.st_size)
    return SharedMemory(str(path), mapping, descriptor, path=path)


def reserve(fd: int, size: int, where: Path) -> None:
    """Allocate the first *size* bytes, so that writing them cannot fail later.

    Raises:
        LimitError: The file system is full.
    """
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        status = os.statvfs(where)
        free = status.f_bavail * status.f_frsize
        raise LimitError(
            f"no space for the surface: {where} has {free} bytes free, {size} are needed; "
            "free some, or choose another folder",
            f"free space of {where}",
            free,
            size,
        ) from error


def lock_for_life(fd: int) -> None:
    """Hold a record lock on an open file until `unlock` or the end of the process."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


def unlock(fd: int) -> None:
    """Drop the record lock. Closing does not drop it while arrays keep the mapping."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))


def is_locked(fd: int) -> bool:
    """Return whether another process holds a producer's record lock."""
    question = _LOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, question)
    return bool(_LOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _remove_remains(path: Path) -> None:
    """Remove the temporary files of producers that were killed before the rename."""
    for remains in path.parent.glob(f".{escape(path.name)}.*"):
        if not re.fullmatch(r"\d+\.[0-9a-f]{8}", remains.name[len(path.name) + 2 :]):
            continue
        try:
            refuse_unless_free(remains, str(remains))
            remains.unlink(missing_ok=True)
        except (ConflictError, OSError):
            continue  # its producer is alive, or it is another user's


def _open_new(hidden: Path) -> tuple[int, bool]:
    """Open a new file. Without a name where the file system can: then a kill leaves nothing."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(hidden.parent, flags | os.O_TMPFILE, 0o600), True
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    return os.open(hidden, flags | os.O_CREAT | os.O_EXCL, 0o600), False


def link_open_file(fd: int, path: Path) -> None:
    """Give a name to an open file that has none.

    Raises:
        FileExistsError: The name is in use.
    """
    # With src_dir_fd Python calls linkat, which follows the link in /proc.
    os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd)


def _link_new(hidden: Path, path: Path) -> None:
    """Give a file its name, unless another process has just used that name."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        raise ConflictError(
            f"another process has just created {path}; choose another name"
        ) from None
    hidden.unlink()


def refuse_unless_free(path: Path, address: str) -> None:
    """Check that a name is unused, or that of a surface whose producer is dead.

    Raises:
        ConflictError: It is neither.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    descriptor = Descriptor(fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode) or os.pread(fd, 8, 0) != MAGIC:
        raise ConflictError(f"{address} exists and is not a surface; nothing was overwritten")
    if is_locked(fd):
        raise ConflictError(f"{address} belongs to a producer that is alive; choose another name")
    descriptor.close()


def own_identity(locks: bool) -> ProducerIdentity:
    """Return the identity of this process, for consumers of its surface."""
    return ProducerIdentity(os.getpid(), _start_time(os.getpid()) or 0, _namespace(), locks)


def has_died(producer: ProducerIdentity, fileno: int) -> bool:
    """Return whether a producer is certainly dead; False if that cannot be known.

    Args:
        producer: Its identity, from the surface.
        fileno: A descriptor of the surface's file, or -1.
    """
    known = producer.pid and producer.namespace == _namespace()
    if known and _start_time(producer.pid) != producer.start_time:
        return True  # although a forked child may still hold the lock
    return producer.locks and fileno >= 0 and not is_locked(fileno)


@lru_cache
def _namespace() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def _start_time(pid: int) -> int | None:
    """Return the start time in clock ticks since boot; None if it has ended (a zombie too)."""
    try:
        fields = stat_fields(f"/proc/{pid}")
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])
