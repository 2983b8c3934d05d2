"""One piece of shared memory, whatever its kind, and the descriptors behind it."""

from __future__ import annotations

import os
from collections.abc import Callable

from .._system import Mapping
from ..errors import MemoryLostError


class Descriptor:
    """Owns one file descriptor; closes it once."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """The number; -1 once closed."""
        return self._number

    def close(self) -> None:
        """Close it; a second call does nothing."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        self.close()


class Segment:
    """Shared memory mapped into this process.

    The mapping lives as long as anything looks at it: closing a segment gives back its
    descriptor and its name, never memory under an array.

    Attributes:
        address: Opens the same memory in another process; empty for a memfd.
        mapping: The bytes; read-only unless this process made the segment.
        size: Bytes.
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
    ) -> None:
        self.address = address
        self.mapping = mapping
        self.size = mapping.size
        self._descriptor = descriptor
        self._on_commit = on_commit
        self._on_close = on_close
        self._on_reserve = on_reserve

    def fileno(self) -> int:
        """The descriptor, or -1 where the kind has none or the segment is closed."""
        return self._descriptor.fileno() if self._descriptor else -1

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
        """Raise when memory under the mapping has gone.

        Raises:
            MemoryLostError: The file was cut, or its disk filled up, while it was mapped.
        """
        if self.mapping.lost:
            raise MemoryLostError(
                f"memory of {self.address or 'the surface'} went away under its mapping: "
                "the file was cut or its disk is full; open it again"
            )

    def close(self) -> None:
        """Give back name and descriptor; arrays stay valid. A second call does nothing."""
        on_close, self._on_close = self._on_close, None
        if on_close:
            on_close()
        if self._descriptor:
            self._descriptor.close()
