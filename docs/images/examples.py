"""Take the pictures of docs/examples.md with kju itself.

    python docs/images/examples.py [NAME...]

NAME is shell, needle, menu, installer, terminal or train (default: all). The guests are those of
the tests (tools/setup check). The installer needs the extra `text`, train the extra `gym`; train
takes ten minutes.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import kju
from kju.vision import Needle, ScreenTimeoutError

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from support import guests  # noqa: E402


def shrink(name: str) -> None:
    """Store a picture with a palette: screens have few colours."""
    path = IMAGES / f"{name}.png"
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(path)


def log_in(machine: kju.Machine) -> None:
    """Log in to the sample guest and print a calendar."""
    machine.screen.wait_text("login:", timeout=300)
    machine.keyboard.type("root\n")
    machine.screen.wait_text("root@kju", timeout=60)
    machine.keyboard.type("clear; uname -rm; cal\n")
    machine.screen.wait_text("Su Mo Tu", timeout=60)
    machine.screen.wait_stable(1, timeout=60)


def sample(name: str) -> kju.Machine:
    """Start the sample guest with a small screen; nothing is written to its disk."""
    size = ["-global", "VGA.xres=640", "-global", "VGA.yres=400"]
    return kju.launch(guests.sample(), memory="256M", name=name, args=["-snapshot", *size])


def shell() -> None:
    """The sample guest's shell."""
    with sample("picture-shell") as machine:
        log_in(machine)
        machine.screen.screenshot(IMAGES / "example-shell.png")


def needle() -> None:
    """The picture of a wait that timed out: its region, the best match, the needle."""
    with sample("picture-needle") as machine:
        log_in(machine)
        screen = machine.screen
        place = screen.wait_text("Su Mo Tu", timeout=60).rect
        wanted = Needle.cut(screen.frame(), place)
        machine.keyboard.type("clear; date\n")
        screen.wait_stable(1, timeout=60)
        try:
            screen.wait_image(wanted, (0, 0, 320, 120), timeout=2)
        except ScreenTimeoutError as error:
            error.save(IMAGES / "example-needle.png")


def menu() -> None:
    """GRUB's menu, the bar moved by a key."""
    with kju.launch(name="picture-menu", args=guests.grub()) as machine:
        machine.screen.wait_for(lambda frame: frame[..., :3].any(), timeout=60)
        machine.screen.wait_stable(3, timeout=120)
        machine.keyboard.chord("down")
        machine.screen.wait_stable(1, timeout=60)
        machine.screen.screenshot(IMAGES / "example-menu.png")


def installer() -> None:
    """Debian's installer, at the screen to which examples/install.py leads."""
    walk = runpy.run_path(str(ROOT / "examples" / "install.py"))["walk"]
    with kju.launch(name="picture-installer", args=guests.installer()) as machine:
        walk(machine)
        machine.screen.screenshot(IMAGES / "example-installer.png")


def shows_game(frame: np.ndarray) -> bool:
    """Return whether invaders are on the screen: many pixels with more green than red."""
    pixels = np.asarray(frame).astype(int)
    return int((pixels[..., 1] > pixels[..., [0, 2]].min(axis=2) + 60).sum()) > 800


def terminal() -> None:
    """The terminal viewer in an xterm, seen through an X server that kju shows."""
    with (
        kju.launch(name="invaders", args=guests.invaders()) as guest,
        kju.launch(name="picture-screen", xvfb=True, args=["-screen", "0", "824x560x24"]) as x,
    ):
        guest.screen.wait_for(shows_game, timeout=120)
        command = [sys.executable, "-m", "kju.cli", "watch", guest.name]
        xterm = ["xterm", "-geometry", "136x42+0+0", "-b", "0", "-bg", "black", "-fg", "white"]
        viewer = subprocess.Popen(
            [*xterm, "-e", *command],
            env=os.environ | {"DISPLAY": x.info()["xvfb"]["display"], "COLORTERM": "truecolor"},
        )
        try:
            x.screen.wait_for(shows_game, timeout=60)
            x.screen.screenshot(IMAGES / "example-terminal.png")
        finally:
            viewer.terminate()
            viewer.wait()


def train() -> None:
    """The curve that examples/train.py draws of its own run."""
    main = runpy.run_path(str(ROOT / "examples" / "train.py"))["main"]
    main(["--plot", str(IMAGES / "example-train.png")])


def main() -> None:
    """Take the pictures that are named."""
    every = {f.__name__: f for f in (shell, needle, menu, installer, terminal, train)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        for name in sys.argv[1:] or every:
            every[name]()
            shrink(f"example-{name}")


if __name__ == "__main__":
    main()
