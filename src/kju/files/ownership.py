"""SHELL: the owner of a file, folder or link, and the peer of a Unix socket.

A check of a path followed by a use of the path loses a race against another user who replaces the
file in between. So every check here reads a descriptor, or is repeated on one.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from pathlib import Path
from typing import NamedTuple

from ..errors import FileError
from .failure import failing, is_open_file, release

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
#: As many links as the kernel follows (path_resolution(7)).
_MAX_LINKS = 40
_CREDENTIALS = struct.Struct("3i")


def is_own(status: os.stat_result) -> bool:
    """Return whether a file belongs to this user or to root."""
    return status.st_uid in (os.geteuid(), 0)


def check_folder(status: os.stat_result, path: Path) -> None:
    """Refuse a folder in which another user could change something.

    Raises:
        FileError: It belongs to another user, or others may write in it.
    """
    if not is_own(status):
        raise foreign(path, status)
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        why = f"other users may write in it (mode {mode:04o}); run: chmod go-w {path}"
        raise FileError(f"{path} is not used: {why}", str(path), errno.EPERM)


def check_file(status: os.stat_result, path: Path, *, secret: bool = False) -> None:
    """Refuse a file that is not a regular one of this user's.

    Args:
        status: Of its descriptor.
        path: For the message.
        secret: Refuse a file of this user that others may read. A file of root may be readable
            for a group: root gives a service its key in this way.

    Raises:
        FileError: It is refused; the message has the reason.
    """
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{path} is not used: it is not a regular file", str(path), errno.EINVAL)
    if not is_own(status):
        raise foreign(path, status)
    if secret and status.st_uid == os.geteuid() and status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        why = f"it is a secret that other users may read (mode {mode:04o}); run: chmod 600 {path}"
        raise FileError(f"{path} is not used: {why}", str(path), errno.EPERM)


def foreign(path: Path, status: os.stat_result) -> FileError:
    """Return the error for a file or folder of another user."""
    owner = f"it belongs to user {status.st_uid}, not to user {os.geteuid()}"
    why = f"{owner}; remove or rename it, or run kju as that user"
    return FileError(f"{path} is not used: {why}", str(path), errno.EPERM)


def open_directory(path: Path, name: str | None = None, within: int | None = None) -> int:
    """Open a folder for reading, without following a link in its last part.

    Args:
        path: The folder, for messages.
        name: Its name in the folder *within*; None to open it by its path.
        within: A descriptor.

    Raises:
        FileError: It is missing, a link or a file, or cannot be read.
    """
    try:
        return os.open(path if name is None else name, _DIRECTORY, dir_fd=within)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            with failing(path, "opened"):
                raise
        why = "it is a link or a file, and must be a folder; remove or rename it"
        raise FileError(f"{path} is not used: {why}", str(path), error.errno) from error


def own_target(path: Path) -> Path:
    """Return where a path leads through links of this user or root in its last part.

    A link of another user is not followed: it is returned as it is. The owner and the target are
    read from one descriptor, so they belong to the same link. A link in /proc (an open file of
    this process) is returned too, because it has no target by name.

    Raises:
        FileError: The links form a loop.
    """
    for _ in range(_MAX_LINKS):
        try:
            link = os.open(path, _LINK)
        except OSError:
            return path
        try:
            # Owner and target from one descriptor: the path may name another link by now.
            status = os.fstat(link)
            if not stat.S_ISLNK(status.st_mode) or not is_own(status) or is_open_file(path):
                return path
            path = path.parent / os.readlink("", dir_fd=link)
        finally:
            release(link)
    raise FileError(f"{path} cannot be opened: its links form a loop", str(path), errno.ELOOP)


class Peer(NamedTuple):
    """The process at the other end of a Unix socket (unix(7), SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: socket.socket) -> Peer:
    """Return the process that connected a Unix socket."""
    return Peer(
        *_CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
    )
