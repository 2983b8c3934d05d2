"""`kju view` in a process of its own on an X server, driven by xdotool."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from . import xservers
from .wait import until

#: A bound for the start of a Qt process on a busy computer.
STARTS = 30.0


class Window:
    """A `kju view` on a display."""

    def __init__(
        self,
        display: str,
        name: str,
        *options: str,
        ratio: float = 1,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.display = display
        self.name = name
        environment = xservers.environment(display) | {"QT_SCALE_FACTOR": str(ratio)}
        environment.pop("QT_QPA_PLATFORM", None)
        environment.pop("WAYLAND_DISPLAY", None)
        environment |= variables or {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kju.cli", "view", name, *options],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.id = ""
        until(self._found, "the window")

    def _found(self) -> bool:
        assert self.process.poll() is None, self.process.stderr.read()
        found = self.run("search", "--onlyvisible", "--name", f"^{self.name} ", check=False)
        self.id = found.split()[-1] if found else ""
        return bool(self.id)

    def run(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["xdotool", *words], env=xservers.environment(self.display),
            capture_output=True, text=True, timeout=30, check=check,
        )  # fmt: skip
        return done.stdout

    def focus(self) -> None:
        self.run("windowfocus", "--sync", self.id)

    def keys(self, *words: str) -> None:
        self.run(*words)

    @property
    def title(self) -> str:
        return self.run("getwindowname", self.id).strip()

    @property
    def size(self) -> tuple[int, int]:
        words = dict(
            line.split("=") for line in self.run("getwindowgeometry", "--shell", self.id).split()
        )
        return int(words["WIDTH"]), int(words["HEIGHT"])

    def pixels(self, width: int, height: int) -> np.ndarray:
        """Return pixels from the window's top left: R G B."""
        return xservers.picture(self.display, self.id)[:height, :width, ::-1]

    def shows(self, picture: Callable[[], np.ndarray], what: str = "") -> None:
        """Wait until the window shows the guest's current picture."""

        def same() -> bool:
            wanted = picture()
            try:
                return np.array_equal(self.pixels(wanted.shape[1], wanted.shape[0]), wanted)
            except subprocess.CalledProcessError:
                return False  # it is not mapped yet

        until(same, f"the window shows the guest's pixels {what}")

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.stderr.close()
        return self.process.wait(30)


def asked(display: str, *words: str) -> str:
    """Return xdotool's output; empty on an error."""
    done = subprocess.run(
        ["xdotool", *words], env=xservers.environment(display),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return "" if done.returncode else done.stdout


@contextlib.contextmanager
def managed_display() -> Iterator[str]:
    """A display of its own with a window manager."""
    xservers.need("Xvfb", "xdotool", "xwd", "xclock", "openbox")
    with (
        xservers.server("-screen", "0", "1280x1024x24") as (_, display),
        xservers.program(display, "openbox"),
    ):
        until(lambda: asked(display, "get_num_desktops"), "openbox")
        yield display


@contextlib.contextmanager
def elsewhere(window: Window) -> Iterator[None]:
    """Give the focus to another window."""
    with xservers.program(window.display, "xclock", "-title", "elsewhere"):
        until(lambda: window.run("search", "--name", "elsewhere", check=False))
        other = window.run("search", "--onlyvisible", "--name", "elsewhere").split()[-1]
        window.run("windowfocus", "--sync", other)
        yield
