"""The guests the tests boot: each gives QEMU's arguments and is fetched or built when asked for.

A guest that cannot be had (no Debian, or no network and nothing in the cache) skips the test that
wants it, except in CI, where that is an error. tools/guests/README.md describes `paint`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from kju.guests import debian
from kju.guests import sample as sample_guest

from .wait import HANG

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "guests"
INVADERS = Path("/boot/invaders.exec")
# Linux's tests of its own cryptography take an emulated processor 0.7 s.
QUICK = "console=ttyS0 quiet cryptomgr.notests"
COMMAND_LINE = f"{QUICK} vt.global_cursor_default=0 iomem=relaxed"
TCG = ("-accel", "tcg")  # /dev/kvm may open and its guests still hang: see design, accelerators
#: For a guest that never halts, such as invaders. Each instruction takes 128 ns of its time, and
#: QEMU sleeps when that is ahead of the real time: a tenth of a processor, instead of a whole one.
#: Not for one that is paused or loads snapshots: its time is then far from the real one.
PACED = (*TCG, "-icount", "shift=7,align=on")


class Paint(NamedTuple):
    """A `paint` guest: QEMU's arguments, and where its serial line will be."""

    arguments: list[str]
    serial: Path


def _unavailable(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (in CI a guest that is missing is an error)")
    pytest.skip(reason)


@functools.cache
def _run(script: str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, str(TOOLS / script)], capture_output=True, text=True, check=False
    )
    return done.stdout.split("\n")[:-1], done.stderr.strip() if done.returncode else ""


def _lines(script: str) -> list[str]:
    lines, error = _run(script)
    if error:
        _unavailable(error)
    return lines


def qemu() -> Path:
    """The installed QEMU."""
    found = shutil.which("qemu-system-x86_64")
    if not found:
        _unavailable("qemu-system-x86_64 is not installed; tools/setup check installs it")
    return Path(str(found))


@functools.cache
def sample() -> Path:
    """The disk of the sample guest, as `kju demo --guest linux` builds it; do not write to it."""
    try:
        return sample_guest.build()
    except debian.GuestError as error:
        _unavailable(str(error))
        raise


def uefi(architecture: str = "x86_64") -> None:
    """A UEFI firmware for these guests is installed."""
    if not list(Path("/usr/share/qemu/firmware").glob(f"*{architecture}*.json")):
        _unavailable("there is no UEFI firmware; tools/setup check installs it (ovmf)")


def qemu72() -> Path:
    """A QEMU 7.2 that runs beside the installed one, or what KJU_QEMU_OLD names."""
    return Path(_lines("qemu72.py")[0])


def nginx() -> Path:
    """An nginx that is not installed."""
    return Path(_lines("nginx.py")[0])


def invaders() -> list[str]:
    """grub-invaders: a game in VGA text mode that moves by itself and obeys the arrow keys."""
    if not INVADERS.exists():
        _unavailable(f"{INVADERS} is missing; tools/setup check installs it")
    return [*PACED, "-m", "64", "-vga", "std", "-kernel", str(INVADERS)]


def memtest() -> list[str]:
    """memtest86+ from its ISO: a colourful text screen that changes all the time."""
    images = sorted(Path("/usr/lib/memtest86+").glob("*x64*.iso"))
    if not images:
        _unavailable("memtest86+ is missing; tools/setup check installs it")
    return [*TCG, "-m", "64", "-vga", "std", "-cdrom", str(images[0])]


def installer(*words: str) -> list[str]:
    """Debian's graphical installer: a desktop's worth of pixels, no disk; words for its kernel."""
    kernel, initrd = _lines("installer.py")
    line = " ".join(["quiet", *words, "---"])
    memory = ["-m", "1536", "-vga", "std"]
    return [*TCG, *memory, "-kernel", kernel, "-initrd", initrd, "-append", line]


def grub() -> list[str]:
    """GRUB's menu in a 32-bit VBE mode; the arrow keys move its bar, the second entry resets."""
    (disk,) = _lines("grub.py")
    drive = f"if=ide,format=raw,snapshot=on,file={disk}"
    return [*TCG, "-m", "64", "-vga", "std", "-drive", drive]


def plain(folder: Path) -> Paint:
    """A kernel that answers keys and buttons inside its interrupts: tools/guests/README.md."""
    (kernel,) = _lines("plain.py")
    serial = folder / "serial"
    return Paint([*TCG, "-m", "64", "-vga", "std", "-kernel", kernel, *_line(serial)], serial)


def paint(
    folder: Path,
    mode: str = "animate",
    *,
    device: str = "virtio-vga",
    efi: bool = False,
    **options: str | int,
) -> Paint:
    """Our own Linux guest, drawing what it is asked for.

    Args:
        folder: Where to put its serial line.
        mode: kju.mode: animate, flip, box, still, resize, blank, text, shell.
        device: QEMU's display device with its properties: "virtio-vga", "VGA", "bochs-display",
            "virtio-vga,max_outputs=2", "virtio-vga,xres=1920,yres=1080".
        efi: Keep the kernel's decompressor: a UEFI firmware starts the kernel in it.
        options: Other kju.* options: via="vram", size="1024x768", rate=20, frames=100, heads=2,
            cursor=1, virtual=1400.
    """
    kernel, initramfs = _lines("linux.py")
    if efi:
        kernel = str(Path(kernel).with_name("vmlinuz"))
    words = [f"kju.{name}={value}" for name, value in {"mode": mode, **options}.items()]
    serial = folder / "serial"
    return Paint(
        [
            *TCG, "-m", "256", "-vga", "none", "-device", device, "-no-reboot",
            "-kernel", kernel, "-initrd", initramfs,
            "-append", " ".join([COMMAND_LINE, *words]),
            *_line(serial),
        ],
        serial,
    )  # fmt: skip


class Console(NamedTuple):
    """A guest with a Linux text console: what is typed there arrives in a file.

    Attributes:
        arguments: QEMU's.
        serial: Obeys the name of a keymap, and answers `kju: loaded NAME`.
        typed: The file, bytes as a program on the console reads them.
        keymaps: The folder of the keymaps, NAME.map.
    """

    arguments: list[str]
    serial: Path
    typed: Path
    keymaps: Path


def console(folder: Path) -> Console:
    """The kernel of `paint` on a text console, whose keyboard is set by Debian's own tools."""
    (kernel, initramfs), (more, keymaps) = _lines("linux.py"), _lines("console.py")
    initrd, serial, typed = folder / "initrd", folder / "serial", folder / "typed"
    initrd.write_bytes(Path(initramfs).read_bytes() + Path(more).read_bytes())
    return Console(
        [
            *TCG, "-m", "256", "-vga", "std", "-no-reboot", "-kernel", kernel,
            "-initrd", str(initrd), "-append", f"{QUICK} rdinit=/keyboard/init",
            *_line(serial), "-serial", f"file:{typed}",
        ],
        serial, typed, Path(keymaps),
    )  # fmt: skip


#: How QEMU is given each keyboard, and what Linux's name for it contains.
KEYBOARDS = {
    "ps2": ([], "AT"),
    "virtio": (["-device", "virtio-keyboard-pci"], "Virtio"),
    "usb": (["-device", "qemu-xhci,id=keys", "-device", "usb-kbd,bus=keys.0"], "USB"),
    "uhci": (["-device", "piix3-usb-uhci,id=keys", "-device", "usb-kbd,bus=keys.0"], "USB"),
}


class Typed(NamedTuple):
    """A guest to type into: see tests/support/typed_guest.py.

    Attributes:
        arguments: QEMU's.
        serial: Says when the guest is there.
        out: A file with what the guest's second serial line has said, of which nothing is lost.
        name: What Linux's name for the keyboard contains.
    """

    arguments: list[str]
    serial: Path
    out: Path
    name: str


def field(folder: Path, keyboard: str = "ps2") -> Typed:
    """A text field: a GTK editor on Debian's X server, 640x480.

    Ctrl+S saves what is in it, and what was saved comes out as Base64 between `begin` and `end`.

    Args:
        folder: As in `paint`.
        keyboard: Which of `KEYBOARDS` it has.
    """
    (kernel, initramfs), (more,) = _lines("linux.py"), _lines("field.py")
    devices, name = KEYBOARDS[keyboard]
    initrd, serial, out = folder / "initrd", folder / "serial", folder / "out"
    initrd.write_bytes(Path(more).read_bytes() + Path(initramfs).read_bytes())
    line = f"{QUICK} rdinit=/field/init kju.keyboard={name}"
    return Typed(
        [
            *TCG, "-m", "512", "-vga", "std", "-no-reboot", "-kernel", kernel,
            "-initrd", str(initrd), "-append", line,
            *_line(serial), "-serial", f"file:{out}", *devices,
        ],
        serial, out, name,
    )  # fmt: skip


def shell(folder: Path, keyboard: str = "ps2", display: Sequence[str] = ()) -> Typed:
    """A shell on a Linux text console.

    Args:
        folder: As in `paint`.
        keyboard: Which of `KEYBOARDS` it has.
        display: QEMU's arguments for a further display.
    """
    devices, name = KEYBOARDS[keyboard]
    guest, out = paint(folder, "shell", device="VGA"), folder / "out"
    return Typed(
        [*guest.arguments, "-serial", f"file:{out}", *devices, *display], guest.serial, out, name
    )


def asleep(folder: Path, keyboard: str = "ps2") -> list[str]:
    """A firmware that sleeps: nothing in the guest reads a keyboard or starts a device."""
    firmware = folder / "asleep.rom"
    sleep = bytes.fromhex("fa f4 ebfd")  # interrupts off, halt, again
    firmware.write_bytes(bytes(0xFFF0) + sleep.ljust(16, b"\0"))
    return [*TCG, "-m", "64", "-vga", "std", "-bios", str(firmware), *KEYBOARDS[keyboard][0]]


#: The modes that `modes` goes through, in order: two of text, one of graphics.
MODES = ((720, 400), (640, 400), (800, 600))


def modes(folder: Path) -> Path:
    """A disk that sets the next of `MODES` at every key, prints a letter and draws no more."""
    program = bytes.fromhex(
        "31c0 8ed8 fc"  # ds = 0, forwards
        "be207c"  # again: si = table
        "ad 85c0 74f8"  # next: ax = the next word; at the end go again
        "bb4341 cd10"  # set the mode; bx is for VBE: 800x600 at 32 bits, linear
        "bb0700 b8410e cd10"  # print A
        "31c0 cd16 ebe8"  # wait for a key, go next
        "0300 0100 024f 0000"  # table: 80x25, 40x25, VBE
    )
    disk = folder / "modes.img"
    disk.write_bytes(program.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    return disk


#: The modes that `text_modes` goes through: a name, the BIOS's mode and the function that loads a
#: font (0 is none), and the size of the screen.
TEXT_MODES = (
    ("80x25", (0x03, 0), (720, 400)),
    ("80x50", (0x03, 0x1112), (720, 400)),
    ("80x28", (0x03, 0x1111), (720, 392)),
    ("40x25", (0x01, 0), (640, 400)),
    ("40x50", (0x01, 0x1112), (640, 400)),
    ("40x28", (0x01, 0x1111), (640, 392)),
    ("320x200 in 4 colours", (0x04, 0), (640, 400)),
    ("640x200 in 2 colours", (0x06, 0), (640, 400)),
    ("320x200 in 16 colours", (0x0D, 0), (640, 400)),
    ("640x350", (0x10, 0), (640, 350)),
    ("640x480", (0x12, 0), (640, 480)),
    ("320x200 in 256 colours", (0x13, 0), (640, 400)),
)


#: What `text_modes` prints first in each of them.
PRINTED = "Kju: {a|b} l1I O0 ╔═╗│↑↓→←▲▼ ~#"
_GRAPHICS = {"↑": 0x18, "↓": 0x19, "→": 0x1A, "←": 0x1B, "▲": 0x1E, "▼": 0x1F}


def text_modes(folder: Path) -> Path:
    """A disk that sets the next of `TEXT_MODES` at every key, and prints `PRINTED` and its name."""
    program = bytes.fromhex(
        "31c0 8ed8 fc"  # ds = 0, forwards
        "be3c7c"  # again: si = table
        "ad 85c0 74f8"  # next: ax = the mode; at the end go again
        "cd10"  # set it
        "ad 85c0 7404 30db cd10"  # ax = the function that loads a font; call it
        "ad 56 50"  # keep the place in the table and the place of the mode's name
        "be{common} e80c00 5e e80800"  # print the common line, then the name
        "5e 31c0 cd16 ebdc 90"  # wait for a key, go next
        "ac 84c0 7409 bb0700 b40e cd10 ebf2 c3".replace(  # print: the characters up to a zero
            "{common}", (0x7C3C + 6 * len(TEXT_MODES) + 2).to_bytes(2, "little").hex()
        )
    )
    line = b"".join(bytes([_GRAPHICS.get(c) or c.encode("cp437")[0]]) for c in PRINTED) + b"\r\n\0"
    table, names = b"", line
    for name, codes, _ in TEXT_MODES:
        place = 0x7C3C + 6 * len(TEXT_MODES) + 2 + len(names)
        table += b"".join(word.to_bytes(2, "little") for word in (*codes, place))
        names += name.encode() + b"\0"
    disk = folder / "text-modes.img"
    sector = (program + table + b"\0\0" + names).ljust(510, b"\0")
    assert len(program) == 0x3C and len(sector) == 510
    disk.write_bytes(sector + b"\x55\xaa" + bytes(1 << 20))
    return disk


def _line(serial: Path) -> list[str]:
    """A serial line as two pipes: one holds 64 KiB, of a socket some 270 bytes fill the buffer."""
    for name in (f"{serial}.in", f"{serial}.out"):
        os.mkfifo(name)
    pipes = f"pipe,id=line,path={serial},logfile={serial}.log"
    return ["-chardev", pipes, "-serial", "chardev:line"]


class Serial:
    """The serial line of a guest of ours: waits for what it says, tells it what to do.

    What the guest said before anybody came is not lost: it is read from the line's log. The pipe is
    drained all the same, by a thread: a guest whose line is full drops what it says, and stops.
    """

    def __init__(self, guest: Paint | Console | Typed) -> None:
        self._log = Path(f"{guest.serial}.log")
        self._read = 0
        self._more = threading.Event()
        self._closed = False
        self._in = os.open(f"{guest.serial}.in", os.O_RDWR)
        self._out = os.open(f"{guest.serial}.out", os.O_RDWR | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        while not self._closed:
            if poll.poll(100):
                with contextlib.suppress(BlockingIOError):
                    os.read(self._out, 1 << 16)
                self._more.set()

    def send(self, line: str) -> None:
        """Gives the guest one command."""
        os.write(self._in, line.encode() + b"\n")

    def wait(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        """Waits for a line that matches, among those not yet waited for, and returns the match."""
        timeout = max(timeout, HANG)  # a guest under TCG on a busy computer
        deadline = time.monotonic() + timeout
        while True:
            self._more.clear()
            said = self.said()
            if match := re.compile(pattern, re.MULTILINE).search(said, self._read):
                self._read = match.end()
                return match
            if time.monotonic() > deadline:
                raise TimeoutError(f"the guest did not say {pattern!r} in {timeout} s:\n{said}")
            self._more.wait(0.2)

    def said(self) -> str:
        """Everything the guest has said, in whole lines."""
        said = self._log.read_bytes().decode(errors="replace").replace("\r", "")
        return said[: said.rfind("\n") + 1]

    def ask(self, line: str, pattern: str, timeout: float = 60) -> re.Match[str]:
        """Gives the guest one command and waits for its answer."""
        self.send(line)
        return self.wait(pattern, timeout)

    def close(self) -> None:
        """Lets go of the line; the guest goes on."""
        self._closed = True
        self._thread.join()
        os.close(self._in)
        os.close(self._out)

    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
