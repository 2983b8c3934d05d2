"""A screen across a link that is cut, loses packets, is slow, and whose router is killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support import namespaces, xservers
from support.wait import until

import kju
from kju.cli.demo.link import End, Shape, SimulatedLink
from kju.errors import UnavailableError
from kju.remote.trust import Trust

pytest.importorskip("zenoh")
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
KJU = (sys.executable, "-m", "kju.cli")
FAST = Shape(rate=50e6, delay=0.005)


@pytest.fixture(autouse=True)
def folder(runtime_folder: Path) -> None:
    xservers.need()


@pytest.fixture
def link() -> Iterator[SimulatedLink]:
    namespaces.need()
    with SimulatedLink(FAST) as made:
        yield made
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert f"kju-{os.getpid()}" not in names


@contextlib.contextmanager
def command(end: End, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a `kju` command at one end, and wait for its first line."""
    process = subprocess.Popen([*end.before, *KJU, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(("serving", "routing"))
        yield process
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@contextlib.contextmanager
def mirrored(end: End, place: str, *how: str) -> Iterator[kju.Machine]:
    """Start a mirror at one end, and attach to it."""
    words = ["mirror", "zenoh:lab/x", "far", "--connect", place, *(how or ["--insecure"])]
    subprocess.run([*end.before, *KJU, *words], check=True, capture_output=True, timeout=60)
    with kju.attach("far") as mirror:
        try:
            yield mirror
        finally:
            mirror.stop()


class Screen:
    """A machine on whose screen a test draws squares."""

    def __init__(self, machine: kju.Machine) -> None:
        self.machine = machine
        self._display = machine.info()["xvfb"]["display"]
        self._colour = 0

    def draw(self) -> None:
        self._colour = (self._colour * 5 + 0x123457) % (1 << 24)
        xservers.do(self._display, "xsetroot", "-solid", f"#{self._colour:06x}")

    def shown_by(self, mirror: kju.Machine) -> bool:
        with contextlib.suppress(UnavailableError):
            mine, theirs = (
                mirror.screen.frame(pixels="bgrx"),
                self.machine.screen.frame(pixels="bgrx"),
            )
            return mine.shape == theirs.shape and np.array_equal(mine[..., :3], theirs[..., :3])
        return False


@pytest.fixture
def screen() -> Iterator[Screen]:
    with kju.launch(xvfb=True, name="x") as machine:
        yield Screen(machine)


def is_up(mirror: kju.Machine) -> bool:
    return bool(mirror.info()["mirror"]["up"])


def within(so: Callable[[], bool], what: str) -> float:
    """Wait for a condition, and return the seconds that it took."""
    began = time.monotonic()
    until(so, what)
    return time.monotonic() - began


def test_mirror_reports_a_cut_link_and_reconnects(link: SimulatedLink, screen: Screen) -> None:
    place = f"tcp/{link.one.address}:7447"
    with (
        command(link.one, "serve", "x", "--prefix", "lab", "--listen", place, "--insecure"),
        mirrored(link.other, place) as mirror,
    ):
        screen.draw()
        within(lambda: screen.shown_by(mirror), "the mirror shows the screen")
        link.set(FAST._replace(cut=True))
        screen.draw()
        assert within(lambda: not is_up(mirror), "the cut is reported") > 1
        with pytest.raises(UnavailableError, match="stale since"):
            mirror.screen.frame()
        link.set(FAST)
        within(lambda: screen.shown_by(mirror), "the mirror is back")
        # Cut the link until TCP and zenoh have closed the connection.
        link.set(FAST._replace(cut=True))
        time.sleep(12)
        screen.draw()
        link.set(FAST)
        within(lambda: screen.shown_by(mirror), "the mirror is back")


def test_mirror_ends_equal_over_a_bad_link(link: SimulatedLink, screen: Screen) -> None:
    place = f"tcp/{link.one.address}:7447"
    with (
        command(link.one, "serve", "x", "--prefix", "lab", "--listen", place, "--insecure"),
        mirrored(link.other, place) as mirror,
    ):
        for shape in (Shape(20e6, 0.05, loss=0.05), Shape(300e3, 0.02)):
            link.set(shape)
            for _ in range(10):
                screen.draw()
            within(lambda: screen.shown_by(mirror), f"the mirror shows it over {shape.words}")


def over_tcp(end: End) -> bool:
    """Return whether a TCP connection is open at this end."""
    words = [*end.before, "ss", "-Htn", "state", "established"]
    return bool(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def test_datagrams_are_used_while_udp_passes_and_tcp_otherwise(
    link: SimulatedLink, screen: Screen
) -> None:
    place = f"tcp/{link.one.address}:7447"
    with command(link.one, "serve", "x", "--prefix", "lab", "--listen", place, "--insecure"):
        with mirrored(link.other, place) as mirror:
            within(lambda: screen.shown_by(mirror), "the mirror shows the screen")
            assert not over_tcp(link.other)
            # As when a firewall drops its state, or a computer changes its network.
            link.set(FAST._replace(udp=False))
            screen.draw()
            within(lambda: screen.shown_by(mirror), "the mirror continues")
            assert over_tcp(link.other)
        with mirrored(link.other, place) as mirror:
            screen.draw()
            within(lambda: screen.shown_by(mirror), "the mirror shows the screen")
            assert over_tcp(link.other)


def test_encrypted_screen_crosses_a_link_with_loss(
    link: SimulatedLink, screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    lab, home = Trust(tmp_path / "lab"), Trust(tmp_path / "home")
    lab.make_authority("the lab")
    lab.make_host("x", [link.one.address])
    lab.set_role("ann", "control")
    home.import_bundle(lab.user_bundle("ann"))
    place = f"{link.one.address}:7447"
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "lab"))
    with command(link.one, "serve", "x", "--prefix", "lab", "--listen", place):
        monkeypatch.setenv("KJU_TRUST", str(tmp_path / "home"))
        with mirrored(link.other, place, "--user", "ann") as mirror:
            link.set(Shape(20e6, 0.05, loss=0.05))
            for _ in range(20):
                screen.draw()
                within(lambda: screen.shown_by(mirror), "the mirror shows the screen")
            assert not over_tcp(link.other)


def test_mirror_reconnects_through_a_second_router(link: SimulatedLink, screen: Screen) -> None:
    place = f"tcp/{link.one.address}:7450"
    routing = ("router", "--listen", place, "--insecure")
    with contextlib.ExitStack() as stack:
        router = stack.enter_context(command(link.one, *routing))
        serving = ("serve", "x", "--prefix", "lab", "--connect", place, "--insecure")
        stack.enter_context(command(link.one, *serving))
        mirror = stack.enter_context(mirrored(link.other, place))
        screen.draw()
        within(lambda: screen.shown_by(mirror), "the mirror shows the screen")
        router.kill()
        router.wait()
        screen.draw()
        within(lambda: not is_up(mirror), "the loss of the router is reported")
        stack.enter_context(command(link.one, *routing))
        within(
            lambda: is_up(mirror) and screen.shown_by(mirror),
            "the mirror shows the screen through another router",
        )


def test_mirror_follows_a_restarted_machine(link: SimulatedLink) -> None:
    place = f"tcp/{link.one.address}:7447"
    serving = ("serve", "x", "--prefix", "lab", "--listen", place, "--insecure")
    with contextlib.ExitStack() as stack:
        with kju.launch(xvfb=True, name="x") as machine:
            stack.enter_context(command(link.one, *serving))
            mirror = stack.enter_context(mirrored(link.other, place))
            within(lambda: Screen(machine).shown_by(mirror), "the mirror shows the screen")
        within(lambda: not is_up(mirror), "the end of the machine is reported")
        with kju.launch(xvfb=True, name="x") as machine:
            screen = Screen(machine)
            screen.draw()
            within(lambda: is_up(mirror) and screen.shown_by(mirror), "the mirror is back")


def test_mirror_reconnects_to_a_second_sender(link: SimulatedLink, screen: Screen) -> None:
    place = f"tcp/{link.one.address}:7447"
    serving = ("serve", "x", "--prefix", "lab", "--listen", place, "--insecure")
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(command(link.one, *serving))
        mirror = stack.enter_context(mirrored(link.other, place))
        within(lambda: screen.shown_by(mirror), "the mirror shows the screen")
        sender.kill()
        sender.wait()
        within(lambda: not is_up(mirror), "the loss of the sender is reported")
        screen.draw()
        stack.enter_context(command(link.one, *serving))
        within(
            lambda: is_up(mirror) and screen.shown_by(mirror),
            "the mirror shows the screen of another sender",
        )
