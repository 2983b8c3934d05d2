"""The page as an app of its own: Chromium can install it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright
from support.acting_host import ActingMachine, acting_host

from .conftest import Web, launch_options, own_folders


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingMachine]:
    with own_folders(tmp_path_factory.mktemp("install")), acting_host() as made:
        yield made


def test_chromium_can_install_the_page(guest: ActingMachine, web: Web, tmp_path: Path):
    """In a profile: a window without one installs nothing. A service worker is not needed."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(tmp_path, **launch_options())
        page = context.new_page()
        page.goto(web.new_link("--role", "view"))
        page.wait_for_selector(".tile")
        session = context.new_cdp_session(page)
        manifest = session.send("Page.getAppManifest")
        assert manifest["errors"] == []
        assert session.send("Page.getInstallabilityErrors")["installabilityErrors"] == []
        assert session.send("Page.getAppId")["appId"] == web.url
        for icon in manifest["manifest"]["icons"]:
            answer = page.request.get(icon["url"])
            assert (answer.status, answer.headers["content-type"]) == (200, icon["type"])
            if icon["type"] == "image/png":
                size = "{}x{}".format(*Image.open(io.BytesIO(answer.body())).size)
                assert size == icon["sizes"]
        context.close()
