"""SHELL: the file of a Unix socket."""

from __future__ import annotations

import socket
import stat

from ..errors import UsageError
from .folder import Folder


def check_unused(folder: Folder, name: str) -> None:
    """Check that a name is free, or the socket of a server that has ended.

    Raises:
        UsageError: It is another file, or a server listens there.
    """
    status, path = folder.status(name), folder.path / name
    if status is None:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise UsageError(f"{path} is a file and not a socket: choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            return
    raise UsageError(f"another server listens at {path}: choose another path, or end it")
