"""The sockets of the web server, their actions, and floods of connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest
from support.wait import HANG, until_async
from support.web_page import Page, new_key, page_of, web_server

from kju.errors import UsageError
from kju.files import raise_descriptor_limit
from kju.web import access as access_module
from kju.web import messages as web
from kju.web import page_socket, site
from kju.web import server as server_module
from kju.web.access import Access
from kju.web.access_list import Principal
from kju.web.connections import AUTHENTICATION_TIME, CONNECTIONS, MAX_UNAUTHENTICATED, PAGES
from kju.web.passwords import hash_password
from kju.web.server import WebServer
from kju.wire import messages as wire

pytestmark = pytest.mark.usefixtures("runtime_folder")


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


# ---- sockets ----


async def test_a_socket_begins_with_the_role_and_the_machines(server: WebServer) -> None:
    async with page_of(server, "view") as page:
        hello = page.received[0]
        assert isinstance(hello, web.SocketHello)
        assert (hello.protocol, hello.role) == (1, "view")
        assert hello.build == server.site.build
        assert page.received[1] == web.MachineList([])


async def test_a_token_authenticates_a_socket_without_a_cookie(
    server: WebServer, page: Page
) -> None:
    """A page in an iframe of another site has no cookie."""
    status, answer = await page.post("/api/login", {"key": new_key(server), "cookie": False})
    assert status == 200
    assert not page.http.cookie_jar
    await page.connect(answer["token"])
    await page.wait_for(web.SocketHello)


async def test_a_token_counts_and_not_the_cookie_of_the_browser(server: WebServer) -> None:
    """A page in an iframe of the same site has the cookie of another page."""
    async with page_of(server, "manage") as page:
        body = {"key": new_key(server, "view"), "cookie": False}
        _, answer = await page.post("/api/login", body)
        page.received.clear()
        await page.connect(answer["token"])
        assert (await page.wait_for(web.SocketHello)).role == "view"


async def test_a_ticket_is_for_one_socket_of_the_session(server: WebServer, page: Page) -> None:
    """A page connects while its key is exchanged: its socket has no cookie."""
    status, answer = await page.post("/api/login", {"key": new_key(server), "ticket": True})
    assert status == 200
    for expected in (web.SocketHello, wire.Goodbye):
        page.received.clear()
        await page.connect(answer["token"])
        await page.wait_for(expected)
    assert (await page.get("/api/session"))[0] == 200  # the cookie


async def test_a_ticket_ends_with_its_session(server: WebServer, page: Page) -> None:
    _, answer = await page.post("/api/login", {"key": new_key(server), "ticket": True})
    server.site.access.revoke([], everything=True)
    await page.connect(answer["token"])
    assert await page.wait_closed() == page_socket.ENDED


async def test_a_socket_without_a_session_is_closed_at_once(page: Page) -> None:
    await page.connect()
    assert await page.wait_closed() == page_socket.ENDED


@pytest.mark.parametrize(
    "first",
    [
        web.encode(web.Authenticate("x" * 43)), web.encode(web.MachinesInView()),
        b"", b"\x00", b"\x01\x93",
        web.frame(1, wire.encode(wire.KeepAlive())),
    ],
)  # fmt: skip
async def test_a_socket_without_a_valid_token_is_closed(page: Page, first: bytes) -> None:
    await page.connect("")
    assert page.ws is not None
    await page.ws.send_bytes(first)
    assert await page.wait_closed() == page_socket.ENDED
    assert [type(each) for each in page.received] == [wire.Goodbye]


async def test_a_silent_socket_without_a_cookie_is_closed(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server_module.FIRST_MESSAGE_TIME < AUTHENTICATION_TIME  # else aborted without a code
    monkeypatch.setattr(server_module, "FIRST_MESSAGE_TIME", 0.1)
    await page.connect("")
    assert await page.wait_closed() == page_socket.ENDED


async def test_revoking_a_session_closes_its_sockets(server: WebServer) -> None:
    async with page_of(server) as page, page_of(server) as other:
        session = page.received[0].user
        before = time.monotonic()
        Access().revoke([session])  # as another process does
        assert await page.wait_closed() == page_socket.ENDED
        took = time.monotonic() - before
        assert page.received[-1] == wire.Goodbye(page_socket.NO_SESSION)
        assert (await page.get("/api/session"))[0] == 401
        assert other.ws is not None
        assert not other.ws.closed
    assert site.TICK < 0.5, took  # the bound of the time, on a computer that is not busy


async def test_a_damaged_access_file_ends_all_sockets_until_it_is_repaired(
    server: WebServer, page: Page, caplog: pytest.LogCaptureFixture
) -> None:
    await page.login(new_key(server))
    await page.connect()
    await page.wait_for(web.SocketHello)
    key, file = new_key(server), server.site.access._path
    content = file.read_bytes()
    file.write_bytes(b"{" + content)
    assert await page.wait_closed() == page_socket.FAULT
    assert page.received[-1] == wire.Goodbye("the server cannot read its sessions: see its log")
    assert file.name in caplog.text
    assert await page.login(key) == 500  # nobody is let in
    file.write_bytes(content)
    page.received.clear()
    await page.connect()
    await page.wait_for(web.SocketHello)


async def test_a_host_that_does_not_answer_delays_no_revocation(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_waiting = asyncio.Event()

    async def update() -> None:
        is_waiting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(server.site._machines, "update", update)
    async with page_of(server) as page:
        await is_waiting.wait()
        Access().revoke([page.received[0].user])
        assert await page.wait_closed() == page_socket.ENDED


async def test_revoking_ends_a_page_that_does_not_read(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: list[str] = []

    async def carry_out(principal: Principal, act: web.Act, report: object) -> None:
        acted.append(act.action)

    monkeypatch.setattr(page_socket, "carry_out", carry_out)
    monkeypatch.setattr(page_socket, "END_TIME", 0.5)
    async with page_of(server) as page:
        (here,) = server.site.sockets.values()
        page.ws._conn.transport.pause_reading()  # type: ignore[union-attr]
        while here._outgoing.waiting() < 1 << 20:
            here.send(bytes(60_000))
            await asyncio.sleep(0)
        Access().revoke([here.principal.id])
        await until_async(lambda: server.site.sockets == {})
        await page.say(web.Act(1, "debian", "layouts"))
        await until_async(lambda: not server.site._closing)
        await until_async(lambda: here._outgoing._transport.is_closing())
    assert acted == []


async def test_a_session_that_expires_closes_its_sockets(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with page_of(server) as page:
        later = time.time() + access_module.SESSION_LIFETIME
        monkeypatch.setattr(server.site.access, "_clock", lambda: later)
        assert await page.wait_closed() == page_socket.ENDED


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_clock_that_is_moved_by_a_day_ends_sessions_and_new_ones_begin(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    async with page_of(server) as page:
        monkeypatch.setattr(server.site.access, "_clock", lambda: time.time() + 86400 * days)
        assert await page.wait_closed() == page_socket.ENDED
        async with page_of(server) as other:
            assert other.received


async def test_the_end_of_the_server_is_a_goodbye() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with web_server() as server:
            page = await stack.enter_async_context(page_of(server))
        assert await page.wait_closed() == page_socket.GOING_AWAY
        assert page.received[-1] == wire.Goodbye("the server has ended")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x00\xc1", page_socket.INVALID),
        (b"\x00\x91\xcd\x03\xe7", page_socket.INVALID),
        (b"\x80", page_socket.INVALID),
        (b"\x00" + b"\x91" * 5000, page_socket.INVALID),
        (b"\x00" + b"\x00" * web.MAX_FRAME, page_socket.TOO_BIG),
        ("text", page_socket.TEXT),
    ],
    ids=["not msgpack", "unknown", "half a number", "nested", "too long", "text"],
)
async def test_an_invalid_message_closes_the_socket(
    server: WebServer, data: bytes | str, code: int
) -> None:
    async with page_of(server) as page:
        assert page.ws is not None
        await (page.ws.send_str(data) if isinstance(data, str) else page.ws.send_bytes(data))
        assert await page.wait_closed() == code
        await until_async(lambda: server.site.sockets == {})


async def test_a_screen_of_a_missing_machine_is_closed_with_a_reason(server: WebServer) -> None:
    async with page_of(server) as page:
        await page.say(web.OpenScreen(7, "<img src=x>"))
        closed = await page.wait_for(web.ScreenClosed)
        assert (closed.screen, "is running" in closed.reason) == (7, True)


async def test_ten_thousand_screens_are_refused_one_by_one(server: WebServer) -> None:
    async with page_of(server) as page:
        for number in range(1, 10_001):
            await page.say(web.OpenScreen(number, "debian"))
        await page.wait_for(web.ScreenClosed, lambda closed: closed.screen == 10_000)
        refused = [each.screen for each in page.received if isinstance(each, web.ScreenClosed)]
        assert refused == list(range(1, 10_001))


async def test_messages_about_a_closed_screen_are_ignored(server: WebServer) -> None:
    async with page_of(server) as page:
        await page.send(5, wire.encode(wire.Ack(1)))
        await page.say(web.CloseScreen(5))
        assert (await page.act(1, "debian", "layouts")).error == ""


async def test_a_session_has_a_limit_of_sockets(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "PAGES", PAGES._replace(of_session=1))
    async with page_of(server) as page:
        first = page.ws
        await page.connect()
        assert await page.wait_closed() == page_socket.TRY_LATER
        assert "close some" in page.received[-1].reason
        assert first is not None
        await first.close()


async def test_the_browsers_of_a_link_have_a_limit_of_sockets(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "PAGES", PAGES._replace(of_link=2))
    key = new_key(server, uses=3)
    async with contextlib.AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(Page(server.url)) for _ in range(3)]
        for page in pages:
            assert await page.login(key) == 204
            await page.connect()
            await until_async(lambda page=page: page.received)  # type: ignore[misc]
        assert await pages[2].wait_closed() == page_socket.TRY_LATER
        assert "in all sessions" in pages[2].received[-1].reason
        async with page_of(server):
            pass  # another link has its own
        await pages[0].close()
        await until_async(lambda: len(server.site.sockets) == 1)
        await pages[2].connect()
        await pages[2].wait_for(web.SocketHello)


async def test_the_server_has_a_limit_of_sockets(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "MAX_SOCKETS", 1)
    async with page_of(server), Page(server.url) as other:
        await other.login(new_key(server))
        await other.connect()
        assert await other.wait_closed() == page_socket.TRY_LATER


async def test_a_page_that_does_not_read_loses_its_socket(server: WebServer) -> None:
    async with page_of(server) as page:
        (socket_here,) = server.site.sockets.values()
        transport = page.ws._conn.transport  # type: ignore[union-attr]
        transport.pause_reading()
        for _ in range(1000):
            if server.site.sockets == {}:
                break
            socket_here.send(bytes(60_000))
            await asyncio.sleep(0)
        await until_async(lambda: server.site.sockets == {})
        assert socket_here._outgoing.waiting() <= page_socket.MAX_WAITING


# ---- actions ----


async def test_texts_are_typed_in_their_order(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[object] = []
    is_free = asyncio.Event()

    async def carry_out(principal: Principal, act: web.Act, report: object) -> None:
        began.append(act.arguments.get("text"))
        if began == ["a"]:
            await is_free.wait()

    monkeypatch.setattr(page_socket, "carry_out", carry_out)
    async with page_of(server) as page:
        await page.say(web.Act(1, "debian", "type", {"text": "a"}))
        await page.say(web.Act(2, "debian", "type", {"text": "b"}))
        await page.act(3, "debian", "layouts")  # other actions do not wait
        assert began == ["a", None]
        is_free.set()
        await page.wait_for(web.ActionResult, lambda result: result.number == 2)
    assert began == ["a", None, "b"]


async def test_a_server_of_named_machines_acts_on_no_other(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.site, "_names", frozenset({"debian"}))
    async with page_of(server) as page:  # its link is for all machines
        assert (await page.act(1, "debian", "layouts")).error == ""
        assert (await page.act(2, "ubuntu", "layouts")).error == "MachineNotFoundError"


async def test_no_action_mirrors_a_screen_of_another_computer(server: WebServer) -> None:
    async with page_of(server) as page:  # for all machines
        for number, name in enumerate(("zenoh:lab/host1/web", "../debian", ""), 1):
            assert (await page.act(number, name, "info")).error == "UsageError"


# ---- floods ----


async def test_a_page_loads_beside_a_thousand_silent_connections(server: WebServer) -> None:
    raise_descriptor_limit()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.socket()) for _ in range(1000)]
        for each in silent:
            each.setblocking(False)
        place = "127.0.0.1", server.port
        await asyncio.gather(*(loop.sock_connect(each, place) for each in silent))
        async with page_of(server) as page:
            assert page.received
            assert server._sessions.connections is not None
            assert server._sessions.connections.count[0] <= MAX_UNAUTHENTICATED
    async with page_of(server):
        pass  # all connections before this one were accepted
    await until_async(lambda: server._sessions.connections.count == (0, 0))  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["silent", "a byte at a time"])
async def test_a_slow_request_is_ended(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("kju.web.connections.AUTHENTICATION_TIME", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    async def drip() -> None:
        while how != "silent":
            writer.write(b"a")
            await asyncio.sleep(0.02)

    writer.write(b"GET / HTTP/1.1\r\nX: ")
    dripping = asyncio.create_task(drip())
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(HANG):
            while await reader.read(100):
                pass
    dripping.cancel()
    await closed(writer)


async def test_a_session_has_a_limit_of_connections(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = CONNECTIONS._replace(of_session=3)
    monkeypatch.setattr("kju.web.connections.CONNECTIONS", share)
    async with Page(server.url) as page, contextlib.AsyncExitStack() as stack:
        assert await page.login(new_key(server)) == 204  # its connection is the first
        cookies = "; ".join(f"{each.key}={each.value}" for each in page.http.cookie_jar)
        lines = [
            "GET /api/session HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Cookie: {cookies}",
        ]
        answers = []
        for _ in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.push_async_callback(closed, writer)
            writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
            answers.append((await reader.readuntil(b"\r\n\r\n")).decode())
        assert [answer.split()[1] for answer in answers] == ["200", "200", "429", "429"]
        assert "connection: close" in answers[-1].lower()
        # A browser shows a page nothing of an answer in place of a socket.
        other = await stack.enter_async_context(Page(server.url))
        await other.connect(Cookie=cookies)
        assert await other.wait_closed() == page_socket.TRY_LATER
        assert "this session has 3 connections" in other.received[-1].reason
        async with page_of(server):
            pass  # another session has its own


async def test_a_user_has_a_limit_of_connections_in_all_sessions(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = CONNECTIONS._replace(of_user=2)
    monkeypatch.setattr("kju.web.connections.CONNECTIONS", share)
    password = "twelve or more"
    Access().set_user("ann", "view", password=hash_password(password))
    async with contextlib.AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(Page(server.url)) for _ in range(3)]
        for page in pages:
            login = {"user": "ann", "password": password}
            assert (await page.post("/api/login", login))[0] == 204
        statuses = [(await page.get("/api/session"))[0] for page in pages]
        assert statuses == [200, 200, 429]
        async with page_of(server):
            pass  # others have their own
        await pages[0].close()
        await until_async(lambda: server._sessions.connections.count[1] == 1)  # type: ignore[union-attr]
        assert (await pages[2].get("/api/session"))[0] == 200


# ---- texts for other computers ----


async def test_an_error_names_no_folder_of_the_server(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def carry_out(*_: object) -> None:
        raise UsageError("/home/jo doe/vm/x.img (raw) cannot hold a snapshot")

    monkeypatch.setattr(page_socket, "carry_out", carry_out)
    async with page_of(server) as page:
        assert (
            await page.act(1, "debian", "snapshots")
        ).reason == "x.img (raw) cannot hold a snapshot"
