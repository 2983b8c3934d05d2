"""`kju desktop` on a real X server with a window manager, and real machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import guests, xservers
from support.accessibility import SHOWING, Node, accessibility_bus
from support.posts import Posts
from support.view_window import asked
from support.wait import HANG, until

import kju
from kju.desktop import first_steps
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.wall.screen_texts import ScreenTexts
from kju.desktop.wall.search import parse
from kju.store import running
from kju.store.paths import definitions_folder

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")
pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]


def start(display: str, *names: str, **variables: str) -> subprocess.Popen[str]:
    environment = xservers.environment(display) | variables
    for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-m", "kju.cli", "desktop", *names],
        env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def desktop(managed: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(*names: str, **variables: str) -> subprocess.Popen[str]:
        started.append(start(managed, *names, **variables))
        return started[-1]

    yield begin
    for one in started:
        one.terminate()
        one.communicate(timeout=HANG)


def windows(display: str) -> list[str]:
    return asked(display, "search", "--onlyvisible", "--name", "kju$").split()


def test_second_start_raises_the_first_and_opens_its_machines(managed: str, desktop):
    with kju.launch(args=["-m", "16"], name="web") as machine:
        first = desktop()
        until(lambda: windows(managed), what="the main window")
        second = desktop("web")
        assert second.wait(60) == 0
        assert first.poll() is None
        clients = lambda: {each["name"] for each in machine.info()["clients"]}  # noqa: E731
        until(lambda: "kju" in clients() or "__main__.py" in clients(), what="the console attaches")
        assert len(windows(managed)) == 1


def test_machines_outlive_a_killed_app_and_the_next_app_starts(managed: str, desktop):
    with kju.launch(args=["-m", "16"], name="web") as machine:
        first = desktop("web")
        until(lambda: windows(managed), what="the main window")
        first.kill()
        first.wait(60)
        until(lambda: not windows(managed), what="the window has gone")
        second = desktop()
        until(lambda: windows(managed), what="the next app's window")
        second.terminate()
        assert second.wait(60) == 128 + signal.SIGTERM
        assert machine.is_alive


def test_unknown_machine_is_an_error_before_a_window_opens(managed: str, desktop):
    process = desktop("nothing")
    assert process.wait(60) != 0
    assert "no machine 'nothing' is running" in process.stderr.read()


def test_without_a_display_the_error_says_so(desktop):
    environment = {**os.environ}
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "kju.cli", "desktop"],
        env=environment, capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip
    assert done.returncode
    assert "without a display" in done.stderr


def test_sample_guest_is_started_as_a_machine_of_its_own(tmp_path: Path):
    guests.sample()
    words: list[str] = []
    name = first_steps.start_sample(words.append)
    try:
        assert name in running.names()
        assert first_steps.start_sample(words.append) == name  # it runs already
    finally:
        with kju.attach(name) as machine:
            machine.stop()
    assert words[0] == "building the sample guest"


def test_setup_is_what_doctor_finds():
    setup = first_steps.SetupCheck().run()
    assert setup.known
    assert setup.broken == ""


def test_cancelled_check_ends_and_finds_nothing():
    check = first_steps.SetupCheck()
    check.cancel()
    assert not check.run().known


def test_screen_reader_finds_every_machine_and_control(managed: str, desktop):
    folder = definitions_folder() / "build"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "machine.toml").write_text('labels = ["shop"]')
    with accessibility_bus(managed) as bus:
        desktop(**bus.environment)

        def tile() -> list[Node]:
            program = bus.program("kju")
            return program.find("list item", "build") if program else []

        until(tile, what="the tile on the bus")
        tree = bus.program("kju")
        assert tree is not None
        assert tile()[0].name == "build, off, labels: shop"
        assert not [node for node in tree.unnamed if SHOWING in node.states], str(tree)
        for name in ("Show running machines", "Search machines", "Size of the tiles"):
            assert [node for node in tree.walk() if node.name == name], str(tree)


def test_screens_of_text_consoles_are_read_for_a_search():
    posts, read = Posts(), []
    texts = ScreenTexts(posts.post, lambda: read.append(1))
    entry = MachineEntry(MachineKey("", "web"), MachineState.RUNNING)
    with kju.launch(args=["-m", "16"], name="web"):

        def found() -> bool:
            texts.read([entry])
            return parse('text:"no bootable device"').matches(entry, texts.text(entry.key))

        posts.until(found, "the firmware's last line")
    assert read
    texts.drop()
    assert texts.text(entry.key) == ""
    texts.close()
