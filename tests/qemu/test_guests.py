"""The test guests themselves, checked with QEMU's own screendump."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import guests
from support.monitor import execute

pytestmark = pytest.mark.qemu


class Monitor:
    """A QMP client that takes a picture and presses a key."""

    def __init__(self, link: socket.socket, folder: Path) -> None:
        self._file = link.makefile("rw", encoding="utf-8")
        self._picture = folder / "picture.png"
        self._file.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> object:
        """Run one command and return its answer."""
        return execute(self._file, command, arguments)

    def picture(self) -> np.ndarray:
        """Return the guest's picture: (height, width), 0xRRGGBB."""
        self.execute("screendump", filename=str(self._picture), format="png")
        with Image.open(self._picture) as image:
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), np.uint32), 2, 0)
        return red << 16 | green << 8 | blue


@contextmanager
def running(qemu: Path, arguments: list[str], folder: Path) -> Iterator[Monitor]:
    """Run a QEMU without a window during the block."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [
                    *(str(qemu), *arguments, "-display", "none", "-net", "none"),
                    *("-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-qmp", "chardev:qmp"),
                ],
                pass_fds=[theirs.fileno()],
            )
        try:
            yield Monitor(ours, folder)
        finally:
            process.kill()
            process.wait()


def squares(picture: np.ndarray) -> tuple[int, int, int]:
    """Return the frame's number at the top, the key, and the frame's number at the bottom."""
    return int(picture[5, 5]), int(picture[5, 70]), int(picture[-5, -5])


@pytest.mark.parametrize(
    ("device", "via"), [("virtio-vga", "drm"), ("VGA", "drm"), ("VGA", "vram")]
)
def test_paint_draws_frames_and_keys(tmp_path: Path, device: str, via: str) -> None:
    guest = guests.paint(tmp_path, "animate", device=device, via=via)
    with (
        running(guests.qemu(), guest.arguments, tmp_path) as monitor,
        guests.Serial(guest) as serial,
    ):
        serial.wait("^kju: ready")
        frame = int(serial.ask("stop", r"animate resting frame (\d+)")[1])
        before = monitor.picture()
        assert before.shape == (800, 1280)
        assert squares(before) == (frame, 0, frame)
        serial.ask("step 1", rf"done {frame + 1}$")
        after = monitor.picture()
        assert squares(after) == (frame + 1, 0, frame + 1)
        assert np.mean(before != after) > 0.85  # all but the panels
        monitor.execute("send-key", keys=[{"type": "qcode", "data": "a"}])
        serial.wait("key 30 down")
        serial.wait("key 30 up")
        serial.ask("stop", "resting")  # it answers after it has drawn
        assert squares(monitor.picture())[1] == 1 << 16 | 30


def test_paint_box_changes_only_its_box(tmp_path: Path) -> None:
    guest = guests.paint(tmp_path, "box", device="VGA", via="vram", size="1024x768")
    with (
        running(guests.qemu(), guest.arguments, tmp_path) as monitor,
        guests.Serial(guest) as serial,
    ):
        serial.wait("^kju: ready")
        frame = int(serial.ask("stop", r"box resting frame (\d+)")[1])
        before = monitor.picture()
        serial.ask("step 10", rf"done {frame + 10}$")
        after = monitor.picture()
        left = (frame + 10) * 8 % (1024 - 31)
        assert int(after[768 * 3 // 4 + 5, left + 5]) == (frame + 10) | 1 << 22
        rows = np.flatnonzero((before != after).any(axis=1))
        assert (rows.min(), rows.max()) == (768 * 3 // 4, 768 * 3 // 4 + 31)


def test_paint_changes_modes_and_powers_off(tmp_path: Path) -> None:
    guest = guests.paint(tmp_path, "still", device="virtio-vga,xres=1024,yres=768")
    with (
        running(guests.qemu(), guest.arguments, tmp_path) as monitor,
        guests.Serial(guest) as serial,
    ):
        serial.wait("mode 1024x768")
        serial.wait("^kju: ready")
        serial.ask("size 640x480", "mode 640x480")
        assert monitor.picture().shape == (480, 640)
        serial.ask("off", "^kju: off")


def test_old_qemu_runs_beside_the_installed_one(tmp_path: Path) -> None:
    old = guests.qemu72()
    with running(old, guests.invaders(), tmp_path) as monitor:
        assert dict(monitor.execute("query-version")["qemu"])["major"] == 7  # type: ignore[index]
