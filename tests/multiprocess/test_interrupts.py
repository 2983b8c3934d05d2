"""Ctrl+C at many moments of a command and its imports: the right exit code, no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

#: Moments of a command, evenly spread over its function calls.
MOMENTS = 25

# A forked child of one interpreter for each moment. The first measures how many calls a whole run
# has; each of the others sends SIGINT to itself at one of them, and then ends as the command does.
SCRIPT = """
import os, signal, sys
sys.argv = ["kju", *sys.argv[2:]]  # before the package's import, which depends on the program
import kju.cli.__main__ as command
assert "kju.client" not in sys.modules
signal.signal(signal.SIGINT, signal.default_int_handler)
moments, total, wrong = int(MOMENTS), 0, []

def run(at):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        os.dup2(write, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        calls = 0
        def count(frame, event, arg):
            nonlocal calls
            calls += event == "call"
            if calls == at and event == "call":
                sys.setprofile(None)
                os.kill(os.getpid(), signal.SIGINT)
        sys.setprofile(count)
        if at:
            command.main()
        try:
            command.main()
        finally:
            sys.setprofile(None)
            os.write(write, str(calls).encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    return os.waitpid(child, 0)[1], text

total = int(run(0)[1].splitlines()[-1])
for moment in range(1, moments):
    at = total * moment // moments
    status, text = run(at)
    code = os.waitstatus_to_exitcode(status)
    if code not in (130, -signal.SIGINT) or text:
        wrong.append((at, total, code, text))
print(total)
for each in wrong:
    print(*each)
"""


@pytest.mark.parametrize("words", [["ls"], ["info", "nobody"], ["--help"]], ids=" ".join)
def test_interrupt_prints_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    script = SCRIPT.replace("MOMENTS", str(MOMENTS))
    done = subprocess.run(
        [sys.executable, "-c", script, "-", *words], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    total, _, wrong = done.stdout.partition("\n")
    assert int(total) > MOMENTS
    assert not wrong


def test_interrupt_in_the_making_of_a_class_prints_no_traceback() -> None:
    """Python raises another error then, whose cause is the interrupt."""
    script = """
import kju.cli.__main__
class Field:
    def __set_name__(self, owner, name):
        raise KeyboardInterrupt
class Imported:
    field = Field()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
