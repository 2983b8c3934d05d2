"""The token of `kju mcp` over HTTP: a file that only this user reads."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from ...errors import UsageError
from ...files import Folder

#: Random bytes of a new token.
_BYTES = 32
#: The characters of a token in ``Authorization: Bearer`` (RFC 6750), and its least length.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{32,1024}")
_LONGEST = 4096


def default_file() -> Path:
    """Return the path of this user's file."""
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
