"""A file that can be read while it is written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kju.errors import FileError
from kju.files import GrowingFile, growing


def test_file_can_be_read_while_it_is_written(tmp_path: Path):
    file = GrowingFile(tmp_path / "f", mode=0o600)
    file.write(b"hello")
    assert (tmp_path / "f").read_bytes() == b"hello"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600
    file.seek(1)
    file.write(b"a")
    assert (file.size, file.tell()) == (5, 2)
    file.finish()
    assert (tmp_path / "f").read_bytes() == b"hallo"


def test_existing_file_or_link_is_not_touched(tmp_path: Path):
    (tmp_path / "f").write_bytes(b"old")
    (tmp_path / "link").symlink_to("f")
    for name in ("f", "link"):
        with pytest.raises(FileError, match="exists; remove it, or choose another name"):
            GrowingFile(tmp_path / name)
    assert (tmp_path / "f").read_bytes() == b"old"


def test_missing_folder_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(FileError, match="nowhere"):
        GrowingFile(tmp_path / "nowhere" / "f")


def test_failed_write_keeps_what_was_written_and_every_later_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = GrowingFile(tmp_path / "f")
    file.write(b"kept")

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(growing, "write_fully", full)
        with pytest.raises(FileError, match="No space left"):
            file.write(b"lost")
    for call in (lambda: file.write(b"x"), file.check):
        with pytest.raises(FileError, match="No space left"):
            call()
    file.close()
    assert (tmp_path / "f").read_bytes() == b"keptl"


def test_discard_removes_the_file(tmp_path: Path):
    file = GrowingFile(tmp_path / "f")
    file.write(b"x")
    file.discard()
    file.close()
    assert not list(tmp_path.iterdir())
