"""A real guest, `kju web`, and Debian's Chromium."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from support import accelerator, typed_guest
from support.wait import until

from kju.client.targets import running_names

# A busy computer takes its time.
expect.set_options(timeout=60_000)
CHROMIUM = shutil.which("chromium")

READ_CANVAS = """() => {
  const canvas = document.querySelector("canvas.picture");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let i = 0; i < pixels.data.length; i += 8192)
    text += String.fromCharCode(...pixels.data.subarray(i, i + 8192));
  return [canvas.width, canvas.height, btoa(text)];
}"""


def pixels_of(page: Page) -> np.ndarray:
    """Return the canvas as R, G, B."""
    width, height, data = page.evaluate(READ_CANVAS)
    pixels = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
    return pixels[:, :, :3]


class Web(NamedTuple):
    """A running `kju web`.

    Attributes:
        process: Its process.
        url: The address of the page.
        link: The first link; it is used once.
    """

    process: subprocess.Popen[str]
    url: str
    link: str

    def command(self, *arguments: str) -> str:
        """Run a command of `kju web`; return what it prints."""
        command = [sys.executable, "-m", "kju.cli", "web", *arguments]
        return subprocess.check_output(command, text=True)

    def new_link(self, *arguments: str) -> str:
        """Make another link with `kju web link`."""
        found = re.search(r"#([\w-]{43})", self.command("link", *arguments))
        assert found
        return f"{self.url}#{found[1]}"


@contextlib.contextmanager
def serve(
    port: int = 0, *arguments: str, program: Sequence[str] = ("-m", "kju.cli")
) -> Iterator[Web]:
    """Run `kju web` on a port of loopback."""
    address = f"127.0.0.1:{port}"
    command = [sys.executable, *program, "web", "serve", "--listen", address, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = ""
            while not (found := re.search(r"(http://\S+/)#\S+", said)):
                line = process.stdout.readline()
                assert line, f"kju web has ended: {said}"
                said += line
            yield Web(process, found[1], found[0])
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def own_folders(folder: Path) -> Iterator[None]:
    """Give the tests of a file folders of their own; fail if a machine is left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        accelerator.keep_answer(folder)
        for name in ("STATE", "DATA", "CONFIG"):
            patch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
        yield
        assert running_names() == []


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[typed_guest.Field]:
    """A text field in a graphical guest, for the tests of a file."""
    folder = tmp_path_factory.mktemp("field")
    with own_folders(folder), typed_guest.field(tmp_path_factory.mktemp("guest")) as made:
        yield made


@pytest.fixture(autouse=True)
def state_folder() -> None:
    """Keep the folders of the file's guest: the links of `kju web` lie there."""


@pytest.fixture(scope="module")
def web(guest: object) -> Iterator[Web]:
    with serve() as made:
        yield made


def launch_options() -> dict[str, Any]:
    """Return Playwright's options for Debian's Chromium."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    # The sandbox needs a user namespace, which root in a container may not have.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {
        "executable_path": CHROMIUM,
        "args": [*arguments, "--disable-gpu", "--disable-background-networking"],
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    options = launch_options()
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(**options)
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser, web: Web) -> Iterator[Page]:
    """An empty page in a browser of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def open_page(browser: Browser, web: Web) -> Iterator[Callable[..., Page]]:
    """Open the page in a browser of its own, with a link for a role.

    Errors of the page, and requests to other servers, fail the test.
    """
    faults: list[str] = []
    contexts: list[BrowserContext] = []

    def open_one(role: str = "manage", path: str = "", script: str = "", **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((web.url, "blob:", "data:"))
                or faults.append(f"a request to {request.url}")
            ),
        )
        page.goto(web.new_link("--role", role).replace("/#", f"/{path}#"))
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults == []


def screen_is_shown(page: Page) -> None:
    """Wait until the whole picture of a screen was drawn."""
    page.wait_for_selector("canvas.picture")
    until(lambda: page.locator(".badge").is_hidden(), "the picture")


def tree(name: str) -> Path:
    """Return a path in the checkout."""
    return Path(__file__).parents[2] / name
