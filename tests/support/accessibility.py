"""AT-SPI: what a screen reader is told of a program's windows, on a bus of the test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from .wait import until

_ACCESSIBLE = "org.a11y.atspi.Accessible"
_ROOT = "/org/a11y/atspi/accessible/root"
_LAUNCHERS = ("/usr/libexec/at-spi-bus-launcher", "/usr/lib/at-spi2-core/at-spi-bus-launcher")
#: Bits of AT-SPI's set of states.
CHECKED, FOCUSABLE, FOCUSED, SELECTED, SHOWING, SENSITIVE = 4, 11, 12, 23, 25, 24
#: A kind of key events: press and release the key of a keysym.
_PRESS_SYMBOL = 3
#: Roles of controls: each must have a name.
CONTROLS = {
    "button", "push button", "toggle button", "check box", "radio button", "menu item",
    "check menu item", "radio menu item", "menu", "text", "combo box", "slider", "spin button",
    "list item", "page tab", "tool bar", "table cell", "button menu",
}  # fmt: skip


class Node(NamedTuple):
    """One accessible object, as it was when the tree was walked.

    Attributes:
        place: Its program's bus name, and its path there.
    """

    role: str
    name: str
    description: str
    states: frozenset[int]
    children: tuple[Node, ...]
    place: tuple[str, str] = ("", "")

    def walk(self) -> Iterator[Node]:
        """Return this object and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, role: str, name: str) -> list[Node]:
        """Return the objects of a role whose name contains a text."""
        return [one for one in self.walk() if one.role == role and name in one.name]

    @property
    def unnamed(self) -> list[Node]:
        """The controls without a name."""
        return [one for one in self.walk() if one.role in CONTROLS and not one.name.strip()]

    def __str__(self) -> str:
        lines = [f"{self.role} {self.name!r} {self.description!r}"]
        lines += [f"  {line}" for child in self.children for line in str(child).splitlines()]
        return "\n".join(lines)


class AccessibilityBus:
    """A session bus with AT-SPI's own bus behind it.

    Attributes:
        environment: For a program that has to be seen here.
    """

    def __init__(self, session: str) -> None:
        self.environment = {
            "DBUS_SESSION_BUS_ADDRESS": session,
            "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1",
            "NO_AT_BRIDGE": "0",
        }
        with contextlib.closing(_connect(session)) as bus:
            at = DBusAddress("/org/a11y/bus", "org.a11y.Bus", "org.a11y.Bus")
            self._bus = _connect(_call(bus, at, "GetAddress")[0])

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()

    def programs(self) -> list[Node]:
        """Return the trees of all programs on the bus."""
        return list(self._tree("org.a11y.atspi.Registry", _ROOT).children)

    def program(self, name: str) -> Node | None:
        """Return the tree of the program of this name; None before it is there."""
        return next((one for one in self.programs() if one.name == name and one.children), None)

    def visible(self) -> list[Node]:
        """Return the objects of all programs on the screen, without asking for what is hidden."""
        root = self._tree("org.a11y.atspi.Registry", _ROOT, visible=True)
        return [node for node in root.walk() if SHOWING in node.states]

    def actions(self, node: Node) -> list[str]:
        """Return the names of what a screen reader can do with an object."""
        at = DBusAddress(node.place[1], node.place[0], "org.a11y.atspi.Action")
        return [str(action[0]) for action in _call(self._bus, at, "GetActions")[0]]

    def do(self, node: Node, action: str) -> None:
        """Do something with an object, as a screen reader's user does."""
        number = self.actions(node).index(action)
        at = DBusAddress(node.place[1], node.place[0], "org.a11y.atspi.Action")
        assert _call(self._bus, at, "DoAction", "i", (number,))[0]

    def press_key(self, keysym: int) -> None:
        """Press and release a key where the focus is, as a screen reader does for its user."""
        path = "/org/a11y/atspi/registry/deviceeventcontroller"
        at = DBusAddress(path, "org.a11y.atspi.Registry", "org.a11y.atspi.DeviceEventController")
        _call(self._bus, at, "GenerateKeyboardEvent", "isu", (keysym, "", _PRESS_SYMBOL))

    def _tree(self, owner: str, path: str, depth: int = 0, *, visible: bool = False) -> Node:
        at = DBusAddress(path, owner, _ACCESSIBLE)
        assert depth < 30, "the tree ends"
        words = _call(self._bus, at, "GetState")[0] if depth else [0, 0]
        bits = words[0] | words[1] << 32
        states = frozenset(bit for bit in range(64) if bits >> bit & 1)
        children = []
        hidden = visible and depth > 1 and SHOWING not in states
        for where in [] if hidden else _call(self._bus, at, "GetChildren")[0]:
            with contextlib.suppress(RuntimeError):  # it is gone by now
                children.append(self._tree(*where, depth + 1, visible=visible))
        role = _call(self._bus, at, "GetRoleName")[0]
        name, description = self._text(at, "Name"), self._text(at, "Description")
        return Node(role, name, description, states, tuple(children), (owner, path))

    def _text(self, at: DBusAddress, which: str) -> str:
        properties = at.with_interface("org.freedesktop.DBus.Properties")
        return str(_call(self._bus, properties, "Get", "ss", (_ACCESSIBLE, which))[0][1])


def _connect(address: str) -> DBusConnection:
    return open_dbus_connection(bus=address)


def _call(
    bus: DBusConnection,
    at: DBusAddress,
    method: str,
    signature: str = "",
    body: tuple[Any, ...] = (),
) -> tuple[Any, ...]:
    reply = bus.send_and_get_reply(new_method_call(at, method, signature, body), timeout=20)
    if reply.header.message_type is MessageType.error:
        raise RuntimeError(f"{at} {method}: {reply.body}")
    return tuple(reply.body)


@contextlib.contextmanager
def accessibility_bus(display: str = "") -> Iterator[AccessibilityBus]:
    """Run a session bus and AT-SPI on it.

    Args:
        display: The X server of the registry, which may end without one.
    """
    if not shutil.which("dbus-daemon") or not any(Path(path).exists() for path in _LAUNCHERS):
        pytest.skip("there is no AT-SPI here: apt install at-spi2-core dbus")
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"DISPLAY": display},
    )  # fmt: skip
    try:
        assert daemon.stdout is not None
        bus = AccessibilityBus(daemon.stdout.readline().strip())
        try:
            yield bus
        finally:
            bus.close()
    finally:
        children = _descendants(daemon.pid)
        daemon.terminate()
        daemon.wait()
        daemon.stdout.close()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "AT-SPI ends")


def _descendants(pid: int) -> list[int]:
    found = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [*found, *(below for child in found for below in _descendants(child))]
