"""SHELL: a file that the user named and that grows: it can be read while it is written.

Other files appear whole (`writing`). A recording may take hours, and its begin must survive a full
disk or a killed process. So the file has its name from the beginning, and a failure leaves it as it
is. An existing file is never opened.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import KjuError
from .failure import failing, file_error, release
from .writing import NEW, discard, open_parent, sync_folder, write_fully


class GrowingFile:
    """A new file, open for writing; its methods are those of a binary file.

    Args:
        path: The file.
        mode: Its permissions; None for 0666 under the umask.

    Attributes:
        path: Its path.
        size: Bytes that it has.

    Raises:
        FileError: It exists, or cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], mode: int | None = None) -> None:
        self.path = Path(path)
        self.size: int = 0
        self._failure: KjuError | None = None
        self._folder = open_parent(self.path)
        try:
            with failing(self.path, "written"):
                permissions = 0o666 if mode is None else mode
                self._fd = os.open(self.path.name, NEW, permissions, dir_fd=self._folder)
        except BaseException as error:
            release(self._folder)
            if isinstance(error, OSError) and error.errno == errno.EEXIST:
                error.args = (f"{error}; remove it, or choose another name",)
            raise

    def write(self, data: bytes) -> int:
        """Write all of *data*; after a failure nothing more is written.

        Raises:
            FileError: The disk is full, or failed. Every later call raises the same error.
        """
        self.check()
        try:
            write_fully(self._fd, data)
            self.size = max(self.size, os.lseek(self._fd, 0, os.SEEK_CUR))
        except OSError as error:
            self._failure = file_error(error, self.path, "written")
            raise self._failure from error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position of the next write, and return it."""
        return os.lseek(self._fd, offset, whence)

    def tell(self) -> int:
        """Return the position of the next write."""
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    def check(self) -> None:
        """Return while no write has failed.

        Raises:
            FileError: The first failure.
        """
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Wait until the content is on the disk, and close the file.

        Raises:
            FileError: The disk failed.
        """
        try:
            with failing(self.path, "written"):
                os.fsync(self._fd)
            sync_folder(self._folder, self.path.parent)
        finally:
            self.close()

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        fd, self._fd = self._fd, -1
        folder, self._folder = self._folder, -1
        for descriptor in (fd, folder):
            if descriptor >= 0:
                release(descriptor)

    def discard(self) -> None:
        """Close and remove the file."""
        if self._folder >= 0:
            discard(self._folder, self.path.name)
        self.close()
