"""`kju watch` in a terminal sends keys, texts and the mouse to a machine."""

from __future__ import annotations

import sys

import pytest
from support.fake_host import fake_host
from support.ptys import InTerminal

from kju.keys import NUMBERS, layout

KJU = (sys.executable, "-m", "kju.cli")
CTRL_ALT_W = b"\x1b\x17"
LEAVE = b"\x1d"


@pytest.fixture
def host(runtime_folder):
    with fake_host() as host:
        host.machine.info = {"name": "fake", "consoles": [{"source": "vram"}]}
        yield host


@pytest.fixture
def terminal(host):
    running = []

    def start(*options, kitty=False):
        one = InTerminal((*KJU, "watch", "fake", *options), 80, 25, kitty=kitty)
        running.append(one)
        one.until(lambda: "64x48" in one.screen.text()[-1], "the picture")
        if kitty:
            one.until(lambda: one.screen.keyboard == [31], "Kitty's protocol")
        return one

    yield start
    for one in running:
        one.close()


def pressed(*names):
    """Return the steps of a chord."""
    numbers = [NUMBERS[name] for name in names]
    return [(n, True) for n in numbers] + [(n, False) for n in reversed(numbers)]


def typed(text, name="us"):
    steps = []
    for stroke in layout(name).type(text):
        steps += [(n, True) for n in stroke] + [(n, False) for n in reversed(stroke)]
    return steps


def test_characters_are_typed_on_the_guests_layout(host, terminal):
    one = terminal("--layout", "de")
    one.type(b"yz")
    one.until(lambda: host.machine.steps == typed("yz", "de"), "the text")
    assert typed("yz", "de") == typed("zy")
    one.type("ß".encode())
    one.until(lambda: host.machine.steps == typed("yzß", "de"), "a character of that layout")
    one.type("日".encode())
    one.until(lambda: "日" in one.screen.text()[-1].replace(" ", ""), "the error")


def test_control_and_cursor_keys_reach_the_guest(host, terminal):
    one = terminal()
    wanted = []
    for data, names in [
        (b"\x03", ("ctrl", "c")),
        (b"\x1a", ("ctrl", "z")),
        (b"\x13", ("ctrl", "s")),
        (b"\x1c", ("ctrl", "backslash")),
        (b"\r", ("ret",)),
        (b"\x1b[A", ("up",)),
        (b"\x1b[1;5D", ("ctrl", "left")),
        (b"\x1b", ("esc",)),
        (b"\x1bb", ("alt", "b")),
    ]:
        one.type(data)
        wanted += pressed(*names)
        one.until(lambda: len(host.machine.steps) >= len(wanted), f"{names}")  # noqa: B023
        assert host.machine.steps == wanted
    assert one.process.poll() is None


@pytest.mark.parametrize("leave", [LEAVE, CTRL_ALT_W], ids=["ctrl-]", "ctrl-alt-w"])
def test_leave_key_is_shown_and_leaves_the_machine_running(host, terminal, leave):
    one = terminal()
    assert one.screen.text()[-1].endswith(" Ctrl+] leaves ")
    one.type(b"q")
    one.until(lambda: host.machine.steps == pressed("q"), "q reaches the guest")
    one.type(leave)
    assert one.ended() == 0
    one.assert_given_back()
    assert not [step for step in host.machine.steps if step[0] == NUMBERS["w"]]
    # The guest's keys of the chord are released.
    downs = [number for number, down in host.machine.steps if down]
    ups = [number for number, down in host.machine.steps if not down]
    assert sorted(downs) == sorted(ups)


def test_kittys_protocol_holds_keys_and_grabs(host, terminal):
    one = terminal(kitty=True)
    a, ctrl, alt = NUMBERS["a"], NUMBERS["ctrl"], NUMBERS["alt"]
    one.type(b"\x1b[97u")
    one.until(lambda: host.machine.steps == [(a, True)], "a is held")
    one.type(b"\x1b[97;1:3u")
    one.until(lambda: host.machine.steps == [(a, True), (a, False)], "a is up")
    one.type(b"\x1b[57442u\x1b[57443u\x1b[57443;1:3u\x1b[57442;1:3u")
    hint = "Ctrl+Alt releases the keyboard"
    one.until(lambda: one.screen.text()[-1].rstrip().endswith(hint), "the grab")
    one.until(lambda: host.machine.steps[-1] == (ctrl, False), "ctrl is up")
    host.machine.steps.clear()
    one.type(b"\x1b[57442u\x1b[93;5u\x1b[93;5:3u\x1b[57442;1:3u")
    leave = pressed("ctrl", "bracket_right")
    one.until(lambda: host.machine.steps == leave, "the leave key reaches the guest")
    one.type(b"\x1b[57442u\x1b[57443u\x1b[57443;1:3u\x1b[57442;1:3u")
    one.until(lambda: one.screen.text()[-1].endswith(" Ctrl+] leaves "), "the release")
    one.type(b"\x1b[57442u\x1b[93;5u")
    assert one.ended() == 0
    one.assert_given_back()
    assert host.machine.steps[-1] == (ctrl, False)
    assert host.machine.steps.count((alt, True)) == host.machine.steps.count((alt, False))


def test_key_is_released_when_the_terminal_loses_the_focus(host, terminal):
    one = terminal(kitty=True)
    a = NUMBERS["a"]
    one.type(b"\x1b[97u\x1b[O")
    one.until(lambda: host.machine.steps == [(a, True), (a, False)], "the release")


def test_view_only_sends_no_input(host, terminal):
    one = terminal("--view-only")
    one.until(lambda: "view only" in one.screen.text()[-1], "the status")
    one.type(b"abc\r")
    one.type(LEAVE)
    assert one.ended() == 0
    assert host.machine.steps == []
    two = terminal("--view-only")
    two.type(b"\x03")
    assert two.ended() == 130
    two.assert_given_back()


def test_end_of_the_machine_ends_the_viewer(host, terminal):
    one = terminal()
    host.end()
    assert one.ended() == 8
    one.assert_given_back()
    assert "fake" in "".join(one.screen.text())


@pytest.mark.parametrize(
    ("options", "reason"),
    [(("--layout", "klingon"), "klingon"), (("--release-key", "moon"), "moon")],
)
def test_wrong_options_are_errors_before_the_terminal_is_taken(host, options, reason):
    one = InTerminal((*KJU, "watch", "fake", *options), 80, 25)
    try:
        assert one.ended() == 2
        assert reason in "".join(one.screen.text())
        one.assert_given_back()
    finally:
        one.close()
