"""Writes of a frozen machine reach the user's disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.forks import folders, freeze, make_disk, qemu_io
from support.wait import until

from kju.errors import ConflictError, ForkError, QemuError
from kju.files import Folder
from kju.store import disk_files
from kju.store.forks import unmerged
from kju.store.forks.bases import sweep_forks
from kju.store.forks.held_folder import exclusive, is_held
from kju.store.forks.overlays import ForkDisks

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return make_disk(tmp_path / "disk.qcow2")


def frozen(disk: Path, kind: str = "") -> ForkDisks:
    """Return the disks of a machine that was frozen, and wrote 0x22 afterwards."""
    disks = ForkDisks.own("web", [(str(disk), kind)])
    freeze(disks=disks).release()
    qemu_io(disks.paths[0], "write -P 0x22 0 64k")
    return disks


def killed(disks: ForkDisks) -> Path:
    """Release the lock as the kernel does at SIGKILL; return the folder."""
    assert disks._folder is not None
    os.close(disks._folder._fd)
    disks._folder._fd = -1
    return disks._folder.path


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_the_last_release_writes_back(roots: Path, kind: str) -> None:
    disk = make_disk(roots / f"disk.{kind}", kind)
    disks = frozen(disk, kind)
    qemu_io(disk, "read -P 0x11 0 64k", kind=kind)
    disks.release()
    qemu_io(disk, "read -P 0x22 0 64k", "read -P 0 64k 64k", kind=kind)
    assert folders(roots) == []


def test_several_layers_are_written_back(disk: Path, roots: Path) -> None:
    disks = frozen(disk)
    freeze("second", disks=disks).release()
    qemu_io(disks.paths[0], "write -P 0x33 64k 64k")
    disks.release()
    qemu_io(disk, "read -P 0x22 0 64k", "read -P 0x33 64k 64k")
    assert folders(roots) == []


def test_a_running_fork_keeps_the_disk_as_it_was(disk: Path, roots: Path) -> None:
    disks = ForkDisks.own("web", [(str(disk), "")])
    base = freeze(disks=disks)
    qemu_io(disks.paths[0], "write -P 0x22 0 64k")
    fork = ForkDisks.over("fork", base.disks)
    disks.release()
    qemu_io(disk, "read -P 0x11 0 64k")
    with pytest.raises(ConflictError, match="web was frozen with it, and it or a fork of it runs"):
        # The base stands for its fork: a fork's host holds it.
        unmerged.settle_for([str(disk)])
    with pytest.raises(ConflictError, match="forks of web run over its disks"):
        unmerged.discard_for([disk])
    fork.release()
    qemu_io(disk, "read -P 0x11 0 64k")
    base.release()
    qemu_io(disk, "read -P 0x22 0 64k")
    assert folders(roots) == []


def test_after_sigkill_the_next_start_of_the_disk_writes_back(disk: Path, roots: Path) -> None:
    folder = killed(frozen(disk))
    assert sweep_forks() == []
    assert folder.is_dir(), "it holds the user's data"
    unmerged.settle_for([str(roots / "other.qcow2")])
    assert folder.is_dir()
    link = roots / "link.qcow2"
    link.symlink_to(disk)
    unmerged.settle_for([str(link)])
    qemu_io(disk, "read -P 0x22 0 64k")
    assert folders(roots) == []


def test_a_machine_that_wrote_nothing_leaves_nothing(disk: Path, roots: Path) -> None:
    other = make_disk(roots / "other.raw", "raw")
    before = [disk.read_bytes(), other.read_bytes()]
    disks = ForkDisks.own("web", [(str(disk), ""), (str(other), "raw")])
    freeze(disks=disks).release()
    folder = killed(disks)
    assert unmerged.notes() == []
    assert sweep_forks() == [folder] and folders(roots) == []
    disks = ForkDisks.own("web", [(str(disk), ""), (str(other), "raw")])
    freeze(disks=disks).release()
    qemu_io(disks.paths[1], "write -P 0x22 0 64k")
    folder = killed(disks)
    (note,) = unmerged.notes()
    assert f"written to {other} at the next start" in note
    assert unmerged.settle(folder)
    assert disk.read_bytes() == before[0] and other.read_bytes() != before[1]


def test_a_commit_that_was_killed_is_repeated(
    disk: Path, roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = killed(frozen(disk))

    def fails(overlay: Path, below: Path, lock: int) -> None:
        qemu_io(below, "write -P 0x22 0 4k")
        raise QemuError("qemu-img was killed")

    with monkeypatch.context() as patched:
        patched.setattr(disk_files, "commit", fails)
        with pytest.raises(QemuError):
            unmerged.settle(folder)
    assert folder.is_dir()
    assert unmerged.settle(folder) and unmerged.settle(folder)
    qemu_io(disk, "read -P 0x22 0 64k")
    assert folders(roots) == []


def test_a_commit_that_outlives_its_process_keeps_the_folder_locked(
    disk: Path, roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = killed(frozen(disk))
    fifo = roots / "fifo"
    os.mkfifo(fifo)
    slow = roots / "bin" / "qemu-img"
    slow.parent.mkdir()
    slow.write_text(f"#!/bin/sh\nread line < {fifo}\n")
    slow.chmod(0o755)
    killed_process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from kju.store.forks import"
         " unmerged; unmerged.settle(Path(sys.argv[1]))", str(folder)],
        env=os.environ | {"PATH": f"{slow.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    with killed_process, fifo.open("w"):  # opens when the program reads
        killed_process.kill()
        killed_process.wait()
        assert sweep_forks() == []
        with pytest.raises(ConflictError, match="or try again"):
            unmerged.settle_for([str(disk)])
    until(lambda: not is_held(folder))
    unmerged.settle_for([str(disk)])
    qemu_io(disk, "read -P 0x22 0 64k")
    assert folders(roots) == []


def test_a_disk_that_was_changed_meanwhile_is_not_written(disk: Path, roots: Path) -> None:
    folder = killed(frozen(disk))
    qemu_io(disk, "write -P 0x55 1M 64k")
    before = disk.read_bytes()
    with pytest.raises(ForkError, match=r"disk\.qcow2 (was changed|has grown).*rm -r"):
        unmerged.settle_for([str(disk)])
    assert disk.read_bytes() == before and folder.is_dir()
    disk.unlink()
    with pytest.raises(ForkError, match="is missing"):
        unmerged.settle_for([str(disk)])


def test_a_disk_whose_file_system_has_another_number_is_written(disk: Path, roots: Path) -> None:
    folder = killed(frozen(disk))
    with Folder.open(folder) as opened:
        found = unmerged.read(opened)
        assert found is not None and found.disks[0].identity is not None
        old = msgspec.structs.replace(found.disks[0].identity, device=1)
        disks = (msgspec.structs.replace(found.disks[0], identity=old),)
        unmerged.write(opened, msgspec.structs.replace(found, disks=disks))
    unmerged.settle_for([str(disk)])
    qemu_io(disk, "read -P 0x22 0 64k")
    assert folders(roots) == []


@pytest.mark.parametrize(("name", "probed"), [("disk.img", True), ("disk.raw", False)])
def test_a_guest_cannot_give_its_probed_raw_disk_another_format(
    roots: Path, name: str, probed: bool
) -> None:
    disk = make_disk(roots / name, "raw")
    other = make_disk(roots / "evil.qcow2")
    disks = frozen(disk, "raw")
    header = roots / "header"
    header.write_bytes(other.read_bytes()[:512])
    qemu_io(disks.paths[0], f"write -s {header} 0 512")
    folder = killed(disks)
    if not probed:
        assert unmerged.settle(folder)
        assert disk.read_bytes()[:512] == header.read_bytes()
        return
    with pytest.raises(ForkError, match="a header of the format qcow2 to the raw disk"):
        unmerged.settle(folder)
    assert disk.read_bytes()[:1] == b"\x11" and folder.is_dir()


def test_a_probed_raw_disk_is_written_back(roots: Path) -> None:
    disk = make_disk(roots / "disk.img", "raw")
    frozen(disk).release()
    qemu_io(disk, "read -P 0x22 0 64k", kind="raw")
    assert folders(roots) == []


def test_a_failure_at_the_release_is_logged_and_keeps_the_data(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disks = frozen(disk)
    assert disks._folder is not None
    folder = disks._folder.path
    qemu_io(disk, "write -P 0x55 1M 64k")
    disks.release()
    assert folder.is_dir() and "cannot be written into it" in caplog.text


def test_a_damaged_record_is_never_removed(disk: Path) -> None:
    folder = killed(frozen(disk))
    (folder / "disks.json").write_text("{")
    assert sweep_forks() == [] and folder.is_dir()
    assert list(unmerged.pending()) == []


def test_a_folder_that_another_process_writes_back_first(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = roots / "data" / "kju" / "forks" / f"{8 * '0'}-{16 * '0'}"
    folder.mkdir(parents=True)

    def removed_first(path: Path) -> int:
        if path.is_dir():
            path.rmdir()
        return exclusive(path)

    monkeypatch.setattr(unmerged, "exclusive", removed_first)
    assert unmerged.settle(folder)


def test_the_data_of_removed_disks_is_removed(disk: Path, roots: Path) -> None:
    other = make_disk(roots / "other.qcow2")
    disks = ForkDisks.own("web", [(str(disk), ""), (str(other), "")])
    freeze(disks=disks).release()
    for path in disks.paths:
        qemu_io(path, "write -P 0x22 0 64k")
    killed(disks)
    unmerged.discard_for([roots / "third.qcow2"])
    assert folders(roots) != []
    unmerged.discard_for([disk])
    assert folders(roots) == []
    qemu_io(disk, "read -P 0x11 0 64k")
    qemu_io(other, "read -P 0x22 0 64k")


def test_snapshots_of_the_disk_survive(disk: Path) -> None:
    subprocess.run(["qemu-img", "snapshot", "-c", "clean", str(disk)], check=True)
    frozen(disk).release()
    listed = subprocess.run(
        ["qemu-img", "snapshot", "-l", str(disk)], check=True, capture_output=True, text=True
    )
    assert "clean" in listed.stdout
