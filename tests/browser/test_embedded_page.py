"""A machine in a page of another server: `<kju-screen>` and `kju web --embed`."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.acting_host import ActingMachine, acting_host
from support.wait import until

from .conftest import Web, own_folders, serve

BLOCK_STORAGE = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("blocked", "SecurityError"); },
});"""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingMachine]:
    with own_folders(tmp_path_factory.mktemp("embed")), acting_host("desk") as made:
        made.fill((0, 0, 640, 400), 90)
        yield made


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def other_server(folder: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve a folder; yield the origin, which is another one: it has another port.

    Args:
        folder: The folder.
        host: ``127.0.0.1`` for an origin of the same site, ``localhost`` for another site.
    """
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def write_page(folder: Path, web: Web, role: str = "control") -> None:
    key = web.new_link("desk", "--role", role, "--uses", "2").partition("#")[2]
    (folder / "index.html").write_text(
        f"""<!doctype html><title>Wiki</title>
        <script defer src="{web.url}kju-screen.js"></script>
        <kju-screen src="{web.url}m/desk" token="{key}" title="The desk"
          style="display: block; height: 600px"></kju-screen>"""
    )


@contextlib.contextmanager
def opened(browser: Browser, address: str, script: str = "") -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(script)
    page.goto(address)
    yield page
    context.close()


def test_element_shows_and_drives_a_machine(guest: ActingMachine, browser: Browser, tmp_path: Path):
    with (
        other_server(tmp_path) as origin,
        serve(0, "--embed", origin) as web,
    ):
        write_page(tmp_path, web)
        # As a browser that blocks the storage of iframes.
        with opened(browser, origin, BLOCK_STORAGE) as page:
            frame = page.frame_locator("kju-screen iframe[title='The desk']")
            expect(frame.locator(".badge")).to_be_hidden()
            frame.locator("canvas.picture").focus()
            page.keyboard.press("a")
            until(lambda: guest.log == [(30, True), (30, False)], "the key")
            assert frame.get_by_role("button", name="Back to all machines").count() == 0
            assert page.frames[1].url == f"{web.url}m/desk"  # the key is removed
            assert page.context.cookies() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_embedded_page_has_its_own_role_in_a_browser_with_a_cookie(
    guest: ActingMachine, browser: Browser, tmp_path: Path, host: str
):
    with other_server(tmp_path, host) as origin, serve(0, "--embed", origin) as web:
        write_page(tmp_path, web, "view")
        with opened(browser, web.link) as page:
            page.get_by_role("searchbox").wait_for()
            assert page.context.cookies()
            page.goto(origin)
            frame = page.frame_locator("kju-screen iframe")
            expect(frame.locator(".badge")).to_be_hidden()
            expect(frame.locator("header")).to_contain_text("view only")


def test_page_of_another_origin_may_not_show_it(
    guest: ActingMachine, browser: Browser, tmp_path: Path
):
    with (
        other_server(tmp_path) as origin,
        serve(0, "--embed", "http://127.0.0.1:1") as web,
    ):
        write_page(tmp_path, web)
        with opened(browser, origin) as page:
            blocked: list[str] = []
            page.on("console", lambda message: blocked.append(message.text))
            page.reload()
            until(lambda: any("frame-ancestors" in each for each in blocked), "the reason")
            assert page.frame_locator("kju-screen iframe").locator("canvas").count() == 0
