"""Take the picture of a report: Debian's installer, operated with locators.

    python docs/images/report.py [REPORT]

Without REPORT the installer runs first (tools/setup check; the extra `text`). Needs Chromium
(Debian: chromium).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

import kju

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "images" / "report.png"
sys.path.insert(0, str(ROOT / "tests"))

from support import guests  # noqa: E402

BOOT = 500.0


def record(report: Path) -> None:
    """Go through the installer's first screens, and write the report."""
    title = "Debian's installer to its third screen"
    with (
        kju.launch(name="installer", args=guests.installer()) as machine,
        kju.report.recording(machine, report, title=title),
    ):
        machine.default_timeout = 60
        screen = machine.screen
        kju.expect(screen.text("Select a language")).to_be_visible(timeout=BOOT)
        screen.text("English").nth(0).click()
        screen.text("Continue").click()
        kju.expect(screen.text("Select your location")).to_be_visible()
        screen.text("Ireland").click()
        screen.text("Continue").click()
        kju.expect(screen.text("Configure the keyboard")).to_be_visible()
        screen.wait_stable(1)


def take(report: Path) -> None:
    """Open the report at the click on Ireland, and store its picture with a palette."""
    text = report.read_text()
    found = re.search(
        r'id="(s0-\d+)"(?:(?!<li).)*?a click on the text \'Ireland\'', text, re.DOTALL
    )
    step = f"#{found[1]}" if found else ""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "report.png"
        command = [
            "chromium", "--headless", "--no-sandbox", "--hide-scrollbars",
            "--window-size=1200,1040",  # the whole page: a link to a step must not scroll it
            f"--user-data-dir={folder}/browser", f"--screenshot={picture}",
            report.resolve().as_uri() + step,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(picture) as image:
            small = image.convert("RGB").quantize(255, dither=Image.Dither.NONE)
    small.save(TARGET, optimize=True)
    print(TARGET)


def main() -> None:
    """Run the command line."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        report = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "report.html"
        if len(sys.argv) == 1:
            record(report)
        take(report)


if __name__ == "__main__":
    main()
