"""Connect to a running machine's socket."""

from __future__ import annotations

import socket
from pathlib import Path

from kju.store.paths import Paths
from kju.store.running import connect, reachable


def test_socket_in_a_deep_folder_is_reached(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / "name"
    deep.mkdir(parents=True)
    server = socket.socket(socket.AF_UNIX)
    with server, reachable(deep / "control.sock") as address:
        server.bind(address)
        server.listen()
        assert (deep / "control.sock").is_socket()
        connect(Paths(deep), "name").close()
