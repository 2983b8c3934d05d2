"""The socket of the MCP server, and the token of its clients.

The socket is a loopback port, or a Unix socket in a folder of this user. The token is in a file
that only this user reads.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from pathlib import Path
from typing import NamedTuple

from ...errors import FileError, UsageError
from ...files import Folder, check_unused
from ...remote.addresses import UNIX, Endpoint, endpoint

_BACKLOG = 64
#: Random bytes of a new token.
_BYTES = 32
#: The characters of a token in ``Authorization: Bearer`` (RFC 6750), and its least length.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{32,1024}")
_LONGEST = 4096


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


def token_file() -> Path:
    """Return the path of this user's token."""
    import platformdirs

    return platformdirs.user_config_path("kju") / "mcp-token"


def read_token(path: Path) -> str:
    """Return the token in a file; make the file, with a new one, if it is missing.

    Raises:
        FileError: The file cannot be read or made, or other users may read it.
        UsageError: The file holds no token.
    """
    path = path.expanduser().absolute()
    with Folder.open(path.parent, create=True) as folder:
        if not folder.has(path.name):
            _make(folder, path.name)
        data = folder.read(path.name, limit=_LONGEST, secret=True)
    token = data.decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            f"{path} holds no token of 32 or more letters and digits: remove it, and the next"
            " start makes a new one"
        )
    return token


def _make(folder: Folder, name: str) -> None:
    """Make the file, unless another process has."""
    with folder.lock():
        if not folder.has(name):
            folder.write(name, f"{secrets.token_urlsafe(_BYTES)}\n".encode())
