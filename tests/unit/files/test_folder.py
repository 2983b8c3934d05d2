"""Open private folders and files: links, special files and modes."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kju.errors import FileError, LimitError, UnavailableError, UsageError
from kju.files import Folder, folder_in, private_folder, remove_tree
from kju.store.snapshot_files import SnapshotFiles


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    (tmp_path / "own").mkdir(mode=0o700)
    with Folder.open(tmp_path / "own") as opened:
        yield opened


def test_open_refuses_links_files_and_open_folders(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(FileError, match=f"{name} is not used: it is a link or a file"):
            Folder.open(tmp_path / name)
        with pytest.raises(FileError, match="must be a folder"):
            private_folder(tmp_path / name)
    with pytest.raises(FileError, match="No such file"):
        Folder.open(tmp_path / "missing")
    with Folder.open(tmp_path / "link", follow_own_link=True) as opened:
        assert opened.path == tmp_path / "real"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileError, match="loop"):
        Folder.open(tmp_path / "loop", follow_own_link=True)
    for mode in (0o770, 0o702):
        (tmp_path / "real").chmod(mode)
        with pytest.raises(FileError, match=f"mode {mode:04o}.*chmod go-w {tmp_path}/real"):
            Folder.open(tmp_path / "real")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path, folder: Folder) -> None:
    (tmp_path / "theirs").mkdir(mode=0o755)
    os.chown(tmp_path / "theirs", 65534, 65534)
    (tmp_path / "link").symlink_to("own")
    os.lchown(tmp_path / "link", 65534, 65534)
    folder.write("log", b"x")
    os.chown(folder.path / "log", 65534, 65534)
    for attempt in (
        lambda: Folder.open(tmp_path / "theirs"),
        lambda: private_folder(tmp_path / "theirs"),
        lambda: folder.read("log"),
        lambda: folder.append("log"),
    ):
        with pytest.raises(FileError, match="belongs to user 65534, not to user 0"):
            attempt()
    with pytest.raises(FileError, match="is a link"):
        Folder.open(tmp_path / "link", follow_own_link=True)
    assert not folder.has("log")


def test_only_regular_files_are_read(folder: Folder) -> None:
    os.mkfifo(folder.path / "fifo")
    (folder.path / "folder").mkdir()
    (folder.path / "link").symlink_to("/etc/passwd")
    folder.write("file", b"content")
    assert folder.read("file") == b"content"
    before = len(os.listdir("/proc/self/fd"))
    for name in ("fifo", "folder", "link", "missing"):
        with pytest.raises(FileError, match=f"own/{name} "):
            folder.read(name)
        assert not folder.has(name)
    for name in ("fifo", "link"):
        with pytest.raises(FileError):
            folder.append(name)
    assert len(os.listdir("/proc/self/fd")) == before, "each descriptor is closed"


def test_secrets_are_not_read_if_others_may(folder: Folder) -> None:
    folder.write("key", b"secret")
    assert folder.read("key", secret=True) == b"secret"
    (folder.path / "key").chmod(0o640)
    with pytest.raises(FileError, match=r"secret .*\(mode 0640\); run: chmod 600"):
        folder.read("key", secret=True)


def test_a_folder_that_was_replaced_is_still_the_one_that_was_opened(
    tmp_path: Path, folder: Folder
) -> None:
    (tmp_path / "private").mkdir()
    folder.path.rename(tmp_path / "moved")
    folder.path.symlink_to("private")
    folder.write("a", b"1")
    folder.write_all({"b": (b"2", 0o600), "c": (b"3", 0o644)})
    folder.rename("c", "d")
    assert sorted(p.name for p in (tmp_path / "moved").iterdir()) == ["a", "b", "d"]
    folder.remove("a")
    assert not list((tmp_path / "private").iterdir())


def test_a_write_replaces_a_link_and_keeps_its_target(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("keep")
    (folder.path / "file").symlink_to(tmp_path / "elsewhere")
    folder.write("file", b"new")
    assert (tmp_path / "elsewhere").read_text() == "keep"
    assert folder.read("file") == b"new"
    assert stat.S_IMODE((folder.path / "file").stat().st_mode) == 0o600


def test_a_folder_is_removed_with_its_own_files_only(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()

    def known(path: str) -> bool:
        return path in ("a", "link", "b/", "b/c")

    (folder.path / "x" / "b").mkdir(parents=True)
    (folder.path / "x" / "a").touch()
    (folder.path / "x" / "b" / "c").touch()
    (folder.path / "x" / "link").symlink_to(tmp_path / "elsewhere")
    for other in ("notes", "b/notes"):
        (folder.path / "x" / other).touch()
        with pytest.raises(FileError, match=rf"not kju's \({other}\)"):
            remove_tree(folder, "x", known)
        (folder.path / "x" / other).unlink()
        assert (folder.path / "x" / "a").exists(), "nothing is removed by half"
    remove_tree(folder, "x", known)
    remove_tree(folder, "x", known)
    assert folder.names() == [] and (tmp_path / "elsewhere" / "kept").exists()


@pytest.mark.parametrize("kind", ["link", "file", "open", "foreign files"])
def test_snapshots_beside_a_disk_need_a_private_folder(tmp_path: Path, kind: str) -> None:
    (tmp_path / "private" / "clean").mkdir(parents=True)
    (tmp_path / "private" / "clean" / "important").touch()
    place = tmp_path / "d.qcow2.snapshots"
    if kind == "link":
        place.symlink_to("private")
    elif kind == "file":
        place.touch()
    elif kind == "open":
        place.mkdir()
        place.chmod(0o777)
    else:
        (place / "clean").mkdir(parents=True)
        (place / "clean" / "important").touch()
    files = SnapshotFiles("", str(tmp_path / "d.qcow2"))
    for attempt in (
        lambda: files.keep("clean", b"picture", b"{}\n"),
        lambda: files.inputs("clean", 10),
    ):
        with pytest.raises(FileError, match=r"d\.qcow2\.snapshots"):
            attempt()
    assert files.find("clean") == ("", "")
    assert [p.name for p in (tmp_path / "private" / "clean").iterdir()] == ["important"]
    if kind == "foreign files":
        assert [p.name for p in place.iterdir()] == ["clean"]
        assert (place / "clean" / "important").exists()


def test_a_folder_in_a_shared_folder_is_made_by_descriptor(tmp_path: Path) -> None:
    parent = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        with folder_in(parent, Path("/nowhere/new"), create=True) as made:
            made.write("x", b"1")
    finally:
        os.close(parent)
    assert (tmp_path / "new" / "x").read_bytes() == b"1"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_file_over_the_limit_is_refused_and_not_cut(folder: Folder) -> None:
    folder.write("log", b"x" * 101)
    assert folder.read("log", limit=101) == b"x" * 101
    with pytest.raises(LimitError, match="log has more than 100 bytes"):
        folder.read("log", limit=100)
    assert folder.has("log")


def test_a_copy_has_the_holes_of_the_file(folder: Folder, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.write(b"begin")
        file.seek(8 << 20)
        file.write(b"middle")
        file.truncate((64 << 20) + 3)
    folder.copy(source, "copy")
    copy = folder.path / "copy"
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.stat().st_blocks * 512 < 1 << 20
    for size in (0, 5):
        os.truncate(source, size)
        folder.copy(source, "copy", durable=False)
        assert copy.read_bytes() == source.read_bytes()


def test_a_copy_between_file_systems_is_the_same(folder: Folder) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as source:
        source.write(bytes(4096) + os.urandom(1 << 20))
        source.truncate(3 << 20)
        source.flush()
        folder.copy(Path(source.name), "copy")
        assert (folder.path / "copy").read_bytes() == Path(source.name).read_bytes()


def test_a_file_that_is_cut_short_during_its_copy_is_an_error(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(3 << 20))
    monkeypatch.setattr("kju.files.writing._COPIED", 1 << 20)

    def cut() -> bool:
        os.truncate(source, 1 << 20)
        return True

    with pytest.raises(UsageError, match="cut short"):
        folder.copy(source, "copy", is_wanted=cut)
    assert folder.names() == []


def test_a_copy_that_is_given_up_keeps_the_old_file(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    folder.write("copy", b"old")
    with pytest.raises(UnavailableError, match="given up"):
        folder.copy(tmp_path / "source", "copy", is_wanted=lambda: False)
    assert folder.read("copy", limit=10) == b"old"
    assert folder.names() == ["copy"]
