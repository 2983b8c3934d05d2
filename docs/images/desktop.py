"""Takes the picture of the wall that the docs show: docs/images/desktop.png.

    python docs/images/desktop.py

Needs what the tests of the window need (tools/setup check): Xvfb, openbox, xwd, grub-invaders,
memtest86+, the sample guest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

import kju

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support import guests, xservers  # noqa: E402
from window import bounds  # noqa: E402

OUTPUT = ROOT / "docs" / "images" / "desktop.png"
SECONDS = 90.0
#: Colours of a wall whose guests have drawn.
COLOURS = 200


def start(stack: ExitStack) -> None:
    """Start the guests, pause one, define two that are off."""
    sample = ["-accel", "tcg", "-snapshot", "-m", "256", "-hda", str(guests.sample())]
    linux = stack.enter_context(kju.launch(name="linux", args=sample))
    linux.screen.wait_text("login:", timeout=SECONDS)
    wanted = {
        "invaders": guests.invaders(),
        "memtest": guests.memtest(),
        "grub": guests.grub(),
        "paused": guests.invaders(),
    }
    machines = {
        name: stack.enter_context(kju.launch(name=name, args=args)) for name, args in wanted.items()
    }
    deadline = time.monotonic() + SECONDS
    while machines["paused"].screen.mode.height != 400 and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(5)  # the game has drawn
    machines["paused"].pause()
    for name in ("web-1", "web-2"):
        kju.define(name, disk="1G")


def main() -> None:
    """Open the wall on the guests, wait until their pictures are there, and save what is seen."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME"):
            os.environ[f"XDG_{name}"] = folder
        start(stack)
        _, display = stack.enter_context(xservers.server("-screen", "0", "1240x860x24"))
        stack.enter_context(xservers.program(display, "openbox"))
        xservers.do(display, "xsetroot", "-solid", "#5b6470")
        app = subprocess.Popen(
            [sys.executable, "-m", "kju.cli", "desktop"],
            env=xservers.environment(display) | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            deadline, seen = time.monotonic() + SECONDS, xservers.picture(display)
            while len(np.unique(seen.reshape(-1, 3), axis=0)) < COLOURS:
                if time.monotonic() > deadline:
                    raise SystemExit(f"the wall did not show the guests within {SECONDS:g} s")
                time.sleep(1)
                seen = xservers.picture(display)
            time.sleep(3)  # the last thumbnails
            seen = xservers.picture(display)
            left, top, right, bottom = bounds(seen)
            image = np.ascontiguousarray(seen[top:bottom, left:right, ::-1])
            Image.fromarray(image).save(OUTPUT, optimize=True)
        finally:
            app.terminate()
            app.wait()
    print(OUTPUT)


if __name__ == "__main__":
    main()
