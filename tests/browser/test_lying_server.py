"""A server that lies: names with HTML, paths and other directions of text; random messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect
from support.acting_host import ActingMachine, acting_host
from support.hostile_text import HOSTILE
from support.wait import until

from kju.escaping import one_line
from kju.web import messages
from kju.wire import messages as wire

from .conftest import Web, own_folders

NAMES = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "../../api/logout",
    "..",
    "a/b?c#d",
    "%2e%2e",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "\u2066abc\u2067def",
    "__proto__",
    "constructor",
    '" onclick="alert(1)',
]


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingMachine]:
    with own_folders(tmp_path_factory.mktemp("lies")), acting_host("desk") as made:
        yield made


Answer = Callable[[WebSocketRoute, int, list[Any]], None]


class LyingServer:
    """Answers on the socket in place of the server that has sent the page.

    Args:
        page: The page.
        names: The names of its machines.
        answer: Takes the socket, the number of a screen, and a message of the page as a list.
    """

    def __init__(self, page: Page, names: list[str], answer: Answer) -> None:
        self._names, self._answer = names, answer
        self.sockets: list[WebSocketRoute] = []
        self._build = page.evaluate("document.documentElement.dataset.build")
        page.route_web_socket("**/socket", self._open)

    def _open(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda data: self._receive(socket, data))
        hello = messages.SocketHello(1, "0" * 32, self._build, "S1", "manage", "lab")
        machines = [
            messages.WebMachine(name, "qemu", "running", 2, True, 3) for name in self._names
        ]
        for message in (hello, messages.MachineList(machines)):
            socket.send(messages.frame(0, wire.encode(message)))

    def _receive(self, socket: WebSocketRoute, data: str | bytes) -> None:
        assert isinstance(data, bytes)
        number, body = messages.split_frame(data)
        self._answer(socket, number, msgspec.msgpack.decode(body))


@pytest.fixture
def page(browser: Browser, web: Web) -> Iterator[Page]:
    context = browser.new_context()
    made = context.new_page()
    made.goto(web.new_link())  # its socket is the server's own
    made.wait_for_selector(".tile")
    faults: list[str] = []
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("dialog", lambda dialog: faults.append(dialog.message))
    yield made
    context.close()
    assert faults == []


def nothing(socket: WebSocketRoute, number: int, message: list[Any]) -> None:
    """Answer nothing."""


def load(page: Page, url: str) -> None:
    """Load an address without the socket that was open."""
    page.goto("about:blank")
    page.goto(url)


def parts_of(name: str) -> list[str]:
    """Return the whole name, the machine's own name, and that of its place if it has one."""
    place, _, own = one_line(name).rpartition("/")
    return [one_line(name), own, *([place] if "/" in name else [])]


def test_names_are_texts_and_lead_to_their_own_pages(page: Page, web: Web):
    LyingServer(page, NAMES, nothing)
    load(page, web.url)
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(len(NAMES))
    shown = tiles.locator(".title").evaluate_all(
        "all => all.map(each => [each.title, ...[...each.children].map(one => one.textContent)])"
    )
    assert sorted(shown) == sorted(map(parts_of, NAMES))
    assert page.locator(".tile script, .tile bdi *").count() == 0
    # A direction of text inside the name changes nothing outside it.
    styles = "all => all.map(each => getComputedStyle(each).unicodeBidi)"
    assert set(tiles.locator("bdi").evaluate_all(styles)) == {"isolate"}
    for name in NAMES:
        page.get_by_role("link", name=f"Open {one_line(name)}", exact=True).click()
        if name == "..":  # no address has it as a part, and no machine as a name
            page.wait_for_url(web.url)
            continue
        page.wait_for_selector("canvas.picture")
        assert page.url.startswith(f"{web.url}m/")
        assert page.locator("h1 bdi").inner_text() == one_line(name)
        assert page.locator("h1 bdi *").count() == 0
        page.get_by_role("button", name="Back to all machines").click()


def test_reasons_and_snapshots_are_texts(page: Page, web: Web):
    # No peer can send half a surrogate pair: it is not UTF-8.
    text = "".join(f"<b>{each}</b>" for name, each in HOSTILE.items() if name != "surrogate")

    def answer(socket: WebSocketRoute, number: int, message: list[Any]) -> None:
        if message[0] == 65:
            socket.send(messages.frame(0, wire.encode(messages.ScreenClosed(message[1], text))))
        elif message[0] == 68 and message[3] == "snapshots":
            listed = msgspec.json.encode([{"tag": text, "time": 1e300, "picture": True}])
            socket.send(messages.frame(0, wire.encode(messages.ActionResult(message[1], listed))))
        elif message[0] == 68:
            failed = messages.ActionResult(message[1], error="KjuError", reason=text)
            socket.send(messages.frame(0, wire.encode(failed)))

    LyingServer(page, ["desk"], answer)
    load(page, f"{web.url}m/desk")
    shown = one_line(text)
    expect(page.locator(".badge")).to_contain_text(shown)
    page.get_by_role("button", name="Snapshots").click()
    expect(page.locator(".snapshots bdi")).to_contain_text(shown)
    expect(page.locator("dialog .problem")).to_contain_text(shown)
    assert page.locator("b").count() == 0


def test_random_messages_end_the_socket_and_nothing_else(page: Page, web: Web):
    """Each fault ends one socket, and the page connects again and again."""
    rng = random.Random(1)
    numbers = [17, 18, 19, 20, 21, 22, 23, 24, 25, 27, 29, 40, 80, 81, 82, 83, 84, 85]

    def answer(socket: WebSocketRoute, number: int, message: list[Any]) -> None:
        for _ in range(20):
            fields = rng.choices([0, 1, -1, "x", b"\x80", None, [], {}, 2**60, True], k=3)
            body = msgspec.msgpack.encode([rng.choice(numbers), *fields])
            socket.send(messages.frame(rng.randrange(3), body[: rng.randrange(len(body) + 1)]))

    server = LyingServer(page, ["desk"], answer)
    load(page, f"{web.url}m/desk")
    # Playwright takes the page's messages meanwhile.
    until(lambda: page.evaluate("1") and len(server.sockets) > 3, "the page connects again")
    page.wait_for_selector("main")
