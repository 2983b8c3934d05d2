"""Snapshots of a machine that is off, and a clone that begins at one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.forks import qemu_img

from kju.errors import MachineExistsError, MachineNotFoundError, UsageError
from kju.store import defining, definitions
from kju.store.disk_files import backing
from kju.store.image import Image, Kind
from kju.store.machine_toml import Definition
from kju.store.snapshot_files import (
    SnapshotFiles,
    check_snapshot,
    saved_snapshots,
    writable_disks,
)
from kju.store.snapshot_tree import SnapshotId, SnapshotTree

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="there is no qemu-img here")


def define(name: str = "web", **fields: object) -> Path:
    """Define a machine with a disk, and return the disk."""
    return defining.create(name, Definition(**fields), "1M").disk_paths[0]


def write(disk: Path, byte: int) -> None:
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", f"write -P {byte} 0 512", str(disk)],
        check=True, capture_output=True,
    )  # fmt: skip


def test_snapshots_are_listed_oldest_first_with_their_pictures(tmp_path: Path) -> None:
    disk = define()
    for tag in ("first", "second"):
        qemu_img("snapshot", "-c", tag, disk)
    place = disk.parent / "snapshots" / "first"
    place.mkdir(parents=True, mode=0o700)
    place.parent.chmod(0o700)
    (place / "screen.png").write_bytes(b"png")
    found = saved_snapshots("web")
    assert [saved.tag for saved in found] == ["first", "second"]
    assert found[0].picture == str(place / "screen.png")
    assert not found[1].picture
    assert found[0].time > 1e9


def test_a_disk_without_the_snapshot_is_named(tmp_path: Path) -> None:
    further = tmp_path / "b.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", further, "1M")
    disk = define(disks=[str(further)])
    qemu_img("snapshot", "-c", "half", disk)
    assert saved_snapshots("web")[0].lacking == [str(further)]
    with pytest.raises(UsageError, match="is incomplete"):
        defining.clone("web", "copy", "half")
    assert not definitions.definitions_folder().joinpath("copy").exists()


def test_every_disk_of_a_start_has_the_snapshot(tmp_path: Path) -> None:
    disks = [tmp_path / f"{name}.qcow2" for name in "ab"]
    images = [Image(str(disk), Kind.DISK, "", "the suffix") for disk in disks]
    for disk in disks:
        qemu_img("create", "-q", "-f", "qcow2", disk, "1M")
    with pytest.raises(UsageError, match="no snapshot is named 'b'; the snapshots are: none"):
        check_snapshot(images, "b")
    raw = tmp_path / "raw.img"
    raw.write_bytes(bytes(4096))
    with pytest.raises(UsageError, match=rf"^{raw} cannot hold a snapshot: only qcow2 disks can"):
        check_snapshot([*images, Image(str(raw), Kind.DISK, "", "the suffix")], "b")
    for tag in ("a", "x y"):
        qemu_img("snapshot", "-c", tag, disks[0])
    with pytest.raises(UsageError, match="the snapshots are: a, 'x y'"):
        check_snapshot(images, "b")
    with pytest.raises(UsageError, match=rf"'a' is incomplete: {disks[1]} lacks it"):
        check_snapshot(images, "a")
    qemu_img("snapshot", "-c", "a", disks[1])
    # qemu-img saves no memory.
    with pytest.raises(UsageError, match="'a' holds disks only, no memory"):
        check_snapshot(images, "a")
    check_snapshot(images, "a", has_memory=False)


def test_a_clone_of_an_overlay_has_the_same_file_below(tmp_path: Path) -> None:
    below, over = tmp_path / "below.qcow2", tmp_path / "over.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", below, "1M")
    write(below, 7)
    qemu_img("create", "-q", "-f", "qcow2", "-b", below.name, "-F", "qcow2", over)
    qemu_img("snapshot", "-c", "a", over)
    defining.create("other", Definition(image=str(over)))
    with pytest.raises(UsageError, match=r"set trust_disk = true first \(kju edit other\)"):
        defining.clone("other", "copy", "a")
    assert "copy" not in definitions.names()
    defining.create("web", Definition(image=str(over), trust_disk=True))
    copy = defining.clone("web", "copy", "a").disk_paths[0]
    assert backing(copy) == below
    qemu_img("compare", over, copy)


def test_a_raw_disk_that_looks_like_another_format_is_not_probed(tmp_path: Path) -> None:
    raw = tmp_path / "a.raw"
    raw.write_bytes(b"QFI\xfb" + bytes(4096))
    defining.create("web", Definition(image=str(raw)))
    assert saved_snapshots("web") == []


def test_read_only_images_and_cds_are_not_written(tmp_path: Path) -> None:
    cd = tmp_path / "a.iso"
    cd.write_bytes(b"x" * 4096)
    defining.create("web", Definition(image=str(cd)))
    assert writable_disks(definitions.read("web")) == []
    assert saved_snapshots("web") == []


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(MachineNotFoundError):
        saved_snapshots("nobody")


def test_a_clone_of_a_snapshot_has_the_disk_of_that_moment(tmp_path: Path) -> None:
    disk = define()
    write(disk, 1)
    qemu_img("snapshot", "-c", "one", disk)
    write(disk, 2)
    copy = defining.clone("web", "copy", "one")
    (made,) = copy.disk_paths
    assert made.parent == copy.folder
    assert [saved.tag for saved in saved_snapshots("copy")] == ["one"]
    patterns = {made: 1, disk: 2}
    for path, byte in patterns.items():
        verified = subprocess.run(
            ["qemu-io", "-f", "qcow2", "-c", f"read -P {byte} 0 512", str(path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "Pattern verification failed" not in verified.stdout
    # Both are independent: the first one can start, and be removed.
    assert definitions.clones_of("web") == []
    assert copy.definition.base is None
    defining.remove("web")
    assert [saved.tag for saved in saved_snapshots("copy")] == ["one"]
    defining.remove("copy")


def test_a_clone_of_a_snapshot_has_the_pictures_and_logs_of_all_it_keeps() -> None:
    disk = define()
    machine = definitions.read("web")
    files = SnapshotFiles(str(machine.folder), "")
    for tag in ("one", "two", "three"):
        qemu_img("snapshot", "-c", tag, disk)
    files.keep("one", b"PNG 1", b"log 1")
    files.keep("two", b"PNG 2", b"")
    ids = {saved.tag: SnapshotId(saved.tag, saved.time) for saved in saved_snapshots("web")}
    tree = SnapshotTree().saved(ids["one"]).saved(ids["two"]).saved(SnapshotId("gone", 1.0))
    files.write_tree(tree.saved(ids["three"]))
    # Neither another program's file nor one that is far too large is copied.
    (machine.folder / "snapshots" / "three").mkdir(mode=0o700)
    (machine.folder / "snapshots" / "three" / "screen.png").symlink_to("/etc/passwd")

    copy = defining.clone("web", "copy", "two")

    copied = SnapshotFiles(str(copy.folder), "")
    place = copy.folder / "snapshots"
    assert copied.find("one") == (f"{place}/one/screen.png", f"{place}/one/input.jsonl")
    assert (place / "one" / "screen.png").read_bytes() == b"PNG 1"
    assert copied.inputs("one", 100) == b"log 1"
    assert copied.find("two") == (f"{place}/two/screen.png", "")
    assert copied.find("three") == ("", "")
    found = {saved.tag: saved for saved in saved_snapshots("copy")}
    parents = {tag: saved.parent for tag, saved in found.items()}
    assert parents == {"one": "", "two": "one", "three": "two"}
    assert [tag for tag, saved in found.items() if saved.current] == ["two"]
    assert {path.name for path in place.iterdir()} == {".tree.json", "one", "two"}
    defining.remove("copy")


def test_a_snapshot_that_does_not_exist_makes_no_clone() -> None:
    define()
    with pytest.raises(UsageError, match="no snapshot is named 'gone'; the snapshots are: none"):
        defining.clone("web", "copy", "gone")
    assert definitions.names() == ["web"]


def test_a_name_that_is_taken_is_refused_before_anything_is_copied() -> None:
    disk = define()
    qemu_img("snapshot", "-c", "one", disk)
    define("copy")
    with pytest.raises(MachineExistsError):
        defining.clone("web", "copy", "one")
