"""The guests that are measured: QEMU's arguments for each."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

TOOLS = Path(__file__).parent.parent / "tools" / "guests"
INVADERS = "/boot/invaders.exec"


@cache
def _linux() -> list[str]:
    script = TOOLS / "linux.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:2]


def paint(mode: str, device: str, **options: str | int) -> list[str]:
    """Our Linux guest, which draws what it is told: see tools/guests/README.md."""
    kernel, initramfs = _linux()
    words = [f"kju.{name}={value}" for name, value in {"mode": mode, **options}.items()]
    line = " ".join(["quiet", "vt.global_cursor_default=0", "iomem=relaxed", *words])
    return [*_common(device), "-kernel", kernel, "-initrd", initramfs, "-append", line]


def measured(device: str, **options: str | int) -> list[str]:
    """The same with its squares stamped, obeying on its serial line: see rig.py.

    The tablet is the one that kju would add and the network is none, so that the guest has the
    same devices under kju and under QEMU alone: a USB tablet costs QEMU a sixth of its CPU here.
    """
    kernel, initramfs = _linux()
    words = [f"kju.{name}={value}" for name, value in {"stamp": 1, **options}.items()]
    cursor = options.get("cursor_blinks", 0)
    line = " ".join(
        ["console=ttyS0", "quiet", f"vt.global_cursor_default={cursor}", "iomem=relaxed", *words]
    )
    same = ["-nic", "none", "-device", "qemu-xhci,id=usb", "-device", "usb-tablet,bus=usb.0"]
    return [*_common(device), *same, "-kernel", kernel, "-initrd", initramfs, "-append", line]


def _common(device: str) -> list[str]:
    return ["-accel", "tcg", "-m", "256", "-vga", "none", "-device", device, "-no-reboot"]


def invaders() -> list[str]:
    """A game in VGA text mode that moves by itself."""
    return ["-accel", "tcg", "-m", "64", "-vga", "std", "-kernel", INVADERS]
