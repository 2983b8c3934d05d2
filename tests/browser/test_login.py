"""The login page of `kju web` in Chromium."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocket
from support.wait import until

from .conftest import Web, own_folders, serve

PASSWORD = "correct horse battery"
#: `kju web` that waits a moment only for the first message of a socket.
IMPATIENT = """
from kju.cli.__main__ import main
from kju.web import server

server.FIRST_MESSAGE_TIME = 0.1
main()
"""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with own_folders(tmp_path), serve() as made:
        yield made


def kju(*words: str, given: str = "") -> None:
    command = [sys.executable, "-m", "kju.cli", *words]
    subprocess.run(command, input=given, text=True, check=True, timeout=120)


def add_user(name: str, *words: str) -> None:
    kju("web", "user", name, *words, "--password-file", "-", given=PASSWORD)


def test_user_logs_in_with_a_password_and_a_change_ends_the_session(web: Web, page: Page):
    add_user("ann", "--role", "control")
    page.goto(web.url)
    page.get_by_label("User name").fill("ann")
    page.get_by_label("Password").fill("a wrong password")
    page.get_by_role("button", name="Sign in").click()
    problem = page.locator(".problem")
    until(lambda: "password is wrong" in problem.inner_text(), "the reason")
    assert page.get_by_label("Password").input_value() == ""
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    page.get_by_role("searchbox").wait_for()
    kju("web", "user", "ann", "--role", "view")
    page.get_by_label("User name").wait_for()


def test_page_without_users_takes_links_only(web: Web, page: Page):
    page.goto(web.url)
    page.get_by_label("Link or key").wait_for()
    # The page has asked for the ways to log in.
    until(lambda: page.evaluate("document.activeElement.id") == "link", "the focus")
    assert page.get_by_label("Password").count() == 0
    page.get_by_label("Link or key").fill(web.new_link())
    page.get_by_role("button", name="Open").click()
    page.get_by_role("searchbox").wait_for()


def test_used_link_is_named_beside_the_page_of_the_session(web: Web, page: Page):
    link = web.new_link()
    page.goto(link)
    page.get_by_role("searchbox").wait_for()
    page.goto("about:blank")
    page.goto(link)
    page.get_by_role("searchbox").wait_for()
    page.locator(".notice.shown", has_text="this link is not valid: it was used").wait_for()


def test_logged_out_user_sees_the_login_page_without_an_error(web: Web, page: Page):
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))

    def answer_after_the_socket(route: Route) -> None:
        answer = route.fetch()

        def is_closed() -> bool:
            page.wait_for_timeout(20)
            return sockets[-1].is_closed()

        until(is_closed, "the end of the socket")
        route.fulfill(response=answer)

    add_user("ann")
    page.goto(web.url)
    page.get_by_label("User name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    page.route("**/api/logout", answer_after_the_socket)
    page.get_by_role("button", name="End the session").click()
    page.get_by_label("User name").wait_for()
    assert page.locator(".problem").inner_text() == ""
    page.reload()
    page.get_by_label("User name").wait_for()


@pytest.mark.parametrize("is_valid", [True, False])
def test_link_whose_exchange_takes_longer_than_the_server_waits(
    browser: Browser, tmp_path: Path, is_valid: bool
):
    with own_folders(tmp_path), serve(program=["-c", IMPATIENT]) as web:
        page = browser.new_page()
        held: list[Route] = []
        closed: list[WebSocket] = []
        page.route("**/api/login", lambda route: held.append(route))
        page.on("websocket", lambda one: one.on("close", lambda it: closed.append(it)))
        page.goto(web.link if is_valid else f"{web.url}#{'A' * 43}")
        until(lambda: page.evaluate("1") and held and closed, "the socket is closed")
        assert page.get_by_label("Link or key").count() == 0
        held[0].continue_()
        if is_valid:
            page.get_by_role("searchbox").wait_for()
        else:
            page.get_by_text("this link is not valid").wait_for()
        page.close()
