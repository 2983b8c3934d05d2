"""The page's look: languages, sizes of text, colours, motion, words for each state, deep links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from support.acting_host import ActingMachine, acting_host
from support.wait import until

from .conftest import Web, own_folders, screen_is_shown, serve, tree


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingMachine]:
    with own_folders(tmp_path_factory.mktemp("look")), acting_host("desk") as made:
        made.fill((0, 0, 640, 400), 90)
        yield made


#: Buttons of the bar that lie outside the page, or that another button covers.
HIDDEN_BUTTONS = """() => [...document.querySelectorAll("header button")].filter(button => {
  const box = button.getBoundingClientRect();
  const found = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return !button.contains(found) || box.right > innerWidth;
}).map(button => button.ariaLabel)"""


def violations(page: Page) -> list[str]:
    axe = tree("web/node_modules/axe-core/axe.min.js")
    if not axe.exists():
        pytest.skip("axe-core is not installed: npm ci --ignore-scripts in web/")
    page.evaluate(axe.read_text())
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]


@pytest.mark.parametrize("path", ["", "m/desk"])
@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1280, "height": 800}},
        {"viewport": {"width": 640, "height": 600}},
        {"viewport": {"width": 390, "height": 800}, "is_mobile": True, "has_touch": True},
        {"viewport": {"width": 320, "height": 640}},
    ],
    ids=lambda options: str(options["viewport"]["width"]),
)
def test_texts_of_twice_the_size_hide_no_button(
    guest: ActingMachine, open_page: Callable[..., Page], options: dict[str, object], path: str
):
    # The browser's own setting of the size: it scales what is in rem.
    style = "document.documentElement.style.fontSize = '32px'"
    script = f"addEventListener('DOMContentLoaded', () => {{ {style} }})"
    page = open_page(path=path, script=script, **options)
    page.wait_for_selector(".tile, header .role:not(:empty)", state="attached")
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "32px"
    assert page.evaluate(HIDDEN_BUTTONS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    button = page.locator("header button").first.bounding_box()
    assert button is not None and button["height"] > 50  # it grows with the text


def test_forced_colours_show_icons_and_the_focus(
    guest: ActingMachine, open_page: Callable[..., Page]
):
    page = open_page(path="m/desk", forced_colors="active")
    screen_is_shown(page)
    button = page.get_by_role("button", name="Paste as typing")
    colours = button.evaluate(
        "each => [getComputedStyle(each.querySelector('svg')).fill, getComputedStyle(each).color]"
    )
    assert colours[0] == colours[1]
    button.focus()
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_reduced_motion_moves_nothing(guest: ActingMachine, open_page: Callable[..., Page]):
    page = open_page(path="m/desk", reduced_motion="reduce")
    screen_is_shown(page)
    found = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter(each => {
          const style = getComputedStyle(each);
          return parseFloat(style.transitionDuration) > 0 || style.animationName !== "none";
        }).length"""
    )
    assert found == 0


def test_page_is_german_in_a_german_browser(guest: ActingMachine, open_page: Callable[..., Page]):
    page = open_page(locale="de-AT")
    page.wait_for_selector(".tile")
    assert page.evaluate("document.documentElement.lang") == "de"
    assert page.get_by_role("heading", name="Maschinen").is_visible()
    assert violations(page) == []
    page.get_by_role("link", name="desk öffnen").click()
    screen_is_shown(page)
    assert page.get_by_role("button", name="Als Tastendrücke einfügen").is_visible()
    assert violations(page) == []


def test_deep_link_opens_a_machine_and_back_leads_to_the_wall(
    guest: ActingMachine, web: Web, open_page: Callable[..., Page]
):
    page = open_page(path="m/desk?screen=1")
    screen_is_shown(page)
    assert page.url == f"{web.url}m/desk?screen=1"
    assert page.title() == "desk · kju"
    page.get_by_role("button", name="Back to all machines").click()
    page.wait_for_selector(".tile")
    page.go_back()
    screen_is_shown(page)


def test_deep_link_to_a_missing_machine_says_so(
    guest: ActingMachine, open_page: Callable[..., Page]
):
    page = open_page(path="m/%3Cb%3Enone")
    expect(page.locator(".badge")).to_contain_text("no machine '<b>none' is running")
    assert page.locator("h1").inner_text() == "<b>none"


def test_other_pages_of_a_machine_are_counted(guest: ActingMachine, open_page: Callable[..., Page]):
    first = open_page(path="m/desk")
    screen_is_shown(first)
    assert first.locator(".others").is_hidden()
    second = open_page("view", path="m/desk")
    expect(first.locator(".others")).to_contain_text("1 other page shows this machine")
    second.close()
    expect(first.locator(".others")).to_be_hidden()


def test_wall_names_a_lost_link_and_a_session_that_has_ended(guest: ActingMachine, browser):
    with serve() as first:
        page = browser.new_context().new_page()
        page.goto(first.link)
        page.wait_for_selector(".tile")
        port = int(first.url.rstrip("/").rpartition(":")[2])
    link = page.locator(".link")

    def age() -> int:
        found = re.search(r"is (\d+) s old", link.inner_text())
        return int(found[1]) if found else 0

    until(lambda: age() >= 2, "the age")
    assert "server" in link.inner_text()
    with serve(port) as second:
        expect(link).to_be_hidden()
        second.command("revoke", "--all")
        expect(page.locator(".login .problem")).to_contain_text("The session has ended.")
    page.context.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1001, "The server has ended."),
        (1013, "Too many pages are open. (try later)"),
        (1003, "The server and this page do not understand each other. (try later)"),
        (1008, "The session has ended. (try later)"),
    ],
)
def test_each_close_code_has_its_words(
    guest: ActingMachine, open_page: Callable[..., Page], code: int, words: str
):
    keep = """const sockets = [];
      window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); sockets.push(this); }
      };
      window.lose = (code) => {
        window.WebSocket = class { static OPEN = 1; close() {} };
        sockets[0].onclose({ code, reason: "try later" });
      };"""
    page = open_page(path="m/desk", script=keep)
    screen_is_shown(page)
    page.evaluate(f"lose({code})")
    expect(page.locator(".badge")).to_contain_text(words)
    assert violations(page) == []
