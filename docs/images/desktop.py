"""Take pictures of the app, its windows and other viewers, with real guests.

    python docs/images/desktop.py                   those of the docs, into docs/images
    python docs/images/desktop.py FOLDER [NAME...]  all pictures, or some, into FOLDER

Needs what the tests of the windows need (tools/setup check). The picture `others` needs
tigervnc-viewer, virt-viewer, qemu-system-gui and qemu-system-modules-spice, too; a missing one is
named and left out.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
from displays import KJU, Display, display, homes, wait  # first: it says what is missing
from guest_machines import Machines, say, until_bright
from pictures import Picture, take
from support import guests

import kju
from kju.desktop.machines.remote_addresses import (
    RemoteAddress,
    addresses_folder,
    write_addresses,
)
from kju.errors import QemuError

Pixels = np.ndarray
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


def wall(lab: Machines, *, dark: bool = False) -> Pixels:
    """The wall of nine machines."""
    with lab.nine(), display(dark=dark) as screen, screen.program("desktop"):
        number = screen.settle("kju", 1)
        screen.steps(f"windowsize {number} 960 872", f"windowmove {number} 20 40", "10")
        lab.end_two()
        return screen.picture()


def remote(lab: Machines, *, dark: bool = False, ratio: float = 1) -> Pixels:
    """The wall of a user whose machines run on other computers; one cannot be reached."""
    addresses = [RemoteAddress(lab.remote()), RemoteAddress("localhost:1")]
    lab.run_far({"boot-menu": guests.grub(), "memory-test": guests.memtest()})
    size = "2480x1920" if ratio > 1 else "1240x960"
    with tempfile.TemporaryDirectory() as folder, display(size, ratio, dark=dark) as screen:
        screen.environment |= homes(Path(folder))
        with patch.dict(os.environ, screen.environment):
            write_addresses(addresses_folder(), addresses)
        with screen.program("desktop"):
            number = screen.settle("kju", 1)
            wide, high = (round(ratio * side) for side in (960, 640))
            screen.steps(f"windowsize {number} {wide} {high}", "30")
            return screen.picture()


def empty(lab: Machines, *, dark: bool = False) -> Pixels:
    """The wall of a user without machines."""
    with tempfile.TemporaryDirectory() as folder, display(dark=dark) as screen:
        screen.environment |= homes(Path(folder))
        with screen.program("desktop"):
            number = screen.settle("kju", 1)
            screen.steps(f"windowsize {number} 900 600", "3")
            return screen.picture()


def create(lab: Machines, *, dark: bool = False) -> Pixels:
    """The create page with an error."""
    with display(dark=dark) as screen, screen.program("desktop"):
        number = screen.settle("kju", 3)
        screen.steps(
            f"windowsize {number} 900 760", f"windowfocus {number}", "key ctrl+n", "1",
            "type /srv/images/debian-13.qcow2", "3",
        )  # fmt: skip
        return screen.picture()


def snapshots(lab: Machines, *, dark: bool = False) -> Pixels:
    """The snapshot tree of the Linux machine."""
    with lab.running("linux"), display(dark=dark) as screen, screen.program("desktop"):
        number = screen.settle("kju", 3)
        screen.steps(
            f"windowsize {number} 900 600", f"windowfocus {number}", "key ctrl+f",
            "type name:linux", "1", "key Return", "key ctrl+a", "key ctrl+t", "4",
        )  # fmt: skip
        return screen.picture()


def console(
    lab: Machines,
    name: str = "linux",
    *,
    options: Sequence[str] = (),
    ratio: float = 1,
    steps: Sequence[str] = (),
    clipboard: str = "",
    stop: bool = False,
    dark: bool = False,
) -> Pixels:
    """A machine's window."""
    with ExitStack() as stack:
        stack.enter_context(lab.running(name))
        screen = stack.enter_context(display("1920x1200", ratio, dark=dark))
        # Sizes that an earlier picture's window has remembered do not count.
        state = stack.enter_context(tempfile.TemporaryDirectory())
        screen.environment["XDG_STATE_HOME"] = state
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


def others(lab: Machines) -> Pixels:
    """One guest in our window, remote-viewer's and TigerVNC's, and its twin in QEMU's own."""
    guest = guests.installer("vga=0x314")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        vnc, spice = f"{folder}/vnc", f"{folder}/spice"
        served = ["-vnc", f"unix:{vnc}", "-spice", f"unix=on,addr={spice},disable-ticketing=on"]
        screen = stack.enter_context(display("2640x1760"))
        screen.environment["HOME"] = folder
        # First: its guest boots alone.
        twin = ["qemu-system-x86_64", *guest, "-cpu", "max", "-display", "gtk,gl=off"]
        if opened := open_viewer(screen, stack, "qemu-system-gui", twin):
            place(screen, opened, (1330, 900))
            wait(lambda: is_bright(screen, (1330, 900)), "a picture in QEMU's own window")
        viewers = [
            ("virt-viewer", ["remote-viewer", f"spice+unix://{spice}"], (1330, 30)),
            ("tigervnc-viewer", ["xtigervncviewer", "-SecurityTypes=None", vnc], (10, 900)),
            ("kju", [*KJU, "view", "guest"], (10, 30)),
        ]
        try:
            machine = kju.launch(name="guest", args=[*guest, *served])
        except QemuError as error:
            say(f"without remote-viewer: install qemu-system-modules-spice: {error}")
            machine = kju.launch(name="guest", args=[*guest, *served[:2]])
            viewers = viewers[1:]
        stack.enter_context(machine)
        until_bright(machine)
        for package, command, corner in viewers:
            if opened := open_viewer(screen, stack, package, command):
                place(screen, opened, corner)
                wait(lambda at=corner: is_bright(screen, at), f"a picture in {command[0]}")
        return screen.picture()


def open_viewer(
    screen: Display, stack: ExitStack, package: str, command: Sequence[str]
) -> set[str]:
    """Start a viewer; return its windows, or none if it is not installed."""
    if shutil.which(command[0]) is None:
        say(f"without {command[0]}: install {package}")
        return set()
    before = screen.windows()
    child = stack.enter_context(screen.program(command=command))
    wait(lambda: screen.windows() - before or child.poll() is not None, f"{command[0]}'s window")
    if child.poll() is not None:
        say(f"without {command[0]}: it ended; is {package} installed?")
        return set()
    time.sleep(3)  # it takes the guest's size
    return screen.windows() - before


def place(screen: Display, windows: set[str], corner: tuple[int, int]) -> None:
    """Move windows to a place on the display."""
    for number in windows:
        screen.do("windowmove", number, *map(str, corner))


def is_bright(screen: Display, corner: tuple[int, int]) -> bool:
    """Return whether most of the window at a place is bright: the guest shows its desktop."""
    left, top = corner
    return bool((screen.pixels()[top : top + 600, left : left + 800] > 150).mean() > 0.5)


# ---- The table


PICTURES = {
    "empty": Picture(empty, {}),
    "empty-dark": Picture(empty, {"dark": True}),
    "create-error": Picture(create, {}, "desktop-create"),
    "snapshots": Picture(snapshots, {}, "desktop-snapshots"),
    "snapshots-dark": Picture(snapshots, {"dark": True}),
    "console": Picture(console, {}),
    "console-dark": Picture(console, {"dark": True}),
    "console-full": Picture(console, {"options": ["--full-screen"]}),
    "console-game": Picture(console, {"name": "invaders"}, "window"),
    "console-paused": Picture(console, {"name": "paused"}),
    "console-ended": Picture(console, {"name": "trial", "stop": True}),
    "console-grabbed": Picture(console, {"steps": ["key ctrl+alt"]}),
    "console-view-only": Picture(console, {"options": ["--view-only"]}),
    "console-small": Picture(console, {"steps": ["windowsize {0} 320 240"]}),
    "console-menu": Picture(console, {"steps": ["key ctrl+alt+m"]}),
    "console-150": Picture(console, {"ratio": 1.5}),
    "console-200": Picture(console, {"ratio": 2}),
    "loupe": Picture(
        console,
        {"name": "installer", "steps": ["mousemove --window {0} 459 48", "key ctrl+alt+l"]},
        "loupe",
    ),
    "numbers": Picture(
        console,
        {"steps": ["key ctrl+alt+n", *["key a"] * 8, "key ctrl+u"]},
    ),
    "paste": Picture(console, {"clipboard": TEXT, "steps": ["key ctrl+alt+v"]}),
    "wall": Picture(wall, {}, "desktop"),
    "wall-dark": Picture(wall, {"dark": True}),
    "remote": Picture(remote, {}, "desktop-remote"),
    "remote-dark": Picture(remote, {"dark": True}),
    "remote-200": Picture(remote, {"ratio": 2}),
    "others": Picture(others, {}, "other-viewers"),
}


if __name__ == "__main__":
    take(PICTURES, lambda lab, _: (lab,))
