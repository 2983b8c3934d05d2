"""Forks under SIGKILL, full memory and many generations: nothing is left, and no data is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.accelerator import keep_answer
from support.forks import make_disk, qemu_io
from support.guest_disk import SIZE, holds, inserted, reads, write
from support.wait import HANG, until

import kju
from kju.client.forks import ForkBase
from kju.client.link import only_descriptor
from kju.client.requests import check_reply, freeze_request
from kju.client.targets import running_names
from kju.errors import ForkError, KjuError, MachineGoneError, ProducerGoneError, UsageError
from kju.protocol.forks import Frozen
from kju.store import defining, sweeping
from kju.store.forks import listing, places, unmerged
from kju.store.forks.bases import adopt_base
from kju.store.forks.held_folder import ID
from kju.store.forks.layers import MAX_DEPTH
from kju.store.machine_toml import Definition
from kju.surface import State

pytestmark = pytest.mark.qemu


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give a test machines of its own; afterwards nothing of theirs is left."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    keep_answer(tmp_path)
    own = places.world()
    yield own
    assert running_names() == []
    assert folders(own) == []


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return make_disk(tmp_path / "disk.qcow2")


def folders(world: str) -> list[str]:
    """Return the folders of bases and overlays of this test's machines."""
    found = []
    for root in places.base_roots():
        with contextlib.suppress(FileNotFoundError):
            found += [name for name in os.listdir(root) if ID.fullmatch(name)]
    return [name for name in found if name.startswith(world)]


def launch(disk: Path, name: str = "web", **options: object) -> kju.Machine:
    """Start a machine whose disk has no system: its firmware says so, and waits."""
    return kju.launch(disk, name=name, memory="32M", **options)  # type: ignore[arg-type]


def kill_host(machine: kju.Machine) -> None:
    os.kill(machine.host_pid, signal.SIGKILL)


def swept(world: str) -> None:
    """Do what the next kju command does, until the killed processes have ended."""

    def nothing_runs() -> bool:
        sweeping.sweep()
        return not running_names() and not folders(world)

    until(nothing_runs)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("times", [20, pytest.param(1000, marks=pytest.mark.soak)])
def test_forks_one_after_the_other_leave_nothing(disk: Path, world: str, times: int) -> None:
    with launch(disk) as machine:
        write(machine, 0x22)
        with machine.freeze("ready", spares=0) as base:
            before = folders(world)
            for number in range(times):
                with base.fork() as fork:
                    if number % 4 == 0:
                        assert reads(fork, 0x22)
                        write(fork, 0x33)
                until(lambda: running_names() == ["web"])
            assert folders(world) == before
            assert reads(machine, 0x22)


def test_what_a_frozen_machine_writes_is_on_its_disk_afterwards(disk: Path, world: str) -> None:
    with launch(disk) as machine:
        with machine.freeze("ready", spares=0) as base, base.fork() as fork:
            write(machine, 0x22)
            assert reads(fork, 0x11)
        write(machine, 0x33, SIZE)
    until(lambda: not folders(world))
    qemu_io(disk, "read -P 0x22 0 64k", "read -P 0x33 64k 64k")


def test_a_fork_that_outlives_the_frozen_machine_keeps_its_disk(disk: Path, world: str) -> None:
    machine = launch(disk)
    with machine:
        fork = machine.fork()
        write(machine, 0x22)
    with fork:
        assert reads(fork, 0x11)
        with pytest.raises(KjuError, match=r"disk\.qcow2 is in use"):
            launch(disk, "other")
    until(lambda: not folders(world))
    qemu_io(disk, "read -P 0x22 0 64k")


def test_after_sigkill_the_next_start_has_what_was_written(disk: Path, world: str) -> None:
    machine = launch(disk)
    machine.freeze("ready", spares=0).close()
    write(machine, 0x22)
    kill_host(machine)
    machine.close()
    until(lambda: not running_names())
    sweeping.sweep()
    assert len(folders(world)) == 1, "the overlay has the user's data"
    assert len(unmerged.notes()) == 1

    def starts() -> kju.Machine | None:
        # The killed host's QEMU may hold the disk for a moment.
        with contextlib.suppress(KjuError):
            return launch(disk)
        return None

    again: list[kju.Machine] = []
    until(lambda: again or again.extend(filter(None, [starts()])) or again)
    with again[0]:
        assert reads(again[0], 0x22)


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, 40))]
)
def test_a_host_killed_during_a_freeze_leaves_nothing(disk: Path, world: str, seed: int) -> None:
    chance = random.Random(seed)
    machine = launch(disk)
    moment = threading.Timer(chance.random() * 0.3, kill_host, [machine])
    moment.start()
    with contextlib.suppress(KjuError):
        for number in range(20):
            machine.freeze(f"base-{number}", spares=0).close()
    moment.join()
    machine.close()
    until(lambda: not running_names())
    settle(disk)
    swept(world)
    assert holds(disk, 0x11)


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, 40))]
)
def test_processes_killed_while_forks_start_leave_nothing(
    disk: Path, world: str, seed: int
) -> None:
    chance = random.Random(seed)
    with launch(disk) as machine, machine.freeze("ready", spares=1) as base:
        victim = base.fork()
        moment = threading.Timer(chance.random() * 0.5, kill_any, [chance, victim])
        moment.start()
        forks: list[kju.Machine] = []
        with contextlib.suppress(KjuError):
            forks += base.fork(3)
        moment.join()
        for fork in [*forks, victim]:
            fork.close()
        # The base's spare fork is no running machine for others.
        until(lambda: (sweeping.sweep(), running_names() == ["web"])[1])
        with base.fork() as fork:
            assert reads(fork, 0x11)
    swept(world)


def kill_any(chance: random.Random, victim: kju.Machine) -> None:
    with contextlib.suppress(ProcessLookupError, KjuError):
        pids = [victim.host_pid, victim.info()["qemu"]["pid"]]
        os.kill(chance.choice(pids), signal.SIGKILL)


def test_a_killed_fork_does_not_take_the_base_from_the_others(disk: Path, world: str) -> None:
    with launch(disk) as machine, machine.freeze("ready", spares=0) as base:
        first, second = base.fork(2)
        kill_host(first)
        first.close()
        until(lambda: (sweeping.sweep(), first.name not in running_names())[1])
        assert reads(second, 0x11)
        (entry,) = listing.bases()
        assert entry.forks == (second.name,)
        with base.fork() as third:
            assert reads(third, 0x11)
        second.close()


def test_two_clients_freeze_one_machine_at_the_same_time(disk: Path) -> None:
    with launch(disk) as machine:
        done: list[object] = []

        def freeze(tag: str) -> None:
            with kju.attach("web") as mine:
                done.append(mine.freeze(tag, spares=0))

        threads = [threading.Thread(target=freeze, args=(f"base-{n % 2}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 4
        with machine.fork() as fork:
            assert reads(fork, 0x11)
        for base in done:
            base.close()  # type: ignore[attr-defined]


def test_base_that_another_client_replaces_exists_for_its_client(disk: Path) -> None:
    with launch(disk) as machine, kju.attach("web") as other:
        answer = machine._link.call(freeze_request("ready"))
        lock = only_descriptor(answer, Frozen)
        write(machine, 0x22)
        with other.freeze("ready", spares=0) as second:
            other.remove_base("ready")
            held = adopt_base(check_reply(answer.reply, Frozen).base, lock)
            with ForkBase(held, kju.Machine) as first, first.fork() as fork:
                assert reads(fork, 0x11)
            with second.fork() as fork:
                assert reads(fork, 0x22)
        until(lambda: listing.bases() == [])


def test_clients_fork_one_machine_at_the_same_time(disk: Path) -> None:
    # Each freezes it without a name, in place of the base before.
    def fork() -> bool:
        with kju.attach("web") as mine, mine.fork() as made:
            return reads(made, 0x11)

    with launch(disk), ThreadPoolExecutor(4) as pool:
        made = [pool.submit(fork) for _ in range(8)]
        assert all(each.result() for each in made)


def test_revert_leaves_no_overlay_of_removed_bases(disk: Path, world: str) -> None:
    with launch(disk) as machine:
        machine.freeze("first", spares=0).close()
        for number in range(3):
            write(machine, 0x22 + number)
            machine.freeze("later", spares=0).close()
        machine.remove_base("later")
        machine.revert()
        (folder,) = {Path(inserted(machine)["file"]).parent}
        assert [path.name for path in folder.glob("*.qcow2")] == [
            Path(inserted(machine)["file"]).name
        ]
        assert reads(machine, 0x11)
    until(lambda: not folders(world))


@pytest.mark.parametrize("number", [signal.SIGTERM, 0], ids=["SIGTERM", "stop"])
@pytest.mark.parametrize("times", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_machine_that_is_stopped_during_a_revert_ends(
    disk: Path, world: str, number: int, times: int
) -> None:
    choose = random.Random(number)
    for _ in range(times):
        with launch(disk) as machine, kju.attach("web") as other, kju.attach("web") as viewer:
            machine.freeze("ready", spares=0).close()
            write(machine, 0x33)
            assert viewer.screen.state[0] is State.LIVE
            with ThreadPoolExecutor(1) as pool:
                reverting = pool.submit(other.revert)
                time.sleep(choose.uniform(0, 0.5))
                if number:
                    os.kill(machine.host_pid, number)
                    machine.wait_ended(timeout=HANG)
                else:
                    machine.stop()
                assert isinstance(reverting.exception(), MachineGoneError | None)
            with pytest.raises(ProducerGoneError, match=r"has ended: .* (received|stopped)"):
                viewer.screen.wait(timeout=HANG)
        until(lambda: not running_names() and not folders(world), "nothing is left")


def test_clients_that_attach_during_a_revert_find_the_screens(disk: Path) -> None:
    with launch(disk) as machine, kju.attach("web") as other:
        machine.freeze("ready", spares=0).close()
        reverting = threading.Thread(target=other.revert)
        reverting.start()
        attached = 0
        while reverting.is_alive() or not attached:
            with kju.attach("web") as viewer:
                assert len(viewer.screens) == 1
                assert viewer.screen.frame().size
                assert viewer.info()["state"] == "running"
            attached += 1
        reverting.join()
        # Those that disconnected during the revert do not view the new emulator's screen.
        assert {client["pid"] for client in machine.info()["clients"]} == {os.getpid()}


#: Run where 80 of 100 MiB of shared memory are free.
REFUSED = """
import sys
import kju
from kju.errors import LimitError
with kju.launch(sys.argv[1], name="web", memory="32M") as machine:
    try:
        machine.freeze("ready")
    except LimitError as error:
        print(error)
    assert machine.info()["state"] == "running"
    open("/dev/shm/other", "w").close()
    with machine.fork() as fork:
        print("forked", fork.info()["state"])
"""


def test_a_base_that_does_not_fit_is_refused_and_the_machine_goes_on(disk: Path) -> None:
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    mount = "mount -t tmpfs -o size=100m,mode=1777 tmpfs /dev/shm"
    fill = "head -c 20M /dev/zero > /dev/shm/other"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && {fill} && exec "$@"', "sh",
         sys.executable, "-c", REFUSED, str(disk)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    refused, forked = done.stdout.splitlines()
    assert "32 MiB of memory needs 96 MiB in /dev/shm/kju-0, where 80 MiB are free" in refused
    assert forked == "forked running"


def test_a_base_cut_short_is_refused(disk: Path) -> None:
    with launch(disk) as machine, machine.freeze("ready", spares=0) as base:
        (entry,) = listing.bases()
        state = entry.folder / "state"
        state.chmod(0o600)
        os.truncate(state, 1 << 20)
        with pytest.raises(ForkError, match=r"was cut short: .*kju freeze web ready"):
            base.fork()
        with pytest.raises(ForkError, match="was cut short"):
            machine.revert()
        assert machine.info()["state"] == "running"


def test_many_freezes_stay_within_eight_overlays(disk: Path, world: str) -> None:
    with launch(disk) as machine:
        for number in range(MAX_DEPTH + 2):
            write(machine, number + 1, number * SIZE)
            machine.freeze("ready", spares=0).close()
            assert inserted(machine)["backing_file_depth"] <= MAX_DEPTH
        with machine.fork() as fork:
            assert reads(fork, *range(1, MAX_DEPTH + 3))
    until(lambda: not folders(world))
    assert holds(disk, *range(1, MAX_DEPTH + 3))


def test_many_generations_of_forks_stay_within_eight_overlays(disk: Path, world: str) -> None:
    with contextlib.ExitStack() as alive:
        machine = alive.enter_context(launch(disk))
        # Otherwise the last one had nine overlays.
        for number in range(MAX_DEPTH + 1):
            write(machine, number + 1, number * SIZE)
            machine = alive.enter_context(machine.fork())
            assert inserted(machine)["backing_file_depth"] <= MAX_DEPTH
        assert reads(machine, *range(1, MAX_DEPTH + 2))
        machine.revert()
        assert reads(machine, MAX_DEPTH + 1, at=MAX_DEPTH * SIZE)
    until(lambda: not folders(world))
    assert holds(disk, 1) and not holds(disk, 2, at=SIZE)


def test_fork_with_more_than_eight_overlays_is_flattened(disk: Path) -> None:
    with launch(disk) as machine:
        for number in range(MAX_DEPTH):
            write(machine, number + 1, number * SIZE)
            machine.freeze("ready", spares=0).close()

        def flattened() -> bool:
            # Its guest reads the same before, during and after the copy.
            depth = inserted(fork)["backing_file_depth"]
            assert reads(fork, *range(1, MAX_DEPTH + 1))
            return bool(depth == 1)

        # The base has been frozen before its machine was flattened; a revert begins on it again.
        with kju.open_base("web", "ready") as base, base.fork() as fork:
            for _ in range(2):
                until(flattened, "one overlay is left")
                fork.revert()


def test_flattened_overlay_has_everything_after_sigkill(disk: Path, world: str) -> None:
    with launch(disk) as machine:
        for number in range(MAX_DEPTH):
            write(machine, number + 1, number * SIZE)
            machine.freeze("ready", spares=0).close()
        until(lambda: inserted(machine)["backing_file_depth"] == 1, "one overlay is left")
        kill_host(machine)
    until(lambda: not running_names())
    with launch(disk) as machine:
        assert reads(machine, *range(1, MAX_DEPTH + 1))
    until(lambda: not folders(world))


def test_snapshots_of_a_frozen_machine_are_in_its_overlay(disk: Path, world: str) -> None:
    with launch(disk) as machine:
        machine.snapshots.save("before")
        pictures = disk.with_name("disk.qcow2.snapshots")
        tree = (pictures / ".tree.json").read_bytes()
        with machine.freeze("ready", spares=0):
            saved = machine.snapshots.save("after")
            assert "lost when it ends or is frozen again" in saved.note
            assert [each.tag for each in machine.snapshots.list()] == ["after"]
            with pytest.raises(UsageError, match=r"snapshots are: after; .*older ones are in the"):
                machine.snapshots.load("before")
            machine.snapshots.load("after")
    until(lambda: not folders(world))
    assert (pictures / ".tree.json").read_bytes() == tree
    assert sorted(path.name for path in pictures.iterdir()) == [".tree.json", "before"]
    with launch(disk) as machine:
        machine.snapshots.load("before")


def test_several_disks_with_a_backing_chain(disk: Path, tmp_path: Path, world: str) -> None:
    over = tmp_path / "over.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(disk), "-F", "qcow2", str(over)],
        check=True,
    )
    defining.create("web", Definition(image=str(over), memory="64M", firmware="uefi"), "8M")
    with kju.start("web") as machine, machine.fork() as fork:
        below = [
            block["inserted"]["image"].get("full-backing-filename", "")
            for block in fork.qmp("query-block")
            if block.get("inserted")
        ]
        own = ["disk.qcow2", "over.qcow2", "uefi-variables.qcow2"]
        assert sorted(Path(path).name for path in below if path) == own
    until(lambda: not folders(world))
    defining.remove("web")


def settle(disk: Path) -> None:
    """Write back what a killed machine wrote, once its QEMU has ended."""

    def settled() -> bool:
        with contextlib.suppress(KjuError):
            unmerged.settle_for([str(disk)])
            return True
        return False

    until(settled, f"within {HANG} s")
