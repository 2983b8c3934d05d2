"""The disks of a machine that is frozen, and of its forks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.forks import folders, freeze, make_disk, qemu_img, qemu_io

from kju.errors import FileError, UnavailableError, UsageError
from kju.store.forks import overlays
from kju.store.forks.bases import Base
from kju.store.forks.description import FrozenDisks
from kju.store.forks.layers import MAX_DEPTH
from kju.store.forks.overlays import ForkDisks

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return make_disk(tmp_path / "disk.qcow2")


def own(*disks: Path) -> ForkDisks:
    return ForkDisks.own("web", [(str(disk), "") for disk in disks])


def release(*held: ForkDisks | Base) -> None:
    for each in held:
        each.release()


def test_a_machine_begins_on_the_users_disks(disk: Path, roots: Path) -> None:
    disks = own(disk)
    assert disks.paths == [disk] and disks.holds_snapshots
    disks.release()
    assert folders(roots) == []


def test_a_freeze_puts_an_overlay_over_each_disk(disk: Path, roots: Path) -> None:
    other = make_disk(roots / "other.raw", "raw")
    disks = own(disk, other)
    assert disks.extend() == disks.paths
    first, second = disks.paths
    assert first.name == "0-1.qcow2" and second.name == "1-1.qcow2"
    qemu_io(first, "read -P 0x11 0 64k", "write -P 0x22 0 64k")
    qemu_io(second, "read -P 0x11 0 64k", "write -P 0x22 0 64k")
    qemu_io(disk, "read -P 0x11 0 64k")
    frozen = disks.freeze()
    base = frozen.disks
    assert frozen.folders == [str(first.parent)]
    assert [[layer.path for layer in each.layers] for each in base] == [[str(disk)], [str(other)]]
    assert [each.top.format for each in base] == ["qcow2", "raw"]
    assert [each.size for each in base] == [8 << 20, 8 << 20]
    assert disk.stat().st_mode & 0o200, "the user's disk keeps its mode"
    disks.release()


def test_forks_read_the_base_and_write_their_own(disk: Path) -> None:
    disks = own(disk)
    base = freeze(disks=disks)
    one, two = (ForkDisks.over(f"web-{n}", base.disks) for n in (1, 2))
    qemu_io(disks.paths[0], "write -P 0x33 0 64k")
    qemu_io(one.paths[0], "read -P 0x11 0 64k", "write -P 0x22 0 64k")
    qemu_io(two.paths[0], "read -P 0x11 0 64k")
    qemu_io(one.paths[0], "read -P 0x22 0 64k")
    release(one, two, base, disks)


def test_a_machine_that_does_not_write_to_its_image_begins_on_an_overlay(
    disk: Path, roots: Path
) -> None:
    raw = make_disk(roots / "other.raw", "raw")
    before = [path.stat().st_mtime_ns for path in (disk, raw)]
    machines = [ForkDisks.over_files(name, [(str(disk), ""), (str(raw), "raw")]) for name in "ab"]
    for pattern, disks in enumerate(machines, 0x22):
        assert not disks.holds_snapshots
        for path in disks.paths:
            qemu_io(path, "read -P 0x11 0 64k", f"write -P {pattern} 0 64k")
    # It can be frozen, and forked.
    base = freeze(disks=machines[0])
    fork = ForkDisks.over("fork", base.disks)
    qemu_io(fork.paths[0], "read -P 0x22 0 64k")
    release(*machines, base, fork)
    assert folders(roots) == []
    assert [path.stat().st_mtime_ns for path in (disk, raw)] == before


def test_a_machine_with_a_snapshot_begins_on_a_copy(disk: Path, roots: Path) -> None:
    below = make_disk(roots / "below.qcow2")
    over = roots / "over.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-b", below.name, "-F", "qcow2", over)
    for image in (disk, over):
        qemu_img("snapshot", "-c", "ready", image)
    before = [path.read_bytes() for path in (disk, below, over)]
    disks = ForkDisks.copies("a", [(str(disk), ""), (str(over), "qcow2")])
    disks.copy(lambda: True)
    assert not disks.holds_snapshots
    for path in disks.paths:
        assert "ready" in qemu_img("snapshot", "-l", path)
        # The copy of an overlay is in another folder than the file below it.
        qemu_io(path, "read -P 0x11 0 64k", "write -P 0x22 0 64k")
    # It can be frozen, and forked; the base holds the copies.
    base = freeze(disks=disks)
    assert [layer.path for each in base.disks.disks for layer in each.layers] == [
        str(files[-1].path) for files in disks.files
    ]
    release(disks)
    fork = ForkDisks.over("fork", base.disks)
    for path in fork.paths:
        qemu_io(path, "read -P 0x22 0 64k", "write -P 0x33 0 64k")
    release(base)
    again = freeze(disks=fork, machine="fork")
    release(fork, again)
    assert folders(roots) == []
    assert [path.read_bytes() for path in (disk, below, over)] == before


def test_a_disk_that_changes_during_its_copy_is_refused(disk: Path, roots: Path) -> None:
    disks = ForkDisks.copies("a", [(str(disk), "")])

    def change() -> bool:
        qemu_io(disk, "write -P 0x22 0 64k")
        return True

    with pytest.raises(UsageError, match=r"disk.qcow2 .* while it was copied; start again"):
        disks.copy(change)
    disks.release()
    assert folders(roots) == []


def test_a_copy_that_is_given_up_leaves_nothing(disk: Path, roots: Path) -> None:
    disks = ForkDisks.copies("a", [(str(disk), "")])
    with pytest.raises(UnavailableError, match="given up"):
        disks.copy(lambda: False)
    assert [path.name for path in disks.paths[0].parent.iterdir()] == ["lock"]
    disks.release()
    assert folders(roots) == []
    with pytest.raises(UsageError, match="missing"):
        ForkDisks.copies("a", [(str(roots / "missing.qcow2"), "qcow2")])
    assert folders(roots) == []


def test_an_image_that_cannot_have_an_overlay_is_refused(disk: Path, roots: Path) -> None:
    (roots / "empty.raw").write_bytes(b"")
    for missing in ("empty.raw", "missing.raw"):
        with pytest.raises(UsageError, match=missing):
            ForkDisks.over_files("a", [(str(disk), ""), (str(roots / missing), "raw")])
    assert folders(roots) == []


def test_a_fork_of_a_fork_has_both_overlays(disk: Path, roots: Path) -> None:
    disks = own(disk)
    base = freeze(disks=disks)
    fork = ForkDisks.over("fork", base.disks)
    qemu_io(fork.paths[0], "write -P 0x22 0 4k")
    below = fork.paths[0]
    again = freeze(disks=fork, machine="fork")
    assert [layer.path for layer in again.disks.disks[0].layers] == [str(disk), str(below)]
    assert below.stat().st_mode & 0o777 == 0o400
    assert again.disks.folders == [str(disks.paths[0].parent), str(below.parent)]
    grandchild = ForkDisks.over("grandchild", again.disks)
    qemu_io(grandchild.paths[0], "read -P 0x22 0 4k", "read -P 0x11 4k 60k")
    # The fork ends first: its overlay is still in use.
    release(base, disks, fork, again)
    qemu_io(grandchild.paths[0], "read -P 0x22 0 4k", "read -P 0x11 4k 60k")
    release(grandchild)
    assert folders(roots) == []


def test_an_extend_that_qemu_refused_is_taken_back(disk: Path) -> None:
    disks = own(disk)
    added = disks.extend()
    disks.retract()
    assert disks.paths == [disk] and not added[0].exists()
    with pytest.raises(UsageError, match="no new overlay"):
        disks.retract()
    with pytest.raises(UsageError, match="call extend before freeze"):
        disks.freeze()
    disks.release()


def test_revert_begins_again_on_the_base(disk: Path, roots: Path) -> None:
    disks = own(disk)
    base = freeze(disks=disks)
    fork = ForkDisks.over("fork", base.disks)
    for held in (disks, fork):
        old = held.paths[0]
        qemu_io(old, "write -P 0x44 0 64k")
        held.renew(base.disks)
        assert held.paths[0] != old and not old.exists()
        qemu_io(held.paths[0], "read -P 0x11 0 64k")
    release(base, fork, disks)
    qemu_io(disk, "read -P 0x11 0 64k")
    assert folders(roots) == []


def test_many_layers_are_flattened(disk: Path, roots: Path) -> None:
    disks, held = own(disk), []
    for number in range(MAX_DEPTH):
        assert disks.to_flatten() == []
        held.append(freeze(str(number), disks=disks))
        qemu_io(disks.paths[0], f"write -P {number + 1} {number * 64}k 64k")
    ((top, user),) = disks.to_flatten()
    assert (top, user) == (disks.paths[0], disk)
    # As QEMU's block-stream does it, here with no QEMU running.
    subprocess.run(["qemu-img", "rebase", "-b", user, "-F", "qcow2", str(top)], check=True)
    disks.flattened(top)
    assert disks.to_flatten() == []
    release(*held[:-1])
    last = freeze("last", disks=disks)
    assert [layer.path for layer in last.disks.disks[0].layers] == [str(disk), str(top)]
    # The lower overlays stay as long as a base needs them.
    assert len(list(top.parent.glob("*.qcow2"))) == MAX_DEPTH + 1
    disks.flattened(disks.paths[0])
    left = {path.name for path in top.parent.glob("*.qcow2")}
    release(held[-1], last)
    disks.flattened(disks.paths[0])
    assert len(left) == MAX_DEPTH + 1
    assert {path.name for path in top.parent.glob("*.qcow2")} == {disks.paths[0].name}
    disks._disks = [disks._disks[0]._replace(layers=disks._disks[0].layers[:1])]
    disks._record(disks._disks)
    disks.release()
    assert folders(roots) == []


def test_a_disk_that_cannot_have_an_overlay_is_refused(roots: Path) -> None:
    missing = ForkDisks.own("web", [(str(roots / "no.qcow2"), "qcow2")])
    with pytest.raises(UsageError, match="a disk of web cannot be read"):
        missing.extend()
    secret = roots / "secret.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=abc", "-o",
         "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", str(secret), "1M"],
        check=True,
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"secret\.qcow2 is encrypted"):
        ForkDisks.own("web", [(str(secret), "qcow2")]).extend()
    (roots / "empty.raw").touch()
    with pytest.raises(UsageError, match="is empty"):
        ForkDisks.own("web", [(str(roots / "empty.raw"), "raw")]).extend()
    assert folders(roots) == []


def test_a_disk_of_another_format(roots: Path) -> None:
    disk = make_disk(roots / "disk.vmdk", "vmdk")
    disks = own(disk)
    disks.extend()
    qemu_io(disks.paths[0], "read -P 0x11 0 64k")
    assert disks.freeze().disks[0].top.format == "vmdk"
    disks.release()


def test_a_failed_overlay_leaves_the_others_as_they_were(
    disk: Path, roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = own(disk, make_disk(roots / "b.qcow2"))
    real, calls = overlays.make_overlay, []

    def fails(*arguments: object) -> Path:
        calls.append(arguments)
        if len(calls) == 2:
            raise FileError("the disk is full")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(overlays, "make_overlay", fails)
    with pytest.raises(FileError):
        disks.extend()
    assert disks.paths == [disk, roots / "b.qcow2"]
    disks.release()
    assert folders(roots) == []


def test_a_machine_without_a_disk_can_be_frozen(roots: Path) -> None:
    disks = ForkDisks.own("web", [])
    assert disks.extend() == [] and disks.freeze() == FrozenDisks()
    fork = ForkDisks.over("fork", FrozenDisks())
    assert fork.paths == []
    release(fork, disks)
    assert folders(roots) == []


def test_an_overlay_is_found_by_the_real_path_of_its_disk(disk: Path, roots: Path) -> None:
    link = roots / "link.qcow2"
    link.symlink_to(disk)
    disks = own(link)
    disks.extend()
    link.unlink()
    qemu_io(disks.paths[0], "read -P 0x11 0 64k")
    assert os.path.samefile(disks.freeze().disks[0].top.path, disk)
    disks.release()
