"""What a session's options do to others that connect."""

from __future__ import annotations

import asyncio
import time

import pytest
from link_scene import engine, free_port, run

from kju.remote.options import Options, Tls, endpoint

pytest.importorskip("zenoh")


def test_idle_connections_do_not_keep_others_out() -> None:
    """More connections that say nothing than zenoh keeps pending by default, for 10 s."""

    async def scene() -> None:
        port = free_port()
        async with engine(listen=[f"tcp/127.0.0.1:{port}"]):
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
            began = time.monotonic()
            async with engine(connect=[f"tcp/127.0.0.1:{port}"]):
                took = time.monotonic() - began
            for _, writer in idle:
                writer.close()
            assert took < 5

    run(scene)


def test_links_are_closed_when_their_certificates_expire() -> None:
    found = Options(listen=[endpoint("tls/127.0.0.1:7447")], tls=Tls("a", "b", "c")).zenoh()
    assert found["transport/link/tls"]["close_link_on_expiration"] is True
