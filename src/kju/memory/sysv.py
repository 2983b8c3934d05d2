"""System V shared memory: a number that any process of the user can attach.

A segment is marked for removal as soon as its maker has attached it: Linux then still lets
others attach it by number and drops it with its last user, however that one ended. A kill
between the two calls leaves a segment that nobody uses, with a key that `sweep` knows.

The system's limits are read before shmget, whose own answer (EINVAL, ENOSPC, ENOMEM) does
not say which of them was in the way.

Source:
    shmget(2), shmctl(2), "Linux notes"; proc(5), /proc/sysvipc/shm.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConflictError, LimitError
from ._system import segment_create, segment_remove, segment_status
from .shared import Segment, map_memory

KEY_PREFIX = 0x6B6A  # "kj": the upper half of every key kju makes
_KERNEL = Path("/proc/sys/kernel")
_TABLE = Path("/proc/sysvipc/shm")


def create_sysv(size: int) -> Segment:
    """Make a segment; its address ``sysv:ID`` holds the number the system chose.

    Raises:
        LimitError: The system's limits do not allow it; nothing was asked of the system.
    """
    check_limits(size)
    while True:
        key = KEY_PREFIX << 16 | int.from_bytes(os.urandom(2))
        try:
            number = segment_create(key, size, 0o600)
            break
        except FileExistsError:
            continue
    try:
        mapping = map_memory(number, size, writable=True, segment=True)
    finally:
        segment_remove(number)
    return Segment(f"sysv:{number}", mapping)


def open_sysv(number: int) -> Segment:
    """Attach a segment read-only.

    Raises:
        OSError: There is none, or it can't be read.
    """
    size = segment_status(number)[0]
    return Segment(f"sysv:{number}", map_memory(number, size, segment=True))


def check_limits(size: int) -> None:
    """Raise when a new segment of *size* bytes would pass a limit of the system.

    Raises:
        LimitError: It names the limit, its value, the size asked for and the way out.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    used = _table()
    largest, pages, count = (_limit(name) for name in ("shmmax", "shmall", "shmmni"))
    free = pages - sum(-(-row[3] // page) for row in used)
    way_out = "raise it with `sysctl`, or use a file, posix: or memfd surface"
    if size > largest:
        raise LimitError(
            f"kernel.shmmax is {largest} bytes, the segment needs {size}: {way_out}",
            "kernel.shmmax",
            largest,
            size,
        )
    if -(-size // page) > free:
        raise LimitError(
            f"kernel.shmall is {pages} pages of {page} bytes, {max(free, 0)} of them free, the "
            f"segment needs {-(-size // page)} ({size} bytes): {way_out}",
            "kernel.shmall",
            pages,
            -(-size // page),
        )
    if len(used) >= count:
        raise LimitError(
            f"kernel.shmmni is {count} segments and all are in use: {way_out}",
            "kernel.shmmni",
            count,
            len(used) + 1,
        )


def limits() -> dict[str, int]:
    """The system's limits: bytes a segment, pages altogether, number of segments."""
    return {f"kernel.{name}": _limit(name) for name in ("shmmax", "shmall", "shmmni")}


def sweep_sysv() -> list[str]:
    """Remove the segments that killed makers left; returns their addresses."""
    removed = []
    for key, number, _, _, maker, users, uid in _table():
        ours = (key & 0xFFFFFFFF) >> 16 == KEY_PREFIX and uid == os.getuid()
        if not ours or users or Path(f"/proc/{maker}").exists():
            continue
        try:
            segment_remove(number)
            removed.append(f"sysv:{number}")
        except OSError:
            pass
    return removed


def _limit(name: str) -> int:
    return int((_KERNEL / name).read_text())


def _table() -> list[tuple[int, int, int, int, int, int, int]]:
    """Key, id, mode, bytes, maker's pid, users, owner's uid of every segment."""
    try:
        lines = _TABLE.read_text().splitlines()[1:]
    except FileNotFoundError:
        raise ConflictError("this system has no System V shared memory") from None
    rows = []
    for line in lines:
        f = [int(word, 8 if i == 2 else 10) for i, word in enumerate(line.split()[:8])]
        rows.append((f[0], f[1], f[2], f[3], f[4], f[6], f[7]))
    return rows
