"""SHELL: addresses: text that names the memory of a surface, of any kind.

`create` and `open_memory` take one; `sweep` removes what killed processes left, of every kind.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConflictError
from ..files import limited
from .file import create_file, open_file
from .memfd import create_memfd, open_fd
from .posix import create_posix, open_posix, sweep_posix
from .shared import SharedMemory
from .sysv import create_sysv, open_sysv, sweep_sysv

_MAX_INT = 2**31 - 1  # descriptors and System V ids are C ints

KINDS = ("file", "posix", "sysv", "fd", "memfd")


def split_address(address: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the kind and the rest of an address; text without a kind is a path."""
    text = os.fspath(address)
    kind, colon, rest = text.partition(":")
    return (kind, rest) if colon and kind in KINDS else ("file", text)


@limited()
def create(address: str | os.PathLike[str], size: int) -> SharedMemory:
    """Make *size* bytes of zeroed shared memory.

    Args:
        address: A path, ``posix:/NAME``, ``sysv:`` (the system chooses the number) or
            ``memfd:`` (handed on by descriptor).
        size: Bytes.

    Raises:
        ConflictError: The address is in use, or is not one of these.
        LimitError: A limit of the system is exceeded.
        OSError: Another error of the system.
    """
    kind, rest = split_address(address)
    if kind == "file":
        return create_file(Path(rest), size)
    if kind == "posix":
        return create_posix(rest, size)
    if kind == "sysv" and not rest:
        return create_sysv(size)
    if kind == "memfd":
        return create_memfd(rest or "kju", size)
    raise ConflictError(
        f"cannot create a surface at {os.fspath(address)!r}:"
        " use a path, posix:/NAME, sysv: or memfd:"
    )


@limited()
def open_memory(address: str | os.PathLike[str]) -> SharedMemory:
    """Map existing shared memory read-only.

    Raises:
        ConflictError: The address is not valid.
        FormatError: The named file is not memory.
        LimitError: This process can open no more files, or map no more memory.
        OSError: It does not exist or cannot be read.
    """
    kind, rest = split_address(address)
    if kind == "file":
        return open_file(Path(rest))
    if kind == "posix":
        return open_posix(rest)
    number = int(rest) if rest.isdecimal() and len(rest) < 11 else -1
    if kind == "sysv" and 0 <= number <= _MAX_INT:
        return open_sysv(number)
    if kind == "fd" and 0 <= number <= _MAX_INT:
        return open_fd(os.dup(number))
    raise ConflictError(
        f"{os.fspath(address)!r} is not an address of a surface: use a path, posix:/NAME or sysv:ID"
    )


def sweep() -> list[str]:
    """Remove this user's shared memory that no process uses; return its addresses.

    Named files stay: they are meant to outlive all processes.
    """
    return sweep_posix() + sweep_sysv()
