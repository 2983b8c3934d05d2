"""Users with passwords at the HTTP server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import msgspec
import pytest
from support.wait import until_async
from support.web_page import Page, has_secret, new_key, page_of, web_server

from kju.web import access_list, attempts, page_socket, passwords, sessions
from kju.web import messages as web
from kju.web.access import Access
from kju.web.connections import AUTHENTICATION_TIME, MAX_UNAUTHENTICATED
from kju.web.passwords import hash_password
from kju.web.server import WebServer

pytestmark = pytest.mark.usefixtures("runtime_folder")
#: Logins at the same time: fewer than connections without a session.
STORM = MAX_UNAUTHENTICATED - 8
GOOD = "correct horse battery"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebServer]:
    monkeypatch.setattr(passwords, "COST", 1 << 4)
    for name in ("ann", "bob"):
        Access().set_user(name, "control", machines=["debian"], password=hash_password(GOOD))
    async with web_server() as made:
        yield made


async def log_in(page: Page, user: str, password: str, **headers: str) -> int:
    body = {"user": user, "password": password}
    return (await page.post("/api/login", body, **headers))[0]


async def test_a_password_gives_a_cookie_and_a_socket_with_the_users_rights(
    server: WebServer,
) -> None:
    async with Page(server.url) as page:
        status, body, _ = await page.get("/api/session")
        assert (status, msgspec.json.decode(body)["passwords"]) == (401, True)
        assert await log_in(page, "ann", GOOD) == 204
        found = msgspec.json.decode((await page.get("/api/session"))[1])
        assert (found["role"], found["machines"]) == ("control", ["debian"])
        await page.connect()
        hello = await page.wait_for(web.SocketHello)
        assert hello.user.startswith("ann/S")


async def test_a_session_with_an_open_page_ends_after_those_without(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_list, "MAX_SESSIONS_OF_LINK", 2)
    key = new_key(server, "view", uses=3)
    async with Page(server.url) as shown, Page(server.url) as closed, Page(server.url) as new:
        for page in (shown, closed):
            assert await page.login(key) == 204
        await shown.connect()
        await shown.wait_for(web.MachineList)
        assert await new.login(key) == 204
        statuses = [(await page.get("/api/session"))[0] for page in (shown, closed, new)]
        assert statuses == [200, 401, 200]


async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(server: WebServer) -> None:
    async with Page(server.url) as page:
        answers = [
            await page.post("/api/login", {"user": user, "password": password})
            for user, password in (("ann", "wrong"), ("nobody", GOOD), ("<b>", ""), ("x" * 999, ""))
        ]
        assert answers == [(401, {"error": "the user name or the password is wrong"})] * 4
        assert not page.http.cookie_jar


async def test_a_token_of_a_password_authenticates_an_embedded_page(server: WebServer) -> None:
    async with Page(server.url) as page:
        body = {"user": "ann", "password": GOOD, "cookie": False}
        status, answer = await page.post("/api/login", body)
        assert status == 200
        await page.connect(answer["token"])
        await page.wait_for(web.SocketHello)


async def test_a_guesser_is_refused_and_locks_out_neither_others_nor_links(
    server: WebServer,
) -> None:
    async with Page(server.url) as page:
        answers = [
            await log_in(page, "ann", f"wrong {n}") for n in range(attempts.MAX_WRONG_PASSWORDS + 2)
        ]
        assert answers == [401] * attempts.MAX_WRONG_PASSWORDS + [429] * 2
        assert await log_in(page, "ann", GOOD) == 429
        assert await log_in(page, "bob", GOOD) == 204
        assert await page.login(new_key(server)) == 204


async def test_a_refused_password_is_not_checked(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MAX_WRONG_PASSWORDS", 1)
    checked: list[str] = []
    check = server.site.access.log_in

    def record(user: str, password: str, in_use: Collection[str]) -> object:
        checked.append(password)
        return check(user, password, in_use)

    monkeypatch.setattr(server.site.access, "log_in", record)
    async with Page(server.url) as page:
        assert [await log_in(page, "ann", "a"), await log_in(page, "ann", "b")] == [401, 429]
    assert checked == ["a"]


def prolonged(server: WebServer) -> int:
    """Return the number of connections that may be without a session for longer."""
    assert server._sessions.connections is not None
    timers = server._sessions.connections._unauthenticated.values()
    usual = asyncio.get_running_loop().time() + AUTHENTICATION_TIME
    return sum(timer.when() > usual for timer in timers)


async def test_a_login_storm_makes_one_check_at_a_time_and_leaves_the_loop_free(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, most, lock, go = 0, 0, threading.Lock(), threading.Event()
    check = server.site.access.log_in

    def counted(user: str, text: str, in_use: Collection[str]) -> object:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        go.wait(60)
        with lock:
            now -= 1
        return check(user, text, in_use)

    monkeypatch.setattr(server.site.access, "log_in", counted)
    async with Page(server.url) as page, page_of(server) as open_page:
        storm = [asyncio.create_task(log_in(page, f"user{n}", "wrong")) for n in range(STORM)]
        await until_async(lambda: now == 1)
        # A connection whose login waits is not one that is silent.
        waiting = 1 + attempts.MAX_WAITING_OF_ADDRESS
        await until_async(lambda: prolonged(server) == waiting)
        # The pages of others go on meanwhile.
        assert (await open_page.act(1, "debian", "layouts")).error == ""
        async with Page(server.url) as other:
            assert await other.login(new_key(server)) == 204
        go.set()
        statuses = await asyncio.gather(*storm)
        assert prolonged(server) == 0
    assert most == 1
    assert statuses.count(429) == STORM - 1 - attempts.MAX_WAITING_OF_ADDRESS
    assert set(statuses) == {401, 429}


@pytest.mark.parametrize("change", ["removed", "less"])
async def test_a_change_of_a_user_ends_the_users_sockets(server: WebServer, change: str) -> None:
    async with Page(server.url) as page, page_of(server) as other:
        await log_in(page, "ann", GOOD)
        await page.connect()
        await page.wait_for(web.SocketHello)
        if change == "removed":
            Access().remove_user("ann")  # as another process does
        else:
            Access().set_user("ann", "view")
        assert await page.wait_closed() == page_socket.ENDED
        assert other.ws is not None
        assert not other.ws.closed


async def test_no_password_is_logged_or_stored(
    server: WebServer, state_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Page(server.url) as page:
        await log_in(page, "ann", "a wrong password")
        await log_in(page, "ann", GOOD)
        await log_in(page, "my password by mistake", "")
    logged = [each.getMessage() for each in caplog.records if each.name.startswith("kju")]
    assert any("began with a password" in line for line in logged)
    for secret in (GOOD, "a wrong password", "by mistake"):
        assert not [line for line in logged if secret in line]
        assert not has_secret(secret, state_folder)


async def test_a_slow_body_holds_no_turn(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "AUTHENTICATION_TIME", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Origin: {server.url.rstrip('/')}\r\nContent-Type: application/json\r\n"
        "Content-Length: 100\r\n\r\n{".encode()
    )
    async with Page(server.url) as page:
        assert await log_in(page, "ann", GOOD) == 204
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()
