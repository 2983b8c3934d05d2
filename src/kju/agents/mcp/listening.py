"""The sockets of the MCP server: a loopback port, or a Unix socket in a folder of this user."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import NamedTuple

from ...errors import FileError, UsageError
from ...files import Folder, check_unused
from ...remote.addresses import UNIX, Endpoint, endpoint

_BACKLOG = 64


def parse_address(text: str) -> Endpoint:
    """Parse ``HOST:PORT`` or ``unix:PATH``.

    Raises:
        UsageError: It is neither, or other computers could connect.
    """
    if text.startswith(UNIX):
        path = Path(text.removeprefix(UNIX)).expanduser().absolute()
        return Endpoint("unix", str(path), 0)
    found = endpoint(text, "tcp")
    if found.protocol != "tcp" or not found.is_local:
        raise UsageError(
            f"kju mcp listens on this computer only, not at {text}: use 127.0.0.1:PORT or"
            " unix:PATH; for another computer, forward the port with ssh -L"
        )
    return found


class Listener(NamedTuple):
    """A socket that listens.

    Attributes:
        socket: The socket.
        url: The address for clients.
        folder: The folder of a Unix socket's file; None for a port.
        name: The name of that file.
    """

    socket: socket.socket
    url: str
    folder: Folder | None = None
    name: str = ""

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.socket.close()
        if self.folder is not None:
            with contextlib.suppress(FileError):
                self.folder.remove(self.name)
            self.folder.close()


def listen(where: Endpoint) -> Listener:
    """Return a socket that listens.

    Raises:
        UsageError: The address is in use, or belongs to another computer.
        FileError: The file of a Unix socket cannot be made.
    """
    if where.protocol == "unix":
        return _listen_unix(Path(where.host))
    host = where.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.create_server((host, where.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise UsageError(
            f"cannot listen at {where.host}:{where.port}: {why}; choose another port"
        ) from error
    return Listener(sock, f"http://{where.host}:{sock.getsockname()[1]}/mcp")


def _listen_unix(path: Path) -> Listener:
    folder = Folder.open(path.parent)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        check_unused(folder, path.name)
        folder.listen(sock, path.name, _BACKLOG)
    except BaseException:
        sock.close()
        folder.close()
        raise
    return Listener(sock, f"http://localhost/mcp on the Unix socket {path}", folder, path.name)
