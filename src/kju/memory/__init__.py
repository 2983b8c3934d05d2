"""The memory of surfaces: files, POSIX and System V shared memory, memfds.

An address is text: a path or ``file:PATH``, ``posix:/NAME``, ``sysv:ID``, ``fd:NUMBER``.

| kind   | name          | removed                                        | truncated by others |
|--------|---------------|------------------------------------------------|---------------------|
| file   | its path      | never: it keeps the last frame                 | an error            |
| posix  | ``/dev/shm``  | by its last user; after a kill by `sweep`      | an error            |
| sysv   | a number      | by the kernel when its last user detaches      | impossible          |
| memfd  | a descriptor  | by the kernel with its last descriptor         | prevented by seals  |
"""

from __future__ import annotations

from .address import create, open_memory, split_address, sweep
from .memfd import create_memfd, open_fd
from .produce import SurfaceProducer
from .shared import SharedMemory

__all__ = [
    "SharedMemory",
    "SurfaceProducer",
    "create",
    "create_memfd",
    "open_fd",
    "open_memory",
    "split_address",
    "sweep",
]
