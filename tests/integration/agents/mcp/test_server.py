"""The MCP protocol around the tools, with the client of the package `mcp`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.acting_host import ActingMachine, acting_host
from support.wait import HANG, until, until_async

import kju
from kju import keys
from kju.agents.mcp.server import make_server
from kju.agents.mcp.session import ToolSession
from kju.cli.mcp import mcp as command
from kju.errors import UsageError

mcp = pytest.importorskip("mcp")
pytestmark = pytest.mark.usefixtures("runtime_folder")


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[ActingMachine]:
    with acting_host("one") as machine:
        machine.show("", "  [ Install ]")
        yield machine


async def test_tools_have_schemas_and_hints(host: ActingMachine) -> None:
    async with mcp.Client(make_server(ToolSession())) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert tools["read_text"].annotations.read_only_hint is True
    assert tools["click"].annotations.read_only_hint is False
    assert tools["click"].input_schema["required"] == ["x", "y"]
    assert tools["click"].input_schema["additionalProperties"] is False


@pytest.mark.parametrize("kind", ["png", "jpeg"])
async def test_a_result_has_a_picture_and_values(host: ActingMachine, kind: str) -> None:
    session = ToolSession()
    async with mcp.Client(make_server(session)) as client:
        shot = await client.call_tool("screenshot", {"format": kind})
        assert not shot.is_error
        text, image = shot.content
        assert text.text.startswith("640x400, version") and image.mime_type == f"image/{kind}"
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.data))))
        assert pixels.shape == (400, 640, 3)
        assert shot.structured_content["size"] == [640, 400]
        failed = await client.call_tool("click", {"x": 9999, "y": 1})
        assert failed.is_error and "the picture is 640x400" in failed.content[0].text
    await session.close()


async def test_a_cancelled_call_releases_its_key(host: ActingMachine) -> None:
    session = ToolSession()
    async with mcp.Client(make_server(session)) as client:
        held = asyncio.ensure_future(client.call_tool("key", {"keys": "a", "seconds": 60}))
        await until_async(lambda: len(host.log) == 1)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        await until_async(lambda: len(host.log) == 2, "the key is released")
    await session.close()
    key = keys.number("a")
    assert host.log == [(key, True), (key, False)]


async def test_a_client_that_disconnects_leaves_no_button_down(host: ActingMachine) -> None:
    session = ToolSession()
    async with mcp.Client(make_server(session)) as client:
        await client.call_tool("move", {"x": 1, "y": 1, "picture": False})
        held = asyncio.ensure_future(client.call_tool("key", {"keys": "a", "seconds": 60}))
        await until_async(lambda: len(host.log) == 2)
    await session.close()
    with contextlib.suppress(mcp.MCPError, asyncio.CancelledError):
        await held
    assert host.log[-1] == (keys.number("a"), False)


async def test_the_command_serves_standard_input_and_output(host: ActingMachine) -> None:
    async with mcp.Client(stdio("--role", "view")) as client:
        assert "click" not in {tool.name for tool in (await client.list_tools()).tools}
        read = await client.call_tool("read_text", {})
        assert "[ Install ]" in read.content[0].text


@pytest.mark.parametrize("wrong", [{"serial": True}, {"launch": Path(__file__).parent}], ids=str)
def test_options_that_need_control_are_refused_for_a_viewer(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="leave out"):
        command(role="view", **wrong)


def stdio(*words: str) -> Any:
    return mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "kju.cli", "mcp", "one", *words],
        env={**os.environ, "PYTHONPATH": str(Path(kju.__file__).resolve().parents[1])},
    )


async def test_ten_megabytes_of_text_are_an_error(host: ActingMachine) -> None:
    async with mcp.Client(stdio()) as client:
        result = await client.call_tool("type", {"text": "a" * 10_000_000})
        assert result.is_error and "send at most 10000" in result.content[0].text
        assert not (await client.call_tool("type", {"text": "a", "picture": False})).is_error
    assert host.log == [(keys.number("a"), True), (keys.number("a"), False)]


def test_a_client_that_closes_the_pipe_in_mid_call_leaves_no_key_down(host: ActingMachine) -> None:
    server = stdio()
    begin = {"protocolVersion": "2025-06-18", "capabilities": {},
             "clientInfo": {"name": "raw", "version": "1"}}  # fmt: skip
    hold = {"name": "key", "arguments": {"keys": "a", "seconds": 300}}
    with subprocess.Popen(
        [server.command, *server.args], env=server.env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        for number, method, params in (
            (1, "initialize", begin),
            (None, "notifications/initialized", {}),
            (2, "tools/call", hold),
        ):
            message = {"jsonrpc": "2.0", "method": method, "params": params}
            line = json.dumps(message if number is None else {**message, "id": number})
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
        until(lambda: host.log != [], "the key is down")
        process.stdin.close()
        assert process.wait(HANG) == 0
    until(lambda: len(host.log) == 2, "the host has read the release")
    assert host.log == [(keys.number("a"), True), (keys.number("a"), False)]
