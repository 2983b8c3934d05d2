"""QEMU showing recorded frames on its VGA card, for its VNC server to send.

No guest runs: the processor stands still, and QEMU's own test protocol sets the mode and writes
video memory. The card sees stores as from any guest, and what QEMU spends is the display's alone.
"""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .monitor import connect

#: Where the card's video memory and its registers are put, as a firmware would.
MEMORY, REGISTERS = 0xE0000000, 0xF0000000
CARD = 0x80001000
XRES, YRES, BPP, ENABLE, VIRT_WIDTH = 1, 2, 3, 4, 6


class Shown:
    """One QEMU.

    Attributes:
        pid: Its process.
    """

    def __init__(self, folder: Path, pid: int, width: int, height: int) -> None:
        self.folder = folder
        self.pid = pid
        self._width = width
        self._sock = connect(folder / "test")
        self._lines = self._sock.makefile("rb")
        self._set_mode(width, height)

    @property
    def where(self) -> dict[str, str]:
        """What a VNC client is told to find it."""
        return {"folder": str(self.folder)}

    def draw(self, y: int, rows: np.ndarray) -> None:
        """Store whole rows; returns when that is done."""
        data = base64.b64encode(np.ascontiguousarray(rows)).decode()
        self._tell(f"b64write {MEMORY + y * self._width * 4:#x} {rows.nbytes} {data}")

    def cpu(self) -> float:
        """CPU time of all of its threads so far, seconds."""
        return self.cpu_of(self.pid)

    @staticmethod
    def cpu_of(pid: int) -> float:
        """The same of any process, finer than the ticks of its stat."""
        total = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def close(self) -> None:
        self._lines.close()
        self._sock.close()

    def _set_mode(self, width: int, height: int) -> None:
        for register, value in ((0x10, MEMORY), (0x18, REGISTERS), (0x04, 3)):
            self._tell(f"outl 0xcf8 {CARD + register:#x}")
            self._tell(f"outl 0xcfc {value:#x}")
        values = {BPP: 32, XRES: width, YRES: height, ENABLE: 0xC1, VIRT_WIDTH: width}
        for number, value in values.items():
            self._tell(f"writew {REGISTERS + 0x500 + 2 * number:#x} {value:#x}")
        self._tell("inb 0x3da")
        self._tell("outb 0x3c0 0x20")  # lit

    def _tell(self, command: str) -> None:
        self._sock.sendall(command.encode() + b"\n")
        answer = self._lines.readline()
        if not answer.startswith(b"OK"):
            raise RuntimeError(f"QEMU refused {command[:60]}: {answer[:200]!r}")


@contextlib.contextmanager
def shown(folder: str, width: int, height: int) -> Iterator[Shown]:
    """A QEMU with a VGA card and a VNC server on ``vnc`` in its folder; nobody else looks."""
    here = Path(tempfile.mkdtemp(dir=folder))
    qemu = os.environ.get("KJU_QEMU", "qemu-system-x86_64")
    words = [qemu, "-nodefaults", "-machine", "pc", "-accel", "tcg", "-S", "-display", "none",
             "-qtest", f"unix:{here}/test,server=on,wait=off", "-qtest-log", "/dev/null",
             "-vga", "none", "-device", "VGA,addr=2,vgamem_mb=16",
             "-vnc", f"unix:{here}/vnc"]  # fmt: skip
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        with contextlib.closing(Shown(here, process.pid, width, height)) as made:
            yield made
    finally:
        process.kill()
        process.wait()
