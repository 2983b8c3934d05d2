"""SHELL: shared memory of any kind, mapped into this process, and owners of file descriptors."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Self

from ..errors import LimitError, MemoryLostError, ProducerGoneError, SupersededError
from ._system import Mapping, file_status


def map_memory(
    fd: int, size: int, *, writable: bool = False, guard: bool = True, segment: bool = False
) -> Mapping:
    """Map shared memory into this process.

    Args:
        fd: A descriptor, or the id of a System V segment.
        size: Bytes, from the start.
        writable: Whether this process may write.
        guard: Survive its truncation.
        segment: *fd* is the id of a System V segment.

    Raises:
        LimitError: It is larger than this process's limit on address space.
        OSError: Another error of the system.
    """
    try:
        return Mapping(fd, size, writable=writable, guard=guard, segment=segment)
    except OSError as error:
        if error.errno not in (errno.ENOMEM, errno.EOVERFLOW):
            raise
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        raise LimitError(
            f"a surface of {size} bytes exceeds the address space of this process: raise ulimit -v",
            "RLIMIT_AS", limit, size,
        ) from error  # fmt: skip


class SharedMemory:
    """Shared memory mapped into this process.

    The mapping lives as long as an array uses it: `close` releases the descriptor and the name,
    never memory under an array.

    Attributes:
        address: The address that opens it in another process; empty for a memfd.
        mapping: The bytes; read-only unless this process made the memory.
        size: Bytes.
        closed: Whether this process has closed it.

    Args:
        path: The name it was opened by; `check` raises once another file has it.
    """

    def __init__(
        self,
        address: str,
        mapping: Mapping,
        descriptor: Descriptor | None = None,
        *,
        on_commit: Callable[[], None] | None = None,
        on_close: Callable[[], object] | None = None,
        on_reserve: Callable[[int], None] | None = None,
        path: Path | None = None,
    ) -> None:
        self.address = address
        self.mapping = mapping
        self.size: int = mapping.size
        self._descriptor = descriptor
        self._on_commit = on_commit
        self._on_close = on_close
        self._on_reserve = on_reserve
        self._path = path
        self._process = os.getpid()
        self._fd = descriptor.fileno() if descriptor else -1
        self.closed: bool = False

    def fileno(self) -> int:
        """Return the descriptor; -1 if the kind has none or the memory is closed."""
        return self._descriptor.fileno() if self._descriptor and not self.closed else -1

    def commit(self) -> None:
        """Give the formatted memory its name, so that other processes can open it."""
        if self._on_commit:
            self._on_commit()

    def reserve(self, size: int) -> None:
        """Allocate the first *size* bytes, so that writing them cannot fail.

        Raises:
            LimitError: The file system is full.
        """
        if self._on_reserve:
            self._on_reserve(size)

    def check(self) -> None:
        """Check that the memory is complete and still has its name.

        A truncated file gives SIGBUS only past its last page. On that page it reads as zeros, so
        the size is checked too.

        Raises:
            MemoryLostError: The file was truncated, or its disk is full.
            SupersededError: Another file has its name.
            ProducerGoneError: Its name was removed.
        """
        if self.closed or self.mapping.intact(self._fd):
            return
        status = self._status()
        if status is None:
            return
        size, names = status
        if self.mapping.lost or size < self.size:
            raise MemoryLostError(
                f"lost the memory of {self.address or 'the surface'}: "
                "its file was truncated or its disk is full; open it again"
            )
        if self._path and not names:
            if self._path.exists():
                raise SupersededError(f"another file has replaced {self.address}: open it again")
            raise ProducerGoneError(
                f"{self.address} has been removed: no more frames are published there"
            )

    def _status(self) -> tuple[int, int] | None:
        """Return size and number of names of the file; None if this process has closed it."""
        try:
            fileno = self.fileno()
            status = file_status(fileno) if fileno >= 0 else None
        except (OSError, ValueError):
            if not self.closed:
                raise
            return None
        # Closed meanwhile by another thread: the descriptor may be another file's by now.
        return None if self.closed else status

    def close(self) -> None:
        """Release name and descriptor; arrays stay valid. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        try:
            if self._on_close:
                self._on_close()
        finally:
            if self._descriptor:
                self._descriptor.close()

    def __del__(self) -> None:
        """Close it with the last reference, except in a forked child.

        Locks and names belong to the child's parent.
        """
        try:
            if not self.closed and self._process == os.getpid():
                self.close()
        except (AttributeError, TypeError, OSError):
            pass  # its constructor failed, or the interpreter is ending


class Descriptor:
    """Owns a file descriptor and closes it exactly once, at the latest with its last reference.

    Descriptors from another process pass through code that may drop them anywhere: a rejected
    message, a full queue. Dropping the last reference closes them.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __repr__(self) -> str:
        return f"<Descriptor {self._fd if self._fd >= 0 else 'closed'}>"

    def __bool__(self) -> bool:
        """True while this object owns it."""
        return self._fd >= 0

    def fileno(self) -> int:
        """Return the descriptor; this object keeps owning it.

        Raises:
            ValueError: It has been closed or detached.
        """
        if self._fd < 0:
            raise ValueError("the descriptor has been closed or detached")
        return self._fd

    def detach(self) -> int:
        """Return the descriptor; the caller owns it from now on."""
        fd = self.fileno()
        self._fd = -1
        return fd

    def close(self) -> None:
        """Close it. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
