"""Recorded frames on QEMU's VGA card, sent by its VNC server.

No guest runs: the CPU is stopped, and QEMU's own test protocol sets the mode and writes video
memory. The card handles the stores like those of a guest, and all CPU time is the display's.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .monitor import connect

#: Addresses of the card's video memory and registers, assigned as by firmware.
MEMORY, REGISTERS = 0xE0000000, 0xF0000000
CARD = 0x80001000
XRES, YRES, BPP, ENABLE, VIRT_WIDTH = 1, 2, 3, 4, 6
SIZE = 16 << 20
PAGE = 4096


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
        self._video: tuple[int, int] | None = None

    @property
    def where(self) -> dict[str, str]:
        """The place of the VNC server, for a client."""
        return {"folder": str(self.folder)}

    def draw(self, y: int, rows: np.ndarray) -> None:
        """Store whole rows; return when they are stored."""
        data = base64.b64encode(np.ascontiguousarray(rows).data).decode()
        self._tell(f"b64write {MEMORY + y * self._width * 4:#x} {rows.nbytes} {data}")

    def paint(self, pixels: np.ndarray, y: int = 0) -> None:
        """Store the whole screen, or rows of it, as fast as a guest could; return when stored.

        QEMU's protocol alone takes 32 to 190 ms of its main thread. So the pixels are written
        directly to its memory, and the protocol stores one byte in each page, which marks the page
        as changed for the card: 3.5 ms.
        """
        descriptor, start = self._video = self._video or self._find()
        data = np.ascontiguousarray(pixels)
        base = y * self._width * 4
        os.pwrite(descriptor, data.data, start + base)
        flat = data.reshape(-1)
        places = range(3, data.nbytes, PAGE)
        first = MEMORY + base
        self._sock.sendall(b"".join(b"writeb %#x %#x\n" % (first + at, flat[at]) for at in places))
        for _ in places:
            self._done("writeb")

    def _find(self) -> tuple[int, int]:
        """Return a descriptor of QEMU's memory, and the offset of the card's memory in it."""
        mark = secrets.token_bytes(64)
        self._tell(f"b64write {MEMORY:#x} {len(mark)} {base64.b64encode(mark).decode()}")
        descriptor = os.open(f"/proc/{self.pid}/mem", os.O_RDWR)
        for line in Path(f"/proc/{self.pid}/maps").read_text().splitlines():
            first, end = (int(word, 16) for word in line.split()[0].split("-"))
            if line.split()[1] in ("rw-p", "rw-s") and end - first >= SIZE:
                for start in range(first, end, SIZE):
                    if os.pread(descriptor, len(mark), start) == mark:
                        return descriptor, start
        os.close(descriptor)
        raise RuntimeError("the card's memory was not found in QEMU's")

    def cpu(self) -> float:
        """Return the CPU time of all its threads so far, seconds."""
        return self.cpu_of(self.pid)

    @staticmethod
    def cpu_of(pid: int) -> float:
        """Return the CPU time of any process, finer than the ticks of its stat."""
        total = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def close(self) -> None:
        if self._video:
            os.close(self._video[0])
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
        self._done(command)

    def _done(self, command: str) -> None:
        answer = self._lines.readline()
        if not answer.startswith(b"OK"):
            raise RuntimeError(f"QEMU refused {command[:60]}: {answer[:200]!r}")


@contextlib.contextmanager
def shown(
    folder: str,
    width: int,
    height: int,
    before: tuple[str, ...] = (),
    vnc: str = "",
    more: tuple[str, ...] = (),
) -> Iterator[Shown]:
    """Run a QEMU with a VGA card and a VNC server that has no other client.

    Args:
        folder: Parent of its own folder.
        width: Of the screen, pixels.
        height: Of the screen, pixels.
        before: Words before the command.
        vnc: Address of the server (default: ``vnc`` in its folder).
        more: More of QEMU's arguments.
    """
    here = Path(tempfile.mkdtemp(dir=folder))
    qemu = os.environ.get("KJU_QEMU", "qemu-system-x86_64")
    words = [*before, qemu, "-nodefaults", "-machine", "pc", "-accel", "tcg", "-S",
             "-display", "none", "-qtest", f"unix:{here}/test,server=on,wait=off",
             "-qtest-log", "/dev/null",
             "-vga", "none", "-device", f"VGA,addr=2,vgamem_mb={SIZE >> 20}",
             "-vnc", vnc or f"unix:{here}/vnc", *more]  # fmt: skip
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        with contextlib.closing(Shown(here, process.pid, width, height)) as made:
            yield made
    finally:
        process.kill()
        process.wait()
