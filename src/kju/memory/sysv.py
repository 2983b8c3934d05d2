"""SHELL: System V shared memory: an id that any process of the user can attach.

A segment is marked for removal as soon as its creator has attached it. Linux still lets other
processes attach it by id, and removes it with its last user, however that ends. A kill between the
two calls leaves an unused segment, which `sweep` recognises by its key.

The system's limits are read before shmget, because its errors (EINVAL, ENOSPC, ENOMEM) do not name
the limit.

Source:
    shmget(2), shmctl(2), "Linux notes"; proc(5), /proc/sysvipc/shm.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConflictError, LimitError
from ..files import proc_lines, read_proc
from ._system import segment_create, segment_remove, segment_status
from .shared import SharedMemory, map_memory

_KEY_PREFIX = 0x6B6A  # "kj": the upper half of every key kju makes
_KERNEL = Path("/proc/sys/kernel")
_TABLE = Path("/proc/sysvipc/shm")


def create_sysv(size: int) -> SharedMemory:
    """Make a segment; the system chooses the id in its address ``sysv:ID``.

    Raises:
        LimitError: A limit of the system would be exceeded; nothing was created.
    """
    _check_limits(size)
    while True:
        key = _KEY_PREFIX << 16 | int.from_bytes(os.urandom(2))
        try:
            segment_id = segment_create(key, size, 0o600)
            break
        except FileExistsError:
            continue
    try:
        mapping = map_memory(segment_id, size, writable=True, segment=True)
    finally:
        segment_remove(segment_id)
    return SharedMemory(f"sysv:{segment_id}", mapping)


def open_sysv(segment_id: int) -> SharedMemory:
    """Attach a segment read-only.

    Raises:
        OSError: It does not exist or cannot be read.
    """
    size = segment_status(segment_id)[0]
    return SharedMemory(f"sysv:{segment_id}", map_memory(segment_id, size, segment=True))


def _check_limits(size: int) -> None:
    """Check that a new segment of *size* bytes exceeds no limit of the system.

    Raises:
        LimitError: It would; the error names the limit, its value, the size and a way out.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    used = _table()
    largest, pages, count = (_limit(name) for name in ("shmmax", "shmall", "shmmni"))
    free = pages - sum(-(-row[3] // page) for row in used)
    remedy = "raise it with `sysctl`, or use a file, posix: or memfd surface"
    if size > largest:
        raise LimitError(
            f"kernel.shmmax is {largest} bytes, the segment needs {size}: {remedy}",
            "kernel.shmmax",
            largest,
            size,
        )
    if -(-size // page) > free:
        raise LimitError(
            f"kernel.shmall is {pages} pages of {page} bytes, {max(free, 0)} of them free, the "
            f"segment needs {-(-size // page)} ({size} bytes): {remedy}",
            "kernel.shmall",
            pages,
            -(-size // page),
        )
    if len(used) >= count:
        raise LimitError(
            f"kernel.shmmni is {count} segments and all are in use: {remedy}",
            "kernel.shmmni",
            count,
            len(used) + 1,
        )


def limits() -> dict[str, int]:
    """Return the system's limits: bytes per segment, pages in all, number of segments."""
    return {f"kernel.{name}": _limit(name) for name in ("shmmax", "shmall", "shmmni")}


def sweep_sysv() -> list[str]:
    """Remove the segments that killed creators left; returns their addresses."""
    removed = []
    for key, segment_id, _, _, creator, users, uid in _table():
        ours = (key & 0xFFFFFFFF) >> 16 == _KEY_PREFIX and uid == os.getuid()
        if not ours or users or Path(f"/proc/{creator}").exists():
            continue
        try:
            segment_remove(segment_id)
            removed.append(f"sysv:{segment_id}")
        except OSError:
            pass
    return removed


def _limit(name: str) -> int:
    return int(read_proc(_KERNEL / name))


def _table() -> list[tuple[int, int, int, int, int, int, int]]:
    """Return key, id, mode, bytes, creator's pid, users and owner's uid of every segment."""
    try:
        lines = proc_lines(_TABLE)[1:]
    except FileNotFoundError:
        raise ConflictError(
            "this system has no System V shared memory; use a file, posix: or memfd surface"
        ) from None
    rows = []
    for line in lines:
        f = [int(word, 8 if i == 2 else 10) for i, word in enumerate(line.split()[:8])]
        rows.append((f[0], f[1], f[2], f[3], f[4], f[6], f[7]))
    return rows
