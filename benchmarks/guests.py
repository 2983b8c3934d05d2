"""The measured guests: QEMU's arguments for each."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

TOOLS = Path(__file__).parent.parent / "tools" / "guests"
INVADERS = "/boot/invaders.exec"


#: QEMU's arguments for each keyboard, and a part of Linux's name for it.
KEYBOARDS = {
    "PS/2": ([], "AT"),
    "virtio": (["-device", "virtio-keyboard-pci"], "Virtio"),
    "USB": (["-device", "qemu-xhci,id=keys", "-device", "usb-kbd,bus=keys.0"], "USB"),
}

#: The tablet that kju would add, and no network, so that a guest has the same devices under kju and
#: under QEMU alone: a USB tablet costs QEMU a sixth of its CPU here.
_SAME = ["-nic", "none", "-device", "qemu-xhci,id=usb", "-device", "usb-tablet,bus=usb.0"]


@cache
def _built(script: str) -> list[str]:
    words = [sys.executable, str(TOOLS / script)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _linux() -> list[str]:
    return _built("linux.py")


def paint(mode: str, device: str, **options: str | int) -> list[str]:
    """Return our Linux guest, which draws on command: see tools/guests/README.md."""
    kernel, initramfs = _linux()
    words = [f"kju.{name}={value}" for name, value in {"mode": mode, **options}.items()]
    line = " ".join(["quiet", "vt.global_cursor_default=0", "iomem=relaxed", *words])
    return [*_common(device), "-kernel", kernel, "-initrd", initramfs, "-append", line]


def measured(device: str, **options: str | int) -> list[str]:
    """Return the same guest with stamped squares, controlled by its serial line: see rig.py.

    The guest has the same devices under kju and under QEMU alone (`_SAME`).
    """
    kernel, initramfs = _linux()
    words = [f"kju.{name}={value}" for name, value in {"stamp": 1, **options}.items()]
    cursor = options.get("cursor_blinks", 0)
    line = " ".join(
        ["console=ttyS0", "quiet", f"vt.global_cursor_default={cursor}", "iomem=relaxed", *words]
    )
    return [*_common(device), *_SAME, "-kernel", kernel, "-initrd", initramfs, "-append", line]


def plain() -> list[str]:
    """Return a kernel that only writes its answer inside the keyboard's interrupt."""
    (kernel,) = _built("plain.py")
    return [*_common("VGA"), *_SAME, "-kernel", kernel]


def typed(folder: Path, field: bool, keyboard: str) -> list[str]:
    """Return a text console's shell, or a graphical text field: see tools/guests/README.md.

    The files `said` and `out` get the output of the guest's serial lines.
    """
    kernel, initramfs = _linux()
    devices, name = KEYBOARDS[keyboard]
    line = "console=ttyS0 quiet kju.mode=shell"
    if field:
        (first,) = _built("field.py")
        joined = folder / "initrd"
        joined.write_bytes(Path(first).read_bytes() + Path(initramfs).read_bytes())
        initramfs, line = str(joined), f"console=ttyS0 quiet rdinit=/field/init kju.keyboard={name}"
    serial = ["-serial", f"file:{folder}/said", "-serial", f"file:{folder}/out"]
    return ["-accel", "tcg", "-m", "512", "-vga", "std", "-no-reboot", *serial, *devices,
            "-kernel", kernel, "-initrd", initramfs, "-append", line]  # fmt: skip


def _common(device: str) -> list[str]:
    return ["-accel", "tcg", "-m", "256", "-vga", "none", "-device", device, "-no-reboot"]


def invaders() -> list[str]:
    """Return a game in VGA text mode that moves by itself."""
    return ["-accel", "tcg", "-m", "64", "-vga", "std", "-kernel", INVADERS]
