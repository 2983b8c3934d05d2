"""SHELL: files of images: their hashes, and pieces of them, with every change noticed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import structs

from ...errors import KjuError, UnavailableError, UsageError
from ...files import always
from ...store.forks.description import FileIdentity, change
from .source import PIECE, FleetImage

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
#: Bytes that are read and hashed at a time.
_BLOCK = 1 << 20


def hash_file(path: Path, is_wanted: Callable[[], bool] = always) -> tuple[str, FileIdentity]:
    """Return the SHA-256 of a file, and the file.

    Raises:
        UsageError: It is not a regular file, cannot be read, or was changed meanwhile.
        UnavailableError: It was given up.
    """
    with _reading(path) as descriptor:
        before, found = _identity(descriptor), hashlib.sha256()
        while block := os.read(descriptor, _BLOCK):
            found.update(block)
            if not is_wanted():
                raise UnavailableError(f"the image {path} is no longer wanted")
        require_same(path, before, _identity(descriptor))
    return found.hexdigest(), before


def file_identity(path: Path) -> FileIdentity | None:
    """Return the facts by which a regular file is known again; None without one."""
    with contextlib.suppress(UsageError), _reading(path) as descriptor:
        return _identity(descriptor)
    return None


def read_piece(image: FleetImage, number: int) -> bytes:
    """Return one piece of an image, on the node of the program that has opened it.

    Args:
        image: The image.
        number: Its pieces count from 0.

    Raises:
        UsageError: The image has changed, is missing, or has no such piece.
    """
    if not 0 <= number < image.pieces:
        raise UsageError(f"the image {image.path} has {image.pieces} pieces, and no {number}")
    path, begin = Path(image.path), number * PIECE
    wanted = min(PIECE, image.size - begin)
    with _reading(path) as descriptor:
        require_same(path, image.file, _identity(descriptor))
        data = os.pread(descriptor, wanted, begin)
        # Again: these bytes may be newer ones.
        require_same(path, image.file, _identity(descriptor))
    if len(data) < wanted:
        raise UsageError(f"the image {path} was cut short while it was read")
    return data


def require_same(path: Path, before: FileIdentity, now: FileIdentity | None) -> None:
    """Raise an error if an image is not the file that it was.

    Raises:
        UsageError: It has changed; the message names the difference.
    """
    # Without the time at which mode or links changed: the contents are the same then.
    if how := change(structs.replace(before, changed=0), now):
        raise UsageError(
            f"the image {path} {how} after it was opened for a fleet: launch again, and do not"
            " write to an image while machines use it"
        )


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise UsageError(f"the image {path} cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"the image {path} is not a regular file")
        yield descriptor
    except OSError as error:
        if isinstance(error, KjuError):
            raise
        raise UsageError(f"the image {path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _identity(descriptor: int) -> FileIdentity:
    found = os.fstat(descriptor)
    return FileIdentity(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )
