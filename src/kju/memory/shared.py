"""One piece of shared memory, whatever its kind, and the descriptors behind it."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

from ..errors import LimitError, MemoryLostError, ProducerGoneError, SupersededError
from ._system import Mapping, file_status
from .descriptor import Descriptor


def map_memory(
    number: int, size: int, *, writable: bool = False, guard: bool = True, segment: bool = False
) -> Mapping:
    """Map shared memory into this process.

    Args:
        number: A descriptor; with *segment* the number of a System V segment.
        size: Bytes, from the start.
        writable: Whether this process may write.
        guard: Survive that it is cut.
        segment: See *number*.

    Raises:
        LimitError: It is larger than the address space that this process may have.
        OSError: The system refused otherwise.
    """
    try:
        return Mapping(number, size, writable=writable, guard=guard, segment=segment)
    except OSError as error:
        if error.errno not in (errno.ENOMEM, errno.EOVERFLOW):
            raise
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        raise LimitError(
            f"a surface of {size} bytes is more than this process may map (ulimit -v)",
            "RLIMIT_AS", limit, size,
        ) from error  # fmt: skip


class Segment:
    """Shared memory mapped into this process.

    The mapping lives as long as anything looks at it: closing a segment gives back its
    descriptor and its name, never memory under an array.

    Attributes:
        address: Opens the same memory in another process; empty for a memfd.
        mapping: The bytes; read-only unless this process made the segment.
        size: Bytes.
        closed: Whether this process has closed it.

    Args:
        path: The name it was opened by; `check` raises when that leads elsewhere.
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
        self._number = descriptor.fileno() if descriptor else -1
        self.closed: bool = False

    def fileno(self) -> int:
        """The descriptor, or -1 where the kind has none or the segment is closed."""
        return self._descriptor.fileno() if self._descriptor and not self.closed else -1

    def commit(self) -> None:
        """Give the formatted memory its name, so that others can find it."""
        if self._on_commit:
            self._on_commit()

    def reserve(self, size: int) -> None:
        """Make sure that the first *size* bytes can be written.

        Raises:
            LimitError: There is no space.
        """
        if self._on_reserve:
            self._on_reserve(size)

    def check(self) -> None:
        """Raise when memory under the mapping has gone, or its name leads elsewhere.

        A cut file gives SIGBUS only past its last page, and zeros on it: hence its size.

        Raises:
            MemoryLostError: The file was cut, or its disk filled up, while it was mapped.
            SupersededError: Another file has taken its name.
            ProducerGoneError: Its name was removed: nothing more can be seen there.
        """
        if self.closed or self.mapping.intact(self._number):
            return
        status = self._status()
        if status is None:
            return
        size, names = status
        if self.mapping.lost or size < self.size:
            raise MemoryLostError(
                f"memory of {self.address or 'the surface'} went away under its mapping: "
                "the file was cut or its disk is full; open it again"
            )
        if self._path and not names:
            if self._path.exists():
                raise SupersededError(f"another file has replaced {self.address}: open it again")
            raise ProducerGoneError(f"{self.address} has been removed: nothing more comes there")

    def _status(self) -> tuple[int, int] | None:
        """Bytes and names of the file; None where this process has closed it."""
        try:
            fileno = self.fileno()
            status = file_status(fileno) if fileno >= 0 else None
        except (OSError, ValueError):
            if not self.closed:
                raise
            return None
        return None if self.closed else status  # the number may be another file's by now

    def close(self) -> None:
        """Give back name and descriptor; arrays stay valid. A second call does nothing."""
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
        """Nobody refers to it any more: that is as good as closing it.

        Not in a child that was forked: locks and names are its parent's.
        """
        try:
            if not self.closed and self._process == os.getpid():
                self.close()
        except (AttributeError, TypeError, OSError):
            pass  # half made, or at the end of the interpreter
