"""System calls that Python's own modules lack. Private; `kju.memory` is the API."""

from typing_extensions import Buffer

class Mapping(Buffer):
    lost: bool
    guarded: bool
    size: int
    writable: bool
    def intact(self, fd: int, /) -> bool: ...
    def __init__(
        self,
        fd: int,
        size: int,
        offset: int = 0,
        *,
        writable: bool = False,
        guard: bool = True,
        segment: bool = False,
    ) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def segment_create(key: int, size: int, mode: int, /) -> int: ...
def segment_remove(id: int, /) -> None: ...
def segment_status(id: int, /) -> tuple[int, int, int, int]: ...
def file_status(fd: int, /) -> tuple[int, int]: ...
def die_with_parent(parent: int, /) -> None: ...
