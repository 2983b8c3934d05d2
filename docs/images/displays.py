"""X displays with a window manager, and the programs on them, for pictures of windows."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("numpy", "PIL", "pytest", "PySide6", "qtawesome", "zenoh")
PROGRAMS = ("Xvfb", "openbox", "xdotool", "xsetroot", "qemu-system-x86_64")
if missing := [
    *(name for name in MODULES if importlib.util.find_spec(name) is None),
    *(name for name in PROGRAMS if shutil.which(name) is None),
]:
    sys.exit(f"missing: {', '.join(missing)}; install them: tools/setup check")
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np  # noqa: E402
from support import xservers  # noqa: E402

SECONDS = 600.0  # for a guest on a busy computer
SETTLED = 5.0  # for the last drawing of windows that were just opened
PYTHONPATH = os.pathsep.join(sys.path)
KJU = [sys.executable, "-m", "kju.cli"]
#: Colours of KDE's dark scheme, in the file from which Qt takes a KDE desktop's palette.
DARK = {
    "Window": ("32,35,38", "252,252,252"),
    "View": ("20,22,24", "252,252,252"),
    "Button": ("41,44,48", "252,252,252"),
    "Tooltip": ("41,44,48", "252,252,252"),
    "Selection": ("61,174,233", "252,252,252"),
}


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {SECONDS:g} s: {what}")
        time.sleep(0.2)


def homes(folder: Path) -> dict[str, str]:
    """Make a user's folders below *folder*; return their variables."""
    made = {name: folder / name.lower() for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME")}
    made["CONFIG_HOME"] = folder / "config_home"
    for path in made.values():
        path.mkdir(parents=True, mode=0o700)
    lines = []
    for group, (back, fore) in DARK.items():
        lines += [f"[Colors:{group}]", f"BackgroundNormal={back}", f"ForegroundNormal={fore}"]
    (made["CONFIG_HOME"] / "kdeglobals").write_text("\n".join(lines) + "\n")
    return {f"XDG_{name}": str(path) for name, path in made.items()}


def bounds(picture: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what differs from the root window's colour."""
    rows, columns = np.nonzero((picture != picture[0, 0]).any(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


class Display:
    """An X display with a window manager.

    Args:
        name: Its name.
        memory: The file of its pixels. A reader of its own, because `xwd -root` leaves menus and
            dialogs out.
        ratio: Qt's scale.
        dark: The desktop has a dark colour scheme.
    """

    def __init__(self, name: str, memory: Path, ratio: float, *, dark: bool) -> None:
        self.name = name
        self._memory = memory
        self.environment = xservers.environment(name) | {
            "PYTHONPATH": PYTHONPATH,
            "QT_SCALE_FACTOR": str(ratio),
        }
        if dark:
            self.environment |= {"XDG_CURRENT_DESKTOP": "KDE", "KDE_SESSION_VERSION": "6"}

    def do(self, *words: str) -> str:
        """Run xdotool; return its output, which is empty after an error."""
        done = subprocess.run(
            ["xdotool", *words], env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    @contextlib.contextmanager
    def program(
        self, *words: str, command: Sequence[str] = KJU
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program, kju by default, until it is no longer needed."""
        child = subprocess.Popen([*command, *words], env=self.environment)
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def window(self, title: str) -> str:
        """Wait for a window and return its number."""
        search = ("search", "--onlyvisible", "--name", title)
        wait(lambda: self.do(*search), f"a window {title!r}")
        return self.do(*search).split()[-1]

    def windows(self) -> set[str]:
        """Return the windows with a title."""
        return set(self.do("search", "--onlyvisible", "--name", ".").split())

    def settle(self, title: str, seconds: float = 2) -> str:
        """Wait for a window, and *seconds* more for its content."""
        found = self.window(title)
        time.sleep(seconds)
        return found

    def steps(self, *steps: str) -> None:
        """Run xdotool's commands, one after the other; a number is a time to wait, in seconds."""
        for step in steps:
            if step.replace(".", "").isdigit():
                time.sleep(float(step))
            else:
                self.do(*shlex.split(step))
                time.sleep(0.3)

    def pixels(self) -> np.ndarray:
        """Return the whole display: B G R."""
        data = self._memory.read_bytes()  # as in an xwd file
        words = struct.unpack(">25I", data[:100])
        start, width, height, stride = words[0] + 12 * words[19], words[4], words[5], words[12]
        rows = np.frombuffer(data, np.uint8)[start : start + height * stride]
        return rows.reshape(height, stride)[:, : 4 * width].reshape(height, width, 4)[..., :3]

    def picture(self) -> np.ndarray:
        """Wait until the display rests, for as long as a guest may move; return its windows: R G B.

        Everything that differs from the background is returned.
        """
        time.sleep(SETTLED)
        seen = self.pixels()
        for _ in range(int(2 * SETTLED)):
            before = seen
            time.sleep(1)
            seen = self.pixels()
            if np.array_equal(seen, before):
                break
        left, top, right, bottom = bounds(seen)
        return np.ascontiguousarray(seen[top:bottom, left:right, ::-1])


@contextlib.contextmanager
def display(size: str = "1240x960", ratio: float = 1, *, dark: bool = False) -> Iterator[Display]:
    """Start a display."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        screen = ["-screen", "0", f"{size}x24", "-nocursor", "-fbdir", folder]
        _, name = stack.enter_context(xservers.server(*screen))
        stack.enter_context(xservers.program(name, "openbox"))
        xservers.do(name, "xsetroot", "-solid", "#5b6470")
        one = Display(name, Path(folder) / "Xvfb_screen0", ratio, dark=dark)
        wait(lambda: one.do("get_num_desktops"), "openbox")
        yield one
