"""Eight QEMUs on a wall in Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

import kju

from .conftest import Web, own_folders, screen_is_shown

NAMES = [f"desk{number}" for number in range(1, 9)]
#: Without a disk: the firmware says so, and then nothing happens.
ARGUMENTS = ["-m", "16", "-nic", "none", "-S"]


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, kju.Machine]]:
    """Eight paused machines, by name."""
    with own_folders(tmp_path_factory.mktemp("eight")), contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(kju.launch(name=name, args=ARGUMENTS)) for name in NAMES}


def test_wall_shows_eight_machines_and_manages_each(
    guest: dict[str, kju.Machine], web: Web, page: Page
):
    page.goto(web.link)
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(len(NAMES))
    expect(page.locator(".tile img[src]")).to_have_count(len(NAMES))
    assert [each.get_attribute("aria-label") for each in page.locator(".tile a").all()] == [
        f"Open {name}" for name in NAMES
    ]
    expect(tiles.filter(has_text="paused")).to_have_count(len(NAMES))
    tiles.nth(4).get_by_role("button", name="Resume").click()
    expect(tiles.nth(4)).to_contain_text("running")
    expect(tiles.filter(has_text="paused")).to_have_count(len(NAMES) - 1)
    assert guest["desk5"].info()["state"] == "running"
    page.get_by_role("searchbox").fill("desk5")
    expect(page.locator(".tile:visible")).to_have_count(1)
    page.get_by_role("link", name="Open desk5").click()
    screen_is_shown(page)
    guest["desk5"].pause()
