"""The web server behind a reverse proxy: nginx, with the example of the documentation."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from support import guests
from support.documentation import ROOT
from support.wait import until
from support.web_page import Page, new_key, web_server

from kju.errors import UsageError
from kju.remote.trust import Trust
from kju.web import messages as web
from kju.web import page_socket
from kju.web.access import Access
from kju.web.connections import CONNECTIONS
from kju.web.listening import WebOptions
from kju.web.messages import WebRole
from kju.web.proxy import make_proxy
from kju.web.server import WebServer

pytestmark = pytest.mark.usefixtures("runtime_folder")
HEADER = "X-Remote-User"
PAGE = ROOT / "docs/how-to/in-a-browser.md"


def direct(server: WebServer) -> str:
    """Return the address at which the proxy reaches a server on a port."""
    return f"http://127.0.0.1:{server.port}/"


def proxied(peer: str) -> WebOptions:
    return WebOptions(proxy=make_proxy("https://kju.example/", [peer], HEADER))


async def ask(server: WebServer, **headers: str) -> tuple[int, dict[str, object]]:
    """Ask who the holder is; the test is the proxy."""
    async with Page(direct(server)) as page:
        status, body, _ = await page.get("/api/session", **headers)
        return status, msgspec.json.decode(body)


async def test_the_proxys_header_names_the_user() -> None:
    Access().set_user("ann", "control", machines=["debian"])
    async with web_server(options=proxied("127.0.0.1")) as server:
        assert server.url == "https://kju.example/"
        status, found = await ask(server, Host="kju.example", X_Remote_User="ann")
        assert (status, found["role"], found["machines"]) == (200, "control", ["debian"])
        status, found = await ask(server, Host="kju.example", X_Remote_User="bob")
        assert status == 401
        assert found["error"] == "bob may not use this server: kju web user bob --role view"
        status, found = await ask(server, Host="kju.example")
        assert (status, found["user"]) == (401, "")


@pytest.mark.parametrize("role", ["view", "control"])
async def test_users_that_only_the_proxy_knows_have_the_role_of_the_option(role: WebRole) -> None:
    """The option is `--proxy-role`; those in the file keep their own role."""
    Access().set_user("ann", "manage")
    proxy = make_proxy("https://kju.example/", ["127.0.0.1"], HEADER, role)
    async with web_server(options=WebOptions(proxy=proxy)) as server:
        for user, expected in (("ann", "manage"), ("bob", role)):
            status, found = await ask(server, Host="kju.example", X_Remote_User=user)
            assert (status, found["role"]) == (200, expected)
        assert (await ask(server, Host="kju.example"))[0] == 401  # without a name


async def test_the_header_of_another_computer_is_ignored() -> None:
    Access().set_user("ann", "manage")
    async with web_server(options=proxied("192.0.2.1")) as server:
        host = f"127.0.0.1:{server.port}"
        status, found = await ask(server, Host=host, X_Remote_User="ann")
        assert (status, found["user"]) == (401, "")
        # Nor does the public name open the server's own address.
        assert (await ask(server, Host="kju.example", X_Remote_User="ann"))[0] == 403


async def test_the_proxy_must_pass_on_the_host_and_the_origin() -> None:
    Access().set_user("ann", "manage")
    async with web_server(options=proxied("127.0.0.1")) as server, Page(direct(server)) as page:
        status, found = await ask(server, Host=f"127.0.0.1:{server.port}", X_Remote_User="ann")
        assert status == 403
        assert "Host: kju.example" in str(found["error"])
        key = new_key(server)
        for origin in ("https://evil.example", "http://kju.example", direct(server), "null", None):
            status, _ = await page.post(
                "/api/login", {"key": key}, Host="kju.example", Origin=origin
            )
            assert status == 403
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await page.connect(Host="kju.example", Origin=origin, X_Remote_User="ann")


async def test_a_link_behind_a_proxy_sets_a_secure_cookie() -> None:
    async with web_server(options=proxied("127.0.0.1")) as server, Page(direct(server)) as page:
        headers = page.headers(Host="kju.example", Origin="https://kju.example")
        where = f"{direct(server)}api/login"
        async with page.http.post(where, json={"key": new_key(server)}, headers=headers) as answer:
            text = answer.headers["Set-Cookie"]
        assert text.startswith("__Host-kju-443=")
        assert "Secure" in text


async def test_the_name_counts_and_not_the_ticket_of_a_link() -> None:
    """A ticket counts as the cookie of its link does."""
    Access().set_user("ann", "view")
    named = {"Host": "kju.example", "Origin": "https://kju.example", "X_Remote_User": "ann"}
    async with web_server(options=proxied("127.0.0.1")) as server, Page(direct(server)) as page:
        body = {"key": new_key(server, "manage"), "ticket": True}
        _, answer = await page.post("/api/login", body, **named)
        await page.connect(answer["token"], **named)
        assert (await page.wait_for(web.SocketHello)).role == "view"


async def test_several_names_are_refused() -> None:
    Access().set_user("ann")
    async with web_server(options=proxied("127.0.0.1")) as server, Page(direct(server)) as page:
        headers = [("Host", "kju.example"), (HEADER, "ann"), (HEADER, "root")]
        where = f"{direct(server)}api/session"
        async with page.http.get(where, headers=headers) as answer:
            assert answer.status == 400


async def test_the_page_below_a_path_of_the_proxy_names_its_files_there() -> None:
    proxy = make_proxy("https://kju.example/lab/", ["127.0.0.1"])
    async with web_server(options=WebOptions(proxy=proxy)) as server:
        assert server.link("KEY") == "https://kju.example/lab/#KEY"
        async with Page(direct(server)) as page:
            for path in ("/", "/m/debian", "/m/lab/debian", "/app.webmanifest"):
                status, body, _ = await page.get(path, Host="kju.example")
                assert status == 200
                assert b'"/lab/' in body
                assert not re.search(rb'"/(?!lab/)', body)


async def test_a_removed_user_loses_the_socket() -> None:
    Access().set_user("ann", "manage")
    async with web_server(options=proxied("127.0.0.1")) as server, Page(direct(server)) as page:
        await page.connect(Host="kju.example", Origin="https://kju.example", X_Remote_User="ann")
        hello = await page.wait_for(web.SocketHello)
        assert (hello.user, hello.role) == ("@ann", "manage")
        Access().remove_user("ann")
        assert await page.wait_closed() == page_socket.ENDED


async def test_a_proxys_connections_are_not_limited_as_those_of_strangers() -> None:
    async with web_server(options=proxied("127.0.0.1")) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        connections = server._sessions.connections
        assert connections is not None
        while connections.count == (0, 0):
            await asyncio.sleep(0.01)
        assert connections.count == (0, 1)
        writer.close()


async def test_a_user_of_a_proxy_has_a_limit_of_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection of the proxy carries requests of many users: the newest one counts."""
    monkeypatch.setattr("kju.web.connections._PROXIED", CONNECTIONS._replace(of_user=2))
    for user in ("ann", "bob"):
        Access().set_user(user)
    async with web_server(options=proxied("127.0.0.1")) as server, contextlib.AsyncExitStack() as s:
        one, two, three = [await s.enter_async_context(Page(direct(server))) for _ in range(3)]

        async def ask_as(page: Page, **headers: str) -> int:
            return (await page.get("/api/session", Host="kju.example", **headers))[0]

        for page, status in ((one, 200), (two, 200), (two, 200), (three, 429)):
            assert await ask_as(page, X_Remote_User="ann") == status
        assert await ask_as(three, X_Remote_User="bob") == 200
        assert await ask_as(one) == 401  # the same connection, for nobody
        assert await ask_as(three, X_Remote_User="ann") == 200


def test_a_unix_socket_needs_a_proxy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--url"):
        WebServer([], WebOptions(path=tmp_path / "web.sock"))


async def test_a_unix_socket_is_for_its_group_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    options = WebOptions(path=path, proxy=make_proxy("https://kju.example/", [], HEADER))
    async with web_server(options=options) as server:
        assert path.stat().st_mode & 0o777 == 0o660
        with pytest.raises(UsageError, match="another server listens"):
            await WebServer([], options).run()
        Access().set_user("ann")
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http:
            headers = {"Host": "kju.example", HEADER: "ann"}
            async with http.get("http://x/api/session", headers=headers) as answer:
                assert answer.status == 200
        assert server.port > 65_535
    assert not path.exists()


# ---- nginx ----


def nginx_example() -> str:
    """Return the configuration in the documentation."""
    blocks = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = (block for block in blocks if "proxy_pass" in block)
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def nginx(folder: Path, port: int, sock: Path) -> Iterator[None]:
    """Run nginx with the documentation's configuration, at other places."""
    certificate = Trust(folder / "trust").make_web(["127.0.0.1"])
    (folder / "users").write_text("ann:{PLAIN}secret\nbob:{PLAIN}secret\n")
    site = nginx_example()
    for documented, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server_name kju.example;", "server_name 127.0.0.1;"),
        ("/etc/ssl/kju/fullchain.pem", str(certificate)),
        ("/etc/ssl/kju/privkey.pem", str(certificate.with_suffix(".key"))),
        ("/etc/nginx/kju.users", str(folder / "users")),
        ("/run/kju/web.sock", str(sock)),
    ):
        assert site.count(documented) == 1, documented
        site = site.replace(documented, here)
    places = "".join(
        f"{name}_temp_path {folder};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{site}}}\n"
    )
    command = [
        guests.nginx(),
        "-p",
        str(folder),
        "-e",
        str(folder / "error.log"),
        "-c",
        str(config),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: answers(port, process), "nginx listens")
            yield
        finally:
            process.terminate()


def answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "nginx has ended"
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@pytest.fixture
async def behind_nginx(tmp_path: Path) -> AsyncIterator[WebServer]:
    Access().set_user("ann", "control")
    port, path = free_port(), tmp_path / "web.sock"
    proxy = make_proxy(f"https://127.0.0.1:{port}/", [], HEADER)
    async with web_server(options=WebOptions(path=path, proxy=proxy)) as server:
        with nginx(tmp_path, port, path):
            yield server


def page_of_user(server: WebServer, user: str) -> Page:
    """Return a page whose browser has a password of the proxy."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    page = Page(server.url, ssl=context)
    secret = base64.b64encode(f"{user}:secret".encode()).decode()
    page.http.headers["Authorization"] = f"Basic {secret}"
    return page


async def test_the_documented_nginx_passes_on_pages_users_and_sockets(
    behind_nginx: WebServer,
) -> None:
    async with page_of_user(behind_nginx, "ann") as page:
        status, body, headers = await page.get("/")
        assert status == 200
        assert b"<!doctype html>" in body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        await page.connect()
        hello = await page.wait_for(web.SocketHello)
        assert (hello.user, hello.role) == ("@ann", "control")
        assert (await page.act(1, "debian", "layouts")).error == ""
        Access().set_user("ann", "view")
        assert await page.wait_closed() == page_socket.ENDED


async def test_the_documented_nginx_replaces_the_header_of_a_client(
    behind_nginx: WebServer,
) -> None:
    async with page_of_user(behind_nginx, "bob") as page:
        status, body, _ = await page.get("/api/session", X_Remote_User="ann")
        assert status == 401
        assert msgspec.json.decode(body)["user"] == "bob"
    async with page_of_user(behind_nginx, "nobody") as page:
        assert (await page.get("/"))[0] == 401
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await page.connect()


async def test_another_origin_is_refused_through_nginx(behind_nginx: WebServer) -> None:
    async with page_of_user(behind_nginx, "ann") as page:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await page.connect(Origin="https://evil.example")
        assert raised.value.status == 403
        assert (await page.post("/api/logout", Origin="https://evil.example"))[0] == 403
        status, _, _ = await page.get("/api/session", Host="evil.example")
        assert status == 403
