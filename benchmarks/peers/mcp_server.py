"""An MCP server on another way to see a guest: python -m benchmarks.peers.mcp_server WAY PLACE.

It is the server that a user of that way would write, with kju's encoder of pictures; only QEMU's
screendump has one of its own.

| tool | does |
|---|---|
| ``key`` | presses the key, takes pictures until one differs, returns that |
| ``key_now`` | presses the key, takes one picture, returns it |
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from mcp import types
from mcp.server import Server
from mcp.server.stdio import stdio_server

from kju import encoding

from . import KEY_NAME, WAYS, Place, open_viewer

#: Seconds after which a key has changed nothing.
TIMEOUT = 20


class Peer:
    """A viewer that presses keys and takes pictures."""

    def __init__(self, way: str, place: Place) -> None:
        self._viewer = cast("Any", open_viewer(way, place))
        # A way without keys uses QMP's.
        self._press = self._viewer.key if WAYS[way].keys == "own" else self._by_qmp
        self._last = self._grab()

    def _by_qmp(self, down: bool) -> None:
        self._viewer._monitor.key(KEY_NAME, down)

    def _grab(self) -> Any:
        return np.array(self._viewer.grab()[..., :3])

    def _png(self, picture: Any) -> bytes:
        return encoding.png(picture[..., ::-1])

    def key(self, *, waits: bool) -> bytes:
        """Press the key; return a picture."""
        self._press(True)
        self._press(False)
        end = time.monotonic() + TIMEOUT
        picture = self._grab()
        while waits and np.array_equal(picture, self._last) and time.monotonic() < end:
            picture = self._grab()
        self._last = picture
        return self._png(picture)


class QemuPng(Peer):
    """QEMU encodes the pictures: its users pass on the file. Equal pictures are equal files."""

    def _grab(self) -> Any:
        return np.frombuffer(self._viewer.take(), np.uint8)

    def _png(self, picture: Any) -> bytes:
        return bytes(picture)


async def serve(way: str, place: Place) -> None:
    # One thread: some of the libraries run an event loop of their own.
    pool = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    peer = await loop.run_in_executor(
        pool, QemuPng if way == "screendump-png" else Peer, way, place
    )

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        schema = {"type": "object", "properties": {}}
        names = ("key", "key_now")
        return types.ListToolsResult(
            tools=[types.Tool(name=name, description=name, input_schema=schema) for name in names]
        )

    def answer(waits: bool) -> str:
        return base64.b64encode(peer.key(waits=waits)).decode()

    async def call_tool(context: Any, params: Any) -> types.CallToolResult:
        data = await loop.run_in_executor(pool, answer, params.name == "key")
        picture = types.ImageContent(type="image", data=data, mime_type="image/png")
        return types.CallToolResult(content=[picture])

    server: Any = Server("peer", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], json.loads(sys.argv[2])))
