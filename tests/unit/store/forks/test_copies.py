"""Copies of bases: their overlays are over the files of this computer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forks import BUILD, folders, freeze, make_disk, qemu_io

from kju.errors import ForkError, KjuError
from kju.store.forks.bases import Base, open_base
from kju.store.forks.copies import copy_base, own_files
from kju.store.forks.overlays import ForkDisks

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")


def contents(path: str) -> Iterator[bytes]:
    data = Path(path).read_bytes()
    yield data[: 1 << 20]
    yield data[1 << 20 :]


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Base]:
    """A base with two overlays over a disk: the guest has written 0x22 and 0x33."""
    disk = make_disk(tmp_path / "disk.qcow2")
    disks = ForkDisks.own("web", [(str(disk), "qcow2")])
    for pattern, at in (("0x22", "64k"), ("0x33", "128k")):
        (top,) = disks.extend()
        disks.freeze()
        qemu_io(top, f"write -q -P {pattern} {at} 64k")
    frozen = freeze(disks=disks)
    yield frozen
    frozen.release()
    disks.release()
    assert folders(tmp_path) == []


def test_a_copy_reads_what_the_base_reads(base: Base, tmp_path: Path) -> None:
    moved = Path(shutil.copy(tmp_path / "disk.qcow2", tmp_path / "elsewhere.qcow2"))
    files = {str(tmp_path / "disk.qcow2"): str(moved)}
    description = base.description
    with copy_base(description, str(base.state), contents, files) as copy:
        assert copy.id != base.id
        copy.check(BUILD)
        assert copy.state.read_bytes() == base.state.read_bytes()
        (layers,) = [disk.layers for disk in copy.disks.disks]
        assert layers[0].path == str(moved)
        qemu_io(
            Path(layers[-1].path),
            "read -P 0x11 0 64k", "read -P 0x22 64k 64k", "read -P 0x33 128k 64k",
        )  # fmt: skip
        # Nothing of it names a file of the base: a fork on another computer finds all of them.
        assert not {layer.path for layer in layers} & set(own_files(description, base.state))
        with open_base(copy.id) as again:
            fork = ForkDisks.over("fork", again.disks)
            qemu_io(fork.paths[0], "read -P 0x33 128k 64k")
            fork.release()
    assert base.state.exists()


def test_memory_that_is_zero_takes_no_room(base: Base) -> None:
    with copy_base(base.description, str(base.state), contents, {}) as copy:
        assert copy.state.stat().st_size == base.state.stat().st_size
        assert copy.state.stat().st_blocks == 0


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_nothing_is_left_of_a_copy_that_fails(base: Base, tmp_path: Path, failing: int) -> None:
    before = folders(tmp_path)
    left = failing

    def breaking(path: str) -> Iterator[bytes]:
        nonlocal left
        left -= 1
        yield from contents(path)
        if left < 0:
            raise KjuError("the node has left")

    with pytest.raises(KjuError, match="the node has left"):
        copy_base(base.description, str(base.state), breaking, {})
    assert folders(tmp_path) == before


def test_a_missing_disk_and_a_short_state_are_refused(base: Base, tmp_path: Path) -> None:
    before = folders(tmp_path)
    missing = {str(tmp_path / "disk.qcow2"): "/missing.qcow2"}
    with pytest.raises(ForkError, match=r"the disk /missing\.qcow2 .* is missing"):
        copy_base(base.description, str(base.state), contents, missing)

    def short(path: str) -> Iterator[bytes]:
        yield from contents(path) if path != str(base.state) else [b"abc"]

    with pytest.raises(ForkError, match="has 3 bytes of state"):
        copy_base(base.description, str(base.state), short, {})
    assert folders(tmp_path) == before
