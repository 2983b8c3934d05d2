"""Inputs of the page: the release key, input methods, the wheel, captured pointers, touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page
from support.acting_host import ActingMachine, acting_host
from support.wait import until

import kju
from kju.keys import number
from kju.protocol.values import Button, By, To, TurnWheel

from .conftest import own_folders, screen_is_shown

PHONE = {
    "viewport": {"width": 390, "height": 800},
    "device_scale_factor": 3,
    "has_touch": True,
    "is_mobile": True,
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingMachine]:
    """A machine that logs its input."""
    with own_folders(tmp_path_factory.mktemp("input")), acting_host("desk") as made:
        made.fill((0, 0, 640, 400), 90)
        yield made


@pytest.fixture
def guest(host: ActingMachine) -> ActingMachine:
    host.log.clear()
    host.absolute = True
    return host


@pytest.fixture(scope="module")
def web(host: ActingMachine) -> Iterator[Any]:
    from .conftest import serve

    with serve() as made:
        yield made


@pytest.fixture
def page(guest: ActingMachine, open_page: Callable[..., Page]) -> Page:
    made = open_page(path="m/desk")
    screen_is_shown(made)
    return made


def steps(*names: str) -> list[tuple[int, bool]]:
    """Return key steps: a name goes down, one with a minus comes up."""
    return [(number(name.lstrip("-")), not name.startswith("-")) for name in names]


def test_release_key_leaves_the_screen(guest: ActingMachine, page: Page):
    picture = page.locator("canvas.picture")
    picture.focus()
    assert page.locator(".space kbd").is_visible()
    for key in ("Control", "Alt"):
        page.keyboard.down(key)
    for key in ("Alt", "Control"):
        page.keyboard.up(key)
    until(lambda: guest.log == steps("ctrl", "alt", "-alt", "-ctrl"), "the guest's keys")
    assert page.evaluate("document.activeElement.closest('header') !== null")
    page.keyboard.press("Tab")
    assert guest.log[4:] == []


def test_release_key_with_a_letter_is_a_command(guest: ActingMachine, page: Page):
    page.locator("canvas.picture").focus()
    page.keyboard.press("Control+Alt+v")
    page.wait_for_selector("dialog textarea")
    until(lambda: len(guest.log) == 4, "no key is down")
    assert steps("v")[0] not in guest.log
    page.keyboard.press("Escape")
    page.locator("canvas.picture").focus()
    page.keyboard.press("Control+Alt+F2")
    until(lambda: steps("f2")[0] in guest.log, "other combinations are the guest's")


def test_text_of_an_input_method_is_typed_with_the_guests_layout(guest: ActingMachine, page: Page):
    page.evaluate("localStorage.setItem('kju-layout', 'de')")
    page.get_by_role("button", name="Type with this device's keyboard").click()
    field = page.locator(".text-field")
    assert field.evaluate("field => getComputedStyle(field).opacity") == "1"
    session = page.context.new_cdp_session(page)
    for part in ("g", "gr", "gru", "grü"):
        session.send(
            "Input.imeSetComposition",
            {"text": part, "selectionStart": len(part), "selectionEnd": len(part)},
        )
    assert guest.log == []  # nothing is typed that may still change
    session.send("Input.insertText", {"text": "grün"})
    until(lambda: len(guest.log) == 8, "the text")
    typed = [*guest.log]
    guest.log.clear()
    with kju.attach("desk") as machine:
        machine.keyboard.type("grün", layout="de")
    until(lambda: guest.log == typed, f"the keys of the text: {typed}")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Control+c")
    rest = steps("left", "-left", "ctrl", "c", "-c", "-ctrl")
    until(lambda: guest.log[-6:] == rest, "keys without text")


def test_character_that_the_layout_lacks_is_named_and_nothing_is_typed(
    guest: ActingMachine, page: Page
):
    page.get_by_role("button", name="Type with this device's keyboard").click()
    page.keyboard.insert_text("a\N{SNOWMAN}b")
    until(lambda: "\N{SNOWMAN}" in page.locator(".notice").inner_text(), "the character")
    assert guest.log == []


def test_wheel_turns_in_both_directions(guest: ActingMachine, page: Page):
    page.locator("canvas.picture").hover()
    page.mouse.wheel(0, 200)
    page.mouse.wheel(-100, 0)

    def turned() -> tuple[int, int]:
        wheels = [each for each in guest.log if isinstance(each, TurnWheel)]
        return sum(w.vertical for w in wheels), sum(w.horizontal for w in wheels)

    until(lambda: turned() == (2, -1), "the notches")


def test_guest_without_a_tablet_captures_the_pointer_until_the_release_key(
    guest: ActingMachine, open_page: Callable[..., Page]
):
    guest.absolute = False
    page = open_page(path="m/desk")
    screen_is_shown(page)
    hint = page.locator(".capture")
    assert hint.is_hidden()

    def is_captured() -> bool:
        page.locator("canvas.picture").click(position={"x": 50, "y": 50})
        return bool(page.evaluate("document.pointerLockElement !== null"))

    until(is_captured, "the pointer is captured")
    until(lambda: "Esc" in hint.inner_text(), "the key that releases it")
    guest.log.clear()
    page.mouse.move(400, 300)
    page.mouse.move(420, 290)
    until(lambda: any(isinstance(each, By) for each in guest.log), "distances")
    assert not any(isinstance(each, To) for each in guest.log)
    page.keyboard.press("Control+Alt")
    until(hint.is_hidden, "the pointer is released")
    assert page.evaluate("document.pointerLockElement === null")


def test_full_screen_locks_the_keyboard(guest: ActingMachine, open_page: Callable[..., Page]):
    script = """window.locks = [];
      for (const name of ["lock", "unlock"]) {
        const original = navigator.keyboard[name];
        navigator.keyboard[name] = (...given) => {
          window.locks.push(name);
          return original.apply(navigator.keyboard, given);
        };
      }"""
    page = open_page(path="m/desk", script=script)
    screen_is_shown(page)
    page.locator("canvas.picture").focus()
    page.keyboard.press("Control+Alt+f")
    until(lambda: page.evaluate("window.locks") == ["lock"], "the lock")
    until(lambda: "Ctrl+Alt" in page.locator(".notice").inner_text(), "the keys that leave")
    page.keyboard.press("Control+Alt+f")
    until(lambda: page.evaluate("window.locks") == ["lock", "unlock"], "the end of the lock")


class Fingers:
    """Touches of a page, by their places in the picture's own size."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        box = page.locator("canvas.picture").bounding_box()
        assert box is not None
        self.box = box

    def __call__(self, kind: str, *places: tuple[float, float]) -> None:
        points = [
            {
                "x": self.box["x"] + self.box["width"] * x / 640,
                "y": self.box["y"] + self.box["height"] * y / 400,
                "id": number,
            }
            for number, (x, y) in enumerate(places)
        ]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_two_fingers_scroll_and_pinch(guest: ActingMachine, open_page: Callable[..., Page]):
    page = open_page(path="m/desk", **PHONE)
    screen_is_shown(page)
    touch = Fingers(page)
    touch("touchStart", (300, 300), (360, 300))
    for y in range(290, 100, -10):
        touch("touchMove", (300, y), (360, y))
    touch("touchEnd")
    until(lambda: any(isinstance(each, TurnWheel) for each in guest.log), "the wheel")
    assert not any(isinstance(each, Button) for each in guest.log)
    width = page.locator("canvas.picture").evaluate("picture => picture.clientWidth")
    touch("touchStart", (300, 200), (340, 200))
    for step in range(1, 16):
        touch("touchMove", (300 - 10 * step, 200), (340 + 10 * step, 200))
    touch("touchEnd")
    picture = page.locator("canvas.picture")
    until(lambda: picture.evaluate("picture => picture.clientWidth") > 2 * width, "the zoom")
    guest.log.clear()
    middle = page.locator(".area").bounding_box()
    assert middle is not None
    x, y = middle["x"] + middle["width"] / 2, middle["y"] + middle["height"] / 2
    expected = page.evaluate(
        """([x, y]) => {
          const box = document.querySelector("canvas.picture").getBoundingClientRect();
          return [Math.floor((x - box.x) / box.width * 640),
                  Math.floor((y - box.y) / box.height * 400)];
        }""",
        [x, y],
    )
    page.touchscreen.tap(x, y)
    until(lambda: Button(0, False) in guest.log, "a tap in the enlarged picture")
    assert guest.log == [To(*expected), Button(0, True), Button(0, False)]


def test_touchpad_moves_the_pointer_and_taps_where_it_is(
    guest: ActingMachine, open_page: Callable[..., Page]
):
    page = open_page(path="m/desk", **PHONE)
    screen_is_shown(page)
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitemradio", name="Touch moves the pointer").click()
    touch = Fingers(page)
    touch("touchStart", (100, 100))
    for step in range(1, 11):
        touch("touchMove", (100 + 10 * step, 100))
    touch("touchEnd")
    # From the middle of the screen.
    until(lambda: any(isinstance(each, To) and each.x > 400 for each in guest.log), "the moves")
    touch("touchStart", (10, 10))
    touch("touchEnd")
    until(lambda: guest.log[-2:] == [Button(0, True), Button(0, False)], "a click")
    assert all(each.x > 320 for each in guest.log if isinstance(each, To)), "at the pointer"
