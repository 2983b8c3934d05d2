"""The n-th open, write, fsync, rename or unlink fails, for every n: the old state or the new."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.faults import MODULES, Faults, kills, sweep

from kju.cli import certificates, recording, wait
from kju.cli.machines import defined as commands
from kju.client import launching
from kju.emulators.input.devices import InputLog
from kju.errors import FileError, UsageError, WaitTimeoutError
from kju.files import Folder, write_output
from kju.memory import SurfaceProducer
from kju.protocol.input_log import Input
from kju.remote.trust import Trust
from kju.report import save as save_report
from kju.store import defining, disk_files, log_files
from kju.store import definitions as store
from kju.store.log_files import BoundedLog
from kju.store.machine_toml import Definition
from kju.store.paths import DEFINITION_FILE
from kju.store.snapshot_files import SnapshotFiles
from kju.store.snapshot_tree import SnapshotId, SnapshotTree

FAULTS = pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All files of an operation."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "all"))
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "all" / "trust"))
    (tmp_path / "all").mkdir(mode=0o700)
    return tmp_path / "all"


def test_create(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defining.create("other", Definition())
    failed = sweep(root, lambda: defining.create("web", Definition(), "1M"), monkeypatch)
    assert {"mkdir", "open", "write", "fsync", "rename"} <= set(failed)


def test_define(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defining.create("other", Definition())
    assert sweep(root, lambda: launching.define("web", memory="1G"), monkeypatch)


@FAULTS
def test_edit(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i s/2/3/")
    defining.create("web", Definition(cpus=2))
    # The edited text stays where it cannot be removed; the next edit begins anew.
    failed = sweep(
        root,
        lambda: commands.edit_definition("web"),
        monkeypatch,
        lambda p: p.endswith(store.EDITED),
        number,
    )
    assert {"open", "write", "fsync", "rename", "unlink"} <= set(failed)


def test_clone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = defining.create("web", Definition(), "1M")
    with Folder.open(made.folder) as folder:
        disk_files.convert(str(made.folder / "disk.qcow2"), "qcow2", folder, store.VARIABLES)
    assert sweep(root, lambda: defining.clone("web", "copy"), monkeypatch)


@FAULTS
def test_rm(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    made = defining.create("web", Definition(), "1M")
    defining.create("other", Definition())
    SnapshotFiles(str(made.folder), "").keep("clean", b"picture", b"{}\n")
    failed = sweep(root, lambda: defining.remove("web"), monkeypatch, number=number)
    assert {"rename", "unlink", "rmdir"} <= set(failed)


def with_disks() -> Path:
    """Keep a machine with disks of several names, and a snapshot."""
    folder = defining.create("web", Definition(), "1M").folder
    (folder / "more").mkdir()
    for name in ("old.raw", "more/old.img"):
        (folder / name).write_bytes(bytes(512))
    defining.replace(
        store.read("web"), "image = 'old.raw'\ndisks = ['disk.qcow2', 'more/old.img']\n"
    )
    SnapshotFiles(str(folder), "").keep("clean", b"picture", b"{}\n")
    return folder


def test_a_killed_rm_leaves_nothing_for_the_next_machine_of_its_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, killed = with_disks(), []
    for call in kills(lambda: defining.remove("web"), monkeypatch):
        killed.append(call)
        if "web" in store.names():
            assert len(list(folder.rglob("*"))) == 9, "it is whole"
        else:
            defining.create("web", Definition())
            assert [path.name for path in folder.iterdir()] == [DEFINITION_FILE], call
            assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", "web"], call
        shutil.rmtree(folder)
        with_disks()
    assert {"rename", "unlink", "rmdir", "fsync"} <= set(killed)
    assert store.names() == []


def test_a_killed_create_leaves_nothing_for_the_next_machine_of_its_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []
    for call in kills(lambda: defining.create("web", Definition(), "1M"), monkeypatch):
        killed.append(call)
        if "web" in store.names():
            defining.remove("web")
        folder = defining.create("web", Definition()).folder
        assert [path.name for path in folder.iterdir()] == [DEFINITION_FILE], call
        defining.remove("web")
        assert [path.name for path in folder.parent.iterdir()] == [".lock"], call
    assert {"mkdir", "write", "rename", "fsync"} <= set(killed)


@FAULTS
@pytest.mark.parametrize("before", [False, True])
def test_snapshot_save(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, before: bool
) -> None:
    disk = root / "disk.qcow2"
    disk.touch()
    files = SnapshotFiles("", str(disk))
    if before:  # of another snapshot
        files.keep("other", b"old", b"old")
    # An empty folder that was made for the first snapshot may stay.
    failed = sweep(
        root,
        lambda: files.keep("clean", b"picture", b"{}\n"),
        monkeypatch,
        lambda name: name == "disk.qcow2.snapshots",
        number,
    )
    assert {"mkdir", "open", "write", "fsync", "rename"} <= set(failed)
    assert files.inputs("clean", 100) == b"{}\n"


@FAULTS
def test_snapshot_tree(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    old = SnapshotTree().saved(SnapshotId("a", 1.0))
    new = old.saved(SnapshotId("b", 2.0))
    files = SnapshotFiles("", str(root / "disk.qcow2"))
    files.write_tree(old)
    failed = sweep(root, lambda: files.write_tree(new), monkeypatch, number=number)
    assert {"open", "write", "fsync", "rename"} <= set(failed)
    assert files.read_tree() == new


def test_snapshot_load(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Input(1.0, 0), Input(2.0, 1)

    def load() -> None:
        log = InputLog(root / "input.jsonl")
        try:
            log.replace([new] * 3)
        finally:
            log.close()

    log = InputLog(root / "input.jsonl")
    log.replace([old])
    log.close()
    assert {"open", "write", "rename"} <= set(sweep(root, load, monkeypatch))


def test_a_log_that_is_full(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loses the line at most, and nothing that it held."""
    for at in itertools.count(1):
        log = BoundedLog(root / f"log{at}", limit=200)
        log.write(b"old".ljust(150) + b"\n")
        faults = Faults(at, errno.EMFILE)
        with monkeypatch.context() as patched:
            for module in MODULES:
                patched.setattr(module, "os", faults)
            log.write(b"new".ljust(60) + b"\n")
        log.write(b"after\n")
        log.close()
        text = log_files.read(root / f"log{at}")
        assert b"old" in text and text.endswith(b"after\n"), faults.fired
        if not faults.fired:
            assert b"new" in text and at > 3
            return


def test_certificates(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    sweep(root, lambda: certificates.authority("lab"), monkeypatch, lambda p: p == "trust")
    sweep(root.parent / "all", lambda: certificates.host(["h"]), fresh(root, monkeypatch))
    # In place of the first.
    failed = sweep(root, lambda: certificates.host(["h"]), fresh(root, monkeypatch))
    assert {"link", "rename", "unlink"} <= set(failed)
    bundle = root / "ann"
    sweep(root, lambda: certificates.user("ann", str(bundle)), fresh(root, monkeypatch))
    sweep(root, lambda: certificates.host(["h"], str(root / "h.key")), fresh(root, monkeypatch))
    sweep(root, lambda: certificates.trust("ann", "view", False), fresh(root, monkeypatch))
    sweep(root, lambda: certificates.trust("ann", "control", False), fresh(root, monkeypatch))
    sweep(root, lambda: certificates.trust("ann", "", True), fresh(root, monkeypatch))
    key = "SHA256:" + "a" * 43
    sweep(root, lambda: certificates.deny(key), fresh(root, monkeypatch))
    accept = ("zenoh:lab/x", "host1", key, False)
    sweep(root, lambda: certificates.sender(*accept), fresh(root, monkeypatch))
    monkeypatch.setenv("KJU_TRUST", str(root / "other"))
    failed = sweep(
        root,
        lambda: certificates.take(str(bundle)),
        fresh(root, monkeypatch),
        lambda name: name == "other",
    )
    assert failed.count("rename") == 3, "key, certificate and authority"


def fresh(root: Path, patch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Begin another sweep with the files that the last one has left."""
    saved = root.with_name(f"{root.name}-saved")
    saved.rename(saved.with_name(f"{saved.name}-{len(list(root.parent.iterdir()))}"))
    return patch


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_files_that_belong_together_without_hard_links(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As on vfat, and as for a file of root's under fs.protected_hardlinks."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no hard links")

    def write() -> None:
        with Folder.open(root / "own") as folder:
            folder.write_all({"key": (b"new key", 0o600), "pem": (b"new pem", 0o644)})

    (root / "own").mkdir(mode=0o700)
    for name, mode in (("key", 0o600), ("pem", 0o640)):
        (root / "own" / name).write_bytes(b"old")
        (root / "own" / name).chmod(mode)
    monkeypatch.setattr(os, "link", refuse)
    assert sweep(root, write, monkeypatch).count("rename") == 2
    assert (root / "own" / "key").read_bytes() == b"new key"


def test_a_restored_copy_has_its_permissions(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    (root / "own").mkdir(mode=0o700)
    (root / "own" / "a").write_bytes(b"old")
    (root / "own" / "a").chmod(0o640)
    (root / "own" / "b" / "full").mkdir(parents=True)  # cannot be replaced by a file
    monkeypatch.setattr(os, "link", refuse)
    with Folder.open(root / "own") as folder, pytest.raises(FileError):
        folder.write_all({"a": (b"new", 0o600), "b": (b"new", 0o600)})
    assert (root / "own" / "a").read_bytes() == b"old"
    assert stat.S_IMODE((root / "own" / "a").stat().st_mode) == 0o640
    assert sorted(path.name for path in (root / "own").iterdir()) == ["a", "b"]


def test_a_certificate_whose_command_was_killed_is_refused_or_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    trust = Trust(root / "trust")
    trust.make_authority("lab")
    other = Trust(root / "other")
    other.import_bundle(trust.host_bundle("h", []))
    bundle, said = trust.host_bundle("h", []), []
    for _ in kills(lambda: other.import_bundle(bundle), monkeypatch):
        try:
            Trust(root / "other").tls()
        except UsageError as error:
            said.append(str(error))
            Trust(root / "other").import_bundle(bundle)
            Trust(root / "other").tls()
        other.import_bundle(trust.host_bundle("h", []))
    assert said and all("host.key is not the key of host.pem" in why for why in said)
    assert all("kju cert host, or kju cert take FILE" in why for why in said)


@pytest.fixture
def surface(tmp_path: Path) -> Iterator[str]:
    producer = SurfaceProducer.create(tmp_path / "surface", capacity=64 * 64 * 4)
    producer.set_mode(64, 64)
    yield str(tmp_path / "surface")
    producer.close()


@FAULTS
@pytest.mark.parametrize("there", [False, True])
def test_screenshot(
    root: Path, surface: str, monkeypatch: pytest.MonkeyPatch, there: bool, number: int
) -> None:
    picture = root / "screen.png"
    if there:
        picture.write_bytes(b"an older picture")
    failed = sweep(
        root,
        lambda: recording.screenshot(surface, str(picture), 0, False),
        monkeypatch,
        number=number,
    )
    assert {"open", "write", "fsync", "close", "rename"} <= set(failed)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_other_formats_of_pictures(
    root: Path, surface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = root / "screen.bmp"
    picture.write_bytes(b"an older picture")
    assert sweep(root, lambda: recording.screenshot(surface, str(picture), 0, False), monkeypatch)
    assert picture.read_bytes().startswith(b"BM")


def test_picture_of_a_timeout(root: Path, surface: str, monkeypatch: pytest.MonkeyPatch) -> None:

    def waiting() -> None:
        try:
            wait.wait(
                surface, colour="#123456", timeout=0.01, save_on_timeout=str(root / "wait.png")
            )
        except WaitTimeoutError as error:
            if "the last screen is in" not in str(error):
                raise
            return
        raise AssertionError

    assert sweep(root, waiting, monkeypatch)


def test_needle(root: Path, surface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(root / "needle.png")
    assert sweep(root, lambda: wait.needle(surface, place, "0,0,8,8", (), "", 0, 0), monkeypatch)


def test_report(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "report.html").write_text("an older report")
    assert sweep(root, lambda: save_report(root / "report.html", [], title="t"), monkeypatch)


@pytest.mark.parametrize("replace", [False, True])
def test_any_output(root: Path, monkeypatch: pytest.MonkeyPatch, replace: bool) -> None:
    assert sweep(root, lambda: write_output(root / "x", b"new" * 99, replace=replace), monkeypatch)
    assert np.frombuffer((root / "x").read_bytes(), np.uint8).size == 297
