"""A command that has used Qt exits without the interpreter's end."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys
from kju.cli import app, __main__
import PySide6.QtCore

class Kept:
    def __del__(self):
        print("destroyed", flush=True)

kept = Kept()
atexit.register(print, "flushed")
app.run = lambda arguments: 143
__main__.main()
"""


def test_status_is_kept_and_no_object_is_destroyed() -> None:
    pytest.importorskip("PySide6.QtCore")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (143, "flushed\n"), done.stderr
