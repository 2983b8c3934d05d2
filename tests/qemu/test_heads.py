"""Two heads of one card are two consoles, each with its own surface and keyboard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import guests
from support.monitor import Monitor
from support.wait import until

import kju

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

CARD = "virtio-vga,id=card,max_outputs=2"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kju.cli", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_each_head_is_published(tmp_path: Path) -> None:
    guest = guests.paint(tmp_path, "animate", device=CARD, heads=2)
    monitor = Monitor(tmp_path)
    arguments = [*guest.arguments, *monitor.arguments]
    with kju.launch(args=arguments, name="two") as machine, monitor:
        screens = machine.screens[:]
        assert [screen.console for screen in screens] == [0, 1]
        assert screens[0].incarnation != screens[1].incarnation
        with guests.Serial(guest) as serial:
            serial.wait("^kju: ready")
        for screen in screens:
            until(lambda screen=screen: screen.mode.epoch, f"console {screen.console}")
            version = screen.version
            until(lambda s=screen, v=version: s.version > v + 5, "movement")
        with monitor.paused():
            for screen in screens:
                monitor.equals(screen, device="card", head=screen.console)
            first, second = (screen.frame() for screen in screens)
            assert not np.array_equal(first, second)
            for screen in screens:
                shot = tmp_path / f"{screen.console}.png"
                done = command("screenshot", "two", "--console", str(screen.console), str(shot))
                assert (done.returncode, done.stderr) == (0, "")
                assert np.array_equal(np.asarray(Image.open(shot)), screen.frame())
        done = command("screenshot", "two", "--console", "2", str(tmp_path / "none.png"))
        assert done.returncode == 2
        assert "consoles 0 to 1" in done.stderr
        assert len(done.stderr.splitlines()) == 1
