"""One owner for one file descriptor."""

from __future__ import annotations

import os
from typing import Self


class Descriptor:
    """Owns a descriptor and closes it exactly once, at the latest when nobody refers to it.

    Descriptors that arrive from another process pass through code that may drop them anywhere
    (a refused message, a full queue); whoever drops the last reference closes them.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __repr__(self) -> str:
        return f"<Descriptor {self._fd if self._fd >= 0 else 'closed'}>"

    def __bool__(self) -> bool:
        """Whether it is still owned here."""
        return self._fd >= 0

    def fileno(self) -> int:
        """The number, still owned here.

        Raises:
            ValueError: It has been closed or detached.
        """
        if self._fd < 0:
            raise ValueError("the descriptor has been closed or detached")
        return self._fd

    def detach(self) -> int:
        """The number, owned by the caller from now on."""
        fd = self.fileno()
        self._fd = -1
        return fd

    def close(self) -> None:
        """Close it, if that has not happened yet."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
