"""SHELL: the error for a failed file operation; limits of open files and of the bytes read.

Source:
    EMFILE and ENFILE: open(2); RLIMIT_NOFILE: getrlimit(2); fs.file-max: proc_sys_fs(5).
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import FileError, KjuError, LimitError
from .proc import read_proc

_FILE_MAX = Path("/proc/sys/fs/file-max")
_READ = os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC


def descriptor_limit(error: OSError) -> LimitError | None:
    """Return the error for a process or system without free file descriptors.

    Args:
        error: Any error of a system call.

    Returns:
        The limit, its value and how to raise it; None for other errors.
    """
    if error.errno == errno.EMFILE:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        more = f"ulimit -n {hard}" if soft < hard else "LimitNOFILE= of the service, or limits.conf"
        return LimitError(
            f"too many open files: this process may have {soft} (RLIMIT_NOFILE);"
            f" raise the limit and start it again: {more}",
            "RLIMIT_NOFILE",
            soft,
            soft + 1,
        )
    if error.errno == errno.ENFILE:
        try:
            most = int(read_proc(_FILE_MAX))
        except (OSError, ValueError):
            most = 0
        return LimitError(
            f"too many open files on this computer: the system allows {most or 'no more'}"
            f" (fs.file-max); raise it as root: sysctl -w fs.file-max={max(2 * most, 1 << 20)}",
            "fs.file-max",
            most,
            most + 1,
        )
    return None


def most_descriptors() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def raise_descriptor_limit() -> None:
    """Raise the limit of open files to the highest allowed one: for commands that serve others.

    Not for a library: ``select.select`` in its process fails for descriptors from 1,024 on.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # the limit stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Convert a lack of file descriptors in the block to a `LimitError`; pass on other errors."""
    try:
        yield
    except OSError as error:
        if limit := descriptor_limit(error):
            raise limit from error
        raise


def lost_descriptors() -> LimitError | None:
    """Return the error for descriptors that a peer sent and the kernel dropped (MSG_CTRUNC).

    Returns:
        The limit, if this process can open no more files; None if the peer sent too many.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return descriptor_limit(error)
    return None


def file_error(error: OSError, path: object, doing: str) -> KjuError:
    """Return the error to raise for a failed system call on a file.

    Args:
        error: From a system call.
        path: The file or folder.
        doing: The participle of the operation that failed, such as ``written``.
    """
    if found := descriptor_limit(error):
        return found
    if error.errno == errno.ELOOP:
        why = "it is a link, and links are not followed here"
    else:
        why = error.strerror or str(error) or type(error).__name__
    return FileError(f"{path} cannot be {doing}: {why}", str(path), error.errno or 0)


def release(descriptor: int) -> None:
    """Close a descriptor without reporting errors: nothing was written through it."""
    with contextlib.suppress(OSError):
        os.close(descriptor)


@contextlib.contextmanager
def failing(path: object, doing: str) -> Iterator[None]:
    """Convert a failed system call of the block to the error for *path*.

    Raises:
        FileError: An OSError of the block; its message has *path* and *doing*.
        LimitError: No file descriptor was free.
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise file_error(error, path, doing) from error


# -- reading files of any size


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
