"""SHELL: read a file that somebody else may have made, up to a limit."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import LimitError

_READ = os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC


def read_file(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a whole regular file; one that grows cannot take all memory.

    What this process has open (/dev/stdin, a shell's ``<(COMMAND)``) is read to its end. Any other
    pipe or device is refused at once: opening a pipe would wait for a writer.

    Args:
        path: The file.
        most: Bytes that a file of this kind has at most.

    Raises:
        LimitError: It has more.
        OSError: It cannot be read, or is not a regular file.
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
        file: It is read from where it stands.
        path: For the message.
        most: Bytes that there are at most.

    Raises:
        LimitError: There are more.
        OSError: It cannot be read.
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
        OSError: It is a folder's; it is closed.
    """
    try:
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)  # fdopen leaves it open
        raise


def is_open_file(path: Path) -> bool:
    """Return whether a path names an open file of a process, such as /dev/fd/3."""
    return os.path.realpath(path.parent).startswith("/proc/")
