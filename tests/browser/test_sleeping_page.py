"""A page in Chromium that sleeps with its computer."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, WebSocket, expect
from support.wait import until

import kju

from .conftest import launch_options, own_folders, screen_is_shown, serve

#: Without a disk: the firmware says so, and then nothing happens.
ARGUMENTS = ["-m", "16", "-nic", "none", "-S"]
#: `kju web` whose sockets are pinged each second, so that a page that sleeps is soon noticed.
IMPATIENT = """
from kju.cli.__main__ import main
from kju.web import server

server.HEARTBEAT = 1.0
main()
"""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kju.Machine]:
    with (
        own_folders(tmp_path_factory.mktemp("desk")),
        kju.launch(name="desk", args=ARGUMENTS) as machine,
    ):
        yield machine


def processes_of(profile: Path) -> list[int]:
    """Return the processes of the browser with this profile, parents first."""
    parents: dict[int, int] = {}
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(process.name)
            parents[pid] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if str(profile).encode() in (process / "cmdline").read_bytes():
                found.append(pid)
    while more := [pid for pid, parent in parents.items() if parent in found and pid not in found]:
        found += more
    return found


@contextlib.contextmanager
def asleep(profile: Path) -> Iterator[None]:
    """Stop a browser with all its processes, as a computer that sleeps does."""
    stopped = processes_of(profile)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def held_keys(machine: kju.Machine) -> list[int]:
    found: list[int] = machine.info()["consoles"][0]["keys_held"]
    return found


def test_page_that_sleeps_holds_no_key_and_comes_back(
    guest: kju.Machine, browser: Browser, tmp_path: Path
):
    machine, profile = guest, tmp_path / "profile"
    machine.resume()
    with serve(0, program=["-c", IMPATIENT]) as web:
        context = browser.browser_type.launch_persistent_context(str(profile), **launch_options())
        page = context.new_page()
        sockets: list[WebSocket] = []
        page.on("websocket", lambda socket: sockets.append(socket))
        page.goto(web.link.replace("/#", "/m/desk#"))
        screen_is_shown(page)
        page.locator("canvas.picture").focus()
        page.keyboard.down("a")
        until(lambda: held_keys(machine) == [30], "the key is down")
        with asleep(profile):
            until(lambda: held_keys(machine) == [], "the key is up")
        # Playwright reports events during its own calls only.
        until(lambda: page.evaluate("1") and len(sockets) == 2, "the page connects again")
        expect(page.locator("main.stale")).to_have_count(0)
        screen_is_shown(page)
        page.keyboard.up("a")
        page.keyboard.down("b")
        until(lambda: held_keys(machine) == [48], "the page has the keyboard")
        page.keyboard.up("b")
        until(lambda: held_keys(machine) == [], "the key is up")
        context.close()
