"""Exit codes, the line of an error, colour and progress."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from kju import errors
from kju.cli.output import Exit, code_of, line_of
from kju.client.targets import UnreadableError

PROGRAM = """
import sys, threading
from kju.cli import output
output._DELAY = 0.01
class Work(threading.Event):
    pass
shown = threading.Event()
write = sys.stderr.write
def noticed(text):
    write(text)
    shown.set()
sys.stderr.write = noticed
print(output.styled("word", output.RED))
with output.progress("saving before"):
    if sys.stderr.isatty() and sys.argv[1] == "shown":
        assert shown.wait(30)
print("done")
"""


def in_terminal(expected: str, **environment: str) -> str:
    """Run in a terminal; return everything that was written to it."""
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


def test_pipe_gets_neither_colour_nor_progress() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "none"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("word\ndone\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.KjuError("x"), 1),
        (errors.PeerError("x"), 1),
        (OSError(2, "No such file", "f"), 2),
        (OSError(13, "Permission denied", "f"), 1),
        (errors.UsageError("x"), 2),
        (errors.ConflictError("x"), 2),
        (errors.GeometryError("x"), 2),
        (errors.RoleError("x"), 2),
        (errors.MachineNotFoundError("x"), 3),
        (errors.MachineExistsError("x"), 4),
        (errors.QemuError("x"), 5),
        (errors.WaitTimeoutError("x"), 6),
        (errors.FormatError("x"), 7),
        (errors.MemoryLostError("x"), 7),
        (errors.UnavailableError("x"), 7),
        (errors.InconsistentError("x"), 7),
        (UnreadableError("x"), 7),
        (errors.ProducerGoneError("x"), 8),
        (errors.SupersededError("x"), 8),
        (errors.MachineGoneError("x"), 8),
        (errors.LimitError("x", "l", 1, 2), 9),
    ],
)
def test_every_error_has_its_code(error: Exception, code: int) -> None:
    assert code_of(error) == code


def test_exit_codes_are_stable() -> None:
    assert {e.name: e.value for e in Exit} == {
        "OK": 0, "FAILURE": 1, "USAGE": 2, "NOT_FOUND": 3, "EXISTS": 4, "QEMU": 5, "TIMEOUT": 6,
        "SURFACE": 7, "GONE": 8, "LIMIT": 9, "INTERRUPTED": 130, "TERMINATED": 143,
    }  # fmt: skip


def test_an_error_is_one_line() -> None:
    assert line_of(errors.KjuError("a\n  b\tc")) == "a b c"
    assert line_of(errors.KjuError()) == "KjuError"
    assert line_of(OSError(13, "Permission denied", "/x")) == "/x: Permission denied"
