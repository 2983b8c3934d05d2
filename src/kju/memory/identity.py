"""Who publishes, and whether they still live."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..surface import Identity
from .file import is_locked


def own_identity(locks: bool) -> Identity:
    """This process, as its consumers may look for it."""
    return Identity(os.getpid(), _start_time(os.getpid()) or 0, _namespace(), locks)


def has_died(producer: Identity, fileno: int) -> bool:
    """Whether a producer is known to be dead; False also where nothing can be known.

    Args:
        producer: What the surface says of it.
        fileno: A descriptor of the surface's file, or -1.
    """
    known = producer.pid and producer.namespace == _namespace()
    if known and _start_time(producer.pid) != producer.start_time:
        return True  # whatever the lock says: a child that it forked may still hold that
    return producer.locks and fileno >= 0 and not is_locked(fileno)


@lru_cache
def _namespace() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def _start_time(pid: int) -> int | None:
    """Clock ticks since boot, None for no such process; a zombie is as good as none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
