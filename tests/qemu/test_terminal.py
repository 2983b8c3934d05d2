"""`kju watch` in a terminal, on a real guest that reports its input."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from support.paint_guest import Guest
from support.ptys import InTerminal
from support.vt import Terminal

from kju.viewers.geometry import Scaling, place
from kju.viewers.terminal.canvas import Canvas
from kju.viewers.terminal.paint import Ability, Colours

pytestmark = [pytest.mark.qemu]

COLUMNS, ROWS = 100, 40


@pytest.fixture
def terminal(guest: Guest) -> Iterator[object]:
    running: list[InTerminal] = []

    def start(*options: str, kitty: bool = False) -> InTerminal:
        command = (sys.executable, "-m", "kju.cli", "watch", guest.machine.name, *options)
        running.append(InTerminal(command, COLUMNS, ROWS, kitty=kitty))
        return running[-1]

    yield start
    for one in running:
        one.close()


def shows(one: InTerminal, guest: Guest) -> bool:
    """Return whether the terminal shows the guest's current picture."""
    frame = np.asarray(guest.screen.frame(pixels="bgrx", sync=True))
    canvas = Canvas(Ability(Colours.TRUE), COLUMNS, ROWS)
    canvas.place(place(frame.shape[1::-1], canvas.size, Scaling.SHRINK, (0, 0)))
    canvas.draw(None, lambda rect: frame[rect.y : rect.bottom, rect.x : rect.right])
    wanted = Terminal(COLUMNS, ROWS)
    wanted.feed(canvas.paint(""))
    try:
        return one.screen.dots(ROWS - 1) == wanted.dots(ROWS - 1)
    except KeyError:
        return False  # text from before the viewer


def log_of(guest: Guest) -> str:
    return guest.serial._log.read_text(errors="replace")


def reported(one: InTerminal, guest: Guest, line: str, since: int) -> None:
    """Wait until the guest reports an input, and read the terminal's output meanwhile."""
    one.until(lambda: f"kju: {line}" in log_of(guest)[since:], line)


def test_terminal_shows_the_guest_and_sends_keys(guest: Guest, terminal) -> None:
    one = terminal()
    one.until(lambda: shows(one, guest), "the guest's picture")
    since = len(log_of(guest))
    for data, code in [(b"a", 30), (b"\r", 28), (b"\x1b[A", 103), (b"\x1b[24~", 88)]:
        one.type(data)
        reported(one, guest, f"key {code} down", since)
        reported(one, guest, f"key {code} up", since)
    # The guest draws its keys on its screen.
    one.until(lambda: shows(one, guest), "the keys on the screen")
    one.type(b"\x1d")
    assert one.ended() == 0
    one.assert_given_back()
    assert guest.machine.is_alive


def test_terminal_with_kittys_protocol_holds_keys(guest: Guest, terminal) -> None:
    one = terminal(kitty=True)
    one.until(lambda: one.screen.keyboard == [31], "the protocol")
    one.until(lambda: shows(one, guest), "the guest's picture")
    since = len(log_of(guest))
    one.type(b"\x1b[57441u\x1b[98;2u")
    reported(one, guest, "key 42 down", since)
    reported(one, guest, "key 48 down", since)
    assert len(guest.console()["keys_held"]) == 2
    one.type(b"\x1b[O")  # the terminal loses the focus
    reported(one, guest, "key 48 up", since)
    reported(one, guest, "key 42 up", since)
    assert guest.console()["keys_held"] == []
    one.type(b"\x1b[57442u\x1b[93;5u")
    assert one.ended() == 0
    one.assert_given_back()


def test_view_only_terminal_sends_no_input(guest: Guest, terminal) -> None:
    one = terminal("--view-only")
    one.until(lambda: shows(one, guest), "the guest's picture")
    since = len(log_of(guest))
    one.type(b"abc")
    one.type(b"\x1d")
    assert one.ended() == 0
    other = terminal()
    other.until(lambda: shows(other, guest), "the guest's picture")
    other.type(b"d")
    reported(other, guest, "key 32 up", since)
    # Only d, which is later than any input of the first terminal.
    assert log_of(guest)[since:].count("kju: key") == 2
