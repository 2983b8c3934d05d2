"""SHELL: Unix sockets: listening in a private folder, and the identity of a peer."""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

from . import staging
from .failure import failing
from .folder import Folder

_CREDENTIALS = struct.Struct("3i")


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


def listen(listener: socket.socket, folder: Folder, name: str, backlog: int) -> None:
    """Bind a Unix socket, have it listen, and give it its name then.

    Args:
        listener: The socket. Only this user and root can connect to it.
        folder: The folder of its file.
        name: Its name there, in place of an old socket.
        backlog: Connections that wait to be accepted.

    Raises:
        FileError: It cannot be made.

    Source:
        The mode of a socket's file is that of its descriptor, whatever the umask: unix_bind_bsd in
        net/unix/af_unix.c of Linux.
    """
    hidden = staging.temporary_name()
    path = folder.path / name
    with failing(path, "made"):
        os.fchmod(listener.fileno(), 0o600)
        # The address of a Unix socket holds 107 bytes (unix(7)); a path may be longer.
        listener.bind(f"/proc/self/fd/{folder.fileno()}/{hidden}")
        try:
            listener.listen(backlog)
            staging.rename(folder.fileno(), path, hidden)
        except BaseException:
            staging.discard(folder.fileno(), hidden)
            raise
