"""Accuracy and speed of reading the text of real guests: by glyphs, Tesseract, rapidocr.

    python -m benchmarks.reading [FOLDER]

Boots a Linux console in VGA text and on a framebuffer and types into it, GRUB's menu and Debian's
graphical installer. FOLDER keeps the pictures; existing ones are used again. rapidocr is omitted
unless it is installed (rapidocr-onnxruntime).
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import kju
from kju.surface.geometry import Rect
from kju.vision import glyphs, ocr

from .guests import TOOLS, paint

RUNS = 7
PATIENCE = 200.0
CONSOLE = r"""Debian GNU/Linux 12 debian tty1
debian login: root
Password: hunter2!
Last login: Mon Nov 23 01:12:56 UTC 2026 on ttyS0
root@debian:~# ip addr show dev eth0
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel
    link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff
    inet 10.0.2.15/24 brd 10.0.2.255 scope global dynamic eth0
[    0.000000] Linux version 6.1.176-1 (gcc-12 (Debian 12.2.0))
[    1.284930] EXT4-fs (vda1): mounted filesystem with ordered data mode
-rw-r--r-- 1 root root  1807 Jan  1  1970 .bashrc
SHA256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15
if [ "$x" != 0 ]; then echo '{"ok": 1, "l1I|": [0,O]}'; fi
Kernel panic - not syncing: VFS: Unable to mount root fs
100% [==========>] 42.5 MB/s  eta 00:03; ~/a_b/c-d.e?q=1&r=2"""
GRUB = """GNU GRUB  version 2.06-13+deb12u2
*Nothing at all
Reset
Another one
Use the and keys to select which entry is highlighted.
Press enter to boot the selected OS, `e' to edit the commands before booting or `c' for a command-line."""  # noqa: E501
INSTALLER = """Select a language
Choose the language to be used for the installation process. The selected language will also be the default language for the installed system.
Language:
Bosnian - Bosanski
Catalan - Català
Croatian - Hrvatski
Danish - Dansk
Dutch - Nederlands
English - English
Esperanto - Esperanto
Estonian - Eesti
Finnish - Suomi
French - Français
Galician - Galego
German - Deutsch
Screenshot
Go Back
Continue"""  # noqa: E501
TRUTH = {"vga": CONSOLE, "framebuffer": CONSOLE, "grub": GRUB, "installer": INSTALLER}


def shell(via: str) -> np.ndarray:
    """Return a picture of a console with typed lines."""
    # The output of the guest's init goes to another device.
    words = [f"console=ttyS0 {w}" if "kju.mode" in w else w for w in paint("shell", "VGA", via=via)]
    with kju.launch(args=[*words, "-serial", "null"], name=f"reading-{via}") as machine:
        machine.screen.wait_text("kju$", timeout=PATIENCE)
        machine.keyboard.type("stty -echo; clear; PS1=; cat\n")
        machine.screen.wait_stable(2, timeout=PATIENCE)
        for line in CONSOLE.split("\n"):
            machine.keyboard.type(line + "\n")
        machine.screen.wait_stable(2, timeout=PATIENCE)
        return np.array(machine.screen.frame(pixels="bgrx"))


def booted(script: str, text: str, *arguments: str) -> np.ndarray:
    """Return a picture of a guest of tools/guests when it shows a text and is at rest."""
    done = subprocess.run(
        [sys.executable, TOOLS / script], capture_output=True, text=True, check=True
    )
    words = [word.format(*done.stdout.split()) for word in arguments]
    with kju.launch(args=["-accel", "tcg", *words], name="reading") as machine:
        machine.screen.wait_text(text, timeout=PATIENCE)
        machine.screen.wait_stable(2, timeout=PATIENCE)
        return np.array(machine.screen.frame(pixels="bgrx"))


def pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Return the four screens, B G R X."""
    linux = ("-m", "1536", "-kernel", "{0}", "-initrd", "{1}", "-append", "vga=0x344 quiet ---")
    take: dict[str, Callable[[], np.ndarray]] = {
        "vga": lambda: shell("vram"),
        "framebuffer": lambda: shell("drm"),
        "grub": lambda: booted(
            "grub.py", "Another one", "-drive", "if=ide,format=raw,snapshot=on,file={0}"
        ),
        "installer": lambda: booted("installer.py", "Select a language", *linux),
    }
    for name, act in take.items():
        path = folder / f"{name}.png"
        if not path.exists():
            Image.fromarray(np.ascontiguousarray(act()[..., 2::-1])).save(path)
        rgb = np.asarray(Image.open(path).convert("RGB"))
        yield name, np.dstack((rgb[..., ::-1], np.zeros(rgb.shape[:2], np.uint8)))


def wrong(read: str, truth: str) -> tuple[float, int]:
    """Return the share of wrong characters, without spaces, and the number of correct lines."""
    lines = ["".join(line.split()) for line in read.split("\n")]
    total = errors = exact = 0
    for line in truth.split("\n"):
        wanted = "".join(line.split())
        least = min((distance(wanted, one) for one in lines if one), default=len(wanted))
        total, errors = total + len(wanted), errors + min(least, len(wanted))
        exact += least == 0
    return errors / total, exact


def distance(one: str, other: str) -> int:
    """Return the characters to replace, insert or remove (Levenshtein)."""
    before = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
        before = row
    return before[-1]


def readers() -> Iterator[tuple[str, Callable[[np.ndarray], str]]]:
    """Yield readers by name; `glyphs` returns an empty text for other screens."""
    yield "glyphs", lambda pixels: str(glyphs.read_cells(pixels, whole(pixels)) or "")
    yield "tesseract", lambda pixels: str(ocr.recognise(pixels, whole(pixels)))
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError:
        return
    engine = RapidOCR()

    def rapid(pixels: np.ndarray) -> str:
        found, _ = engine(np.ascontiguousarray(pixels[..., :3]), use_cls=False)
        rows: dict[int, list[tuple[float, str]]] = {}
        for box, text, _ in found or []:
            rows.setdefault(round(sum(y for _, y in box) / 4 / 12), []).append((box[0][0], text))
        return "\n".join(" ".join(text for _, text in sorted(row)) for row in rows.values())

    yield "rapidocr", rapid


def whole(pixels: np.ndarray) -> Rect:
    """Return the rectangle of the whole picture."""
    return Rect(0, 0, pixels.shape[1], pixels.shape[0])


def main() -> None:
    """The command line."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        for name, pixels in pictures(folder):
            truth = TRUTH[name]
            for reader, read in readers():
                text, took = read(pixels), []
                for _ in range(RUNS):
                    began = time.perf_counter()
                    read(pixels)
                    took.append(time.perf_counter() - began)
                share, exact = wrong(text, truth)
                lines = len(re.findall("\n", truth)) + 1
                ms = statistics.median(took) * 1000
                said = f"{share:5.1%} wrong, {exact} of {lines} lines exact" if text else "nothing"
                print(f"{name:12} {reader:10} {ms:7.1f} ms  {said}", flush=True)


if __name__ == "__main__":
    main()
