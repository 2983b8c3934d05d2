"""The page of `kju web` in Chromium: pixels, keys, paste, roles, the wall, a lost server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from support import typed_guest
from support.wait import until

import kju

from .conftest import Web, pixels_of, screen_is_shown, serve, tree

pytestmark = pytest.mark.qemu

#: Keys of characters with Shift.
KEYS = {":": ";", "!": "1"}


def shows(page: Page, machine: kju.Machine) -> bool:
    """Return whether the canvas has exactly the guest's pixels."""
    frame = machine.screen.frame(sync=True)
    found = pixels_of(page)
    return found.shape == frame.shape and bool((found == frame).all())


def machine_path(guest: typed_guest.Field) -> str:
    return f"m/{guest.machine.name}"


def type_keys(page: Page, text: str) -> None:
    """Press the keys of a text on a US keyboard."""
    page.locator("canvas.picture").focus()
    for character in text:
        key = KEYS.get(character, character)
        page.keyboard.press(f"Shift+{key}" if character.isupper() or key != character else key)


def arrives(page: Page, guest: typed_guest.Field, text: str) -> None:
    """Fail unless the guest has this text, and no other, after the page's inputs."""
    page.locator("canvas.picture").focus()
    page.keyboard.press("Control+s")  # behind the page's other inputs
    assert guest.saved() == text


def test_canvas_has_the_guests_pixels_and_keys_reach_it(
    guest: typed_guest.Field, open_page: Callable[..., Page]
):
    page = open_page(path=machine_path(guest))
    screen_is_shown(page)
    until(lambda: shows(page, guest.machine), "the same pixels")
    guest.begin()
    type_keys(page, "Hello, World: 42!")
    arrives(page, guest, "Hello, World: 42!")
    until(lambda: shows(page, guest.machine), "the same pixels after typing")
    until(lambda: "ms" in page.locator(".latency").inner_text(), "the time from key to pixel")


def test_keys_come_up_when_the_page_loses_the_focus(
    guest: typed_guest.Field, open_page: Callable[..., Page]
):
    page = open_page(path=machine_path(guest))
    screen_is_shown(page)
    guest.begin()
    page.locator("canvas.picture").focus()
    page.keyboard.down("Shift")
    page.keyboard.press("a")
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    page.keyboard.up("Shift")
    page.keyboard.press("b")
    arrives(page, guest, "Ab")


def test_pasted_text_is_typed_and_missing_characters_are_named(
    guest: typed_guest.Field, open_page: Callable[..., Page]
):
    page = open_page(path=machine_path(guest))
    screen_is_shown(page)
    guest.begin()
    page.get_by_role("button", name="Paste as typing").click()
    field = page.locator("dialog textarea")
    page.wait_for_selector("dialog option[value=us]", state="attached")
    field.fill("a\N{SNOWMAN}b")
    page.get_by_role("button", name="Type", exact=True).click()
    until(lambda: "\N{SNOWMAN}" in page.locator("dialog .problem").inner_text(), "the reason")
    field.fill("Line one; {two}")
    page.get_by_role("button", name="Type", exact=True).click()
    page.wait_for_selector("dialog", state="detached")
    arrives(page, guest, "Line one; {two}")


def test_key_is_removed_from_the_address_and_works_once(
    guest: typed_guest.Field, web: Web, open_page: Callable[..., Page]
):
    page = open_page("view")
    page.wait_for_selector(".tile")
    assert page.url == web.url
    other = page.context.browser.new_context().new_page()  # type: ignore[union-attr]
    link = web.new_link()
    other.goto(link)
    other.wait_for_selector(".tile")
    third = page.context.browser.new_context().new_page()  # type: ignore[union-attr]
    third.goto(link)
    third.wait_for_selector(".login .problem:not(:empty)")
    assert third.url == web.url
    assert link.partition("#")[2] not in third.content()
    other.context.close()
    third.context.close()


def test_page_that_views_sends_no_input(guest: typed_guest.Field, open_page: Callable[..., Page]):
    page = open_page("view", path=machine_path(guest))
    screen_is_shown(page)
    guest.begin()
    assert "view only" in page.locator("header").inner_text()
    for name in ("Send keys", "Paste as typing", "Power"):
        assert page.get_by_role("button", name=name).count() == 0
    type_keys(page, "nothing")
    page.locator("canvas.picture").click()
    guest.keyboard.type("x")
    assert guest.arrived() == "x"


def test_wall_shows_pictures_and_opens_a_machine(
    guest: typed_guest.Field, open_page: Callable[..., Page]
):
    page = open_page()
    page.wait_for_selector(".tile img[src]")
    picture = page.locator(".tile img").first
    until(lambda: picture.evaluate("image => image.naturalWidth") > 0, "the picture is decoded")
    page.get_by_role("searchbox").fill("no such machine")
    assert page.locator(".tile:visible").count() == 0
    page.get_by_role("searchbox").fill(guest.machine.name[:4].upper())
    page.get_by_role("link", name=f"Open {guest.machine.name}").press("Enter")
    screen_is_shown(page)
    page.get_by_role("button", name="Back to all machines").click()
    page.wait_for_selector(".tile")


def test_pause_from_the_wall_is_shown(guest: typed_guest.Field, open_page: Callable[..., Page]):
    page = open_page()
    page.wait_for_selector(".tile")
    name = guest.machine.name
    page.get_by_role("button", name=f"Pause: {name}").click()
    until(lambda: page.locator(".tile .state").first.inner_text() == "paused", "paused")
    page.get_by_role("button", name=f"Resume: {name}").click()
    until(lambda: page.locator(".tile .state").first.inner_text() == "running", "running")


def test_picture_stays_and_returns_when_the_server_is_restarted(guest: typed_guest.Field, browser):
    with serve() as first:
        page = browser.new_context().new_page()
        page.goto(first.link)
        page.wait_for_selector(".tile")
        page.goto(first.url + machine_path(guest))
        screen_is_shown(page)
        port = int(first.url.rstrip("/").rpartition(":")[2])
    until(lambda: "No connection" in page.locator(".badge").inner_text(), "the reason")
    assert page.locator("main.stale").count() == 1
    assert pixels_of(page).any()
    with serve(port):
        until(lambda: page.locator("main.stale").count() == 0, "the link is back")
        screen_is_shown(page)
        guest.begin()
        type_keys(page, "again")
        arrives(page, guest, "again")
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(guest: typed_guest.Field, open_page: Callable[..., Page], scheme: str):
    axe = tree("web/node_modules/axe-core/axe.min.js")
    if not axe.exists():
        pytest.skip("axe-core is not installed: npm ci --ignore-scripts in web/")
    page = open_page(color_scheme=scheme)
    found = []

    def look(what: str) -> None:
        page.evaluate(axe.read_text())
        violations = page.evaluate("async () => (await axe.run()).violations")
        found.extend((what, each["id"], each["nodes"][0]["html"]) for each in violations)

    page.wait_for_selector(".tile img[src]")
    look("wall")
    page.get_by_role("link", name=f"Open {guest.machine.name}").click()
    screen_is_shown(page)
    look("machine")
    page.get_by_role("button", name="Power").click()
    look("menu")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Snapshots").click()
    page.wait_for_selector("dialog li")
    look("snapshots")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Paste as typing").click()
    page.wait_for_selector("dialog option", state="attached")
    look("paste")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Back to all machines").click()
    page.get_by_role("button", name="End the session").click()
    page.wait_for_selector(".login")
    look("login")
    assert found == []


def test_typed_text_of_a_phone_reaches_the_guest(
    guest: typed_guest.Field, open_page: Callable[..., Page]
):
    page = open_page(
        path=machine_path(guest),
        viewport={"width": 390, "height": 800},
        device_scale_factor=3,
        has_touch=True,
        is_mobile=True,
    )
    screen_is_shown(page)
    guest.begin()
    page.get_by_role("button", name="Type with this device's keyboard").click()
    page.keyboard.insert_text("von der Tastatur")
    page.keyboard.press("Backspace")

    def saved() -> str:
        page.locator("canvas.picture").focus()
        # Not behind the text, which the server types: Shift may be down for one of its letters.
        page.keyboard.press("Control+s")
        page.wait_for_timeout(300)
        return guest.saved_already()

    until(lambda: saved() == "von der Tastatu", "the text without its last letter")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
