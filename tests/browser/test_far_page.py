"""A machine of another computer in Chromium: `kju serve` there, `kju web --connect` here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from support import xservers
from support.link_scene import free_port
from support.trusting import make_lab
from support.wait import until

import kju

from .conftest import Web, own_folders, screen_is_shown, serve
from .test_page import pixels_of

pytest.importorskip("zenoh")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kju.Machine]:
    xservers.need("Xvfb", "xsetroot")
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "lab"))
    make_lab(tmp_path / "lab")
    arguments = ["-screen", "0", "320x200x24"]
    with own_folders(tmp_path), kju.launch(xvfb=True, name="debian", args=arguments) as made:
        yield made


@pytest.fixture
def place(machine: kju.Machine) -> Iterator[str]:
    """Serve the machine to other computers; the address."""
    made = f"tls/127.0.0.1:{free_port()}"
    words = [sys.executable, "-m", "kju.cli", "serve", "debian", "--prefix", "lab"]
    with subprocess.Popen([*words, "--listen", made], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("serving")
            yield made
        finally:
            process.terminate()


@pytest.fixture
def web(place: str) -> Iterator[Web]:
    with serve(0, "lab/debian", "--connect", place, "--user", "ann") as made:
        yield made


def test_far_machine_is_on_the_wall_and_its_page_has_its_pixels(
    machine: kju.Machine, web: Web, page: Page
):
    page.goto(web.link)
    page.wait_for_selector(".tile img[src]")
    assert page.locator(".tile button").count() == 0  # it is managed at its own computer
    page.get_by_role("link", name="Open lab/debian").click()
    screen_is_shown(page)
    assert page.url == f"{web.url}m/lab/debian"
    display = machine.info()["xvfb"]["display"]
    for colour in ("#102030", "#ff8000"):
        xservers.do(display, "xsetroot", "-solid", colour)
        bgr = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], np.uint8)
        until(lambda bgr=bgr: bool((pixels_of(page) == bgr).all()), colour)
    header = page.locator("header")
    assert "control" in header.inner_text()
    for name in ("Power", "Snapshots"):
        assert page.get_by_role("button", name=name).count() == 0
    page.reload()
    screen_is_shown(page)


def test_key_that_may_only_view_makes_every_page_view_only(
    machine: kju.Machine, place: str, browser: Browser
):
    with serve(0, "lab/debian", "--connect", place, "--user", "vic") as web:
        page = browser.new_context().new_page()
        page.goto(web.link.replace("/#", "/m/lab/debian#"))
        screen_is_shown(page)
        until(lambda: "view only" in page.locator("header").inner_text(), "the role")
        for name in ("Send keys", "Paste as typing", "Type with this device's keyboard"):
            assert page.get_by_role("button", name=name).count() == 0
        assert page.locator("header kbd, textarea").locator("visible=true").count() == 0
        canvas = page.locator("canvas.picture")
        assert canvas.get_attribute("role") == "img"
        canvas.click()
        page.keyboard.press("a")
        xservers.do(machine.info()["xvfb"]["display"], "xsetroot", "-solid", "#00ff00")
        until(lambda: bool((pixels_of(page) == (0, 255, 0)).all()), "the screen")
        assert page.locator(".notice").count() == 0  # nothing was sent, so nothing was refused
        page.context.close()
