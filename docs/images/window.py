"""Takes the picture of a window that the docs show: docs/images/window.png.

    python docs/images/window.py

Needs what the tests of the window need (tools/setup check): Xvfb, openbox, xwd, grub-invaders.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

import kju

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support import guests, xservers  # noqa: E402

OUTPUT = ROOT / "docs" / "images" / "window.png"
SECONDS = 60.0


def bounds(picture: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what differs from the root window's colour."""
    rows, columns = np.nonzero((picture != picture[0, 0]).any(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def main() -> None:
    """Boot the game, open the window, wait until it shows invaders, and save what is seen."""
    with (
        kju.launch(name="invaders", args=guests.invaders()) as machine,
        xservers.server("-screen", "0", "1000x700x24") as (_, display),
        xservers.program(display, "openbox"),
    ):
        xservers.do(display, "xsetroot", "-solid", "#5b6470")
        mark = machine.screen.mark
        window = subprocess.Popen(
            [sys.executable, "-m", "kju.cli", "view", machine.name],
            env=xservers.environment(display) | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            deadline = time.monotonic() + SECONDS
            shown = False
            while not shown and time.monotonic() < deadline:
                mark = machine.screen.wait(mark, timeout=SECONDS).mark
                guest = np.asarray(machine.screen.frame(pixels="bgrx"))[..., :3]
                seen = xservers.picture(display)
                if (seen == seen[0, 0]).all():
                    continue
                left, top, right, bottom = bounds(seen)
                aliens = (guest.max(axis=2) > 100).sum() > 1500
                shown = aliens and right - left >= guest.shape[1] and bottom - top > guest.shape[0]
            image = np.ascontiguousarray(seen[top:bottom, left:right, ::-1])
            Image.fromarray(image).save(OUTPUT, optimize=True)
        finally:
            window.terminate()
            window.wait()
    if not shown:
        raise SystemExit(f"the window did not show the game within {SECONDS:g} s")
    print(OUTPUT)


if __name__ == "__main__":
    main()
