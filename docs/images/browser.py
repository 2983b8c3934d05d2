"""Take pictures of the page of `kju web` in Chromium, with real guests.

    python docs/images/browser.py                   those of the docs, into docs/images
    python docs/images/browser.py FOLDER [NAME...]  all pictures, or some, into FOLDER

Needs what the tests of the page need (tools/setup check).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator

from displays import KJU, PYTHONPATH, SECONDS, wait  # first: it says what is missing
from guest_machines import Machines
from pictures import Picture, take
from playwright.sync_api import Browser, Page, sync_playwright

#: The machines of the wall that run.
RUNNING = ("linux", "invaders", "memtest", "grub")
#: Milliseconds.
USUAL_LATENCY = 20.0
TEXT = "# Addresses of the lab\n10.0.0.1 router\n10.0.0.2 printer\n10.0.0.3 \N{SNOWMAN} freezer\n"
DESKTOP = {"viewport": {"width": 960, "height": 640}}
PHONE = {
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 1.5,
    "is_mobile": True,
    "has_touch": True,
}


class Web:
    """A running `kju web`.

    Attributes:
        url: The address of the page.
    """

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1"}
        command = [*KJU, "web", "serve", "--listen", "127.0.0.1:0"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"(http://\S+/)#", line):
                self.url = found[1]
                return
        raise SystemExit("kju web has ended")

    def link(self, role: str, path: str) -> str:
        """Return a new link to a part of the page."""
        text = subprocess.check_output([*KJU, "web", "link", "--role", role], text=True)
        found = re.search(r"#([\w-]{43})", text)
        assert found
        return f"{self.url}{path}#{found[1]}"

    def end(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait()


@contextlib.contextmanager
def opened(browser: Browser, path: str = "", role: str = "manage", **options: object) -> Iterator:
    """Open a page of a server of its own."""
    web = Web()
    context = browser.new_context(**({"locale": "en-GB"} | DESKTOP | options))
    page = context.new_page()
    page.set_default_timeout(1000 * SECONDS)
    try:
        page.goto(web.link(role, path))
        yield page, web
    finally:
        context.close()
        web.end()


def drawn(page: Page) -> None:
    """Wait until a screen's whole picture was drawn."""
    page.wait_for_selector("canvas.picture")
    page.wait_for_selector(".badge[hidden]", state="attached")


def wall(lab: Machines, browser: Browser, **options: object) -> bytes:
    """All machines."""
    for name in RUNNING:
        lab.ready(name)
    with lab.running(*RUNNING[:3]), opened(browser, **options) as (page, _):
        pictures = page.locator(".tile img[src]")
        wait(lambda: pictures.count() >= len(RUNNING), "the pictures")
        page.wait_for_timeout(2000)
        return page.screenshot()


def machine(
    lab: Machines,
    browser: Browser,
    name: str = "linux",
    do: Callable[[Page, Web], None] = lambda page, web: None,
    **options: object,
) -> bytes:
    """One machine."""
    lab.ready(name)
    with lab.running(name), opened(browser, f"m/{name}", **options) as (page, web):
        drawn(page)
        do(page, web)
        return page.screenshot()


def use(page: Page, web: Web) -> None:
    """Press keys until the time to their pixels is that of a computer with nothing else to do."""
    page.locator("canvas.picture").focus()
    for _ in range(60):
        page.keyboard.press("a")
        page.keyboard.press("Backspace")
        page.wait_for_selector(".latency:not(:empty)")
        page.wait_for_timeout(1000)
        if float(page.locator(".latency").inner_text().split()[0]) < USUAL_LATENCY:
            return


def lose(page: Page, web: Web) -> None:
    """End the server."""
    web.end()
    badge = page.locator(".badge")
    wait(lambda: re.search("is ([5-9]|[0-9]{2}) s old", badge.inner_text()), "the age")


def paste(page: Page, web: Web) -> None:
    """Begin to paste a text with a character that the layout lacks."""
    page.keyboard.press("Control+Alt+v")
    page.wait_for_selector("dialog option", state="attached")
    page.locator("dialog textarea").fill(TEXT)
    page.get_by_role("button", name="Type", exact=True).click()
    page.wait_for_selector("dialog .problem:not(:empty)")


def type_text(page: Page, web: Web) -> None:
    """Open the text field."""
    page.get_by_role("button", name="Type with this device's keyboard").click()
    session = page.context.new_cdp_session(page)
    text = "uptime"
    given = {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
    session.send("Input.imeSetComposition", given)
    page.wait_for_timeout(500)


def login(lab: Machines, browser: Browser, **options: object) -> bytes:
    """The page of a browser without a session, on a server with a user."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("correct horse battery staple\n")
        file.flush()
        command = [*KJU, "web", "user", "ann", "--password-file", file.name]
        subprocess.run(command, check=False)  # it exists if a picture was taken before
    with opened(browser, **options) as (page, _):
        page.get_by_role("button", name="End the session").click()
        page.wait_for_selector(".login input")
        return page.screenshot()


DARK = {"color_scheme": "dark"}
PICTURES = {
    "machine": Picture(machine, {"do": use}, "browser"),
    "machine-dark": Picture(machine, {"do": use, **DARK}, "browser-dark"),
    "machine-german": Picture(machine, {"locale": "de-DE"}),
    "stale": Picture(machine, {"do": lose}, "browser-stale"),
    "view-only": Picture(machine, {"role": "view", "name": "memtest"}, "browser-view-only"),
    "paste": Picture(machine, {"do": paste}, "browser-paste"),
    "phone": Picture(machine, {"do": type_text, **PHONE}, "browser-phone"),
    "wall": Picture(wall, {}, "browser-wall"),
    "wall-dark": Picture(wall, DARK),
    "wall-phone": Picture(wall, PHONE),
    "forced": Picture(wall, {"forced_colors": "active"}),
    "login": Picture(login, {"viewport": {"width": 640, "height": 720}}, "browser-login"),
    "login-dark": Picture(login, DARK),
}


def prepare(lab: Machines, stack: contextlib.ExitStack) -> tuple[Machines, Browser]:
    """Start the browser."""
    playwright = stack.enter_context(sync_playwright())
    arguments = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
    stack.callback(browser.close)
    return lab, browser


if __name__ == "__main__":
    take(PICTURES, prepare)
