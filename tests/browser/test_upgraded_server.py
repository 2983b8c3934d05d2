"""A page in Chromium whose server is replaced by one of another version."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page
from support.wait import until

from kju.web.assets import FOLDER

from .conftest import own_folders, serve

#: Runs `kju web` as another version: with other files, and with a subprotocol if one is given.
UPGRADED = """
import sys
from pathlib import Path
from kju.web import assets, server
folder, protocol, *words = sys.argv[1:]
assets.Assets.__init__.__defaults__ = (Path(folder),)
if protocol:
    server.SUBPROTOCOL = protocol
from kju.cli.app import run
sys.exit(run(words))
"""


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    with own_folders(tmp_path):
        context = browser.new_context()
        yield context.new_page()
        context.close()


@contextlib.contextmanager
def upgraded(folder: Path, port: int, protocol: str) -> Iterator[None]:
    """Run a server of another version at a port."""
    files = folder / "static"
    shutil.copytree(FOLDER, files)
    (files / "app.css").write_text((files / "app.css").read_text() + "\n.upgraded{color:red}\n")
    words = ["web", "serve", "--listen", f"127.0.0.1:{port}"]
    command = [sys.executable, "-c", UPGRADED, str(files), protocol, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("serving at")
            yield
        finally:
            process.terminate()


def opened(page: Page) -> int:
    """Open the page at a server that ends; return its port."""
    with serve() as web:
        page.goto(web.link)
        page.get_by_role("searchbox").wait_for()
        page.evaluate("window.isOld = true")
        return int(web.url.rstrip("/").rpartition(":")[2])


def is_loaded_again(page: Page) -> bool:
    with contextlib.suppress(Error):  # at this moment
        return page.evaluate("window.isOld") is None
    return False


def test_open_page_reloads_itself_at_an_upgraded_server(page: Page, tmp_path: Path):
    port = opened(page)
    with upgraded(tmp_path, port, ""):
        until(lambda: is_loaded_again(page), "the page is loaded again")
        page.get_by_role("searchbox").wait_for()  # with the session of before


def test_open_page_reloads_once_at_a_server_of_another_protocol(page: Page, tmp_path: Path):
    port = opened(page)
    loads: list[str] = []
    with upgraded(tmp_path, port, "kju.2"):
        page.on("load", lambda page: loads.append(page.url))
        until(lambda: is_loaded_again(page), "the page is loaded again")
        # The files of the test speak the old protocol still: the page says that it cannot connect.
        page.get_by_role("button", name="Try again").wait_for()
        page.wait_for_timeout(2000)  # some attempts to connect
        assert len(loads) == 1
