"""SHELL: files that are written in parts.

`FillingFile` has a known size, and gets its name when it is whole. Its space is reserved first, so
that a full disk is noticed before hours of copying. The temporary file is locked (flock(2)) while
it is written: one without a lock was left by a killed process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable

from ..errors import KjuError, UsageError
from .failure import failing, release
from .folder import Folder
from .writing import write_fully


def write_parts(folder: Folder, name: str, parts: Iterable[bytes]) -> None:
    """Write a new file (mode 0600) in parts; one of zero bytes only becomes a hole.

    It has its name from the beginning, and is not synchronised: its folder is used when it is
    whole, and removed after a failure.

    Args:
        folder: Its folder.
        name: Its name; no file may have it.
        parts: The contents in order. An error of the iterator is passed on.

    Raises:
        FileError: It exists, or cannot be written.
    """
    path, descriptor, size = folder.path / name, folder.new(name), 0
    try:
        for part in parts:
            with failing(path, "written"):
                if part.count(0) < len(part):
                    os.lseek(descriptor, size, os.SEEK_SET)
                    write_fully(descriptor, part)
            size += len(part)
        with failing(path, "written"):
            os.ftruncate(descriptor, size)
    finally:
        release(descriptor)


class FillingFile:
    """A new file, open for writing; mode 0600.

    Args:
        folder: Its folder, which stays open meanwhile.
        temporary: Its name until `finish`; no file may have it.
        size: Bytes that it will have.

    Raises:
        FileError: It exists, or the disk has too little space; nothing is left of it.
    """

    def __init__(self, folder: Folder, temporary: str, size: int) -> None:
        self._folder, self._temporary, self._size = folder, temporary, size
        self._path = folder.path / temporary
        self._written = 0
        self._fd = folder.new(temporary)
        try:
            with failing(self._path, "written"):
                # Before any other process can see an unlocked file: the caller holds the folder's
                # lock.
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.posix_fallocate(self._fd, 0, size)
        except BaseException:
            self.discard()
            raise

    def write(self, data: bytes) -> None:
        """Write the next part.

        Raises:
            UsageError: The file would have more bytes than its size.
            FileError: The disk failed.
        """
        if self._written + len(data) > self._size:
            raise UsageError(f"{self._path} was to have {self._size} bytes, and gets more")
        with failing(self._path, "written"):
            write_fully(self._fd, data)
        self._written += len(data)

    def seal(self) -> None:
        """Wait until the content is on the disk. It takes long: no other lock is needed for it.

        Raises:
            UsageError: Parts are missing.
            FileError: The disk failed.
        """
        if self._written < self._size:
            raise UsageError(
                f"{self._path} was cut short: it has {self._written} of {self._size} bytes"
            )
        with failing(self._path, "written"):
            os.fsync(self._fd)

    def finish(self, name: str) -> None:
        """Give the sealed file its name, and close it.

        Raises:
            FileError: It could not be renamed; it is still open.
        """
        self._folder.rename(self._temporary, name)
        self._close()
        self._folder.sync()

    def discard(self) -> None:
        """Remove the file unless it is finished. A second call does nothing."""
        if self._fd >= 0:
            try:
                with contextlib.suppress(KjuError):  # without a lock it is removed later
                    self._folder.remove(self._temporary)
            finally:
                self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        release(fd)
