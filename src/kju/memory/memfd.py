"""SHELL: anonymous memory, passed by descriptor: the surfaces of a host.

A consumer holds a read-only descriptor of a memfd of mode 0400 with the seals SHRINK, GROW,
FUTURE_WRITE and SEAL. Without GROW another user could enlarge it. Without SEAL it could add a seal
that breaks the producer. Without FUTURE_WRITE it could open it through /proc for writing.

Source:
    memfd_create(2), fcntl(2), "File Sealing".
"""

from __future__ import annotations

import fcntl
import os

from ..errors import FormatError
from .shared import Descriptor, SharedMemory, map_memory

_F_SEAL_FUTURE_WRITE = 0x10  # not in Python's fcntl before 3.13
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL


def create_memfd(name: str, size: int) -> SharedMemory:
    """Make sealed memory that only this process can write; its descriptor is read-only."""
    writable = Descriptor(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    os.ftruncate(writable.fileno(), size)
    # No guard: sealed memory cannot be truncated.
    mapping = map_memory(writable.fileno(), size, writable=True, guard=False)
    os.fchmod(writable.fileno(), 0o400)
    fcntl.fcntl(writable.fileno(), fcntl.F_ADD_SEALS, SEALS)
    readonly = os.open(f"/proc/self/fd/{writable.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    writable.close()
    return SharedMemory("", mapping, Descriptor(readonly))


def open_fd(fd: int) -> SharedMemory:
    """Map the memory of a descriptor read-only, and own the descriptor.

    Raises:
        FormatError: It is empty or is not memory.
        OSError: It cannot be mapped.
    """
    descriptor = Descriptor(fd)
    size = os.fstat(fd).st_size
    if not size:
        raise FormatError("the descriptor's file is empty, not a surface", 0, "a surface")
    return SharedMemory("", map_memory(fd, size, guard=not _is_sealed(fd)), descriptor)


def _is_sealed(fd: int) -> bool:
    try:
        return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK)
    except OSError:
        return False
