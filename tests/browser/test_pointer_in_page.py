"""The pointer of the page: the guest reports the pixel of each button."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page
from support.paint_guest import Guest
from support.tablet_guest import LEFT, RIGHT, Pointed, booted_tablet

from .conftest import own_folders, screen_is_shown

pytestmark = pytest.mark.qemu

CLICKS = 40


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    folder = tmp_path_factory.mktemp("tablet")
    with own_folders(folder), booted_tablet(folder) as made:
        yield made


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 2])
def test_clicks_reach_their_pixels_at_every_scale(
    guest: Guest, open_page: Callable[..., Page], ratio: float
):
    page = open_page(
        path="m/tablet",
        viewport={"width": 1500, "height": 900},
        device_scale_factor=ratio,
    )
    screen_is_shown(page)
    rng = random.Random(ratio)
    for mode in ("Fit", "Whole multiples", "100 %"):
        page.get_by_role("button", name="Scale").click()
        page.get_by_role("menuitemradio", name=mode).click()
        box = page.locator("canvas.picture").bounding_box()
        assert box is not None
        places = [(rng.randrange(1360), rng.randrange(768)) for _ in range(CLICKS)]
        pointed = Pointed(guest)
        for x, y in places:
            left = box["x"] + (x + 0.5) * box["width"] / 1360
            top = box["y"] + (y + 0.5) * box["height"] / 768
            page.mouse.click(left, top)
        pointed.until(*[(LEFT, verb, x, y) for x, y in places for verb in ("down", "up")])


def test_buttons_that_are_down_together_come_up(guest: Guest, open_page: Callable[..., Page]):
    page = open_page(path="m/tablet", viewport={"width": 1500, "height": 900})
    screen_is_shown(page)
    box = page.locator("canvas.picture").bounding_box()
    assert box is not None
    pointed = Pointed(guest)
    x, y = 340, 192
    page.mouse.move(
        box["x"] + (x + 0.5) * box["width"] / 1360, box["y"] + (y + 0.5) * box["height"] / 768
    )
    page.mouse.down(button="left")
    page.mouse.down(button="right")
    page.mouse.up(button="left")
    page.mouse.up(button="right")
    pointed.until(
        (LEFT, "down", x, y), (RIGHT, "down", x, y), (LEFT, "up", x, y), (RIGHT, "up", x, y)
    )


def test_taps_and_long_presses_are_clicks(guest: Guest, open_page: Callable[..., Page]):
    page = open_page(
        path="m/tablet",
        viewport={"width": 390, "height": 800},
        device_scale_factor=3,
        has_touch=True,
        is_mobile=True,
    )
    screen_is_shown(page)
    box = page.locator("canvas.picture").bounding_box()
    assert box is not None
    pointed = Pointed(guest)
    page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    pointed.until((LEFT, "down", 340, 384), (LEFT, "up", 340, 384))
    session = page.context.new_cdp_session(page)
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    x, y = 680, 384
    pointed.until(
        (LEFT, "down", 340, 384), (LEFT, "up", 340, 384), (RIGHT, "down", x, y), (RIGHT, "up", x, y)
    )
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
