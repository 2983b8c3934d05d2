"""QEMU 7.2, as in Debian 12, and the mode changes that it does not announce."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import guests
from support.monitor import Monitor
from support.wait import until

import kju
from kju.sources.display1.source import BYTES

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]


@pytest.mark.parametrize("old", [True, False], ids=["7.2", "installed"])
def test_smaller_text_mode_is_noticed(tmp_path: Path, old: bool) -> None:
    disk, monitor = guests.modes(tmp_path), Monitor(tmp_path)
    qemu = str(guests.qemu72() if old else guests.qemu())
    arguments = [*guests.TCG, *monitor.arguments]
    with kju.launch(disk, memory="64M", args=arguments, qemu=qemu) as machine, monitor:
        screen = machine.screen
        shown = lambda size: lambda: screen.mode[:2] == size  # noqa: E731
        until(shown(guests.MODES[0]), "the BIOS")

        def ready() -> bool:
            """Return whether the BIOS has finished: only one letter is at the top."""
            picture = screen.frame(pixels="grey")
            return bool(picture[:16, :9].any() and not picture[32:].any())

        until(ready, "the program")
        for number in range(1, 7):
            machine.keyboard.chord("a")
            until(shown(guests.MODES[number % 3]), f"mode {guests.MODES[number % 3]}")
            with monitor.paused():
                monitor.equals(screen)
            machine.qmp("query-status")  # its answer follows the event that the guest goes on


def test_whole_boot_is_published(tmp_path: Path) -> None:
    """The BIOS and Linux in text, then Linux's driver in graphics modes."""
    guest, monitor = guests.paint(tmp_path, "box", rate=20), Monitor(tmp_path)
    arguments = [*guest.arguments, *monitor.arguments]
    with kju.launch(args=arguments, name="old", qemu=str(guests.qemu72())) as machine, monitor:
        screen, seen = machine.screen, list[tuple[int, int]]()

        def reached(size: tuple[int, int]) -> bool:
            if seen[-1:] != [screen.mode[:2]]:
                seen.append((screen.mode.width, screen.mode.height))
            return seen[-1] == size

        until(lambda: reached((720, 400)), "text")
        with monitor.paused():
            monitor.equals(screen)
        until(lambda: reached((1280, 800)), f"graphics, after {seen}")
        with guests.Serial(guest) as serial:
            serial.wait("^kju: ready")
            for _ in range(3):
                version = screen.version
                until(lambda version=version: screen.version > version + 10, "movement")
                with monitor.paused():
                    monitor.equals(screen)
                    assert screen.state[0] == kju.State.PAUSED
            serial.ask("size 640x480", "mode 640x480")
            until(lambda: reached((640, 480)), f"a smaller mode, after {seen}")
            with monitor.paused():
                monitor.equals(screen)
        info = machine.info()
        (console,) = info["consoles"]
        assert (console["source"], console["reason"]) == ("display1-copy", BYTES)
        assert info["qemu"]["version"].startswith("7.2")
        assert info["qemu"]["sources"]["display1-map"] == (
            f"needs QEMU 9.2, this is {info['qemu']['version']}"
        )
        assert info["qemu"]["sources"]["display1-copy"] == ""
