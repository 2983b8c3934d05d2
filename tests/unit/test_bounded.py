"""Files are read up to a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from kju.bounded import read_file
from kju.errors import LimitError


def test_a_file_of_the_most_bytes_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    assert read_file(tmp_path / "f", 100) == b"x" * 100


def test_a_larger_file_is_a_limit(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 101)
    with pytest.raises(LimitError, match="more than 100 bytes") as caught:
        read_file(tmp_path / "f", 100)
    assert (caught.value.value, caught.value.asked) == (100, 101)


def test_a_device_without_an_end_is_a_limit() -> None:
    with pytest.raises(LimitError):
        read_file("/dev/zero", 1 << 20)
