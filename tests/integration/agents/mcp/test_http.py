"""`kju mcp --listen` as its own process: who is admitted, and clients that share a server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.acting_host import ActingMachine, acting_host
from support.wait import HANG, until, until_async

import kju
from kju import keys
from kju.agents.mcp.http import MAX_BODY, Gate
from kju.protocol import messages
from kju.protocol.values import Button, To

mcp = pytest.importorskip("mcp")
httpx = pytest.importorskip("httpx2")
from mcp.client.streamable_http import streamable_http_client  # noqa: E402  after the skip

pytestmark = pytest.mark.usefixtures("runtime_folder")
A = keys.number("a")
BODY = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[ActingMachine]:
    with acting_host("one") as machine:
        machine.show("", "  [ Install ]")
        yield machine


class Served(NamedTuple):
    """A server's address and token."""

    process: subprocess.Popen[str]
    url: str
    token: str
    socket: str | None

    def http(self, **headers: str) -> Any:
        """Return a client with the token and further headers."""
        transport = httpx.AsyncHTTPTransport(uds=self.socket) if self.socket else None
        all_headers = {"Authorization": f"Bearer {self.token}", **ACCEPT, **headers}
        return httpx.AsyncClient(headers=all_headers, transport=transport, timeout=HANG)

    @contextlib.asynccontextmanager
    async def client(self, path: str = "", *, mode: str = "auto") -> AsyncIterator[Any]:
        """Connect an MCP client."""
        async with self.http() as http:
            transport = streamable_http_client(self.url + path, http_client=http)
            async with mcp.Client(transport, mode=mode) as client:
                yield client


@contextlib.contextmanager
def serving(folder: Path, address: str, *more: str) -> Iterator[Served]:
    file = folder / "token"
    words = ["mcp", "one", "--listen", address, "--token-file", str(file), *more]
    environment = {**os.environ, "PYTHONPATH": str(Path(kju.__file__).resolve().parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "kju.cli", *words], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"serving MCP at (\S+)(?: on the Unix socket (.*))?", line)
        assert found, line or process.communicate()[1]
        yield Served(process, found[1], file.read_text().strip(), found[2])
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=HANG)
    token = file.read_text().strip()
    # The library logs a client's messages that arrive after the end of its session.
    assert process.returncode == 0 and all(
        line.startswith("kju mcp: ") for line in err.splitlines()
    )
    assert token not in out + err + " ".join(words)


@pytest.fixture
def served(host: ActingMachine, tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, "127.0.0.1:0") as made:
        yield made


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_sees_and_drives_over_a_port(
    host: ActingMachine, served: Served, mode: str
) -> None:
    async with served.client(mode=mode) as client:
        assert "click" in {tool.name for tool in (await client.list_tools()).tools}
        shot = await client.call_tool("screenshot", {})
        assert shot.content[1].mime_type == "image/png"
        clicked = await client.call_tool("click", {"x": 3, "y": 4})
        assert not clicked.is_error and host.log[1:] == [Button(0, True), Button(0, False)]
        failed = await client.call_tool("click", {"x": -1, "y": 4})
        assert failed.is_error and "outside of the picture" in failed.content[0].text


async def test_a_client_connects_to_a_unix_socket(host: ActingMachine, tmp_path: Path) -> None:
    path = tmp_path / "mcp.sock"
    with serving(tmp_path, f"unix:{path}") as served:
        assert path.stat().st_mode & 0o777 == 0o600
        async with served.client() as client:
            assert (await client.call_tool("list_machines", {})).content[0].text == "one"
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as http:
            assert (await http.post(served.url, json=BODY)).status_code == 401
    assert not path.exists()


async def test_only_requests_with_the_token_from_this_computer_are_admitted(
    host: ActingMachine, served: Served
) -> None:
    wrong = {"Authorization": f"Bearer {served.token}x"}
    for headers, status, words in (
        (wrong, 401, "Authorization: Bearer TOKEN"),
        ({"Authorization": ""}, 401, "Authorization: Bearer TOKEN"),
        ({"Authorization": f"Basic {served.token}"}, 401, "Authorization: Bearer TOKEN"),
        ({"Host": "evil.example"}, 421, "Host"),
        ({"Host": "127.0.0.1.evil.example:80"}, 421, "Host"),
        ({"Origin": "http://evil.example"}, 403, "Origin"),
        ({"Origin": "null"}, 403, "Origin"),
    ):
        async with served.http(**headers) as http:
            answer = await http.post(served.url, json=BODY)
            assert (answer.status_code, words in answer.text) == (status, True), headers
            assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    async with served.http(Origin="http://localhost:5173") as http:
        assert (await http.post(served.url, json=BODY)).status_code != 403
        other = await http.post(served.url.replace("/mcp", "/other"), json=BODY)
        assert other.status_code == 404 and "/mcp" in other.text
    assert host.log == []


async def test_too_long_a_request_is_refused(host: ActingMachine, served: Served) -> None:
    async with served.http() as http:
        answer = await http.post(served.url, json={**BODY, "params": {"text": "a" * MAX_BODY}})
        assert answer.status_code == 413
    async with served.client() as client:
        assert not (await client.call_tool("screenshot", {})).is_error


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_disconnects_releases_its_key(
    host: ActingMachine, served: Served, mode: str
) -> None:
    async def hold() -> None:
        async with served.client(mode=mode) as client:
            await client.call_tool("key", {"keys": "a", "seconds": 300})

    holding = asyncio.ensure_future(hold())
    await until_async(lambda: host.log == [(A, True)])
    holding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await holding
    await until_async(lambda: host.log == [(A, True), (A, False)], "the key is released")


async def test_a_client_that_dies_in_mid_drag_leaves_nothing_down(
    host: ActingMachine, served: Served
) -> None:
    dragging, go_on = threading.Event(), threading.Event()

    def stall(request: object) -> None:
        if isinstance(request, messages.Point):
            dragging.set()
            assert go_on.wait(HANG)

    host.before = stall
    drag = {"points": [[1, 1], [9, 9]], "keys": ["a"]}
    begin = {"protocolVersion": "2025-06-18", "capabilities": {},
             "clientInfo": {"name": "raw", "version": "1"}}  # fmt: skip
    async with served.http() as http:
        answer = await http.post(served.url, json=request("initialize", begin))
    headers = {"Mcp-Session-Id": answer.headers["mcp-session-id"]}
    async with served.http(**headers, **{"MCP-Protocol-Version": "2025-06-18"}) as http:
        call = request("tools/call", {"name": "act", "arguments": {"steps": [{"drag": drag}]}})
        post = asyncio.ensure_future(http.post(served.url, json=call))
        await until_async(dragging.is_set)
        post.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await post
    go_on.set()
    await until_async(lambda: host.log[-1] == (A, False), "the key is released")
    assert host.log == [
        (A, True), To(1, 1), Button(0, True), To(9, 9), Button(0, False), (A, False),
    ]  # fmt: skip


def request(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def test_each_client_points_at_its_own_picture(host: ActingMachine, served: Served) -> None:
    async with (
        served.client("/first") as first,
        served.client("/second") as second,
        served.client(mode="legacy") as third,
        served.client(mode="legacy") as fourth,
    ):
        for client in (first, third):
            await client.call_tool("screenshot", {"region": [320, 200, 640, 400]})
        for client in (second, fourth):
            await client.call_tool("screenshot", {})
        for client in (first, second, third, fourth):
            await client.call_tool("move", {"x": 5, "y": 6, "picture": False})
    assert host.log == [To(325, 206), To(5, 6), To(325, 206), To(5, 6)]


def test_a_signal_ends_the_calls_first(host: ActingMachine, tmp_path: Path) -> None:
    async def hold(served: Served) -> None:
        async with served.client() as client:
            call = asyncio.ensure_future(client.call_tool("key", {"keys": "a", "seconds": 300}))
            await until_async(lambda: host.log == [(A, True)])
            served.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(Exception):
                await call

    with serving(tmp_path, "127.0.0.1:0") as served:
        with contextlib.suppress(Exception):
            asyncio.run(hold(served))
        until(lambda: served.process.poll() is not None)
    assert host.log == [(A, True), (A, False)]


def test_an_address_in_use_is_an_error(host: ActingMachine, served: Served, tmp_path: Path) -> None:
    port = served.url.split(":")[2].split("/")[0]
    taken = tmp_path / "file"
    taken.write_text("a file")
    old = tmp_path / "old.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(old))
    live = tmp_path / "live.sock"
    with serving(tmp_path, f"unix:{live}"):
        for address, words in (
            (f"127.0.0.1:{port}", "Address already in use; choose another port"),
            ("0.0.0.0:8800", "this computer only"),
            ("example.org:8800", "this computer only"),
            (f"unix:{taken}", "is a file and not a socket"),
            (f"unix:{live}", "another server listens at"),
            ("8800", "is not an address"),
        ):
            assert words in refused(tmp_path, address)
    assert taken.read_text() == "a file"
    with serving(tmp_path, f"unix:{old}"):  # of a server that was killed
        pass


def refused(folder: Path, address: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "kju.cli", "mcp", "--listen", address,
         "--token-file", str(folder / "token")],
        env={**os.environ, "PYTHONPATH": str(Path(kju.__file__).resolve().parents[1])},
        capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    return done.stderr


def test_names_of_other_computers_are_refused() -> None:
    gate = Gate(None, "t" * 32)
    good = {"authorization": f"Bearer {'t' * 32}"}
    for here in ("127.0.0.1:80", "localhost", "LOCALHOST:1", "[::1]:80"):
        assert gate.refusal("/mcp", {**good, "host": here}) is None
    for there in ("", "127.0.0.2", "localhost.evil", "[::1", "a@evil", "localhost@evil:1"):
        assert gate.refusal("/mcp", {**good, "host": there}) is not None
    for path in ("/", "/mcpx", "/mcp/a/b", "/mcp/..%2f", "/mcp/" + "a" * 65):
        refusal = gate.refusal(path, {**good, "host": "localhost"})
        assert refusal is not None and refusal[0] == 404
    broken = {"host": "localhost", "authorization": "Bearer \u00e9"}
    assert gate.refusal("/mcp", broken) is not None
