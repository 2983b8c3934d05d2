"""A file of known size that gets its name when it is whole."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kju.errors import FileError, UsageError
from kju.files import FillingFile, Folder, write_parts


def test_a_file_gets_its_name_whole_and_private(tmp_path: Path):
    tmp_path.chmod(0o700)
    with Folder.open(tmp_path) as folder:
        file = FillingFile(folder, "f.part", 5)
        assert (tmp_path / "f.part").stat().st_size == 5, "its space is reserved"
        file.write(b"he")
        file.write(b"llo")
        file.seal()
        assert folder.names() == ["f.part"]
        file.finish("f")
        file.discard()
        assert folder.names() == ["f"]
    assert (tmp_path / "f").read_bytes() == b"hello"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_a_file_is_locked_while_it_is_written(tmp_path: Path):
    with Folder.open(tmp_path) as folder:
        file = FillingFile(folder, "f.part", 5)
        other = folder.open_lock("f.part")
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(other)
        file.discard()
        assert folder.names() == []


def test_too_many_and_too_few_bytes_are_errors(tmp_path: Path):
    with Folder.open(tmp_path) as folder:
        file = FillingFile(folder, "f.part", 3)
        file.write(b"ab")
        with pytest.raises(UsageError, match="cut short: it has 2 of 3 bytes"):
            file.seal()
        with pytest.raises(UsageError, match="was to have 3 bytes, and gets more"):
            file.write(b"cd")
        file.discard()
        with pytest.raises(FileError, match=r"f\.part"):
            FillingFile(folder, "f.part", 1 << 62)
        assert folder.names() == []
        (tmp_path / "f.part").write_bytes(b"")
        with pytest.raises(FileError) as raised:
            FillingFile(folder, "f.part", 3)
        assert raised.value.errno == errno.EEXIST
        assert folder.names() == ["f.part"]


def test_parts_of_zero_bytes_become_holes(tmp_path: Path):
    size = 1 << 20
    with Folder.open(tmp_path) as folder:
        write_parts(folder, "f", [bytes(size), b"x" * 5, bytes(3), bytes(size)])
        with pytest.raises(FileError, match="File exists"):
            write_parts(folder, "f", [b"y"])
        write_parts(folder, "empty", [])
    data = (tmp_path / "f").read_bytes()
    assert data == bytes(size) + b"x" * 5 + bytes(size + 3)
    assert (tmp_path / "f").stat().st_blocks * 512 < size
    assert (tmp_path / "empty").read_bytes() == b""


def test_an_error_of_the_parts_is_passed_on(tmp_path: Path):
    def parts() -> Iterator[bytes]:
        yield b"x"
        raise UsageError("it has changed")

    with Folder.open(tmp_path) as folder, pytest.raises(UsageError, match="it has changed"):
        write_parts(folder, "f", parts())
