"""The published picture of real guests equals QEMU's, from power-on, through every mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support import guests
from support.load import busy_computer
from support.monitor import Monitor
from support.wait import HANG, until

import kju

pytestmark = pytest.mark.qemu


class Judge:
    """Compares a machine's screen with QEMU's own screenshot while the guest is paused."""

    def __init__(self, machine: kju.Machine, monitor: Monitor) -> None:
        self._machine = machine
        self.execute = monitor.execute
        self._screendump = monitor.screendump

    def source(self) -> str:
        return str(self._machine.info()["consoles"][0]["source"])

    def agrees(self) -> bool:
        """Return whether the published picture and a fresh frame equal QEMU's."""
        screen = self._machine.screen
        self.execute("stop")
        try:
            end = time.monotonic() + HANG
            while True:
                shown = self._screendump()
                taken = screen.frame(sync=True)
                published = np.asarray(screen.view())[..., 2::-1]
                if np.array_equal(taken, shown) and np.array_equal(published, shown):
                    return True
                if time.monotonic() > end:  # a listener receives the last drawing 30 ms later
                    return False
                time.sleep(0.05)
        finally:
            self.execute("cont")
            # Its answer follows QEMU's RESUME event, which the host must have read before a key.
            self._machine.qmp("query-status")

    def press(self, key: str) -> None:
        """Press and release a key; return when QEMU has taken it.

        A key is answered before that. `agrees` pauses the guest through a monitor of its own, and a
        paused guest takes no key.
        """
        self._machine.keyboard.press(key)
        self._machine.keyboard.release(key)
        self._machine.qmp("query-status")  # answered after the keys


@contextmanager
def judged(arguments: list[str], folder: Path, name: str) -> Iterator[tuple[kju.Machine, Judge]]:
    monitor = Monitor(folder)
    with kju.launch(name=name, args=[*arguments, *monitor.arguments]) as machine, monitor:
        yield machine, Judge(machine, monitor)


def watch(machine: kju.Machine, judge: Judge, enough: Callable[[], bool]) -> set[tuple[int, int]]:
    """Compare at every mode change and about once a second in between."""
    screen, sizes = machine.screen, set()
    end, due = time.monotonic() + HANG, 0.0
    mark = kju.surface.NOTHING_TAKEN
    while not enough():
        assert time.monotonic() < end, f"not enough in {HANG} s: {sizes}, {judge.source()}"
        try:
            change = screen.wait(mark, timeout=1)
            mark = change.mark
            if (size := (change.mode.width, change.mode.height)) not in sizes:
                sizes.add(size)
                due = 0.0
        except kju.errors.WaitTimeoutError:
            pass
        if time.monotonic() > due:
            assert judge.agrees(), f"at {screen.mode} through {judge.source()}"
            due = time.monotonic() + 0.7
    return sizes


def test_installer_in_a_vbe_mode_equals_qemus_picture_also_after_a_reset(tmp_path: Path) -> None:
    arguments = guests.installer("vga=0x344", "nomodeset")
    with judged(arguments, tmp_path, "vbe") as (machine, judge):

        def in_vbe() -> bool:
            mode = machine.screen.mode
            return (mode.width, mode.height) == (1024, 768) and judge.source() == "vram"

        def drawn() -> bool:
            return in_vbe() and len(np.unique(machine.screen.frame(pixels="bgrx")[..., 0])) > 50

        sizes = watch(machine, judge, drawn)
        assert (720, 400) in sizes  # the firmware's text was seen
        epoch = machine.screen.mark.epoch
        judge.execute("system_reset")
        watch(machine, judge, lambda: machine.screen.mark.epoch != epoch)
        watch(machine, judge, in_vbe)


def test_grub_equals_qemus_picture_from_power_on_and_after_its_reset(tmp_path: Path) -> None:
    """The firmware's text, GRUB's text and its graphics, a bar moved by keys, and a reset."""
    with judged(guests.grub(), tmp_path, "grub") as (machine, judge):
        screen = machine.screen

        def in_graphics() -> bool:
            return screen.mode[:2] == (1024, 768) and judge.source() == "vram"

        def drawn() -> bool:
            return in_graphics() and bool(screen.frame().any())

        sizes = watch(machine, judge, drawn)
        assert (720, 400) in sizes
        until(judge.agrees, "the menu")
        before = screen.frame(pixels="bgrx")
        judge.press("down")
        until(lambda: not np.array_equal(screen.frame(pixels="bgrx"), before), "the bar moves")
        assert judge.agrees()
        epoch = screen.mark.epoch
        judge.press("ret")
        watch(machine, judge, lambda: screen.mark.epoch != epoch)
        watch(machine, judge, drawn)
        until(judge.agrees, "the menu again")


def test_memtest_equals_qemus_picture_from_power_on(tmp_path: Path) -> None:
    with judged(guests.memtest(), tmp_path, "memtest") as (machine, judge):
        sources: list[str] = []

        def listens() -> bool:
            sources.append(judge.source())
            return sources[-1] == "display1-map"

        watch(machine, judge, listens)
        assert "screendump" in sources
        assert judge.agrees()


@pytest.mark.parametrize("per_core", [0, pytest.param(4, marks=pytest.mark.soak)])
def test_picture_is_followed_when_a_linux_driver_takes_over(tmp_path: Path, per_core: int) -> None:
    """The firmware's and the kernel's text console come first."""
    guest = guests.paint(tmp_path, "box", device="VGA", via="drm", frames=400)
    with busy_computer(per_core), judged(guest.arguments, tmp_path, "drm") as (machine, judge):
        seen = watch(machine, judge, lambda: judge.source() == "vram")
        assert (720, 400) in seen, "the text console"
        begun = time.monotonic()
        watch(machine, judge, lambda: time.monotonic() - begun > 3)
