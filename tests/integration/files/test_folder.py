"""Listen on a Unix socket in a private folder."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from kju.errors import WaitTimeoutError
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


def test_lock_is_awaited_for_the_given_time_only(tmp_path: Path) -> None:
    with Folder.open(tmp_path) as folder:
        with folder.lock("lock"):
            with pytest.raises(WaitTimeoutError, match="lock"), folder.lock("lock", timeout=0.05):
                pass
            with folder.lock("another", timeout=0):
                pass
        with folder.lock("lock", timeout=0):
            pass
