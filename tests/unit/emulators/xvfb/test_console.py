"""The memory of an Xvfb: found, mapped, or rejected with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from kju.emulators.xvfb import xwd
from kju.emulators.xvfb.console import Framebuffer, find_server, framebuffer_of
from kju.errors import UsageError, XvfbError

HEADER = [100, 7, 2, 24, 8, 4, 0, 0, 32, 0, 32, 32, 32, 4, 0xFF0000, 0xFF00, 0xFF, 8, 0, 0,
          8, 4, 0, 0, 0]  # fmt: skip


def screen(path: Path, **changes: int) -> Path:
    header = xwd.Header._make(HEADER)._replace(**changes)
    words = b"".join(word.to_bytes(4, "big") for word in header)
    path.write_bytes(words + bytes(range(128)))
    return path


def test_a_screen_file_is_mapped_for_reading(tmp_path: Path) -> None:
    found = Framebuffer.of_file(screen(tmp_path / "s"), "s")
    assert found.picture == (8, 4, 32, 100)
    assert found.descriptor is not None
    pixels = np.frombuffer(memoryview(found.mapping), np.uint8)[100:]
    assert pixels.tolist() == list(range(128))
    with pytest.raises(OSError):
        os.write(found.descriptor.fileno(), b"x")
    found.close()


@pytest.mark.parametrize(
    "changes", [{"pixmap_height": 5}, {"file_version": 6}, {"bits_per_pixel": 16}, {"ncolors": 9}]
)
def test_a_false_header_is_rejected(tmp_path: Path, changes: dict[str, int]) -> None:
    with pytest.raises(XvfbError, match=r"^s cannot be shown"):
        Framebuffer.of_file(screen(tmp_path / "s", **changes), "s")


@pytest.mark.parametrize("size", [0, 1, 99])
def test_a_file_that_is_too_short_is_rejected(tmp_path: Path, size: int) -> None:
    path = screen(tmp_path / "s")
    os.truncate(path, size)
    with pytest.raises(XvfbError, match="cannot be shown"):
        Framebuffer.of_file(path, "s")


def test_a_process_that_is_not_a_server_is_rejected() -> None:
    with pytest.raises(XvfbError, match="kju run --xvfb"):
        framebuffer_of(os.getpid())
    with pytest.raises(XvfbError, match="open files of process"):
        framebuffer_of(1 << 22)


def test_a_file_that_no_process_has_open_is_rejected_as_left_over(tmp_path: Path) -> None:
    with pytest.raises(XvfbError, match="most likely its Xvfb has ended"):
        find_server(str(screen(tmp_path / "Xvfb_screen0")))


def test_the_process_that_has_a_file_open_is_found(tmp_path: Path) -> None:
    with screen(tmp_path / "Xvfb_screen0").open():
        for name in (tmp_path, tmp_path / "Xvfb_screen0"):
            found = find_server(str(name))
            assert found.pid == os.getpid()
            found.framebuffer.close()


def test_a_name_that_cannot_be_a_servers_is_rejected() -> None:
    with pytest.raises(UsageError, match="display"):
        find_server("nothing")
