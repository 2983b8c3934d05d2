"""Files at paths that users name: whole, through links of their own only, and into devices."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from kju.errors import FileError
from kju.files import check_new, write_output


def test_the_mode_is_the_old_files_or_the_umasks(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_output(tmp_path / "new", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o604)
    write_output(tmp_path / "new", b"2")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604
    write_output(tmp_path / "new", b"3", mode=0o600)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_a_link_of_the_same_user_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_text("old")
    (tmp_path / "one").symlink_to("real.png")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    write_output(tmp_path / "two", b"new")
    assert (tmp_path / "real.png").read_text() == "new" and (tmp_path / "two").is_symlink()
    (tmp_path / "dangling").symlink_to("made.png")
    write_output(tmp_path / "dangling", b"new")
    assert (tmp_path / "made.png").read_text() == "new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_a_link_or_pipe_of_another_user_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("keep")
    (tmp_path / "link").symlink_to("private")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        os.lchown(tmp_path / name, 65534, 65534)
        write_output(tmp_path / name, b"new")
        assert stat.S_ISREG((tmp_path / name).lstat().st_mode)
    assert (tmp_path / "private").read_text() == "keep"


def test_a_file_is_not_replaced_without_replace(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("keep")
    (tmp_path / "link").symlink_to("private")
    (tmp_path / "dangling").symlink_to("none")
    for name in ("private", "link", "dangling"):
        with pytest.raises(FileError, match=f"{name} cannot be written: File exists.*another"):
            write_output(tmp_path / name, b"secret", mode=0o600, replace=False)
        with pytest.raises(FileError, match=f"{name} cannot be written: File exists.*another"):
            check_new(tmp_path / name)
    check_new(tmp_path / "new")
    assert (tmp_path / "private").read_text() == "keep" and not (tmp_path / "none").exists()
    write_output(tmp_path / "new", b"secret", mode=0o600, replace=False)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


@pytest.mark.parametrize("replace", [True, False])
def test_devices_and_open_files_are_written_to(tmp_path: Path, replace: bool) -> None:
    before = os.stat(os.devnull)
    check_new(os.devnull)
    write_output(os.devnull, b"lost", replace=replace)
    assert os.path.samestat(os.stat(os.devnull), before) and stat.S_ISCHR(before.st_mode)
    ours, theirs = os.pipe()
    write_output(f"/dev/fd/{theirs}", b"through", replace=replace)
    assert os.read(ours, 100) == b"through"
    os.close(ours)
    os.close(theirs)
    with (tmp_path / "redirected").open("w+b") as file:
        write_output(f"/proc/self/fd/{file.fileno()}", b"here", replace=replace)
        assert file.read() == b"here"


def test_a_pipe_of_the_same_user_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=write_output, args=(tmp_path / "pipe", b"x" * 200_000))
    writer.start()
    assert (tmp_path / "pipe").read_bytes() == b"x" * 200_000
    writer.join()


def test_a_folder_that_cannot_be_synchronised_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on CIFS and some FUSE file systems, whose folders have no fsync."""
    fsync = os.fsync

    def of_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", of_files)
    for replace in (True, False):
        write_output(tmp_path / f"x{replace}", b"x", replace=replace)
        assert (tmp_path / f"x{replace}").read_bytes() == b"x"


def test_a_folder_that_cannot_be_read_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "box").mkdir(mode=0o333)
    open_ = os.open

    def refusing(path: str, flags: int, *more: int, **options: int) -> int:
        if flags & os.O_DIRECTORY and not flags & os.O_PATH:  # root may read any folder
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refusing)
    write_output(tmp_path / "box" / "x", b"x")
    assert (tmp_path / "box" / "x").read_bytes() == b"x"


@pytest.mark.parametrize("place", ["missing/x", "folder", "file/x"])
def test_an_impossible_path_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=str(tmp_path / place)):
        write_output(tmp_path / place, b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
