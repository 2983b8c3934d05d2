"""The compared windows: each shows a guest on the whole of one X server.

python -m benchmarks.windows qt             Qt alone: a window of one colour
python -m benchmarks.windows memory NAME COUNT   windows on a machine; prints their memory
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import rig
from .measure import own_memory
from .rig import Rig
from .start import installed
from .xserver import XServer, started

#: Seconds until a window must show the guest.
PATIENCE = 30.0
#: Share of the compared points that must be equal: some viewers show a note over the picture.
EQUAL = 0.95


class Way(NamedTuple):
    """One window.

    Attributes:
        title: Its name in the tables.
        display: The display of its QEMU, as in `rig.of_qemu`; ``kju``: run by kju.
        program: Its program; QEMU itself for ``gtk``.
        package: Debian's package.
        words: Returns its arguments.
    """

    title: str
    display: str
    program: str
    package: str
    words: Callable[[Rig], list[str]]


def _remote_vnc(chosen: Rig) -> list[str]:
    return ["--full-screen", f"vnc://127.0.0.1:{chosen.keys.command('query-vnc')['service']}"]


WAYS = {
    "kju": Way(
        "kju view", "kju", sys.executable, "kju[desktop]",
        lambda chosen: ["-m", "kju.cli", "view", chosen.name, "--full-screen"],
    ),
    "tigervnc": Way(
        "TigerVNC's viewer", "vnc", "xtigervncviewer", "tigervnc-viewer",
        lambda chosen: ["-FullScreen", "-SecurityTypes=None", "-ReconnectOnError=0",
                        "-AlertOnFatalError=0", f"{chosen.folder}/vnc"],
    ),
    "remote-vnc": Way(
        "remote-viewer on VNC", "vnc-tcp", "remote-viewer", "virt-viewer", _remote_vnc
    ),
    "remote-spice": Way(
        "remote-viewer on SPICE", "spice", "remote-viewer", "virt-viewer",
        lambda chosen: ["--full-screen", f"spice+unix://{chosen.folder}/spice"],
    ),
    "gtk": Way("QEMU's gtk window", "gtk", "", "qemu-system-gui", lambda chosen: []),
}  # fmt: skip


def missing(way: Way) -> str:
    """Return the name of the package that a window needs; empty where it can be measured."""
    if way.program:
        return "" if shutil.which(way.program) else way.package
    return "" if _modules("ui-gtk.so") else way.package


def _modules(name: str) -> list[Path]:
    return [
        found for place in ("lib", "lib64") for found in Path("/usr", place).rglob(f"qemu/{name}")
    ]


@contextlib.contextmanager
def machine(way: Way, folder: str, arguments: list[str], server: XServer) -> Iterator[Rig]:
    """Run the guest of a window."""
    if way.display == "kju":
        with rig.of_kju(folder, arguments) as chosen:
            yield chosen
        return
    with rig.of_qemu(folder, arguments, way.display, server.environment) as chosen:
        yield chosen


@contextlib.contextmanager
def window(way: Way, chosen: Rig, server: XServer) -> Iterator[tuple[int, float]]:
    """Show a guest; yield the process and the time of its start, `time.monotonic`."""
    if not way.program:
        yield chosen.pid, time.monotonic()
        return
    with tempfile.TemporaryDirectory(prefix="kju-bench-") as home:
        environment = installed(server.environment)
        # None of the user's settings; kju finds the machine by HOME where no runtime folder is set.
        environment |= {"XDG_STATE_HOME" if way.display == "kju" else "HOME": home}
        begun = time.monotonic()
        command = [way.program, *way.words(chosen)]
        with started(command, environment=environment) as process:
            yield process.pid, begun


def guest_picture(chosen: Rig) -> np.ndarray:
    """Return the guest's screen from QEMU: B G R."""
    path = chosen.folder / "picture.ppm"
    chosen.keys.command("screendump", filename=str(path))
    data = path.read_bytes()
    width, height = (int(word) for word in data.split(maxsplit=4)[1:3])
    return np.frombuffer(data[-3 * width * height :], np.uint8).reshape(height, width, 3)[..., ::-1]


def shows(server: XServer, picture: np.ndarray) -> bool:
    """Check whether the X server shows a picture at its top left, pixel for pixel."""
    step = slice(8, None, 16)
    here = server.pixels[: picture.shape[0], : picture.shape[1], :3][step, step]
    return bool((here == picture[step, step]).all(axis=2).mean() >= EQUAL)


def until_shown(server: XServer, picture: np.ndarray, what: str) -> float:
    """Wait until the X server shows a picture; return the time."""
    end = time.monotonic() + PATIENCE
    while not shows(server, picture):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} does not show the guest's picture in {PATIENCE:.0f} s")
        time.sleep(0.002)
    return time.monotonic()


def save_picture(server: XServer, path: Path) -> None:
    """Write the X server's screen as a PNG."""
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(server.pixels[..., 2::-1])).save(path)


# ---- Processes of this module


def _qt() -> None:
    """Show a window of one colour."""
    from PySide6.QtGui import QColor
    from PySide6.QtWidgets import QApplication, QWidget

    app = QApplication(["kju-bench"])
    window = QWidget()
    palette = window.palette()
    palette.setColor(window.backgroundRole(), QColor(1, 2, 3))
    window.setPalette(palette)
    window.showFullScreen()
    app.exec()


def _memory(name: str, count: int) -> None:
    """Show windows on a machine; print this process's USS after the first and after the last."""
    import os

    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from kju.viewers.input.grab import RELEASE
    from kju.viewers.qt.widget import ScreenView
    from kju.viewers.qt.window import MachineWindow

    app = QApplication(["kju-bench"])
    windows: list[MachineWindow] = []

    def show_next() -> None:
        if len(windows) in (1, count):
            print(own_memory(os.getpid()), flush=True)
        if len(windows) == count:
            app.quit()
            return
        view = ScreenView()
        view.show_machine(name, release=RELEASE)
        windows.append(MachineWindow(view))
        windows[-1].show()

    timer = QTimer(interval=1000)
    timer.timeout.connect(show_next)
    timer.start()
    app.exec()
    for window in windows:
        window.close()


if __name__ == "__main__":
    if sys.argv[1] == "qt":
        _qt()
    else:
        _memory(sys.argv[2], int(sys.argv[3]))
