"""The app's pages and dialogs for a screen reader and for the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import xservers
from support.accessibility import (
    CHECKED,
    CONTROLS,
    FOCUSED,
    SELECTED,
    SENSITIVE,
    AccessibilityBus,
    Node,
    accessibility_bus,
)
from support.app_process import AppProcess
from support.wait import until

from kju.client import launching

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
pytestmark = [pytest.mark.qemu]

NAME = "web"
#: Pages and dialogs, and the controls that each must have for a screen reader.
SHOWN = {
    "panel": ("Details", "Snapshots", "Events", "Log"),
    "tree": ("Save snapshot", "Load snapshot", "Branch snapshot", "Remove snapshot"),
    "Save": ("Name", "Cancel"),
    "create": ("Start", "Cancel"),
    "remotes": ("Address of the computer", "Your user name there", "Close"),
    "shortcuts": ("Close",),
}


@pytest.fixture
def bus(managed: str) -> Iterator[AccessibilityBus]:
    with accessibility_bus(managed) as opened:
        yield opened


@pytest.fixture
def app(managed: str, runtime_folder: object, bus: AccessibilityBus) -> Iterator[AppProcess]:
    made = AppProcess(xservers.environment(managed) | bus.environment | {"QT_QPA_PLATFORM": "xcb"})
    yield made
    made.end()
    assert made.errors == ""


def usable(nodes: list[Node]) -> set[str]:
    """Return the names of the controls that can be used or explain why not."""
    return {
        node.name.replace("&", "").rstrip("\N{HORIZONTAL ELLIPSIS}")
        for node in nodes
        if node.role in CONTROLS and (SENSITIVE in node.states or node.description)
    }


def test_pages_and_dialogs_have_names_and_work_by_keyboard(
    app: AppProcess, bus: AccessibilityBus
) -> None:
    launching.define(NAME, memory="16M", disk="64M")
    with launching.start(NAME) as machine:
        app.until_state(NAME, "running")
        machine.snapshots.save("base")
        for what, wanted in SHOWN.items():
            show_and_check(app, bus, what, set(wanted))


def show_and_check(app: AppProcess, bus: AccessibilityBus, what: str, wanted: set[str]) -> None:
    """Show a page or a dialog, check its controls, and close a dialog with Esc."""
    dialogs = app.ask("dialogs")
    app.ask("show", what, NAME)
    seen: list[Node] = []

    def has_all() -> bool:
        seen[:] = bus.visible()
        return wanted <= usable(seen)

    until(has_all, f"{what}: {wanted}")
    assert not [str(node) for node in seen if node.role in CONTROLS and not node.name.strip()]
    order = app.ask("tab_order")
    assert order["reached"], what
    assert not order["missed"], f"{what}: Tab does not reach {order['missed']}"
    if app.ask("dialogs") != dialogs:
        first = app.ask("focus")
        app.ask("press_key", "Tab")
        assert app.ask("focus") != first, what
        app.ask("press_key", "Escape")
        until(lambda: app.ask("dialogs") == dialogs, f"Esc closes {what}")


def test_tiles_and_buttons_are_used_by_a_screen_reader(
    app: AppProcess, bus: AccessibilityBus
) -> None:
    launching.define(NAME, memory="16M")
    with launching.start(NAME):
        app.until_state(NAME, "running")

        def one(role: str, name: str) -> Node | None:
            found = (node for node in bus.visible() if node.role == role and name in node.name)
            return next(found, None)

        def do(role: str, name: str, *actions: str) -> None:
            until(lambda: one(role, name), f"{role} {name}")
            node = one(role, name)
            assert node is not None
            known = bus.actions(node)
            bus.do(node, next(action for action in actions if action in known))

        do("list item", NAME, "Toggle")
        until(lambda: is_selected(one("list item", NAME)), "it is selected")
        assert not one("page tab", "Details")
        do("check box", "Side panel", "Press", "Toggle")
        until(lambda: one("page tab", "Details"), "the panel")
        app.ask("press_key", "Return")
        until(lambda: app.ask("console", NAME)["size"], "the console is open")
        do("page tab", "Machines", "Press")
        until(lambda: one("list item", NAME), "the wall")


def test_space_and_return_activate_what_has_the_focus(
    app: AppProcess, bus: AccessibilityBus
) -> None:
    """The keys are those that a screen reader sends."""
    space, enter = 0x20, 0xFF0D
    launching.define(NAME, memory="16M")
    with launching.start(NAME):
        app.until_state(NAME, "running")

        def one(role: str, name: str) -> Node:
            found: list[Node] = []

            def is_shown() -> bool:
                nodes = [node for node in bus.visible() if node.role == role]
                found[:] = [node for node in nodes if name in node.name]
                return bool(found)

            until(is_shown, f"{role} {name}")
            return found[0]

        def press(key: int, role: str, name: str) -> None:
            """Give a button the focus, and press a key."""
            bus.do(one(role, name), "SetFocus")
            until(lambda: FOCUSED in one(role, name).states, f"the focus of {name}")
            bus.press_key(key)

        press(space, "check box", "Show running machines")
        until(lambda: CHECKED in one("check box", "Show running").states, "the filter")
        press(space, "check box", "Side panel")
        one("page tab", "Details")
        press(space, "push button", "Hide the side panel")
        until(lambda: app.ask("focus") == "Machines", "the focus is on the wall again")
        bus.press_key(space)
        until(lambda: is_selected(one("list item", NAME)), "Space selects the tile")
        for key in (space, enter):
            bus.press_key(key)
            one("page tab", NAME)
            until(lambda: app.ask("console", NAME)["size"], "the console is open")
            app.ask("close", NAME)
            until(lambda: app.ask("focus") == "Machines", "the wall has the focus")


def is_selected(node: Node | None) -> bool:
    return node is not None and SELECTED in node.states
