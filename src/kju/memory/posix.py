"""SHELL: POSIX shared memory: a file in /dev/shm that is removed with its last user.

Every user holds a shared lock (flock) on the file. A process that closes it and gets the exclusive
lock was the last user, and removes the name. After a kill the next `sweep` finds the file unlocked
and removes it. As with files, a name appears when its surface is complete. It may be taken over
from a dead producer while its last consumers still use the memory.

Source:
    shm_overview(7), flock(2).
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from ..errors import ConflictError, FormatError
from .file import MAGIC, link_open_file, lock_for_life, refuse_unless_free, reserve, unlock
from .shared import Descriptor, SharedMemory, map_memory

_DIRECTORY = Path("/dev/shm")  # noqa: S108  where shm_open(3) puts its names


def create_posix(name: str, size: int) -> SharedMemory:
    """Make shared memory; its name appears with `SharedMemory.commit`.

    Raises:
        ConflictError: The name is in use by another file, or by a live producer.
        LimitError: /dev/shm has no space.
    """
    path = _path(name)
    refuse_unless_free(path, f"posix:/{path.name}")
    # Without a name until it is complete: a failure or kill before leaves nothing.
    fd = os.open(_DIRECTORY, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    descriptor = Descriptor(fd)
    fcntl.flock(fd, fcntl.LOCK_SH)
    os.ftruncate(fd, size)
    lock_for_life(fd)

    def commit() -> None:
        refuse_unless_free(path, f"posix:/{path.name}")
        # Consumers of a dead producer keep its memory; the name is free.
        path.unlink(missing_ok=True)
        try:
            link_open_file(fd, path)
        except FileExistsError:
            raise ConflictError(
                f"another process has just created posix:/{path.name}; choose another name"
            ) from None

    def close() -> None:
        _remove_if_last(fd, path)
        unlock(fd)

    return SharedMemory(
        f"posix:/{path.name}",
        map_memory(fd, size, writable=True),
        descriptor,
        on_commit=commit,
        on_close=close,
        on_reserve=lambda wanted: reserve(fd, wanted, _DIRECTORY),
    )


def open_posix(name: str) -> SharedMemory:
    """Map shared memory read-only.

    Raises:
        FormatError: It is empty.
        OSError: It does not exist or cannot be read.
    """
    path = _path(name)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    descriptor = Descriptor(fd)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        found = f"{status.st_size} bytes"
        raise FormatError(f"posix:/{path.name} is not a surface", found, "a surface")
    try:  # an exclusive lock means removal; waiting for it would trust other processes
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileNotFoundError(f"posix:/{path.name} is being removed") from None
    if not os.fstat(fd).st_nlink:
        raise FileNotFoundError(f"posix:/{path.name} has just been removed")
    return SharedMemory(
        f"posix:/{path.name}",
        map_memory(fd, status.st_size),
        descriptor,
        on_close=lambda: _remove_if_last(fd, path),
        path=path,
    )


def _remove_if_last(fd: int, path: Path) -> bool:
    """Remove a surface's name if no other process uses the open file *fd*."""
    if os.pread(fd, len(MAGIC), 0) != MAGIC:
        return False  # not a surface, or truncated
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        if os.path.samestat(path.stat(), os.fstat(fd)):
            path.unlink()
            return True
    except (FileNotFoundError, PermissionError):
        pass  # removed already, or it is another user's
    return False


def sweep_posix() -> list[str]:
    """Remove the shared memory that killed processes left; returns its addresses."""
    removed = []
    for path in _DIRECTORY.iterdir() if _DIRECTORY.is_dir() else ():
        try:
            if path.stat().st_uid != os.getuid() or not path.is_file():
                continue
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        descriptor = Descriptor(fd)
        if _remove_if_last(fd, path):
            removed.append(f"posix:/{path.name}")
        descriptor.close()
    return removed


def _path(name: str) -> Path:
    plain = name.removeprefix("/")
    if not plain or "/" in plain or plain in (".", "..") or "\0" in plain:
        raise ConflictError(
            f"posix:{name} is not a POSIX name; write one word after a slash, such as posix:/screen"
        )
    return _DIRECTORY / plain
