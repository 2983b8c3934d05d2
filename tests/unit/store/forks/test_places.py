"""Where bases lie, and the budget of their memory."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path

import pytest

from kju.errors import LimitError
from kju.store.forks import places
from kju.store.forks.places import MARGIN, Space

MIB = 1 << 20
Volume = namedtuple("Volume", "f_frsize f_blocks f_bavail")


@pytest.fixture
def volume(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """Set the size of the file system in memory, and its free space, in MiB."""
    sizes = {"total": 1000, "free": 1000}
    real = os.statvfs

    def statvfs(path: Path) -> object:
        if str(path).startswith(str(tmp_path / "shm")):
            return Volume(MIB, sizes["total"], sizes["free"])
        return real(path)

    monkeypatch.setattr(places.os, "statvfs", statvfs)
    return sizes


def test_a_base_lies_in_memory(roots: Path, volume: dict[str, int]) -> None:
    held = places.new_base(100 * MIB)
    assert held.path.parent == roots / "shm" / f"kju-{os.getuid()}"
    assert held.path.parent.stat().st_mode & 0o777 == 0o700
    held.release()


def test_a_reservation_counts_before_it_is_written(volume: dict[str, int]) -> None:
    first = places.new_base(500 * MIB)
    root = first.path.parent
    assert places.space(root) == Space(1000 * MIB, 1000 * MIB, 500 * MIB + MARGIN)
    with pytest.raises(LimitError) as error:
        places.new_base(400 * MIB)
    assert (error.value.value, error.value.asked) == (500 * MIB - MARGIN, 400 * MIB + MARGIN)
    said = str(error.value)
    assert "400 MiB of memory needs 464 MiB" in said and "1,000 MiB are free" in said
    assert "564 MiB" in said and "kju ls" in said
    assert os.listdir(root) != [] and len(list(root.glob("*-*"))) == 1
    first.release()
    places.new_base(400 * MIB).release()


def test_the_largest_base_that_fits(volume: dict[str, int]) -> None:
    assert "up to 936 MiB of memory can be frozen in" in places.largest_base()
    first = places.new_base(500 * MIB)
    assert "up to 372 MiB of memory" in places.largest_base()
    places.new_base(372 * MIB).release()
    volume["free"] = 10
    assert "up to 0 MiB of memory" in places.largest_base()
    first.release()


def test_written_pages_count_once(volume: dict[str, int]) -> None:
    held = places.new_base(500 * MIB)
    (held.path / "state").write_bytes(bytes(MIB))
    written = (held.path / "state").stat().st_blocks * 512
    assert places.space(held.path.parent).reserved == 500 * MIB + MARGIN - written
    held.release()


def test_memory_that_is_too_small_for_the_guest_is_not_used(
    roots: Path, volume: dict[str, int]
) -> None:
    volume["total"] = 64
    held = places.new_base(MIB)
    assert held.path.parent == roots / "data" / "kju" / "forks"
    held.release()


def test_occupied_memory_is_an_error(volume: dict[str, int]) -> None:
    volume["free"] = 64
    with pytest.raises(LimitError, match="where 64 MiB are free; stop forks"):
        places.new_base(MIB)


def test_a_folder_that_is_not_this_users_is_not_used(roots: Path, volume: dict[str, int]) -> None:
    (roots / "shm" / f"kju-{os.getuid()}").symlink_to(roots)
    held = places.new_base(MIB)
    assert held.path.parent == roots / "data" / "kju" / "forks"
    held.release()


def test_the_system_knows_its_file_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert places.is_in_memory(Path("/dev/shm")) or not Path("/dev/shm").exists()
    assert not places.is_in_memory(Path("/proc"))
    assert not places.is_in_memory(Path("/missing"))


def test_each_runtime_folder_has_its_own_bases(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = places.world()
    other = roots / "other"
    other.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(other))
    assert places.world() != first and len(first) == 8
