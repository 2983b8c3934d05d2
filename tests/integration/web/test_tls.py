"""The certificate of the web server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest
from support.wait import until_async
from support.web_page import Page, new_key, web_server

from kju.errors import UsageError
from kju.remote.trust import Trust
from kju.web import messages as web
from kju.web import server as server_module
from kju.web.connections import MAX_UNAUTHENTICATED
from kju.web.server import WebOptions
from kju.web.tls import ServerCertificate

pytestmark = pytest.mark.usefixtures("runtime_folder")


def make(folder: Path, *names: str) -> ServerCertificate:
    file = Trust(folder).make_web(names or ["localhost", "127.0.0.1", "lab.example"])
    return ServerCertificate(file, file.with_suffix(".key"))


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "web.pem"))


async def test_a_browser_that_trusts_the_certificate_connects(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert made.names == {"localhost", "127.0.0.1", "lab.example"}
    options = WebOptions(certificate=made)
    async with (
        web_server(options=options) as server,
        Page(server.url, ssl=trusting(tmp_path)) as page,
    ):
        assert server.url == f"https://127.0.0.1:{server.port}/"
        status, _, _ = await page.get("/api/session")
        assert status == 401
        async with page.http.post(
            f"{server.url}api/login", json={"key": new_key(server)}, headers=page.headers(),
            ssl=trusting(tmp_path),
        ) as answer:  # fmt: skip
            cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith(f"__Host-kju-{server.port}=")
        assert "Secure" in cookie
        await page.connect()
        await page.wait_for(web.MachineList)


async def test_a_renewed_certificate_is_used_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "TICK", 0.01)
    made = make(tmp_path)
    async with web_server(options=WebOptions(certificate=made)) as server:
        make(tmp_path, "127.0.0.1", "new.example")
        await until_async(lambda: "new.example" in made.names)
        async with Page(server.url, ssl=trusting(tmp_path)) as page:
            assert (await page.get("/api/session"))[0] == 401
            assert (await page.get("/", Host=f"new.example:{server.port}"))[0] != 403
            assert (await page.get("/", Host=f"lab.example:{server.port}"))[0] == 403


def test_an_invalid_new_certificate_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    made = make(tmp_path)
    (tmp_path / "web.pem").write_text("half")
    assert not made.update()
    assert "lab.example" in made.names
    make(tmp_path, "new.example")
    assert made.update()
    assert made.names == {"new.example"}
    assert not made.update()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.pem is missing"):
        ServerCertificate(tmp_path / "none.pem", tmp_path / "none.key")


def test_a_certificate_with_another_key_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    with pytest.raises(UsageError, match="belong together"):
        ServerCertificate(tmp_path / "a" / "web.pem", tmp_path / "b" / "web.key")


def test_a_key_with_a_passphrase_is_refused_without_a_question(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    make(tmp_path)
    key = form.load_pem_private_key((tmp_path / "web.key").read_bytes(), None)
    locked = form.BestAvailableEncryption(b"secret")
    data = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked)
    (tmp_path / "web.key").write_bytes(data)
    with pytest.raises(UsageError, match="passphrase"):
        ServerCertificate(tmp_path / "web.pem", tmp_path / "web.key")


async def test_connections_are_limited_before_their_handshake(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    options = WebOptions(certificate=make(tmp_path))
    async with web_server(options=options) as server:
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(socket.socket()) for _ in range(200)]
            for each in silent:
                each.setblocking(False)
                await loop.sock_connect(each, ("127.0.0.1", server.port))
            async with Page(server.url, ssl=trusting(tmp_path)) as page:
                assert (await page.get("/api/session"))[0] == 401
                assert server._sessions.connections is not None
                assert 0 < server._sessions.connections.count[0] <= MAX_UNAUTHENTICATED
        await until_async(lambda: server._sessions.connections.count == (0, 0))  # type: ignore[union-attr]


async def test_a_silent_handshake_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kju.web.connections.AUTHENTICATION_TIME", 0.2)
    async with web_server(options=WebOptions(certificate=make(tmp_path))) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_a_request_with_the_last_message_of_the_handshake_is_answered(tmp_path: Path) -> None:
    async with web_server(options=WebOptions(certificate=make(tmp_path))) as server:
        context, into, out = trusting(tmp_path), ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(into, out, server_hostname="localhost")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        writer.write(out.read())
        while True:
            into.write(await reader.read(1 << 16))
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
        client.write(f"GET /api/session HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
        writer.write(out.read())  # both in one segment
        answer = b""
        while b"\r\n\r\n" not in answer:
            into.write(await reader.read(1 << 16))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += client.read(1 << 16)
        assert answer.startswith(b"HTTP/1.1 401")
        writer.close()
