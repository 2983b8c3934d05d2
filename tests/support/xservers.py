"""X servers that are not kju's, X programs, and what a server itself says that it shows."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from .wait import until

PROGRAMS = ("Xvfb", "xterm", "xclock", "xwd", "xsetroot", "xdotool", "xrandr")


def need(*programs: str) -> None:
    """Skip a test where a program is not installed; ./check installs them all."""
    for program in programs or PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} here: apt install xvfb x11-apps xterm xdotool")


def environment(display: str) -> dict[str, str]:
    return os.environ | {"DISPLAY": display}


def do(display: str, *command: str) -> None:
    """Run a program to its end; what it has drawn is drawn when this returns."""
    subprocess.run(command, env=environment(display), check=True, timeout=30, capture_output=True)


@contextlib.contextmanager
def program(display: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that stays."""
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        command, env=environment(display), stdin=quiet, stdout=quiet, stderr=quiet
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def picture(display: str, *window: str) -> np.ndarray:
    """What the server says that it shows, or one window does: ``(height, width, 3)``, B G R."""
    which = ["-id", *window] if window else ["-root"]
    command = ["xwd", *which, "-silent"]
    done = subprocess.run(command, env=environment(display), check=True, capture_output=True)
    words = struct.unpack(">25I", done.stdout[:100])
    size, width, height, stride, colours = words[0], words[4], words[5], words[12], words[19]
    start, each = size + 12 * colours, words[11] // 8
    rows = np.frombuffer(done.stdout, np.uint8)[start:].reshape(height, stride)
    return rows[:, : width * each].reshape(height, width, each)[..., :3]


@contextlib.contextmanager
def server(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """An Xvfb that is not kju's, and its display."""
    ours, theirs = os.pipe()
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        ["Xvfb", "-displayfd", str(theirs), "-noreset", *arguments],
        pass_fds=[theirs], stdin=quiet, stdout=quiet, stderr=quiet,
    )  # fmt: skip
    os.close(theirs)
    try:
        with os.fdopen(ours) as said:
            number = said.readline().strip()
        assert number, f"Xvfb {arguments} did not start"
        yield child, f":{number}"
    finally:
        child.terminate()
        child.wait()


def segments() -> dict[str, int]:
    """The System V segments of this computer, and who made each."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1]: int(line.split()[4]) for line in lines}


def left_behind() -> set[str]:
    """Those whose maker has ended; other tests may run beside this one."""
    return {each for each, pid in segments().items() if not Path(f"/proc/{pid}").exists()}


def until_ended(pid: int) -> None:
    until(lambda: not Path(f"/proc/{pid}").exists(), what=f"process {pid} has ended")
