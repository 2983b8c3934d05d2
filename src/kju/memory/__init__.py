"""Where surfaces live: files, POSIX and System V shared memory, memfds.

An address is text: a path or ``file:PATH``, ``posix:/NAME``, ``sysv:ID``, ``fd:NUMBER``.

| kind   | name          | removed                                        | cut by others   |
|--------|---------------|------------------------------------------------|-----------------|
| file   | its path      | by nobody: it still holds the last frame       | survived, raised |
| posix  | ``/dev/shm``  | by its last user; after a kill by `sweep`      | survived, raised |
| sysv   | a number      | by the kernel when its last user detaches      | impossible       |
| memfd  | a descriptor  | by the kernel with its last descriptor         | sealed against   |
"""

from __future__ import annotations

from .address import create, open_segment, split_address
from .memfd import create_memfd, open_fd
from .produce import SurfaceProducer
from .shared import Segment
from .sweep import sweep

__all__ = [
    "Segment",
    "SurfaceProducer",
    "create",
    "create_memfd",
    "open_fd",
    "open_segment",
    "split_address",
    "sweep",
]
