"""Connections to the HTTP server of `kju mcp` that send nothing, or not enough."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.wait import HANG

pytest.importorskip("uvicorn")

from kju.agents.mcp.http import make_http_server

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#: Seconds; the tests wait for the ends of connections, not for this.
TIMEOUT = 0.2


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer requests; those for /slow take five times the time-out."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(5 * TIMEOUT)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Run a server, and connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = make_http_server(app, request_timeout=TIMEOUT)
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        try:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            async with asyncio.timeout(HANG):
                yield reader, writer
            writer.close()
        finally:
            server.should_exit = True
            await serving


@pytest.mark.parametrize("sent", [b"", b"G", REQUEST[:-2], b"POST / HTTP/1.1\r\n"])
async def test_a_connection_without_a_whole_request_is_closed(sent: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(sent)
        assert await reader.read() == b""


async def test_a_part_of_a_second_request_is_not_waited_for_either() -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(b"G")
        assert await reader.read() == b""


async def test_a_request_may_take_longer() -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST.replace(b"/ ", b"/slow ", 1))
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
