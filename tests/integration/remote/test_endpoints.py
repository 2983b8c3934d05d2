"""Silent connections do not block others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
from support.link_scene import engine, free_port

from kju.errors import KjuError

pytest.importorskip("zenoh")


async def test_idle_connections_do_not_keep_others_out() -> None:
    """More silent connections than zenoh keeps pending by default, for 10 s."""
    port = free_port()
    async with engine(listen=[f"tcp/127.0.0.1:{port}"]):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
        began = time.monotonic()
        try:
            # One attempt lasts 3 s, in which a busy computer may not accept all 500.
            while True:
                try:
                    async with engine(connect=[f"tcp/127.0.0.1:{port}"]):
                        break
                except KjuError:
                    assert time.monotonic() - began < 8
        finally:
            for _, writer in idle:
                writer.close()


async def test_a_router_raises_its_limit_of_open_files_for_idle_connections() -> None:
    """More silent connections than the soft limit allows, for 2 s."""
    place = f"tcp/127.0.0.1:{(port := free_port())}"
    kju = [sys.executable, "-m", "kju.cli", "router", "--listen", place]
    router = await asyncio.create_subprocess_exec(
        "sh", "-c", 'ulimit -S -n 128; exec "$@"', "sh", *kju, stdout=subprocess.PIPE
    )
    assert router.stdout is not None
    try:
        assert b"routing at" in await router.stdout.readline()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        began = time.monotonic()
        async with engine(connect=[place]):
            took = time.monotonic() - began
        for _, writer in idle:
            writer.close()
        assert took < 1.5
    finally:
        router.terminate()
        await router.wait()
