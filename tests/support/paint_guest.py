"""A paint guest whose video memory is watched: driven by hand, compared with QEMU's screendump."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import kju
from kju.errors import GeometryError

from . import guests
from .monitor import Monitor
from .wait import until

MIB = 1 << 20
#: The mode is read at least four times a second; a computer that others use too gets some more.
SEEN = 3.0
MODE = (800, 600)


class Guest:
    """One machine with a paint guest that is driven by hand, and those who look at it.

    The launcher itself does not look: with `looker` and `viewer` gone nobody does.
    """

    def __init__(self, machine: kju.Machine, monitor: Monitor, serial: guests.Serial) -> None:
        self.machine = machine
        self.monitor = monitor
        self.serial = serial
        self.look()

    def look(self) -> None:
        self.looker = kju.attach(self.machine.name)
        self.viewer = kju.attach(self.machine.name, "view")
        self.screen, self.seen = self.looker.screen, self.viewer.screen

    def leave(self) -> None:
        self.looker.close()
        self.viewer.close()

    def tell(self, line: str, timeout: float = 60) -> str:
        """Give it one command; its answer begins with the same word, or that and an ending."""
        verb = line.split()[0]
        return self.serial.ask(line, rf"^kju: {verb}\w*( .*)?$", timeout)[0]

    def console(self, index: int = 0) -> dict[str, object]:
        return self.machine.info()["consoles"][index]

    @property
    def source(self) -> object:
        return self.console()["source"]

    def show(self, width: int, height: int, *rest: int, bits: int = 32) -> None:
        """Set a mode and fill the memory with what no two rows of have in common."""
        numbers = " ".join(str(n) for n in (width, height, bits, *rest))
        self.tell(f"set {numbers}")
        self.tell(f"fill {width + height} 0 {16 * MIB}")

    def equals(self, **which: object) -> np.ndarray:
        """The live picture and the published one equal what QEMU shows; returns that."""
        with self.monitor.paused():
            return self.equals_paused(**which)

    def equals_paused(self, **which: object) -> np.ndarray:
        dump = self.monitor.screendump(**which)
        index = self.screen.console

        def live() -> bool:
            return np.array_equal(self.screen.frame(sync=True), dump)

        def published() -> bool:
            self.seen.refresh()
            with contextlib.suppress(GeometryError):
                return np.array_equal(self.seen.frame(), dump)
            return False

        first = live()
        if self.console(index)["source"] == "vram":
            assert first or live(), "no older than the call"
        until(live, f"the live picture is QEMU's: {self.console(index)}")
        until(published, f"the published picture is QEMU's: {self.console(index)}")
        return dump

    def becomes(self, source: str, what: str = "") -> None:
        until(lambda: str(self.source).startswith(source), f"{what} {self.console()}")


@contextlib.contextmanager
def booted(
    folder: Path, device: str, *more: str, via: str = "vram", name: str = "", **options: str | int
) -> Iterator[Guest]:
    paint = guests.paint(folder, "still", device=device, via=via, **options)
    monitor = Monitor(folder)
    args = [*paint.arguments, *more, *monitor.arguments]
    args.remove("-no-reboot")
    with (
        kju.launch(args=args, name=name or folder.name[:20]) as machine,
        monitor,
        guests.Serial(paint) as serial,
    ):
        serial.wait("^kju: ready", 90)
        guest = Guest(machine, monitor, serial)
        try:
            yield guest
        finally:
            guest.leave()


def video_memory(pid: int, name: str = "vga.vram") -> Path:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if f"/{name}" in os.readlink(path):
                return path
    raise AssertionError(f"process {pid} has no {name}")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sockets(pid: int) -> int:
    found = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(path).startswith("socket:")
    return found


def traffic(pid: int) -> int:
    """System calls of the host that read or wrote: a QMP command is several."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counts["syscr"]) + int(counts["syscw"])
