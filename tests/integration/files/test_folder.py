"""Listen on a Unix socket in a private folder."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from kju.files import Folder


def test_socket_is_private_with_every_umask(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir(mode=0o700)
    before = os.umask(0)
    try:
        with socket.socket(socket.AF_UNIX) as listener, Folder.open(long) as folder:
            folder.listen(listener, "control.sock", 1)
            status = (long / "control.sock").stat()
    finally:
        os.umask(before)
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    assert [path.name for path in long.iterdir()] == ["control.sock"]
