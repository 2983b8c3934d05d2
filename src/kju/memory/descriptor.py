"""SHELL: one owner for one file descriptor."""

from __future__ import annotations

import os
from typing import Self


class Descriptor:
    """Owns a descriptor and closes it exactly once, at the latest with its last reference.

    Descriptors from another process pass through code that may drop them anywhere: a rejected
    message, a full queue. Dropping the last reference closes them.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __repr__(self) -> str:
        return f"<Descriptor {self._fd if self._fd >= 0 else 'closed'}>"

    def __bool__(self) -> bool:
        """Whether this object still owns it."""
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
