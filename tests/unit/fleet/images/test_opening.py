"""Images that a program opens: those that can be copied, and refused ones."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.fleet_images import make_image

from kju.errors import UsageError
from kju.fleet.images.opening import open_image


def test_an_image_is_known_by_its_contents(tmp_path: Path):
    image = make_image(tmp_path / "a.raw")
    data = (tmp_path / "a.raw").read_bytes()
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert (image.size, image.path, image.node) == (len(data), str(tmp_path / "a.raw"), "owner")


def test_paths_that_only_the_nodes_may_have_are_no_images_here(tmp_path: Path):
    assert open_image(tmp_path / "missing.raw", "owner") is None


def test_what_is_here_and_no_file_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="is a folder"):
        open_image(tmp_path, "owner")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="neither a file nor a block device"):
        open_image(tmp_path / "fifo", "owner")
    for target in ("missing", "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        with pytest.raises(UsageError, match="is a link to a file that is missing"):
            open_image(tmp_path / "link", "owner")
    # It has no size, and its reader waits for ever.
    with pytest.raises(UsageError, match="/proc/kmsg is empty"):
        open_image(Path("/proc/kmsg"), "owner")


def test_empty_and_packed_images_are_refused(tmp_path: Path):
    (tmp_path / "empty.qcow2").write_bytes(b"")
    with pytest.raises(UsageError, match="is empty"):
        open_image(tmp_path / "empty.qcow2", "owner")
    (tmp_path / "a.img").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(UsageError, match="compressed with gzip"):
        open_image(tmp_path / "a.img", "owner")


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
def test_a_disk_in_several_files_is_not_copied(tmp_path: Path):
    make = ["qemu-img", "create", "-q", "-f", "qcow2"]
    subprocess.run([*make, tmp_path / "base.qcow2", "1M"], check=True)
    over = ["-b", "base.qcow2", "-F", "qcow2", tmp_path / "over.qcow2"]
    subprocess.run([*make, *over], check=True)
    assert open_image(tmp_path / "over.qcow2", "owner") is None
    assert open_image(tmp_path / "base.qcow2", "owner") is not None
