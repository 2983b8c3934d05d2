"""Machines that begin with a snapshot: of their own disk, or of an image that they only copy."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from support import guests
from support.forks import folders, qemu_img, qemu_io
from support.wait import HANG, until, until_async

import kju
import kju.aio
from kju.cli.app import run
from kju.client.launching import launched
from kju.client.requests import launch_request
from kju.client.starting import Starting
from kju.errors import ConflictError, KjuError, MachineLostError, QemuError, UsageError
from kju.fleet.controller import FleetController
from kju.fleet.images.cache import ImageCache
from kju.fleet.images.keeping import KeptImages
from kju.fleet.images.opening import open_image
from kju.fleet.images.source import FleetImage
from kju.fleet.keeper import Keeper
from kju.fleet.messages import FleetState, MachineSpec
from kju.fleet.placement import NodeFacts, Room
from kju.fleet.specs import machine_specs
from kju.store import running

pytestmark = pytest.mark.qemu

#: What the guest had printed at the snapshot, and prints later.
BEFORE, AFTER = 4660, 4369


class Saved(NamedTuple):
    """A disk with the snapshot ``ready``, and the arguments of the machine that saved it."""

    disk: Path
    arguments: list[str]


def count(machine: kju.Machine, number: int) -> None:
    """Let the guest's shell print a number that was not typed."""
    machine.keyboard.type(f"echo $((0x{number:x}))\n")
    machine.screen.text(str(number)).wait(timeout=HANG)


def shows(machine: kju.Machine, number: int) -> bool:
    return machine.screen.text(str(number)).count() > 0


@pytest.fixture(scope="module")
def original(shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder = tmp_path_factory.mktemp("saved")
    disk = folder / "desk.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", disk, "64M")
    arguments = guests.paint(folder, "shell", device="VGA").arguments
    with kju.launch(disk, name="saving", args=arguments) as machine:
        machine.screen.text("kju$").wait(timeout=4 * HANG)
        count(machine, BEFORE)
        machine.qmp("human-monitor-command", **disk_command("write -P 17 0 64k"))
        machine.snapshots.save("ready")
        machine.qmp("human-monitor-command", **disk_command("write -P 34 0 64k"))
    return Saved(disk, arguments)


@pytest.fixture
def saved(original: Saved, tmp_path: Path) -> Saved:
    """Return a copy of that disk."""
    disk = tmp_path / "desk.qcow2"
    shutil.copy(original.disk, disk)
    beside = original.disk.with_name("desk.qcow2.snapshots")
    shutil.copytree(beside, tmp_path / beside.name)
    return Saved(disk, original.arguments)


def disk_command(command: str) -> dict[str, str]:
    return {"command-line": f'qemu-io kju-disk "{command}"'}


def reads(machine: kju.Machine, pattern: int) -> bool:
    """Return whether the guest's disk begins with bytes of this value."""
    answer = machine.qmp("human-monitor-command", **disk_command(f"read -P {pattern} 0 64k"))
    return "failed" not in str(answer).lower()


@contextlib.contextmanager
def copying(saved: Saved, name: str, *more: str) -> Iterator[kju.Machine]:
    """Start a machine that only copies its image, as a fleet's machine does."""
    options = {"name": name, "args": [*saved.arguments, *more], "snapshot": "ready"}
    request = launch_request(saved.disk, options)
    with launched(msgspec.structs.replace(request, overlays=True)) as machine:
        yield machine


@pytest.mark.parametrize("old", [False, True], ids=["installed", "7.2"])
def test_guest_goes_on_from_the_snapshot(
    runtime_folder: None, original: Saved, tmp_path: Path, old: bool
) -> None:
    saved, qemu = original, None
    if old:
        # A snapshot is loaded by the QEMU that saved it.
        qemu = guests.qemu72()
        disk = tmp_path / "old.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", disk, "64M")
        with kju.launch(disk, args=saved.arguments, qemu=qemu) as machine:
            machine.screen.text("kju$").wait(timeout=4 * HANG)
            count(machine, BEFORE)
            machine.qmp("human-monitor-command", **disk_command("write -P 17 0 64k"))
            machine.snapshots.save("ready")
        saved = Saved(disk, saved.arguments)
    with kju.launch(saved.disk, args=saved.arguments, qemu=qemu, snapshot="ready") as machine:
        assert shows(machine, BEFORE)
        assert machine.info()["state"] == "running"
        assert [each.current for each in machine.snapshots.list()] == [True]
        # The input before the snapshot is in the log, as after a load.
        log = Path(machine.info()["host"]["folder"]) / "input.jsonl"
        assert log.read_bytes() == Path(machine.snapshots.list()[0].input).read_bytes() != b""
        count(machine, AFTER)
        assert reads(machine, 17)
    with kju.launch(
        saved.disk, args=[*saved.arguments, "-S"], qemu=qemu, snapshot="ready"
    ) as machine:
        assert machine.info()["state"] == "paused"
        assert shows(machine, BEFORE) and not shows(machine, AFTER)


def test_start_with_a_wrong_snapshot_changes_nothing(runtime_folder: None, saved: Saved) -> None:
    qemu_img("snapshot", "-c", "bare", saved.disk)
    before = saved.disk.read_bytes()
    for tag, error in {
        "other": "no snapshot is named 'other'; the snapshots are: bare, ready",
        "bare": "'bare' holds disks only, no memory",
        "../x": r"'\.\./x' cannot be a snapshot's name",
        # A variable of a shell that is not set.
        "": "'' cannot be a snapshot's name",
    }.items():
        for start in (kju.launch, kju.plan_launch):
            with pytest.raises(UsageError, match=error):
                start(saved.disk, args=saved.arguments, snapshot=tag)
    with pytest.raises(UsageError, match="no disk that could hold a snapshot"):
        kju.launch(args=["-accel", "tcg"], snapshot="ready")
    with pytest.raises(ConflictError, match="-loadvm or -incoming: give one"):
        kju.launch(saved.disk, args=[*saved.arguments, "-loadvm", "ready"], snapshot="ready")
    assert run(["run", str(saved.disk), "--snapshot", "", "--dry-run"]) == 2
    plan = kju.plan_launch(saved.disk, args=saved.arguments, snapshot="ready")
    assert (("-S",), "the snapshot ready is loaded before the guest runs") in plan.appended
    assert saved.disk.read_bytes() == before
    assert running.names() == []


def test_machine_that_the_snapshot_does_not_fit_is_told_why(
    runtime_folder: None, saved: Saved
) -> None:
    qemu_io(saved.disk, "write -P 34 0 64k")
    snapshots = qemu_img("snapshot", "-l", saved.disk)
    other = [*saved.arguments, "-device", "virtio-rng-pci"]
    with pytest.raises(QemuError) as raised:
        kju.launch(saved.disk, args=other, snapshot="ready")
    assert "Unknown savevm section" in str(raised.value), "QEMU's own reason"
    assert "'ready' needs the memory, processors, devices and QEMU" in str(raised.value)
    assert str(raised.value).endswith("; the disks are unchanged")
    assert running.names() == []
    # What was written after the snapshot is not lost for a machine that does not start.
    qemu_io(saved.disk, "read -P 34 0 64k")
    assert qemu_img("snapshot", "-l", saved.disk) == snapshots
    with kju.launch(saved.disk, args=saved.arguments, snapshot="ready") as machine:
        assert shows(machine, BEFORE) and reads(machine, 17)
        assert [each.tag for each in machine.snapshots.list()] == ["ready"]
        # A disk in use is named with its user, by each kind of start.
        for start in (kju.launch, kju.plan_launch):
            with pytest.raises((QemuError, UsageError), match=r"in use by|another process"):
                start(saved.disk, name="second", args=saved.arguments, snapshot="ready")
        with (
            pytest.raises(UsageError, match=r"desk.qcow2 is in use by 'desk'"),
            copying(saved, "second"),
        ):
            pass


def test_defined_machine_starts_with_a_snapshot(
    own_folders: None, saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    kju.define("desk", saved.disk, args=saved.arguments)
    # Its own snapshots have their files in its folder: those beside the disk are not used.
    assert run(["start", "desk", "--snapshot", "other", "--dry-run"]) == 2
    assert run(["start", "desk", "--snapshot", "ready", "--dry-run"]) == 0
    assert "the snapshot ready is loaded" in capsys.readouterr().err
    assert run(["start", "desk", "--snapshot", "ready"]) == 0
    with kju.attach("desk") as machine:
        assert shows(machine, BEFORE) and reads(machine, 17)
        count(machine, AFTER)
        machine.stop()
    assert run(["run", str(saved.disk), "--snapshot", "nope", "--dry-run"]) == 2
    with kju.start("desk", snapshot="ready") as machine:
        assert shows(machine, BEFORE) and not shows(machine, AFTER)


def test_uefi_machine_begins_with_a_snapshot_or_keeps_its_disks(own_folders: None) -> None:
    guests.uefi()
    file = kju.define("uefi", disk="8M", memory="64M", firmware="uefi", args=guests.TCG)
    disk, variables = file.parent / "disk.qcow2", file.parent / "uefi-variables.qcow2"
    with kju.start("uefi") as machine:
        machine.snapshots.save("ready")
        machine.qmp("human-monitor-command", **disk_command("write -P 51 0 64k"))
    text = file.read_text()
    file.write_text(text.replace("64M", "96M"))
    with pytest.raises(QemuError, match=r"Size mismatch: pc.ram.*; the disks are unchanged"):
        kju.start("uefi", snapshot="ready")
    qemu_io(disk, "read -P 51 0 64k")
    file.write_text(text)
    with kju.start("uefi", snapshot="ready") as machine:
        assert machine.info()["state"] == "running" and reads(machine, 0)
    for each in (disk, variables):
        assert "kju-before" not in qemu_img("snapshot", "-l", each)
    qemu_img("snapshot", "-d", "ready", variables)
    with pytest.raises(UsageError, match=rf"'ready' is incomplete: {variables} lacks it"):
        kju.plan_start("uefi", snapshot="ready")


def test_machine_over_an_image_begins_on_a_copy_with_the_snapshot(
    runtime_folder: None, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    before = saved.disk.read_bytes()
    with copying(saved, "one") as one, copying(saved, "two") as two:
        for machine in (one, two):
            assert shows(machine, BEFORE) and reads(machine, 17)
        (disk,) = one.info()["disks"]
        assert Path(disk["path"]).parent.parent == tmp_path / "data" / "kju" / "forks"
        count(one, AFTER)
        one.qmp("human-monitor-command", **disk_command("write -P 51 0 64k"))
        assert reads(two, 17)
        assert "lost when it ends" in (one.snapshots.save("later").note or "")
        # It can be frozen: its forks and its revert go on from there, not from the snapshot.
        with one.freeze("now", spares=0) as base, base.fork() as fork:
            assert shows(fork, AFTER) and reads(fork, 51)
            one.qmp("human-monitor-command", **disk_command("write -P 68 0 64k"))
            one.revert()
            assert shows(one, AFTER) and reads(one, 51)
            assert one.info()["state"] == "running"
    until(lambda: folders(tmp_path) == [])
    assert saved.disk.read_bytes() == before


def test_start_is_given_up_during_the_copy(
    runtime_folder: None, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with saved.disk.open("ab") as file:
        for _ in range(1024):
            file.write(bytes(1 << 20))
    options = {"name": "large", "args": saved.arguments, "snapshot": "ready"}
    request = msgspec.structs.replace(launch_request(saved.disk, options), overlays=True)
    starting = Starting(request)
    until(lambda: folders(tmp_path), "the copy begins")
    starting.give_up()
    with pytest.raises(KjuError):
        starting.finish(kju.Machine)
    assert running.names() == []
    assert folders(tmp_path) == []


# -- of a fleet


class NoPieces:
    """The image lies on this node, so it is not copied to it."""

    def pieces(self, image: FleetImage) -> Iterator[bytes]:
        raise AssertionError(image)


@contextlib.asynccontextmanager
async def fleet_of_one(folder: Path) -> AsyncIterator[FleetController]:
    """Run a controller and the keeper of one node."""
    cache = ImageCache(folder / "images")
    images = KeptImages("n1", NoPieces(), lambda: cache)
    controller = FleetController(lambda _, session, order: keeper.order(session, order))

    def facts() -> NodeFacts:
        return NodeFacts("n1", Room(memory=4 << 30, disk=1 << 30, copies=1 << 30))

    keeper = Keeper("lab", "n1", facts, controller, images=images)
    tasks = [asyncio.create_task(each.run()) for each in (controller, keeper)]
    try:
        await until_async(controller.node_names, "the node has reported")
        yield controller
        await controller.end_all("the test has ended")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def specs(saved: Saved, *more: str) -> list[MachineSpec]:
    options = {"image": str(saved.disk), "args": [*saved.arguments, *more], "snapshot": "ready"}
    image = open_image(saved.disk, "n1")
    assert image is not None
    return machine_specs(["a"], options, image=image, max_restarts=1)


def state(controller: FleetController) -> tuple[FleetState, int]:
    (status,) = controller.statuses()
    return status.state, status.generation


async def test_lost_machine_of_a_fleet_begins_with_the_snapshot_again(
    runtime_folder: None, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    before = saved.disk.read_bytes()
    async with fleet_of_one(tmp_path) as controller:
        await controller.launch(specs(saved))

        def use(written: int) -> None:
            with kju.attach("a") as machine:
                assert shows(machine, BEFORE) and not shows(machine, AFTER)
                assert reads(machine, 17)
                count(machine, AFTER)
                machine.qmp("human-monitor-command", **disk_command(f"write -P {written} 0 64k"))

        await asyncio.to_thread(use, 51)
        running.kill("a")
        await until_async(lambda: state(controller) == (FleetState.RUNNING, 2), "it runs again")
        await asyncio.to_thread(use, 68)
    assert folders(tmp_path) == []
    assert saved.disk.read_bytes() == before


async def test_machine_that_the_snapshot_does_not_fit_does_not_start(
    runtime_folder: None, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    async with fleet_of_one(tmp_path) as controller:
        with pytest.raises(MachineLostError, match="needs the memory, processors, devices"):
            await controller.launch(specs(saved, "-device", "virtio-rng-pci"))
        assert state(controller) == (FleetState.ENDED, 1)
        assert running.names() == []
    assert folders(tmp_path) == []
