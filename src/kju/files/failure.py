"""SHELL: the error for a failed file operation, and the limit of open files.

Source:
    EMFILE and ENFILE: open(2); RLIMIT_NOFILE: getrlimit(2); fs.file-max: proc_sys_fs(5).
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import FileError, KjuError, LimitError

_FILE_MAX = Path("/proc/sys/fs/file-max")


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
            most = int(_FILE_MAX.read_text())
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
    """Let this process open as many files as the system allows it: for commands that serve others.

    Not for a library: ``select.select`` in its process fails for descriptors from 1,024 on.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # the limit stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise a lack of file descriptors in the block as a `LimitError`; other errors as they are."""
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
        doing: What could not be done, such as ``written``.
    """
    if found := descriptor_limit(error):
        return found
    if error.errno == errno.ELOOP:
        why = "it is a link, and links are not followed here"
    else:
        why = error.strerror or str(error) or type(error).__name__
    return FileError(f"{path} cannot be {doing}: {why}", str(path), error.errno or 0)


def release(descriptor: int) -> None:
    """Close a descriptor through which nothing was written; an error has no meaning then."""
    with contextlib.suppress(OSError):
        os.close(descriptor)


@contextlib.contextmanager
def failing(path: object, doing: str) -> Iterator[None]:
    """Raise a failed system call of the block as the error for *path*.

    Raises:
        FileError: Any OSError of the block; its message says that *path* cannot be *doing*.
        LimitError: No file descriptor was free.
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise file_error(error, path, doing) from error
