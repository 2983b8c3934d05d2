"""The guest's video memory: other displays, blanking by Linux, snapshots, QEMU's end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support import guests
from support.monitor import Monitor
from support.paint_guest import MIB, booted, video_memory
from support.wait import HANG, until

import kju
from kju.errors import (
    KjuError,
    ProducerGoneError,
    UnavailableError,
)

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("shared_runtime_folder")]


def test_blanking_by_linux_is_followed(tmp_path: Path) -> None:
    """The bochs driver leaves the attribute controller waiting for data: the index reads as 0."""
    with booted(tmp_path, "VGA", via="drm") as guest:
        guest.becomes("vram")
        guest.equals()
        for _ in range(2):
            guest.serial.ask("dark", "^kju: still")
            until(lambda: not guest.seen.frame().any(), "it is black")
            guest.equals()
            guest.serial.ask("lit", "^kju: still")
            guest.serial.ask("still", "^kju: still")  # the driver has cleared the memory
            until(lambda: guest.source == "vram", "it is watched again")
            assert guest.equals().any()


def test_each_display_has_its_own_memory_and_picture(tmp_path: Path) -> None:
    more = ["-device", "secondary-vga,id=second", "-device", "bochs-display,id=third"]
    with booted(tmp_path, "VGA,id=first", *more) as guest:
        names = ("first", "second", "third")
        assert len(guest.machine.screens) == 3
        for index, size in enumerate(((800, 600), (640, 400), (1030, 500))):
            guest.tell(f"card {index}")
            guest.tell(f"set {size[0]} {size[1]} 32")
            guest.tell(f"fill {index * 1000} 0 {16 * MIB}")
        pictures = []
        for index, name in enumerate(names):
            guest.screen, guest.seen = guest.looker.screens[index], guest.viewer.screens[index]
            # All of them: asking for the source makes a viewer.
            until(lambda i=index: guest.console(i)["source"] == "vram", name)
            pictures.append(guest.equals(device=name))
        assert [p.shape[1::-1] for p in pictures] == [(800, 600), (640, 400), (1030, 500)]
        guest.tell("card 2")
        guest.tell("block 0 0 1030 500 0x00ff00")
        assert (guest.equals(device="third") == (0, 255, 0)).all()
        guest.screen, guest.seen = guest.looker.screens[1], guest.viewer.screens[1]
        guest.tell("card 1")
        guest.tell("set 800 600 16")
        until(lambda: guest.console(1)["source"] == "screendump", "16 bits")
        guest.equals(device="second")
        guest.tell("set 640 400 32")
        until(lambda: guest.console(1)["source"] == "vram", "32 bits again")
        assert np.array_equal(guest.equals(device="second"), pictures[1])


def test_bochs_display_is_published(tmp_path: Path) -> None:
    with booted(tmp_path, "bochs-display") as guest:
        guest.becomes("vram")
        guest.equals()
        for numbers in ((1277, 601), (800, 600, 1000, 50, 70), (2048, 2048), (64, 64)):
            guest.show(*numbers)
            guest.equals()
            guest.becomes("vram", str(numbers))
        guest.tell("reg 6 0")  # rows as wide as the picture
        guest.equals()
        guest.becomes("vram")


@contextlib.contextmanager
def graphics(disk: Path) -> Iterator[tuple[kju.Machine, Monitor]]:
    """A machine whose boot sector has set 800x600 at 32 bits, which takes two seconds."""
    monitor = Monitor(disk.parent)
    args = [*guests.TCG, *monitor.arguments]
    with kju.launch(disk, name="m", memory="32M", args=args) as machine, monitor:
        screen = machine.screen

        def ready() -> bool:
            picture = screen.frame(pixels="grey")
            # Not yet the BIOS's first line, and but for a cursor.
            rest = picture[32:].any() or picture[:12, 9:].any()
            return bool(picture[:16, :9].any() and not rest)

        until(lambda: screen.mode[:2] == guests.MODES[0] and ready(), "the program")
        for size in guests.MODES[1:]:
            machine.keyboard.chord("a")
            until(lambda size=size: screen.mode[:2] == size, f"mode {size}")
        yield machine, monitor


def console_of(machine: kju.Machine) -> dict[str, object]:
    return machine.info()["consoles"][0]


def test_load_of_a_snapshot_is_followed(tmp_path: Path) -> None:
    disk = tmp_path / "modes.qcow2"
    convert = ["qemu-img", "convert", "-O", "qcow2", str(guests.modes(tmp_path)), str(disk)]
    subprocess.run(convert, check=True, timeout=HANG)
    with graphics(disk) as (machine, monitor):
        hmp: Callable[[str], object] = lambda line: monitor.execute(  # noqa: E731
            "human-monitor-command", **{"command-line": line}
        )
        until(lambda: console_of(machine)["source"] == "vram")
        assert hmp("savevm one") == ""
        machine.keyboard.chord("a")
        until(lambda: machine.screen.mode[:2] == guests.MODES[0], "text")
        assert hmp("loadvm one") == ""
        until(lambda: machine.screen.mode[:2] == guests.MODES[2], "the saved mode")
        with monitor.paused():
            monitor.equals(machine.screen)
        until(lambda: console_of(machine)["source"] == "vram")


@pytest.mark.parametrize("how", ["killed", "cut"])
def test_every_client_learns_of_qemus_end(tmp_path: Path, how: str) -> None:
    """Kill QEMU under its viewers, or cut its memory as a control client: no viewer dies."""
    with graphics(guests.modes(tmp_path)) as (machine, monitor):
        until(lambda: console_of(machine)["source"] == "vram")
        viewer = kju.attach(machine.name, "view")
        qemu = machine.info()["qemu"]["pid"]
        heard: list[Exception] = []

        def watch(screen: kju.Screen, snapshots: bool) -> None:
            try:
                while True:
                    if snapshots:
                        screen.frame()
                    else:
                        screen.wait(timeout=HANG)
            except (KjuError, OSError) as error:
                heard.append(error)

        live = machine.screen.view(live=True)
        watchers = [
            threading.Thread(target=watch, args=(viewer.screen, False)),
            threading.Thread(target=watch, args=(machine.screen, True)),
        ]
        for watcher in watchers:
            watcher.start()
        if how == "killed":
            os.kill(qemu, signal.SIGKILL)
        else:
            path = video_memory(qemu)
            path.chmod(0o600)
            number = os.open(path, os.O_RDWR)
            os.ftruncate(number, 4096)
            os.close(number)
            until(lambda: machine.screen.state[0] != kju.State.LIVE, "it is said")
            with contextlib.suppress(OSError, ValueError, AssertionError):
                monitor.execute("screendump", filename=str(tmp_path / "last"))
        assert machine.wait_ended(timeout=HANG)
        assert viewer.wait_ended(timeout=HANG)
        assert re.search(
            "SIGKILL|signal 9" if how == "killed" else "SIGBUS|signal 7", machine.end_reason
        )
        with pytest.raises(ProducerGoneError):
            while True:
                viewer.screen.wait(timeout=HANG)
        live.sum()  # the former memory of the guest still reads as a picture, or as zeros
        if how == "killed":
            # The last picture stays; only waits end.
            machine.screen.frame()
            machine.screen._consumer  # noqa: B018
            stop_snapshots(machine)
        for watcher in watchers:
            watcher.join(10)
            assert not watcher.is_alive()
        viewer.close()
        assert heard


def stop_snapshots(machine: kju.Machine) -> None:
    machine.screen.close()


@pytest.mark.parametrize(
    ("more", "old", "says"),
    [
        (("-machine", "aux-ram-share=off"), False, "aux-ram-share"),
        (("-vga", "cirrus"), False, "only std VGA"),
        ((), True, "aux-ram-share"),
    ],
)
def test_listener_is_the_source_without_access_to_the_memory(
    tmp_path: Path, more: tuple[str, ...], old: bool, says: str
) -> None:
    how = {"qemu": str(guests.qemu72())} if old else {}
    guests.invaders()
    args = [*guests.PACED, *more]
    with kju.launch(guests.INVADERS, memory="64M", args=args, name="deaf", **how) as machine:
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
        console = console_of(machine)
        assert str(console["source"]).startswith("display1")
        assert says in str(console["no_vram"])
        with pytest.raises(UnavailableError):
            machine.screen.view(live=True)
        assert machine.screen.frame(sync=True).size


def test_screen_of_a_qemu_as_another_user_is_published(tmp_path: Path) -> None:
    """Its memory may be closed to the host then; the source names the reason, the screen works."""
    if os.getuid():
        pytest.skip("only root may have QEMU change its user")
    guests.invaders()
    args = [*guests.PACED, "-run-with", "user=nobody"]
    with kju.launch(guests.INVADERS, memory="64M", args=args, name="other") as machine:
        machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
        until(lambda: machine.screen.mode[:2] == (720, 400))
        reason = str(console_of(machine)["no_vram"])
        assert not reason or "another user" in reason
