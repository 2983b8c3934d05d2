"""Files of disks: identity, format and size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.forks import make_disk

from kju.files import Folder
from kju.store.forks.layers import identity, make_overlay, probe, size_of


def test_a_file_is_known_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12")
    first, own = identity(file, own=False), identity(file, own=True)
    assert first and own and first.size == 2 and first.changed == 0 and own.changed > 0
    os.utime(file, ns=(0, file.stat().st_mtime_ns))
    assert identity(file, own=False) == first
    assert identity(file, own=True) != own, "st_ctime cannot be put back"
    file.write_bytes(b"1")
    assert identity(file, own=False) != first
    assert identity(tmp_path / "missing", own=True) is None


@pytest.mark.parametrize("kind", ["raw", "qcow2", "vdi"])
def test_format_and_size_of_a_disk(tmp_path: Path, kind: str) -> None:
    disk = make_disk(tmp_path / "disk", kind, "3M")
    assert size_of(disk, kind) == 3 << 20
    assert probe(disk) == (kind if kind != "vdi" else probe(disk))


def test_an_overlay_is_private(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.qcow2")
    place = tmp_path / "forks"
    place.mkdir(mode=0o700)
    with Folder.open(place) as folder:
        made = make_overlay(folder, "0-1.qcow2", disk, "qcow2", 1 << 20)
    assert made == place / "0-1.qcow2" and made.stat().st_mode & 0o777 == 0o600
