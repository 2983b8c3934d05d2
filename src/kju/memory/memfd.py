"""Anonymous memory handed on by descriptor: what a host gives its consumers.

A consumer holds a read-only descriptor of a memfd of mode 0400 with the seals SHRINK, GROW,
FUTURE_WRITE and SEAL. Without GROW another user could enlarge it, without SEAL add a seal
that breaks the producer, without FUTURE_WRITE reopen it through /proc and write.

Source:
    memfd_create(2), fcntl(2), "File Sealing".
"""

from __future__ import annotations

import fcntl
import os

from ..errors import FormatError
from .descriptor import Descriptor
from .shared import Segment, map_memory

F_SEAL_FUTURE_WRITE = 0x10  # not in Python's fcntl before 3.13
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL


def create_memfd(name: str, size: int) -> Segment:
    """Make sealed memory that only this process can write; `Segment.fileno` is read-only."""
    writable = Descriptor(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    os.ftruncate(writable.fileno(), size)
    # No guard: what is sealed can't be cut.
    mapping = map_memory(writable.fileno(), size, writable=True, guard=False)
    os.fchmod(writable.fileno(), 0o400)
    fcntl.fcntl(writable.fileno(), fcntl.F_ADD_SEALS, SEALS)
    readonly = os.open(f"/proc/self/fd/{writable.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    writable.close()
    return Segment("", mapping, Descriptor(readonly))


def open_fd(number: int) -> Segment:
    """Map memory received as a descriptor, read-only. Takes over the descriptor.

    Raises:
        FormatError: It is empty or is no memory.
        OSError: It can't be mapped.
    """
    descriptor = Descriptor(number)
    size = os.fstat(number).st_size
    if not size:
        raise FormatError("the descriptor holds no memory", 0, "a surface")
    return Segment("", map_memory(number, size, guard=not _is_sealed(number)), descriptor)


def _is_sealed(number: int) -> bool:
    try:
        return bool(fcntl.fcntl(number, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK)
    except OSError:
        return False
