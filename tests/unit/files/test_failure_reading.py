"""Read files up to a limit of size."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kju.errors import LimitError
from kju.files import read_file


def test_a_file_of_the_maximum_size_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    assert read_file(tmp_path / "f", 100) == b"x" * 100


def test_a_larger_file_is_a_limit(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 101)
    with pytest.raises(LimitError, match="more than 100 bytes") as caught:
        read_file(tmp_path / "f", 100)
    assert (caught.value.value, caught.value.asked) == (100, 101)


def test_pipe_is_rejected_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for name in ("fifo", "link"):
        with pytest.raises(OSError, match=f"not a regular file.*{name}"):
            read_file(tmp_path / name, 100)


def test_a_link_to_an_open_pipe_is_refused(tmp_path: Path, pipe: tuple[int, int]) -> None:
    (tmp_path / "link").symlink_to(f"/proc/self/fd/{pipe[0]}")
    with pytest.raises(OSError, match="not a regular file"):
        read_file(tmp_path / "link", 100)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev"])
def test_device_and_folder_are_rejected(path: str) -> None:
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        read_file(path, 1 << 20)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def test_an_open_pipe_is_read_to_its_end(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x" * 100)
    os.close(pipe[1])
    assert read_file(f"/dev/fd/{pipe[0]}", 100) == b"x" * 100


def test_standard_input_is_read_by_its_name() -> None:
    program = "from kju.files import read_file; print(read_file('/dev/stdin', 9))"
    done = subprocess.run([sys.executable, "-c", program], input=b"abc", capture_output=True)
    assert done.stdout == b"b'abc'\n", done.stderr


def test_an_open_device_without_an_end_is_a_limit() -> None:
    with Path("/dev/zero").open("rb") as file, pytest.raises(LimitError):
        read_file(f"/dev/fd/{file.fileno()}", 1 << 20)
