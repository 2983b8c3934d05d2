"""Take pictures of the app, its windows and other viewers, with real guests.

    python docs/images/desktop.py                   those of the docs, into docs/images
    python docs/images/desktop.py FOLDER [NAME...]  all pictures, or some, into FOLDER

Needs what the tests of the windows need (tools/setup check). The picture `others` needs
tigervnc-viewer, virt-viewer, qemu-system-gui and qemu-system-modules-spice, too; a missing one is
named and left out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
MODULES = ("numpy", "PIL", "pytest", "PySide6", "qtawesome", "zenoh")
PROGRAMS = ("Xvfb", "openbox", "xdotool", "xwd", "xsetroot", "qemu-system-x86_64")
if missing := [
    *(name for name in MODULES if importlib.util.find_spec(name) is None),
    *(name for name in PROGRAMS if shutil.which(name) is None),
]:
    sys.exit(f"missing: {', '.join(missing)}; install them: tools/setup check")
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402
from support import guests, xservers  # noqa: E402
from window import bounds  # noqa: E402

import kju  # noqa: E402
from kju.desktop.machines.remote_addresses import (  # noqa: E402
    RemoteAddress,
    addresses_folder,
    write_addresses,
)

SECONDS = 300.0  # for a guest on a busy computer
SETTLED = 5.0  # for the last drawing of windows that were just opened
PYTHONPATH = os.pathsep.join([str(ROOT / "tests"), *sys.path])
KJU = [sys.executable, "-m", "kju.cli"]
#: Colours of KDE's dark scheme, in the file from which Qt takes a KDE desktop's palette.
DARK = {
    "Window": ("32,35,38", "252,252,252"),
    "View": ("20,22,24", "252,252,252"),
    "Button": ("41,44,48", "252,252,252"),
    "Tooltip": ("41,44,48", "252,252,252"),
    "Selection": ("61,174,233", "252,252,252"),
}
SMALL = ["-global", "VGA.xres=800", "-global", "VGA.yres=600"]
KINDS = {
    "installer": lambda: guests.installer("vga=0x314"),
    "grub": guests.grub,
    "invaders": guests.invaders,
    "memtest": guests.memtest,
    "trial": guests.memtest,
}
#: Offers its argument as the clipboard's text.
CLIPBOARD = """
import sys
from PySide6.QtGui import QGuiApplication
app = QGuiApplication(sys.argv[:1])
app.clipboard().setText(sys.argv[1])
app.exec()
"""
TEXT = "".join(
    f"server{n} = 10.0.0.{n} # rack {n % 3} \N{EN DASH} temporary\n" for n in range(1, 9)
)


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {SECONDS:g} s: {what}")
        time.sleep(0.2)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- Guests


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


class Guests:
    """The machines of the pictures, each started when a picture first needs it.

    Args:
        folder: A folder for their files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._started: dict[str, kju.Machine] = {}

    def __enter__(self) -> Guests:
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self._started.values():
            with contextlib.suppress(kju.KjuError):
                machine.stop()
        self._stack.close()

    def ready(self, name: str) -> None:
        """Start a machine of this name where it is needed, and wait until its screen has come."""
        if name in ("linux", "paused"):
            getattr(self, name)()
        elif name not in self._started and (machine := self.start(name, KINDS[name])):
            machine.screen.wait_for(lambda frame: frame[..., :3].any(), timeout=SECONDS)
            if name == "invaders":
                machine.screen.wait_for(shows_game, timeout=SECONDS)
            elif name != "trial":
                machine.screen.wait_stable(5, timeout=SECONDS)

    def stop(self, name: str) -> None:
        """Stop a machine that was started."""
        self._started.pop(name).stop()

    def start(self, name: str, arguments: Callable[[], list[str]]) -> kju.Machine | None:
        """Define and start a machine; None, and a message, where its guest is missing."""
        if name not in self._started:
            try:
                kju.define(name, args=arguments())
            except pytest.skip.Exception as error:
                say(f"without {name}: {error}")
                return None
            self._started[name] = kju.start(name, detach=True)
        return self._started[name]

    def linux(self) -> None:
        """A Linux console with snapshots that branch."""
        if "linux" in self._started:
            return
        disk = self._folder / "linux.qcow2"
        shutil.copyfile(guests.sample(), disk)
        kju.define("linux", disk, memory="256M", args=["-accel", "tcg", *SMALL])
        machine = self._started["linux"] = kju.start("linux", detach=True)
        screen, keyboard, keep = machine.screen, machine.keyboard, machine.snapshots
        screen.wait_text("login:", timeout=SECONDS)
        keep.save("installed")
        keyboard.type("root\n")
        screen.wait_text("root@kju", timeout=SECONDS)
        keyboard.type("clear; df -h\n")
        screen.wait_text("Mounted on", timeout=SECONDS)
        keep.save("disk-check")
        keep.load("installed")
        keyboard.type("root\n")
        screen.wait_text("root@kju", timeout=SECONDS)
        keep.save("logged-in")
        keyboard.type("clear; uname -srm; cal; free -m\n")
        screen.wait_text("Swap:", timeout=SECONDS)
        screen.wait_stable(1, timeout=SECONDS)
        keep.save("before-update")

    def paused(self) -> None:
        """A game that is paused while it shows something."""
        if "paused" not in self._started and (machine := self.start("paused", guests.invaders)):
            machine.screen.wait_for(shows_game, timeout=SECONDS)
            machine.pause()

    def stopped(self) -> None:
        """A machine that is off, one whose QEMU was killed; the app keeps their pictures."""
        off, killed = self.start("archive", guests.grub), self.start("build", guests.memtest)
        for machine in filter(None, (off, killed)):
            machine.screen.wait_for(lambda frame: frame[..., :3].any(), timeout=SECONDS)
        with display() as screen, screen.program("desktop"):
            screen.settle("kju", 10)
            if off:
                off.stop()
            if killed:
                os.kill(killed.info()["qemu"]["pid"], signal.SIGKILL)
                killed.wait_ended(timeout=SECONDS)
            time.sleep(3)

    def remote(self) -> None:
        """A machine that another computer serves: here another user's folders, over loopback."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"localhost:{free.getsockname()[1]}"
        far = os.environ | homes(self._folder / "far") | {"PYTHONPATH": PYTHONPATH}
        command = [*KJU, "run", "--detach", "--name", "lab", "--", *guests.invaders()]
        subprocess.run(command, env=far, check=True, capture_output=True)
        stop = [*KJU, "stop", "lab"]
        self._stack.callback(subprocess.run, stop, env=far, capture_output=True, check=False)
        serve = subprocess.Popen([*KJU, "serve", "--all", "--listen", address], env=far)
        self._stack.callback(serve.wait)
        self._stack.callback(serve.terminate)
        write_addresses(addresses_folder(), [RemoteAddress(address)])

    def nine(self) -> None:
        """All nine of the wall."""
        if "memtest" in self._started:
            return
        installer = self.start("installer", KINDS["installer"])
        for name in ("memtest", "grub", "invaders"):
            self.start(name, KINDS[name])
        self.linux()
        for make in (self.paused, self.remote, self.stopped):
            make()
        if installer:
            installer.screen.wait_stable(5, timeout=SECONDS)


def shows_game(frame: np.ndarray) -> bool:
    """Return whether invaders are on the screen: many pixels with more green than red."""
    pixels = np.asarray(frame).astype(int)
    return int((pixels[..., 1] > pixels[..., [0, 2]].min(axis=2) + 60).sum()) > 800


# ---- Displays


class Display:
    """An X display with a window manager.

    Args:
        name: Its name.
        ratio: Qt's scale.
        dark: The desktop has a dark colour scheme.
    """

    def __init__(self, name: str, ratio: float, *, dark: bool) -> None:
        self.name = name
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

    def picture(self) -> np.ndarray:
        """Return everything that differs from the background: R G B."""
        seen = xservers.picture(self.name)
        left, top, right, bottom = bounds(seen)
        return np.ascontiguousarray(seen[top:bottom, left:right, ::-1])


@contextlib.contextmanager
def display(size: str = "1240x900", ratio: float = 1, *, dark: bool = False) -> Iterator[Display]:
    """Start a display."""
    with ExitStack() as stack:
        _, name = stack.enter_context(xservers.server("-screen", "0", f"{size}x24"))
        stack.enter_context(xservers.program(name, "openbox"))
        xservers.do(name, "xsetroot", "-solid", "#5b6470")
        one = Display(name, ratio, dark=dark)
        wait(lambda: one.do("get_num_desktops"), "openbox")
        yield one


# ---- Scenes


def wall(lab: Guests, *, dark: bool = False, steps: Sequence[str] = ()) -> np.ndarray:
    """The wall of nine machines."""
    lab.nine()
    with display(dark=dark) as screen, screen.program("desktop"):
        number = screen.settle("kju", 1)
        screen.steps(f"windowsize {number} 900 800", "10", *steps)
        return screen.picture()


def empty(lab: Guests, *, dark: bool = False) -> np.ndarray:
    """The wall of a user without machines."""
    with tempfile.TemporaryDirectory() as folder, display(dark=dark) as screen:
        screen.environment |= homes(Path(folder))
        with screen.program("desktop"):
            number = screen.settle("kju", 1)
            screen.steps(f"windowsize {number} 900 600", "3")
            return screen.picture()


def create(lab: Guests, *, dark: bool = False) -> np.ndarray:
    """The create page with an error."""
    with display(dark=dark) as screen, screen.program("desktop"):
        number = screen.settle("kju", 3)
        screen.steps(
            f"windowsize {number} 900 760", f"windowfocus {number}", "key ctrl+n", "1",
            "type /srv/images/debian-13.qcow2", "3",
        )  # fmt: skip
        return screen.picture()


def snapshots(lab: Guests, *, dark: bool = False) -> np.ndarray:
    """The snapshot tree of the Linux machine."""
    lab.linux()
    with display(dark=dark) as screen, screen.program("desktop"):
        number = screen.settle("kju", 3)
        screen.steps(
            f"windowsize {number} 900 600", f"windowfocus {number}", "key ctrl+f",
            "type name:linux", "1", "key Return", "key ctrl+a", "key ctrl+t", "4",
        )  # fmt: skip
        return screen.picture()


def console(
    lab: Guests,
    name: str = "linux",
    *,
    options: Sequence[str] = (),
    ratio: float = 1,
    steps: Sequence[str] = (),
    clipboard: str = "",
    stop: bool = False,
    dark: bool = False,
) -> np.ndarray:
    """A machine's window."""
    lab.ready(name)
    with display("1920x1200", ratio, dark=dark) as screen, ExitStack() as stack:
        if clipboard:
            owner = [sys.executable, "-c", CLIPBOARD, clipboard]
            stack.enter_context(screen.program(command=owner))
        stack.enter_context(screen.program("view", name, *options))
        number = screen.settle(f"^{name} ", 2)
        screen.steps(f"windowfocus {number}", *(step.format(number) for step in steps), "1")
        if stop:
            lab.stop(name)
            time.sleep(2)
        return screen.picture()


def others(lab: Guests) -> np.ndarray:
    """One guest in our window, remote-viewer's and TigerVNC's, and its twin in QEMU's own."""
    guest = KINDS["installer"]()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        vnc, spice = f"{folder}/vnc", f"{folder}/spice"
        served = ["-vnc", f"unix:{vnc}", "-spice", f"unix=on,addr={spice},disable-ticketing=on"]
        screen = stack.enter_context(display("1640x1320"))
        screen.environment["HOME"] = folder
        twin = [*guest, "-display", "gtk"]
        viewers = [
            ("qemu-system-gui", ["qemu-system-x86_64", *twin], (830, 660)),
            ("virt-viewer", ["remote-viewer", f"spice+unix://{spice}"], (830, 0)),
            ("tigervnc-viewer", ["xtigervncviewer", "-SecurityTypes=None", vnc], (0, 660)),
            ("kju", [*KJU, "view", "guest"], (0, 0)),
        ]
        try:
            machine = kju.launch(name="guest", args=[*guest, *served])
        except kju.QemuError as error:
            say(f"without remote-viewer: install qemu-system-modules-spice: {error}")
            machine = kju.launch(name="guest", args=[*guest, *served[:2]])
            viewers = [each for each in viewers if each[0] != "virt-viewer"]
        stack.enter_context(machine)
        machine.screen.wait_stable(10, timeout=SECONDS)
        for package, command, (left, top) in viewers:
            if shutil.which(command[0]) is None:
                say(f"without {command[0]}: install {package}")
                continue
            before = screen.windows()
            child = stack.enter_context(screen.program(command=command))
            while not (opened := screen.windows() - before) and child.poll() is None:
                time.sleep(0.2)
            if child.poll() is not None:
                say(f"without {command[0]}: it ended; is {package} installed?")
            time.sleep(3)  # it takes the guest's size
            for number in opened:
                screen.do("windowmove", number, str(left), str(top))
        time.sleep(SETTLED)
        return screen.picture()


# ---- The table


class Picture(NamedTuple):
    """One picture.

    Attributes:
        scene: Makes it.
        options: Its arguments.
        page: Its name in docs/images; empty for a picture that the docs do not show.
    """

    scene: Callable[..., np.ndarray]
    options: dict[str, object]
    page: str = ""


PICTURES = {
    "empty": Picture(empty, {}),
    "empty-dark": Picture(empty, {"dark": True}),
    "create-error": Picture(create, {}, "desktop-create"),
    "snapshots": Picture(snapshots, {}, "desktop-snapshots"),
    "snapshots-dark": Picture(snapshots, {"dark": True}),
    "console": Picture(console, {}),
    "console-dark": Picture(console, {"dark": True}),
    "console-full": Picture(console, {"options": ["--full-screen"]}),
    "console-game": Picture(console, {"name": "invaders"}),
    "console-paused": Picture(console, {"name": "paused"}),
    "console-ended": Picture(console, {"name": "trial", "stop": True}),
    "console-grabbed": Picture(console, {"steps": ["key ctrl+alt"]}),
    "console-view-only": Picture(console, {"options": ["--view-only"]}),
    "console-small": Picture(console, {"steps": ["windowsize {0} 320 240"]}),
    "console-menu": Picture(console, {"steps": ["key ctrl+alt+m"]}),
    "console-150": Picture(console, {"ratio": 1.5}),
    "console-200": Picture(console, {"ratio": 2}),
    "loupe": Picture(console, {"steps": ["mousemove --window {0} 120 66", "key ctrl+alt+l"]}),
    "numbers": Picture(
        console,
        {"steps": ["key ctrl+alt+n", *["key a"] * 8, "key ctrl+u", "2"]},
    ),
    "paste": Picture(console, {"clipboard": TEXT, "steps": ["key ctrl+alt+v", "2"]}),
    "wall": Picture(wall, {}, "desktop"),
    "wall-dark": Picture(wall, {"dark": True}, "desktop-dark"),
    "others": Picture(others, {}),
}


def save(picture: np.ndarray, path: Path) -> None:
    """Store a picture with a palette: windows have few colours."""
    image = Image.fromarray(picture)
    if len(image.getcolors(1 << 24) or []) > 256:
        image = image.quantize(256, dither=Image.Dither.NONE)
    else:
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    image.save(path, optimize=True)
    print(path, flush=True)


def main() -> None:
    """Take the pictures that the command line names."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else None
    for name in sys.argv[2:]:
        if name not in PICTURES:
            sys.exit(f"no picture {name!r}; there are: {', '.join(PICTURES)}")
    names = sys.argv[2:] or [name for name, one in PICTURES.items() if folder or one.page]
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ |= homes(Path(home))
        with Guests(Path(home)) as lab:
            for name in names:
                scene, options, page = PICTURES[name]
                picture = scene(lab, **options)
                save(picture, folder / f"{name}.png" if folder else IMAGES / f"{page}.png")


if __name__ == "__main__":
    main()
