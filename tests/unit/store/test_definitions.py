"""Machines that are kept: folders and files, without a QEMU."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.wait import until

from kju.client import launching as api
from kju.errors import (
    ConflictError,
    DefinitionError,
    FileError,
    MachineExistsError,
    MachineNotFoundError,
    QemuError,
    UsageError,
)
from kju.files import Folder
from kju.protocol.launch_options import Launch
from kju.store import defining, definitions, disk_files, running
from kju.store.defining import confirm, exclusive, launch_request
from kju.store.definitions import clones_of
from kju.store.forks.overlays import ForkDisks
from kju.store.machine_toml import Definition
from kju.store.paths import DEFINITION_FILE, definitions_folder, view_settings_folder
from kju.store.snapshot_files import TREE, SnapshotFiles
from kju.store.snapshot_tree import SnapshotId, SnapshotTree

LOCKS = Path("/proc/locks")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path / "data" / "kju" / "machines"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a,b.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    return path


def end(disks: ForkDisks) -> None:
    """Release the lock of a machine's overlays as the kernel does at SIGKILL."""
    assert disks._folder is not None
    os.close(disks._folder._fd)
    disks._folder._fd = -1


def info(path: Path) -> str:
    done = subprocess.run(["qemu-img", "info", str(path)], capture_output=True, check=True)
    return done.stdout.decode()


def test_a_machine_from_create_to_rm(folder: Path, image: Path) -> None:
    made = defining.create("web", Definition(image=str(image), cpus=2), "3M")
    assert definitions.names() == ["web"] and made.folder == folder / "web"
    assert made.definition == Definition(name="web", image=str(image), disks=["disk.qcow2"], cpus=2)
    assert "virtual size: 3 MiB" in info(folder / "web" / "disk.qcow2")
    for path in (folder, folder / "web", *(folder / "web").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    with pytest.raises(MachineExistsError, match="kju rm web"):
        defining.create("web", Definition())
    assert defining.remove("web") == [str(image)]
    assert image.exists() and definitions.names() == []
    with pytest.raises(
        MachineNotFoundError, match=r"^no machine 'web' is defined; defined machines: none$"
    ):
        definitions.read("web")


def test_a_definition_is_a_launch(image: Path, tmp_path: Path) -> None:
    rom = tmp_path / "rom"
    rom.touch()
    kept = defining.create(
        "web",
        Definition(
            image=str(image), memory="2G", cpus=3, firmware=str(rom), network="none",
            devices=["virtio-rng-pci"], arguments=["-s"], qemu="/qemu",
        ),
    )  # fmt: skip
    assert launch_request(kept, detach=True, client="c") == Launch(
        machine="web", image=str(image), folder=str(kept.folder), firmware=str(rom), memory="2G",
        cpus=3, arguments=["-device", "virtio-rng-pci", "-nic", "none", "-s"], qemu="/qemu",
        detach=True, client="c",
    )  # fmt: skip


def test_a_failed_create_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^the image .*none.iso cannot be read"):
        api.define("web", tmp_path / "none.iso")
    with pytest.raises(UsageError, match=r"^invalid memory size '1X'; write a number"):
        api.define("web", memory="1X")
    with pytest.raises(UsageError, match=r"^invalid disk size '20'; write .* such as 20G"):
        api.define("web", disk="20")
    with pytest.raises(QemuError, match="qemu-img create failed"):
        api.define("web", disk="9E")
    with pytest.raises(UsageError, match="cannot be a machine's name"):
        api.define("../web")
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_the_remains_of_a_killed_create_are_replaced(folder: Path) -> None:
    (folder / ".new-web").mkdir(parents=True)
    (folder / ".new-web" / "disk.qcow2").touch()
    assert definitions.names() == []
    defining.create("web", Definition(), "1M")
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "web"]


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("image = 'gone.qcow2'\n", 1, "image"),
        ("cpus = 1\ndisks = [\n 'gone.qcow2',\n]\n", 3, "disks"),
        ("disks = [\n\n 'kernel.elf']\n", 3, "disks"),
        ("\nfirmware = 'gone.fd'\n", 2, "firmware"),
        ("image = '.'\n", 1, "image"),
    ],
)
def test_a_missing_disk_is_named_with_its_line(
    folder: Path, text: str, line: int, key: str
) -> None:
    defining.create("web", Definition())
    file = folder / "web" / "machine.toml"
    (folder / "web" / "kernel.elf").touch()
    before = file.read_text()
    with pytest.raises(DefinitionError) as caught:
        defining.replace(definitions.read("web"), text)
    assert file.read_text() == before, "nothing is replaced by what is not right"
    file.write_text(text)
    with pytest.raises(DefinitionError, match=f"^{file}:{line}: {key}") as caught:
        api.start("web")
    assert (caught.value.line, caught.value.key) == (line, key)


def test_a_clones_disk_is_an_overlay_of_its_base(folder: Path, image: Path) -> None:
    iso = image.with_name("x.iso")
    iso.write_bytes(b"disc")
    defining.create("base", Definition(image=str(image), disks=[str(iso)]), "1M")
    variables = ["qemu-img", "create", "-q", "-f", "qcow2", "uefi-variables.qcow2", "4M"]
    subprocess.run(variables, check=True, cwd=folder / "base")
    made = defining.clone("base", "leaf")
    assert made.definition.base == "base" and made.definition.name == "leaf"
    assert made.definition.image == "a,b.qcow2"
    assert made.definition.disks == ["disk.qcow2", str(iso)], "a CD is shared"
    assert f"backing file: {image}" in info(made.folder / "a,b.qcow2")
    assert f"backing file: {folder}/base/disk.qcow2" in info(made.folder / "disk.qcow2")
    assert "backing" not in info(made.folder / "uefi-variables.qcow2")

    # The base is protected.
    with pytest.raises(ConflictError, match=r"clones \(leaf\).*cannot start|overlays"):
        api.start("base")
    with pytest.raises(ConflictError, match="remove those first"):
        defining.remove("base")
    defining.clone("leaf", "tip")
    with pytest.raises(ConflictError, match="tip"):
        defining.remove("leaf")
    for name in ("tip", "leaf", "base"):
        defining.remove(name)


def test_a_running_machine_is_neither_cloned_nor_removed(folder: Path) -> None:
    defining.create("web", Definition(), "1M")
    claim = running.claim("web")
    try:
        for action in (lambda: defining.clone("web", "b"), lambda: defining.remove("web")):
            with pytest.raises(ConflictError, match=r"running.*kju stop web"):
                action()
    finally:
        claim.release()
    assert definitions.names() == ["web"]


def test_a_machine_whose_forks_run_is_neither_cloned_nor_removed(folder: Path) -> None:
    defining.create("web", Definition(), "1M")
    disk = folder / "web" / "disk.qcow2"
    disks = ForkDisks.own("web", [(str(disk), "qcow2")])
    disks.extend()
    with pytest.raises(ConflictError, match="web was frozen with it"):
        defining.clone("web", "leaf")
    with pytest.raises(ConflictError, match="forks of web run over its disks"):
        defining.remove("web")
    assert definitions.names() == ["web"]
    written = disks.paths[0]
    end(disks)  # as if killed: the clone needs what the machine wrote
    subprocess.run(["qemu-io", "-c", "write -P 7 0 64k", str(written)], check=True)
    defining.clone("web", "leaf")
    assert not written.exists()
    read = ["qemu-io", "-r", "-c", "read -P 7 0 64k", str(folder / "leaf" / "disk.qcow2")]
    assert b"failed" not in subprocess.run(read, check=True, capture_output=True).stdout


def test_rm_removes_what_a_killed_frozen_machine_wrote(folder: Path) -> None:
    defining.create("web", Definition(), "1M")
    disks = ForkDisks.own("web", [(str(folder / "web" / "disk.qcow2"), "qcow2")])
    (overlay,) = disks.extend()
    subprocess.run(["qemu-io", "-c", "write -P 7 0 64k", str(overlay)], check=True)
    place = overlay.parent
    end(disks)
    defining.remove("web")
    assert not place.exists() and definitions.names() == []


def test_rm_removes_a_machine_with_an_invalid_definition(folder: Path) -> None:
    defining.create("web", Definition())
    (folder / "web" / "machine.toml").write_text("=")
    assert defining.remove("web") == []


def test_without_qemu_img_the_error_has_the_command_to_install_it(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(QemuError, match=r"qemu-img is not installed"):
        defining.create("web", Definition(), "1M")


@pytest.mark.parametrize("text", ["=", "", "cpus = 'a typo'\nbase = 'base'\n"])
def test_an_editor_cannot_lose_a_clone(folder: Path, image: Path, text: str) -> None:
    defining.create("base", Definition(image=str(image)), "1M")
    defining.create("other", Definition(), "1M")
    defining.clone("base", "leaf")
    file = folder / "leaf" / "machine.toml"
    file.write_text(text)
    with pytest.raises(ConflictError, match=r"kju rm leaf"):
        defining.remove("base")
    with pytest.raises(ConflictError, match=r"clones \(leaf\)"):
        api.start("base")
    assert clones_of("other") == []
    # A disk without a backing file is not an overlay any more.
    for disk in file.parent.glob("*.qcow2"):
        disk.unlink()
    file.write_text("")
    assert clones_of("base") == []


def test_an_unreadable_disk_is_not_an_overlay(tmp_path: Path, image: Path) -> None:
    head = b"QFI\xfb\0\0\0\3"
    for data in (b"", head, head + b"\xff" * 12, head + b"\xff" * 8 + b"\0\0\0\4", b"x" * 99,
                 head + bytes(7) + b"\x14\0\0\0\4a\0bc"):  # fmt: skip
        (tmp_path / "d").write_bytes(data)
        assert disk_files.backing(tmp_path / "d") is None
    assert disk_files.backing(image) is None and disk_files.backing(tmp_path / "none") is None


@pytest.mark.parametrize("kind", ["qcow2", "qcow", "qed"])
@pytest.mark.parametrize("name", ["{}", "file:{}", "../base/disk.qcow2", "json:{{}}"])
def test_overlays_are_found_as_qemu_finds_them(folder: Path, kind: str, name: str) -> None:
    defining.create("base", Definition(), "1M")
    defining.create("leaf", Definition())
    disk = definitions_folder() / "base" / "disk.qcow2"
    over = definitions_folder() / "leaf" / "disk.qcow2"
    named = name.format(disk)
    command = ["qemu-img", "create", "-f", kind, "-u", "-b", named, "-F", "qcow2", str(over), "1M"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    if name.startswith("json"):
        assert disk_files.backing(over) is None
        assert clones_of("base") == []
    else:
        assert disk_files.backing(over) == disk.resolve()
        assert clones_of("base") == ["leaf"]


def test_a_clone_that_waited_finds_its_base_running(folder: Path) -> None:
    defining.create("base", Definition(), "1M")
    with ThreadPoolExecutor() as pool:
        with exclusive():
            cloning = pool.submit(defining.clone, "base", "leaf")
            until(lambda: f"-> FLOCK  ADVISORY  WRITE {os.getpid()} " in LOCKS.read_text())
            claim = running.claim("base")
        with pytest.raises(ConflictError, match="running"):
            cloning.result()
    claim.release()
    assert definitions.names() == ["base"]


def test_a_clone_and_a_start_at_the_same_time_are_not_both_allowed(folder: Path) -> None:
    defining.create("base", Definition(), "1M")
    both = threading.Barrier(2)

    def start() -> running.Claim:
        request = launch_request(definitions.read("base"), detach=True, client="")
        both.wait(10)
        claim = running.claim("base")
        try:
            confirm(request)
        except ConflictError:
            claim.release()
            raise
        return claim

    def clone() -> None:
        both.wait(10)
        defining.clone("base", "leaf")

    for _ in range(10):
        with ThreadPoolExecutor() as pool:
            starting, cloning = pool.submit(start), pool.submit(clone)
            refused = [done.exception() for done in (starting, cloning) if done.exception()]
        assert [type(error) for error in refused] in ([ConflictError], [ConflictError] * 2)
        if not starting.exception():
            starting.result().release()
        if not cloning.exception():
            defining.remove("leaf")


def test_a_machine_removed_before_its_start_is_not_started(folder: Path) -> None:
    defining.create("web", Definition(), "1M")
    request = launch_request(definitions.read("web"), detach=True, client="")
    defining.remove("web")
    with pytest.raises(MachineNotFoundError):
        confirm(request)


def test_a_definition_over_the_limit_is_named_and_does_not_affect_others(folder: Path) -> None:
    defining.create("huge", Definition())
    defining.create("web", Definition())
    (folder / "huge" / DEFINITION_FILE).write_bytes(b"#" * (definitions.MAX_BYTES + 1))
    with pytest.raises(DefinitionError, match=r"huge/machine.toml:1: .*has more than \d+ bytes"):
        definitions.read("huge")
    defining.remove("web")
    defining.remove("huge")
    assert definitions.names() == []


def test_rm_refuses_a_folder_with_other_files(folder: Path) -> None:
    defining.create("web", Definition(), "1M")
    (folder / "web" / "notes.txt").write_text("keep")
    (folder / "web" / "backup.qcow2").touch()
    with pytest.raises(ConflictError, match=r"\(backup.qcow2, notes.txt\): move them.*kju rm web"):
        defining.remove("web")
    assert definitions.names() == ["web"] and (folder / "web" / "notes.txt").read_text() == "keep"
    for name in ("notes.txt", "backup.qcow2"):
        (folder / "web" / name).unlink()
    # What editors and killed commands leave does not hold it up.
    for name in (
        "machine.toml.edited~",
        ".machine.toml.edited.swp",
        ".#machine.toml.edited",
        f".kju-{'0' * 16}.new",
    ):
        (folder / "web" / name).touch()
    defining.remove("web")
    assert definitions.names() == []


def test_rm_removes_disks_and_snapshots_in_the_folder(folder: Path, tmp_path: Path) -> None:
    made = defining.create("web", Definition(), "1M")
    (made.folder / "more").mkdir()
    for name in ("own.img", "more/own.img"):
        (made.folder / name).write_bytes(bytes(512))
    defining.replace(made, "image = 'disk.qcow2'\ndisks = ['own.img', 'more/own.img']\n")
    files = SnapshotFiles(str(made.folder), "")
    files.keep("clean", b"picture", b"{}\n")
    files.write_tree(SnapshotTree().saved(SnapshotId("clean", 1.0)))
    views = view_settings_folder()
    views.mkdir(parents=True, mode=0o700)
    for name in ("web", "web2"):
        (views / f"{name}.json").write_text("{}")
    assert defining.remove("web") == []
    assert [path.name for path in folder.iterdir()] == [".lock"]
    assert [path.name for path in views.iterdir()] == ["web2.json"]


def test_tree_of_snapshots_is_read_back_and_only_from_a_file_of_this_user(tmp_path: Path) -> None:
    files = SnapshotFiles("", str(tmp_path / "d.qcow2"))
    assert files.read_tree() == SnapshotTree()
    tree = SnapshotTree().saved(SnapshotId("a", 1.5)).saved(SnapshotId("b", 2.5))
    files.write_tree(tree)
    assert files.read_tree() == tree
    written = tmp_path / "d.qcow2.snapshots" / TREE
    written.rename(tmp_path / "elsewhere")
    written.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError):
        files.read_tree()
    written.unlink()
    written.write_text("{}")
    with pytest.raises(FileError, match="not a tree of snapshots"):
        files.read_tree()


def test_the_remains_of_a_failed_rm_are_removed_later(folder: Path) -> None:
    defining.create("other", Definition())
    (folder / ".removed-web" / "snapshots" / "a").mkdir(parents=True)
    for name in ("machine.toml", "leaf.qcow2", "old.raw", "snapshots/a/screen.png"):
        (folder / ".removed-web" / name).touch()
    defining.create("next", Definition())
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "next", "other"]


def test_a_file_that_appears_during_rm_is_not_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defining.create("web", Definition(), "1M")
    rename = Folder.rename

    def late(machines: Folder, old: str, new: str) -> None:
        (folder / old / "notes.txt").write_text("keep")
        rename(machines, old, new)

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "rename", late)
        with pytest.raises(ConflictError, match=r"\(notes.txt\): move them.*kju rm web"):
            defining.remove("web")
    assert definitions.names() == ["web"] and (folder / "web" / "notes.txt").read_text() == "keep"


def test_other_files_in_an_unfinished_machine_are_kept(folder: Path) -> None:
    (folder / ".new-web").mkdir(parents=True)
    (folder / ".new-web" / "notes.txt").write_text("keep")
    made = defining.create("web", Definition(), "1M")
    assert not (made.folder / "notes.txt").exists()
    assert (folder / ".new-web" / "notes.txt").read_text() == "keep"


def test_the_folder_of_machines_may_be_a_link_of_the_user(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir(mode=0o700)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tmp_path / "big")
    defining.create("web", Definition(), "1M")
    assert (tmp_path / "big" / "web" / "disk.qcow2").exists()
    defining.clone("web", "leaf")
    defining.remove("leaf")
    defining.remove("web")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_machines_of_another_user_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.chown(folder, 65534, 65534)
    with pytest.raises(FileError, match="belongs to user 65534"):
        defining.create("web", Definition())
