"""A guest that is reset repeatedly under its viewers: at random moments, and by itself.

Each reset takes the display's registers away until the firmware has given them an address; then
come its text and a linear mode, so the console changes its source twice a reset.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from support import guests
from support.follower import Follower
from support.monitor import Monitor
from support.wait import until

import kju
from kju.errors import GeometryError, MachineGoneError, ProducerGoneError, WaitTimeoutError

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

TEXT, LINEAR = (720, 400), (800, 600)
RESETS = 6
STORMS = pytest.mark.parametrize("storms", [1, pytest.param(3, marks=pytest.mark.soak)])
#: The mode is read ten times a second; the bound allows for a busy computer.
SEEN = 3.0
NEVER = 0xFFFF


def disk(folder: Path, ticks: int) -> Path:
    """A disk that sets 800x600 at 32 bits and prints letters, until it resets itself.

    Args:
        ticks: When that is, after the mode was set, in eighteenths of a second.
    """
    program = (
        bytes.fromhex(
            "31c0 8ed8 fb"  # ds = 0, interrupts on
            "b8024f bb4341 cd10"  # VBE: 800x600 at 32 bits, linear
            "8b0e6c04"  # cx = the BIOS's ticks
            "51 bb0700 b8410e cd10 59"  # again: print A
            "a16c04 29c8 3d"  # ax = ticks since
        )
        + ticks.to_bytes(2, "little")
        + bytes.fromhex("72ec b0fe e664 f4 ebfd")  # go again; reset through the keyboard controller
    )
    path = folder / "disk.img"
    path.write_bytes(program.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    return path


def reboots(follower: Follower) -> int:
    """Return how often the linear mode followed the firmware's text."""
    known = [size for size in follower.modes if size in (TEXT, LINEAR)]
    return sum(pair == (TEXT, LINEAR) for pair in itertools.pairwise(known))


class Held(NamedTuple):
    """Descriptors and threads of a host, and descriptors of its QEMU."""

    descriptors: int
    threads: int
    qemu: int


class Machine:
    """A machine with that disk, its second monitor, and its follower."""

    def __init__(self, machine: kju.Machine, monitor: Monitor, follower: Follower) -> None:
        self.machine, self.monitor, self.follower = machine, monitor, follower
        self.screen = machine.screen

    def source(self) -> str:
        return str(self.machine.info()["consoles"][0]["source"])

    def settles(self) -> None:
        """Wait for the boot: the linear mode, read from memory, with something drawn."""
        until(lambda: self.screen.mode[:2] == LINEAR, "the linear mode")
        until(lambda: self.source() == "vram", f"watched, not through {self.source()}")
        until(lambda: self.screen.frame().any(), "letters")

    def equals(self) -> tuple[int, int]:
        """Pause QEMU, compare frame and follower with its picture, and return the size."""
        with self.monitor.paused():
            dump = self.monitor.screendump()

            def taken() -> bool:
                with contextlib.suppress(GeometryError):
                    return np.array_equal(self.screen.frame(sync=True), dump)
                return False

            what = f"{self.source()}, {self.screen.mode}, QEMU {dump.shape}"
            until(taken, f"what a snapshot has is QEMU's: {what}")
            until(lambda: self.follower.equals(dump), f"what is kept is QEMU's: {what}")
        return dump.shape[1], dump.shape[0]

    def held(self) -> Held:
        """Return the resources that the host and its QEMU hold now."""
        qemu = self.machine.info()["qemu"]["pid"]
        process = Path(f"/proc/{self.machine.host_pid}")
        return Held(
            len(os.listdir(process / "fd")),
            len(os.listdir(process / "task")),
            len(os.listdir(f"/proc/{qemu}/fd")),
        )

    def holds_no_more(self, before: Held) -> None:
        """Check that descriptors and threads did not grow; the threads of the host's pool stay."""
        until(lambda: self.source() == "vram", "it has booted again")

        def no_more() -> bool:
            now = self.held()
            return (
                now.descriptors <= before.descriptors
                and now.qemu <= before.qemu
                and now.threads < before.threads + RESETS
            )

        # One descriptor more is open while a screenshot is taken.
        until(no_more, f"what was held: {before}, and is: {self.held()}")


@contextlib.contextmanager
def booted(folder: Path, ticks: int) -> Iterator[Machine]:
    monitor = Monitor(folder)
    args = [*guests.TCG, *monitor.arguments]
    with (
        kju.launch(disk(folder, ticks), name="m", memory="32M", args=args) as machine,
        monitor,
        Follower("m") as follower,
    ):
        yield Machine(machine, monitor, follower)
        machine.stop()
        assert follower.ended(5), "the follower receives the end"
        # Either error is right: the follower may have been asking the host for a picture.
        assert isinstance(follower.heard, ProducerGoneError | MachineGoneError)


def goes_on(guest: Machine) -> None:
    """Check that frame and follower receive the next drawing."""
    told, mark = guest.follower.told, guest.screen.wait(kju.Mark(0, 0, 0), timeout=SEEN).mark
    with contextlib.suppress(WaitTimeoutError):
        guest.screen.wait(mark, timeout=SEEN)
    until(lambda: guest.follower.told > told, "the follower receives it")


@STORMS
def test_picture_is_followed_through_resets_at_random_moments(tmp_path: Path, storms: int) -> None:
    chance = random.Random(5)
    with booted(tmp_path, NEVER) as guest:
        guest.settles()
        guest.equals()
        held = guest.held()
        for _ in range(storms):
            for _ in range(RESETS):
                guest.monitor.execute("system_reset")
                # A random moment: in the firmware, at the change of mode, or after it.
                time.sleep(chance.uniform(0.2, 2.0))
            guest.equals()
            guest.settles()
            guest.equals()
            goes_on(guest)
            guest.holds_no_more(held)
        assert reboots(guest.follower) >= storms


@STORMS
def test_picture_is_followed_while_the_guest_resets_itself(tmp_path: Path, storms: int) -> None:
    with booted(tmp_path, 18) as guest:
        until(lambda: guest.source() == "vram", "it has booted")
        guest.equals()
        held = guest.held()
        follower = guest.follower
        for storm in range(1, storms + 1):
            until(lambda: reboots(follower) >= storm * RESETS, "it resets itself")  # noqa: B023
            guest.equals()
            goes_on(guest)
            guest.holds_no_more(held)
        assert set(follower.modes) <= {(640, 480), TEXT, LINEAR}, "and no other mode"
