"""Colour and progress, as far as a terminal and the user want them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from kju.cli import terminal
terminal.DELAY = 0.01
class Work(threading.Event):
    pass
shown = threading.Event()
write = sys.stderr.write
def noticed(text):
    write(text)
    shown.set()
sys.stderr.write = noticed
print(terminal.styled("word", terminal.RED))
with terminal.progress("saving before"):
    if sys.stderr.isatty() and sys.argv[1] == "shown":
        assert shown.wait(30)
print("done")
"""


def in_terminal(expected: str, **environment: str) -> str:
    """Run in a terminal; return everything that it got."""
    master, slave = pty.openpty()
    before = {name: os.environ[name] for name in os.environ if name not in ("NO_COLOR", "TERM")}
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, expected],
        stdout=slave,
        stderr=slave,
        env=before | {"TERM": "xterm"} | environment,
    )
    os.close(slave)
    text = b""
    try:
        while data := os.read(master, 4096):
            text += data
    except OSError:  # the end of a terminal whose other side is closed
        pass
    os.close(master)
    assert child.wait(60) == 0
    return text.decode()


def test_a_terminal_gets_colour_and_progress_that_is_cleared() -> None:
    text = in_terminal("shown")
    assert "\x1b[31mword\x1b[0m" in text
    assert "saving before ..." in text
    assert text.endswith("\r\x1b[Kdone\r\n")


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"KJU_COLOURS": "none"}, {"TERM": "dumb"}], ids=str
)
def test_colour_can_be_turned_off(environment: dict[str, str]) -> None:
    expected = "none" if environment.get("TERM") == "dumb" else "shown"
    assert in_terminal(expected, **environment).startswith("word\r\n")


def test_a_pipe_gets_neither() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "none"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("word\ndone\n", "")
