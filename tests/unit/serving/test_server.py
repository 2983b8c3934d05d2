"""A server without authentication must not be reachable from other computers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.errors import UsageError
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.proof import Authenticator
from kju.remote.trust import Trust
from kju.serving.server import Server

pytest.importorskip("cryptography")


def test_a_server_reachable_from_other_computers_requires_authentication(tmp_path: Path) -> None:
    lab = Trust(tmp_path)
    lab.make_authority("the lab")
    lab.make_host("host1", [])
    far = SessionOptions(listen=[endpoint("tls/host1.example:7447")], tls=lab.tls())
    with pytest.raises(UsageError, match=r"every client that reaches tls/host1\.example:7447"):
        Server([], options=far)
    router = SessionOptions(connect=[endpoint("tls/router.example:7447")], tls=lab.tls())
    with pytest.raises(UsageError, match=r"every client that reaches tls/router\.example:7447"):
        Server([], options=router)
    Server([], options=far, insecure=True)
    Server([], options=far, admit=lambda name: Authenticator(lab, name))
    Server([], options=SessionOptions(listen=[endpoint("tls/127.0.0.1:7447")], tls=lab.tls()))
    Server([])
