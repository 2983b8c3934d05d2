"""Idle connections do not block other viewers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.link_scene import engine, free_port
from support.wait import HANG

from kju.errors import KjuError
from kju.files import failure
from kju.remote import addresses

pytest.importorskip("zenoh")


@contextlib.asynccontextmanager
async def idle_connections(port: int, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Open connections that send nothing; yield what they receive."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Allow this process as many open files as the system does; a user's limit is often 1,024."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    failure.raise_descriptor_limit()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_descriptors")
async def test_idle_connections_do_not_block_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open more idle connections than zenoh keeps pending by default; none times out."""
    monkeypatch.setattr(addresses, "ACCEPT_TIMEOUT", 3_600_000)
    port = free_port()
    async with engine(listen=[f"tcp/127.0.0.1:{port}"]), idle_connections(port, 500):
        # One attempt lasts 3 s, in which a busy computer may not accept all 500.
        async with asyncio.timeout(HANG):
            while True:
                with contextlib.suppress(KjuError):
                    async with engine(connect=[f"tcp/127.0.0.1:{port}"]):
                        break


async def test_idle_connections_are_closed() -> None:
    port = free_port()
    async with (
        engine(listen=[f"tcp/127.0.0.1:{port}"]),
        idle_connections(port, 10) as readers,
        asyncio.timeout(HANG),
    ):
        for reader in readers:
            await reader.read()
            assert reader.at_eof()


async def test_router_raises_its_limit_of_open_files_for_idle_connections() -> None:
    """Connect beside more idle connections than the soft limit allows."""
    place = f"tcp/127.0.0.1:{(port := free_port())}"
    kju = [sys.executable, "-m", "kju.cli", "router", "--listen", place]
    router = await asyncio.create_subprocess_exec(
        "sh", "-c", 'ulimit -S -n 128; exec "$@"', "sh", *kju, stdout=subprocess.PIPE
    )
    assert router.stdout is not None
    limits = Path(f"/proc/{router.pid}/limits")
    try:
        assert b"routing at" in await router.stdout.readline()
        assert int(re.findall(r"Max open files +(\d+)", limits.read_text())[0]) > 128
        async with idle_connections(port, 200), engine(connect=[place]):
            pass
    finally:
        router.terminate()
        await router.wait()
