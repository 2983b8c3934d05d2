"""The HTTP server of `kju web`: who is let in, and what everybody else gets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest
from support.background_server import serving
from support.web_page import Page, has_secret, new_key, page_of

from kju.errors import KjuError, UsageError
from kju.web import attempts, page_socket
from kju.web import messages as web
from kju.web.access import Access
from kju.web.assets import Assets
from kju.web.listening import WebOptions
from kju.web.server import WebServer

pytestmark = pytest.mark.usefixtures("runtime_folder")


def error_of(body: bytes) -> str:
    return str(msgspec.json.decode(body)["error"])


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


# ---- links and cookies ----


async def test_a_link_is_exchanged_once_for_a_cookie(server: WebServer, page: Page) -> None:
    key = new_key(server, "control", "debian")
    assert (await page.get("/api/session"))[0] == 401
    assert await page.login(key) == 204
    status, body, _ = await page.get("/api/session")
    found = msgspec.json.decode(body)
    assert (status, found["role"], found["machines"]) == (200, "control", ["debian"])
    async with Page(server.url) as other:
        status, answer = await other.post("/api/login", {"key": key})
        assert status == 401
        assert "was used" in answer["error"]
        assert (await other.get("/api/session"))[0] == 401


async def test_the_cookie_is_hidden_from_scripts_and_other_sites(
    server: WebServer, page: Page
) -> None:
    url = f"{server.url}api/login"
    async with page.http.post(url, json={"key": new_key(server)}, headers=page.headers()) as answer:
        text = answer.headers["Set-Cookie"]
    for word in (f"kju-{server.port}=", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
        assert word in text
    assert "Domain" not in text


async def test_an_expired_link_is_refused(page: Page, server: WebServer) -> None:
    _, key = Access(clock=lambda: time.time() - 7200).make_link("view", machines=[], lifetime=60)
    assert await page.login(key) == 401


async def test_logging_out_ends_the_session(server: WebServer) -> None:
    async with page_of(server) as page:
        assert (await page.post("/api/logout"))[0] == 204
        assert (await page.get("/api/session"))[0] == 401
        assert await page.wait_closed() == page_socket.ENDED


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"key": 1}', b'{"key": "' + b"x" * 3000 + b'"', b"\xff" * 100]
)
async def test_an_invalid_login_is_refused(page: Page, server: WebServer, body: bytes) -> None:
    headers = page.headers(Content_Type="application/json")
    async with page.http.post(f"{server.url}api/login", data=body, headers=headers) as answer:
        assert answer.status == 400


async def test_a_form_of_another_site_cannot_log_in(page: Page, server: WebServer) -> None:
    """A form sends no JSON, whatever its origin is."""
    body = msgspec.json.encode({"key": new_key(server)})
    headers = page.headers(Content_Type="text/plain")
    async with page.http.post(f"{server.url}api/login", data=body, headers=headers) as answer:
        assert answer.status == 400


async def test_a_long_body_is_refused(page: Page, server: WebServer) -> None:
    assert (await page.post("/api/login", {"key": "x" * 100_000}))[0] == 413


async def test_wrong_keys_are_answered_less_after_some_and_right_ones_always(
    page: Page, server: WebServer
) -> None:
    answers = [await page.login(f"{n:043}") for n in range(attempts.MAX_WRONG + 2)]
    assert answers == [401] * attempts.MAX_WRONG + [429] * 2
    assert await page.login(new_key(server)) == 204


# ---- hosts and origins ----


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:80"])
@pytest.mark.parametrize("path", ["/", "/api/session", "/socket"])
async def test_another_host_is_refused(page: Page, host: str, path: str) -> None:
    status, body, _ = await page.get(path, Host=host)
    assert status == 403
    assert "--host NAME" in error_of(body)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "https://127.0.0.1"])
async def test_a_post_of_another_origin_is_refused(
    server: WebServer, page: Page, origin: str | None
) -> None:
    key = new_key(server)
    assert (await page.post("/api/login", {"key": key}, Origin=origin))[0] == 403
    assert await page.login(key) == 204  # it was not used up


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None])
async def test_a_socket_of_another_origin_is_refused(
    server: WebServer, page: Page, origin: str | None
) -> None:
    await page.login(new_key(server))
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await page.connect(Origin=origin)
    assert raised.value.status == 403


@pytest.mark.parametrize("protocol", ["kju.0", "kju.2", "chat"])
async def test_another_subprotocol_is_refused(server: WebServer, page: Page, protocol: str) -> None:
    await page.login(new_key(server))
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await page.connect(protocol=protocol)
    assert raised.value.status == 400


@pytest.mark.parametrize("path", ["/", "/api/session", "/nothing", "/m/debian"])
async def test_every_answer_has_the_headers_that_confine_a_page(page: Page, path: str) -> None:
    _, _, headers = await page.get(path)
    policy = headers["Content-Security-Policy"]
    for word in (
        "default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "frame-ancestors 'none'",
        "require-trusted-types-for 'script'", "base-uri 'none'", "form-action 'none'",
    ):  # fmt: skip
        assert word in policy
    assert "unsafe-inline" not in policy
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "kju"
    assert not [name for name in headers if name.startswith("Access-Control")]


async def test_loopback_is_the_only_address_without_tls() -> None:
    with pytest.raises(UsageError, match=r"needs TLS: .*kju cert web"):
        WebServer([], WebOptions("0.0.0.0"))
    with pytest.raises(UsageError, match="needs TLS"):
        WebServer([], WebOptions("lab.example"))


async def test_an_address_in_use_is_an_error_with_the_option(server: WebServer) -> None:
    other = WebServer([], WebOptions(port=server.port))
    with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{server.port}: .*--listen"):
        await other.run()


# ---- files ----


async def test_files_are_served_compressed_and_not_twice(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html>" + "x" * 1000)
    made = WebServer([], WebOptions(), access=Access(), assets=Assets(folder))
    async with serving(made), Page(made.url) as page:
        status, body, headers = await page.get("/")
        assert (status, len(body)) == (200, 1015)
        assert headers["Content-Encoding"] == "gzip"
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert (await page.get("/m/debian"))[1] == body
        assert (await page.get("/", If_None_Match=headers["ETag"]))[0] == 304


async def test_a_browser_keeps_files_with_their_version_and_asks_again_for_the_first(
    page: Page, server: WebServer
) -> None:
    script = server.site.assets.find("app.js")
    assert script is not None
    kept = "max-age=31536000, immutable"
    expected = {
        "/": "no-cache", "/app.js": "no-cache", "/app.js?v=0": "no-cache",
        f"/app.js?v={script.version}": kept,
    }  # fmt: skip
    for path, caching in expected.items():
        status, _, headers = await page.get(path)
        assert (status, headers["Cache-Control"]) == (200, caching)


async def test_a_checkout_without_the_page_tells_how_to_build_it(tmp_path: Path) -> None:
    made = WebServer([], WebOptions(), assets=Assets(tmp_path / "none"))
    async with serving(made), Page(made.url) as page:
        status, body, _ = await page.get("/")
        assert status == 404
        assert "npm run build" in error_of(body)


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "//etc/passwd"]
)
async def test_no_file_outside_is_served(server: WebServer, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == b"404"
    await closed(writer)


# ---- secrets ----


async def test_no_secret_is_logged_or_stored(
    server: WebServer, state_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = new_key(server)
    async with Page(server.url) as page:
        await page.login("y" * 43)
        await page.login(key)
        await page.connect()
        await page.wait_for(web.MachineList)
        (cookie,) = page.http.cookie_jar
        # An invalid request with a cookie in it: aiohttp would quote it.
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nCookie : " + cookie.value.encode() + b"\r\n\r\n")
        await reader.read(1000)
        await closed(writer)
    server_log = [each.getMessage() for each in caplog.records if each.name.startswith("kju")]
    for secret in (key, cookie.value, "y" * 43):
        assert not [line for line in server_log if secret in line]
        assert not has_secret(secret, state_folder)


async def test_a_missing_machine_is_named_at_the_start() -> None:
    with pytest.raises(KjuError, match="'debian'"):
        await WebServer(["debian"], WebOptions()).run()
