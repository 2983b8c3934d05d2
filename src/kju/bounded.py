"""Read untrusted files, up to a limit of size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import LimitError

_READ = os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC


def read_file(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a whole regular file, even one that grows, without using unbounded memory.

    An open file of this process (/dev/stdin, a shell's ``<(COMMAND)``) is read to its end. Any
    other pipe or device is an error: opening a pipe would wait for a writer.

    Args:
        path: The file.
        most: Maximum size in bytes.

    Raises:
        LimitError: The file is larger.
        OSError: The file cannot be read, or is not a regular file.
    """
    place = Path(path)
    if place.parent == Path("/dev") and place.is_symlink():
        place = place.parent / place.readlink()
    is_open = is_open_file(place)
    with reader(os.open(path, _READ if is_open else _READ | os.O_NONBLOCK)) as file:
        if not (is_open or stat.S_ISREG(os.fstat(file.fileno()).st_mode)):
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
        return read_most(file, path, most)


def read_most(file: BinaryIO, path: str | os.PathLike[str], most: int) -> bytes:
    """Read an open file to its end.

    Args:
        file: Read from its current position.
        path: Its path, for messages.
        most: Maximum number of bytes.

    Raises:
        LimitError: The file has more bytes.
        OSError: The file cannot be read.
    """
    data = file.read(most + 1)
    if len(data) > most:
        raise LimitError(
            f"{os.fspath(path)} has more than {most} bytes, the most that such a file may have",
            "bytes of a file", most, len(data),
        )  # fmt: skip
    return data


def reader(descriptor: int) -> BinaryIO:
    """Return a binary file that reads a descriptor and closes it.

    Raises:
        OSError: The descriptor is of a folder. It is closed in this case too.
    """
    try:
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)  # fdopen leaves it open
        raise


def is_open_file(path: Path) -> bool:
    """Return whether a path names an open file of a process, such as /dev/fd/3."""
    return os.path.realpath(path.parent).startswith("/proc/")
