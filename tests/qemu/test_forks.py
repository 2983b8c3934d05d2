"""Forks of real guests: each goes on from the frozen instant, by itself, and leaves nothing."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import guests
from support.wait import HANG, until

import kju
import kju.aio
from kju.cli.app import run
from kju.errors import ClosedError, ForkError, KjuError, RoleError, UsageError
from kju.protocol.forks import Begin
from kju.protocol.messages import Done
from kju.store.forks.listing import bases
from kju.store.forks.places import base_roots, world

pytestmark = pytest.mark.qemu


def picture(machine: kju.Machine) -> np.ndarray:
    return machine.screen.frame().copy()


def same(machine: kju.Machine, other: np.ndarray) -> bool:
    now = picture(machine)
    return now.shape == other.shape and np.array_equal(now, other)


def shows(machine: kju.Machine, number: int) -> bool:
    """Return whether the guest's screen has a number that `count` has printed."""
    return machine.screen.text(str(number)).count() > 0


def count(machine: kju.Machine, number: int) -> None:
    """Let the guest's shell print a number that was not typed."""
    machine.keyboard.type(f"echo $((0x{number:x}))\n")
    machine.screen.text(str(number)).wait(timeout=HANG)
    # The prompt after it; then the screen is still.
    machine.screen.wait_stable(0.5, timeout=HANG)


def opened(folder: Path, name: str, *more: str) -> kju.Machine:
    disk = folder / f"{name}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"], check=True)
    paint = guests.paint(folder, "shell", device="VGA")
    machine = kju.launch(disk, name=name, args=[*paint.arguments, *more])
    machine.screen.text("kju$").wait(timeout=4 * HANG)
    return machine


@pytest.fixture(scope="module")
def web(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[kju.Machine]:
    """Boot one guest with a shell on a text console and a disk, for most tests of this file."""
    with opened(tmp_path_factory.mktemp("web"), "web") as machine:
        yield machine
    assert bases() == []
    # Tests of another process may use the folder of shared memory, too.
    assert [left for root in base_roots() for left in root.glob(f"{world()}-*")] == []


def test_forks_go_on_from_the_frozen_instant_by_themselves(web: kju.Machine) -> None:
    count(web, 5001)
    before = picture(web)
    with web.freeze("installed", spares=0) as base:
        count(web, 5002)
        first, second = base.fork(2)
        with first, second:
            assert same(first, before)
            assert same(second, before)
            count(first, 5003)
            count(second, 5004)
            count(web, 5005)
            for machine, own in ((web, 5005), (first, 5003), (second, 5004)):
                seen = {n for n in (5003, 5004, 5005) if shows(machine, n)}
                assert seen == {own}
            facts = first.info()["fork"]
            assert (facts["machine"], facts["tag"], facts["is_fork"]) == ("web", "installed", True)
            assert [set(entry.forks) for entry in bases()] == [{first.name, second.name}]
    assert web.info()["state"] == "running"


def test_spare_fork_begins_at_once_and_is_hidden_before(web: kju.Machine) -> None:
    with web.freeze("pool", spares=2) as base:
        assert [each.name for each in kju.machines()] == ["web"]
        with base.fork() as fork:
            assert fork.info()["state"] == "running"
            count(fork, 6001)
            assert {each.name for each in kju.machines()} == {"web", fork.name}
            with pytest.raises(UsageError, match="not a spare"):
                fork._link.ask(Begin(), Done)
    until(lambda: [each.name for each in kju.machines()] == ["web"], "the spare forks to end")


def test_fork_of_a_fork_and_of_a_paused_machine(web: kju.Machine) -> None:
    with web.fork() as child:
        count(child, 7001)
        with child.fork(name="grandchild") as grandchild:
            assert shows(grandchild, 7001)
            grandchild.pause()
            with grandchild.freeze("still", spares=0) as base, base.fork() as paused:
                assert paused.info()["state"] == "paused"
                assert same(paused, picture(grandchild))
                with pytest.raises(ForkError, match="has not run since"):
                    grandchild.freeze("again")
                paused.resume()
                count(paused, 7002)
            grandchild.resume()
            count(grandchild, 7003)


def test_revert_returns_to_the_base_with_the_same_clients(web: kju.Machine) -> None:
    with web.fork(name="undo") as machine, kju.attach("undo", "view") as viewer:
        count(machine, 8001)
        with machine.freeze("good", spares=0):
            before = picture(machine)
            screen, pid = machine.screen, machine.info()["qemu"]["pid"]
            count(machine, 8002)
            machine.keyboard.press("shift")
            machine.revert()
            assert np.array_equal(screen.frame(), before)
            until(lambda: np.array_equal(viewer.screen.frame(), before), "the viewer's picture")
            assert machine.info()["qemu"]["pid"] != pid
            assert machine.info()["consoles"][0]["keys_held"] == []
            count(machine, 8003)
            assert not shows(machine, 8002)
            machine.revert()
            assert same(machine, before)


def test_machine_without_a_base_cannot_revert(tmp_path: Path) -> None:
    with kju.launch(args=guests.invaders(), name="game") as machine:
        with pytest.raises(ForkError, match="kju freeze game TAG"):
            machine.revert()
        assert machine.info()["state"] == "running"


def test_no_key_is_down_in_a_fork(web: kju.Machine) -> None:
    web.keyboard.press("shift")
    try:
        with web.fork() as fork:
            assert fork.info()["consoles"][0]["keys_held"] == []
            fork.keyboard.type("echo ab\n")
            fork.screen.text("echo ab").wait(timeout=HANG)
            assert web.info()["consoles"][0]["keys_held"] == [42]
    finally:
        web.keyboard.release("shift")


def test_freezing_waits_for_a_snapshot_in_progress(web: kju.Machine) -> None:
    saved = threading.Thread(target=web.snapshots.save, args=("meanwhile",))
    saved.start()
    # The guest is paused while it is saved.
    until(lambda: web.info()["state"] == "paused" or not saved.is_alive(), "the saving")
    try:
        with web.freeze("busy", spares=0) as base, base.fork() as fork:
            count(fork, 9001)
    finally:
        saved.join()


def test_each_fork_has_a_generation_id_and_a_network_of_its_own(web: kju.Machine) -> None:
    with web.freeze("ids", spares=0) as base:
        first, second = base.fork(2)
        with first, second:
            machines = (web, first, second)
            ids = {each.qmp("query-vm-generation-id")["guid"] for each in machines}
            assert len(ids) == 3
            cards = {each.qmp("query-rx-filter")[0]["main-mac"] for each in machines}
            assert len(cards) == 1


def test_failed_spare_is_replaced(web: kju.Machine) -> None:
    with web.freeze("pool", spares=1) as base:
        until(lambda: base._ready[0]._child.poll() is None, "the spare fork to start")
        base._ready[0]._child.kill()
        with base.fork() as fork:
            count(fork, 6101)
    with pytest.raises(ClosedError, match="closed here"):
        base.fork()


def test_damaged_base_is_refused_and_the_machine_goes_on(web: kju.Machine) -> None:
    with web.freeze("cut", spares=0) as base:
        state = base._base.state
        state.chmod(0o600)
        with state.open("r+b") as file:
            file.truncate(1 << 20)
        for call in (base.fork, web.revert):
            with pytest.raises(ForkError, match=r"cut short.*freeze a machine again"):
                call()
        count(web, 6201)
    with web.freeze("whole", spares=0) as base, base.fork() as fork:
        assert shows(fork, 6201)


def test_forwarded_port_is_the_frozen_machines(tmp_path: Path) -> None:
    nic = ["-nic", "user,hostfwd=tcp:127.0.0.1:0-:22", "-serial", f"file:{tmp_path}/log"]
    with kju.launch(args=[*guests.invaders(), *nic], name="game") as machine:
        machine.screen.wait(timeout=HANG)
        with machine.fork() as fork:
            assert "hostfwd" not in " ".join(fork.info()["qemu"]["arguments"])
            assert fork.screen.frame().shape == machine.screen.frame().shape


def test_old_qemu_is_refused_with_the_reason() -> None:
    with kju.launch(args=guests.invaders(), name="old", qemu=str(guests.qemu72())) as machine:
        with pytest.raises(ForkError, match=r"needs QEMU 9\.0, this is 7\.2"):
            machine.freeze("x")
        assert machine.info()["state"] == "running"


def test_viewer_may_not_freeze(web: kju.Machine) -> None:
    with kju.attach("web", "view") as viewer:
        for call in (lambda: viewer.freeze("x"), viewer.revert, viewer.fork):
            with pytest.raises(RoleError):
                call()


def test_wrong_values_are_refused_before_anything_starts(web: kju.Machine) -> None:
    with pytest.raises(UsageError, match="cannot be a base's name"):
        web.freeze("a b")
    with pytest.raises(UsageError, match="1 to 1000, not 0"):
        web.fork(0)
    with pytest.raises(UsageError, match="name"):
        web.fork(name="../x")
    with pytest.raises(ForkError, match="web has no base 'missing'"):
        kju.open_base("web", "missing")
    with web.freeze("named", spares=0) as base:
        with pytest.raises(KjuError, match="already running"):
            base.fork(name="web")
        with kju.open_base("web", "named") as other, other.fork(name="from-other") as fork:
            assert fork.name == "from-other"


def test_machine_that_cannot_be_frozen_says_why(tmp_path: Path) -> None:
    disk = tmp_path / "own.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"], check=True)
    own = ["-drive", f"file={disk},format=qcow2"]
    with kju.launch(args=[*guests.invaders(), *own], name="own") as machine:
        with pytest.raises(ForkError, match="kju run DISK"):
            machine.freeze("x")
        assert machine.info()["state"] == "running"
        assert [entry for entry in bases() if entry.facts.machine == "own"] == []


def test_commands_freeze_fork_and_revert(
    web: kju.Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["freeze", "web", "cli"]) == 0
    assert "fork: kju fork web --base cli" in capsys.readouterr().out
    count(web, 4001)
    assert run(["fork", "web", "--base", "cli", "-n", "2", "--name", "pair", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["pair-1", "pair-2"]
    with kju.attach("pair-1") as first, kju.attach("pair-2") as second:
        assert not shows(first, 4001)
        count(first, 4002)
        assert run(["revert", "pair-1"]) == 2
        assert "kju revert pair-1 --yes" in capsys.readouterr().err
        assert shows(first, 4002)
        assert run(["revert", "pair-1", "--yes"]) == 0
        assert not shows(first, 4002)
        first.stop()
        second.stop()
    assert run(["fork", "web"]) == 0
    (name,) = capsys.readouterr().out.split()[-1:]
    with kju.attach(name) as now:
        assert shows(now, 4001)
        now.stop()
    assert run(["freeze", "web", "cli", "--remove"]) == 0
    assert run(["fork", "web", "--base", "cli"]) != 0
    assert "web has no base 'cli'" in capsys.readouterr().err


async def test_forks_for_asyncio(web: kju.Machine) -> None:
    async with await kju.aio.attach("web") as machine, await machine.freeze("loop") as base:
        first, second = await base.fork(2)
        async with first, second:
            assert (await first.info())["fork"]["tag"] == "loop"
            assert {first.role, second.role} == {"control"}


def test_uefi_guest_is_forked(tmp_path: Path) -> None:
    guests.uefi()
    kju.define("efi", None, firmware="uefi", disk="64M", memory="256M")
    with kju.start("efi") as machine:
        machine.screen.wait(timeout=4 * HANG)
        with machine.freeze("shell", spares=0) as base, base.fork() as fork:
            assert fork.info()["fork"]["machine"] == "efi"
            if not fork.screen.version:
                fork.screen.wait(timeout=HANG)
        machine.stop()
    kju.remove("efi")
