"""Empty overlays, as QEMU's own tools read them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.forks import make_disk, qemu_io

from kju.errors import FormatError, UsageError
from kju.store.forks.qcow2 import empty_overlay, is_empty, is_encrypted, virtual_size, with_backing

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")


def information(path: Path) -> dict[str, object]:
    done = subprocess.run(
        ["qemu-img", "info", "--output=json", str(path)], check=True, capture_output=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
@pytest.mark.parametrize("size", [512, 10_000, (1 << 29) + 512, 20 << 30, 200 << 40])
def test_qemu_accepts_an_overlay(tmp_path: Path, kind: str, size: int) -> None:
    below = make_disk(tmp_path / f"below.{kind}", kind)
    overlay = tmp_path / "overlay.qcow2"
    overlay.write_bytes(empty_overlay(size, os.fsencode(below), kind))
    subprocess.run(["qemu-img", "check", "-q", str(overlay)], check=True)
    found = information(overlay)
    assert found["virtual-size"] == -(-size // 512) * 512
    assert (found["backing-filename"], found["backing-filename-format"]) == (str(below), kind)


def test_reads_go_below_and_writes_do_not(tmp_path: Path) -> None:
    below = make_disk(tmp_path / "a disk,=;é.qcow2")
    before = below.read_bytes()
    overlay = tmp_path / "overlay.qcow2"
    overlay.write_bytes(empty_overlay(8 << 20, os.fsencode(below), "qcow2"))
    assert is_empty(lambda at, size: overlay.read_bytes()[at : at + size])
    qemu_io(overlay, "read -P 0x11 0 64k", "write -P 0x22 4k 4k", "write -P 0x33 7M 1M")
    qemu_io(overlay, "read -P 0x11 0 4k", "read -P 0x22 4k 4k", "read -P 0x33 7M 1M")
    subprocess.run(["qemu-img", "check", "-q", str(overlay)], check=True)
    assert below.read_bytes() == before
    assert not is_empty(lambda at, size: overlay.read_bytes()[at : at + size])


def test_the_facts_of_a_header(tmp_path: Path) -> None:
    header = make_disk(tmp_path / "disk.qcow2", size="24M").read_bytes()[:64]
    assert virtual_size(header) == 24 << 20
    assert not is_encrypted(header)
    assert is_encrypted(header[:32] + b"\0\0\0\2" + header[36:])


def test_a_long_path_and_a_huge_disk_are_refused() -> None:
    with pytest.raises(UsageError, match="has 1024 bytes, and qcow2 holds 1023"):
        empty_overlay(512, b"/" + b"a" * 1023, "raw")
    empty_overlay(512, b"/" + b"a" * 1022, "raw")
    with pytest.raises(UsageError, match="too large to fork"):
        empty_overlay(1 << 60, b"/a", "raw")


def test_an_overlay_gets_another_backing_file(tmp_path: Path) -> None:
    below = make_disk(tmp_path / "below.qcow2")
    (tmp_path / ("other" * 20)).mkdir()
    other = make_disk(tmp_path / ("other" * 20) / "é.qcow2")
    overlay = tmp_path / "overlay.qcow2"
    overlay.write_bytes(empty_overlay(8 << 20, os.fsencode(below), "qcow2"))
    # QEMU writes a header of its own.
    subprocess.run(["qemu-img", "rebase", "-u", "-F", "qcow2", "-b", below, overlay], check=True)
    qemu_io(overlay, "write -P 0x22 4k 4k")
    for path in (other, below):
        data = with_backing(overlay.read_bytes(), os.fsencode(path))
        overlay.write_bytes(data)
        assert information(overlay)["backing-filename"] == str(path)
        subprocess.run(["qemu-img", "check", "-q", str(overlay)], check=True)
        qemu_io(overlay, "read -P 0x11 0 4k", "read -P 0x22 4k 4k")
    with pytest.raises(FormatError, match="not a qcow2 overlay"):
        with_backing(below.read_bytes(), b"/x")
    with pytest.raises(FormatError, match="not a qcow2 overlay"):
        with_backing(bytes(1 << 16), b"/x")
    with pytest.raises(UsageError, match="qcow2 holds 1023"):
        with_backing(data, b"/" * 1024)
