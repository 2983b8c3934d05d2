"""SHELL: the identity of a producer, and whether its process is alive."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..surface import Identity
from .file import is_locked


def own_identity(locks: bool) -> Identity:
    """Return the identity of this process, for its consumers."""
    return Identity(os.getpid(), _start_time(os.getpid()) or 0, _namespace(), locks)


def has_died(producer: Identity, fileno: int) -> bool:
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
    """Return the start time in clock ticks since boot; None if there is no process, or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
