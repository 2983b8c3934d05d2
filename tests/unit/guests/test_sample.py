"""The sample guest: its disk in this user's cache folder, and copies of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kju.errors import FileError
from kju.files import Folder
from kju.guests import debian, sample


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "kju" / "guests"


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_a_built_disk_is_found_with_every_umask(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert debian.cache() == folder
        with Folder.open(folder) as cache:
            cache.write("linux.qcow2", b"disk")
            cache.write("linux.recipe", sample._digest())
        assert sample.build() == folder / "linux.qcow2"
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not (folder / "lock").stat().st_mode & 0o077


def test_the_lock_is_not_made_through_a_link(folder: Path, tmp_path: Path) -> None:
    debian.cache()
    (tmp_path / "precious").write_text("kept")
    (folder / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(FileError, match="links are not followed"), debian.locked():
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_cache_folder_that_others_may_write_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(FileError, match=f"chmod go-w {folder}"):
        sample.build()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("taken", "taken cannot be written: File exists.*choose another name"),
        ("link", "link cannot be written: File exists.*choose another name"),
        ("missing/new", "missing/new cannot be written: No such file or directory"),
    ],
)
def test_the_target_of_a_copy_is_checked_before_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(debian.ARCHIVE, "http://127.0.0.1:9/debian")  # nothing listens there
    (tmp_path / "taken").write_text("keep")
    (tmp_path / "link").symlink_to("none")
    steps: list[str] = []
    with pytest.raises(FileError, match=why):
        sample.copy(tmp_path / name, steps.append)
    assert not steps
    assert not (tmp_path / "cache").exists()
    assert (tmp_path / "taken").read_text() == "keep"
