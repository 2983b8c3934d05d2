"""Snapshots of real guests: every source shows the loaded state, and saved ones are never lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import guests
from support.paint_guest import Guest, booted
from support.wait import HANG, until

import kju
from kju.cli.machines import running as machines
from kju.client.requests import snapshot_request
from kju.errors import (
    KjuError,
    MachineGoneError,
    QemuError,
    RoleError,
    UsageError,
    WaitTimeoutError,
)
from kju.protocol.input_log import decode
from kju.protocol.messages import GetInfo
from kju.store.snapshot_files import TREE

pytestmark = pytest.mark.qemu

#: Bytes of the paint guest's memory that are in use, and so the size of a snapshot.
STATE = 102_000_000


def new_disk(path: Path, size: str = "64M") -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), size], check=True)
    return path


def published(screen: kju.Screen) -> np.ndarray:
    """Return the pixels in the surface, without a refresh."""
    return np.array(screen.view()[..., 2::-1])


def picture(snapshot: object) -> np.ndarray:
    with Image.open(snapshot.picture) as image:
        return np.asarray(image)


@contextlib.contextmanager
def with_disk(folder: Path, device: str, *more: str, via: str) -> Iterator[Guest]:
    disk = new_disk(folder / "d.qcow2")
    drive = f"if=none,id=d,file={disk},format=qcow2"
    with booted(folder, device, "-drive", drive, "-device", "virtio-blk-pci,drive=d", *more,
                via=via) as guest:  # fmt: skip
        yield guest


@pytest.fixture(scope="module")
def vga(shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Boot one guest for most of this file; its disk is on a file system that can be full."""
    folder = tmp_path_factory.mktemp("snap")
    small = ["mount", "-t", "tmpfs", "-o", f"size={STATE * 3 // 2}", "kju-test", str(folder)]
    mounted = subprocess.run(small, capture_output=True, check=False).returncode == 0
    try:
        with with_disk(folder, "VGA,id=card", via="vram") as guest:
            guest.mounted = mounted
            guest.disk = folder / "d.qcow2"
            yield guest
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def guest(vga: Guest) -> Iterator[Guest]:
    """Return that guest without snapshots, in a mode of 800x600."""
    vga.tell("order 0x1e1e1e1e")
    vga.show(800, 600)
    until(lambda: vga.seen.mode[:2] == (800, 600))
    vga.becomes("vram")
    yield vga
    for snapshot in vga.machine.snapshots.list():
        vga.machine.snapshots.remove(snapshot.tag)


def goes_back(
    machine: kju.Machine, seen: kju.Screen, change: Callable[[], object], cursor: int = 0
) -> None:
    """Save, change the picture, load: the saved picture is shown when the call returns."""
    before = machine.snapshots.save("a")
    then = picture(before)
    assert then.any()
    change()
    until(lambda: not np.array_equal(published(seen), then))
    loaded = machine.snapshots.load("a")
    assert loaded.tag == "a"
    now = published(seen)
    assert now.shape == then.shape
    # A text mode's cursor blinks by a clock of QEMU's own.
    assert np.count_nonzero((now != then).any(axis=2)) <= cursor
    assert machine.info()["state"] == "running"


def test_load_restores_the_video_memory_before_it_returns(guest: Guest) -> None:
    guest.machine.keyboard.chord("shift-a")
    events = guest.machine.events()
    goes_back(guest.machine, guest.seen, lambda: guest.show(640, 480))
    (snapshot,) = guest.machine.snapshots.list()
    logged = Path(guest.machine.info()["host"]["folder"]) / "input.jsonl"
    assert Path(snapshot.input).read_text() == logged.read_text() != ""
    assert Path(snapshot.input).stat().st_mode & 0o077 == 0
    assert snapshot.size > STATE // 2 and abs(snapshot.time - time.time()) < 60
    assert not snapshot.lacking and not snapshot.note
    names: list[str] = []
    while names.count("resumed") < 2:
        names.append(next(events).name)
    events.close()
    assert [name for name in names if name != "mode"] == [
        "paused", "resumed", "snapshot-saved", "paused", "snapshot-loaded", "resumed",
    ]  # fmt: skip

    # The restored guest runs: it draws on request.
    guest.show(640, 480)
    until(lambda: guest.seen.mode[:2] == (640, 480))


def test_load_keeps_a_paused_machine_paused(guest: Guest) -> None:
    guest.machine.pause()
    guest.machine.snapshots.save("p")
    assert guest.machine.info()["state"] == "paused"
    guest.machine.snapshots.load("p")
    assert guest.machine.info()["state"] == "paused"
    assert guest.seen.state[0] is kju.State.PAUSED
    guest.machine.resume()
    until(lambda: guest.seen.state[0] is kju.State.LIVE)


def test_invalid_snapshot_requests_are_errors_and_change_nothing(guest: Guest) -> None:
    snapshots = guest.machine.snapshots
    snapshots.save("one")
    with pytest.raises(UsageError, match="the snapshot 'one' exists already"):
        snapshots.save("one")
    with pytest.raises(UsageError, match="no snapshot is named 'two'; the snapshots are: one"):
        snapshots.load("two")
    with pytest.raises(UsageError, match="no snapshot is named 'two'"):
        snapshots.remove("two")
    for bad in ("", "7", "a b", "../x", "a/b", "-x", "x" * 65):
        with pytest.raises(UsageError, match="cannot be a snapshot's name"):
            snapshots.save(bad)
    assert guest.machine.info()["state"] == "running"
    with kju.attach(guest.machine.name, "view") as viewer:
        assert [s.tag for s in viewer.snapshots.list()] == ["one"]
        for action in (viewer.snapshots.save, viewer.snapshots.load, viewer.snapshots.remove):
            with pytest.raises(RoleError):
                action("one")
        for action in (viewer.pause, viewer.resume, viewer.reset):
            with pytest.raises(RoleError):
                action()
        with pytest.raises(RoleError):
            viewer.qmp("query-status")
    place = Path(snapshots.list()[0].picture).parent
    snapshots.remove("one")
    assert snapshots.list() == [] and not place.exists()


def test_full_disk_keeps_saved_snapshots(guest: Guest) -> None:
    if not guest.mounted:
        pytest.skip("only root can mount a small file system")
    then = picture(guest.machine.snapshots.save("kept"))
    guest.show(640, 480)
    until(lambda: guest.seen.mode[:2] == (640, 480))
    with pytest.raises(
        QemuError, match=r"snapshot-save: .*No space left.* earlier snapshots are unchanged"
    ):
        guest.machine.snapshots.save("much")
    assert [s.tag for s in guest.machine.snapshots.list()] == ["kept"]
    assert guest.machine.info()["state"] == "running"
    assert sorted(p.name for p in Path(f"{guest.disk}.snapshots").iterdir()) == [TREE, "kept"]
    guest.machine.snapshots.load("kept")
    assert np.array_equal(published(guest.seen), then)


def test_snapshot_folder_that_is_a_link_is_not_used(guest: Guest, tmp_path: Path) -> None:
    """It is in the disk's folder, in which other users may be able to write."""
    place = Path(f"{guest.disk}.snapshots")
    # The disk has room for one.
    guest.machine.snapshots.save("first")
    guest.machine.snapshots.remove("first")
    aside = place.rename(place.with_name("aside"))
    planted = {"important": "keep", "screen.png": "keep", "input.jsonl": '{"time":1,"console":0}\n'}
    (tmp_path / "linked").mkdir()
    for name, text in planted.items():
        (tmp_path / "linked" / name).write_text(text)
    place.symlink_to(tmp_path)
    try:
        saved = guest.machine.snapshots.save("linked")
        assert (saved.picture, saved.input) == (None, None)
        assert f"{place} is not used: it is a link or a file" in saved.note
        guest.machine.snapshots.load("linked")
        assert guest.machine.input_log() == []
        guest.machine.snapshots.remove("linked")
        assert {p.name: p.read_text() for p in (tmp_path / "linked").iterdir()} == planted
    finally:
        place.unlink()
        aside.rename(place)


def test_suspended_host_finishes_its_snapshot(guest: Guest) -> None:
    """Suspend the host for ten seconds in the middle of a snapshot."""
    host = guest.machine.host_pid
    events = guest.machine.events()
    done: list[object] = []
    saving = threading.Thread(target=lambda: done.append(guest.machine.snapshots.save("slow")))
    saving.start()
    assert next(events).name == "paused"
    os.kill(host, signal.SIGSTOP)
    try:
        with pytest.raises(WaitTimeoutError, match="did not answer in time"):
            guest.looker._link.call(GetInfo(), timeout=10)
        assert saving.is_alive() and not done
    finally:
        os.kill(host, signal.SIGCONT)
    saving.join(30)
    events.close()
    assert done and done[0].tag == "slow"
    guest.show(640, 480)
    until(lambda: guest.seen.mode[:2] == (640, 480))
    guest.machine.snapshots.load("slow")
    assert guest.seen.mode[:2] == (800, 600)
    assert guest.machine.info()["state"] == "running"


def test_snapshot_is_saved_after_its_client_disconnects(guest: Guest) -> None:
    with kju.attach(guest.machine.name) as hasty:
        request = snapshot_request("save", "left")
        hasty._link._sock.send(hasty._link._side.request(request)[1])
    until(lambda: [s.tag for s in guest.machine.snapshots.list()] == ["left"])
    until(lambda: guest.machine.info()["state"] == "running")


def test_load_restores_a_drivers_screen_before_it_returns(
    runtime_folder: None, tmp_path: Path
) -> None:
    """The source is QEMU's shared map."""
    with with_disk(tmp_path, "virtio-vga", via="drm") as guest:
        until(lambda: guest.seen.mode[:2] == (1280, 800))
        time_to_rest(guest.seen)
        goes_back(guest.machine, guest.seen, lambda: guest.serial.send("size 800x600"))
        assert guest.source == "display1-map"


def time_to_rest(screen: kju.Screen) -> None:
    """Wait until publications have stopped."""
    with contextlib.suppress(KjuError):
        while True:
            screen.wait(timeout=0.3)


@pytest.mark.parametrize(
    ("source", "mode", "more"),
    [
        ("screendump", 0, ()),
        ("display1-copy", 2, ("-machine", "aux-ram-share=off")),
    ],
)
def test_load_restores_a_firmwares_modes_before_it_returns(
    runtime_folder: None, tmp_path: Path, source: str, mode: int, more: tuple[str, ...]
) -> None:
    """The sources are screenshots and the bytes of a listener."""
    raw, disk = guests.modes(tmp_path), tmp_path / "modes.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(disk)], check=True)
    drive = ("-drive", f"if=ide,file={disk},format=qcow2")
    args = [*guests.TCG, "-m", "32", "-vga", "std", *drive, *more]
    with kju.launch(args=args, name="modes") as machine, kju.attach("modes", "view") as viewer:
        screen = viewer.screen

        def go(number: int) -> None:
            while screen.mode[:2] != guests.MODES[number]:
                before = screen.mode
                machine.keyboard.chord("a")
                until(lambda old=before: screen.mode != old)
            if number == 2:  # a text mode's cursor never rests
                time_to_rest(screen)

        def shows_letter() -> bool:
            if screen.mode[:2] != guests.MODES[0]:  # also before the first publication
                return False
            lit = np.count_nonzero(published(screen).any(axis=2))
            return 30 < lit < 100

        # The firmware has the same mode, with more text, and takes the keys before the disk does.
        until(shows_letter, "the disk's program waits for a key")
        go(mode)
        goes_back(machine, screen, lambda: go((mode + 1) % 3), cursor=9 * 16)
        assert machine.info()["consoles"][0]["source"] == source


def test_error_names_disks_that_cannot_hold_snapshots(runtime_folder: None, tmp_path: Path) -> None:
    args = [*guests.TCG, "-m", "32"]
    with kju.launch(args=args, name="bare") as machine:
        with pytest.raises(UsageError, match="no disk that could hold a snapshot"):
            machine.snapshots.save("a")
        assert machine.snapshots.list() == []
    raw = tmp_path / "raw.raw"
    raw.write_bytes(bytes(1 << 20))
    with (
        kju.launch(raw, args=args, name="raw") as machine,
        pytest.raises(UsageError, match=r"raw\.raw \(raw\) cannot hold .*only qcow2"),
    ):
        machine.snapshots.save("a")


def test_kill_of_qemu_during_a_save_keeps_earlier_snapshots(
    runtime_folder: None, tmp_path: Path
) -> None:
    """The save fails with an error; the earlier snapshot is listed at the next start."""
    disk = new_disk(tmp_path / "d.qcow2")
    args = [*guests.invaders(), "-drive", f"if=ide,file={disk},format=qcow2"]
    with kju.launch(args=args, name="m") as machine:
        machine.snapshots.save("good")
        events = machine.events()
        errors: list[Exception] = []

        def save() -> None:
            try:
                machine.snapshots.save("half")
            except KjuError as error:
                errors.append(error)

        qemu = machine.info()["qemu"]["pid"]
        saving = threading.Thread(target=save)
        saving.start()
        while next(events).name != "paused":
            pass
        os.kill(qemu, signal.SIGKILL)
        saving.join(20)
        assert isinstance(errors[0], MachineGoneError | QemuError)
        assert "ending" in [event.name for event in events]
        assert machine.wait_ended(timeout=HANG)
        assert "SIGKILL" in machine.end_reason
    # Unused clusters are harmless (status 3); an error is status 2.
    assert subprocess.run(["qemu-img", "check", "-q", str(disk)], check=False).returncode in (0, 3)
    with kju.launch(args=args, name="m") as machine:
        assert "good" in [snapshot.tag for snapshot in machine.snapshots.list()]
        machine.snapshots.load("good")


def test_load_restores_the_input_log(guest: Guest) -> None:
    machine, snapshots = guest.machine, guest.machine.snapshots
    machine.keyboard.type("a")
    before = Path(snapshots.save("A").input).read_text()
    machine.keyboard.type("x")
    snapshots.load("A")
    machine.keyboard.type("y")
    snapshots.remove("A")  # the disk has room for one
    kept = Path(snapshots.save("B").input)
    after = kept.read_text()
    assert before and after.startswith(before)
    new = decode(after.removeprefix(before).encode())
    assert {code for entry in new for code, _ in entry.keys} == {21}, "y and no x"
    assert new[0].time >= decode(before.encode())[-1].time

    # An invalid or missing log is left out, with a note.
    kept.write_bytes(b"?\n")
    assert "line 1 of the input log is invalid" in snapshots.load("B").note
    assert machine.input_log() == []
    machine.keyboard.type("z")
    kept.unlink()
    assert not snapshots.load("B").note
    assert machine.input_log() == []


def test_keys_are_released_in_a_snapshot_and_pressed_again(guest: Guest) -> None:
    machine = guest.machine
    said = lambda: guest.serial.said().count("key 42 ")  # noqa: E731
    before = said()
    with machine.keyboard.hold("shift"):
        until(lambda: said() == before + 1, "shift is down")
        machine.snapshots.save("held")
        until(lambda: said() == before + 3, "up for the snapshot, and down again")
        machine.snapshots.load("held")
        assert guest.console()["keys_held"] == []
    typed = lambda: guest.serial.said().count("key 30 up")  # noqa: E731
    before = typed()
    machine.keyboard.type("a")
    until(lambda: typed() == before + 1, f"typed: {guest.serial.said()[-300:]}")
    machine.snapshots.remove("held")


def test_keys_are_released_in_a_snapshot_of_a_machine_without_a_screen(
    runtime_folder: None, tmp_path: Path
) -> None:
    disk = new_disk(tmp_path / "disk.qcow2")
    args = [*guests.TCG, "-m", "32", "-vga", "none"]
    with kju.launch(disk, args=args, name="blind") as machine:
        steps = lambda: [step for entry in machine.input_log() for step in entry.keys]  # noqa: E731
        down, up = (42, True), (42, False)
        machine.keyboard.press("shift")
        machine.snapshots.save("held")
        assert steps() == [down, up, down]
        machine.snapshots.load("held")
        saved = steps()
        machine.keyboard.release("shift")
        assert steps() == saved, "the key is released"


@pytest.mark.parametrize("old", [True, False], ids=["7.2", "installed"])
def test_snapshots_have_parents_also_after_a_restart(
    runtime_folder: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: bool
) -> None:
    disk = new_disk(tmp_path / "d.qcow2")
    qemu = str(guests.qemu72() if old else guests.qemu())

    def launch() -> kju.Machine:
        return kju.launch(disk, name="grows", args=[*guests.TCG, "-m", "32"], qemu=qemu)

    def parents(machine: kju.Machine) -> dict[str, str | None]:
        return {saved.tag: saved.parent for saved in machine.snapshots.list()}

    def current(machine: kju.Machine) -> list[str]:
        return [saved.tag for saved in machine.snapshots.list() if saved.current]

    with launch() as machine:
        assert [machine.snapshots.save(tag).parent for tag in "abc"] == [None, "a", "b"]
        loaded = machine.snapshots.load("a")
        assert loaded.current and loaded.parent is None
        assert machine.snapshots.save("d").parent == "a"
        machine.snapshots.load("c")
    with launch() as machine:
        with kju.attach("grows", "view") as viewer:
            assert parents(viewer) == {"a": None, "b": "a", "c": "b", "d": "a"}
            assert current(viewer) == ["c"]
        machines._list("grows", tree=True)
        rows = [line.split("  20")[0].rstrip() for line in capsys.readouterr().out.splitlines()]
        assert rows == ["a", "├── b", "│   └── c", "└── d"]
        assert machine.snapshots.remove("b").parent == "a"
        assert parents(machine) == {"a": None, "c": "a", "d": "a"}
        machine.snapshots.remove("c")
        assert current(machine) == ["a"]
        assert machine.snapshots.save("c").parent == "a"
    subprocess.run(["qemu-img", "snapshot", "-d", "a", str(disk)], check=True)
    with launch() as machine:
        assert parents(machine) == {"c": None, "d": None}
        assert current(machine) == ["c"]
        machine.qmp("human-monitor-command", **{"command-line": "savevm other"})
        assert parents(machine) == {"c": None, "d": None, "other": None}


def test_parents_of_a_temporary_machine_are_not_recorded(
    runtime_folder: None, tmp_path: Path
) -> None:
    disk = new_disk(tmp_path / "d.qcow2")
    args = [*guests.TCG, "-m", "32"]
    with kju.launch(disk, name="stays", args=args) as machine:
        machine.snapshots.save("a")
    kept = Path(f"{disk}.snapshots") / TREE
    before = kept.read_bytes()
    with kju.launch(disk, name="stays", args=[*args, "-snapshot"]) as machine:
        assert machine.snapshots.save("b").parent is None
        assert machine.snapshots.save("c").parent == "b"
    assert kept.read_bytes() == before
