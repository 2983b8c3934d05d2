"""Files of images: hashes, pieces, and the changes that are noticed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.fleet_images import contents, make_image

from kju.errors import UnavailableError, UsageError
from kju.fleet.images.files import file_identity, hash_file, open_image, read_piece
from kju.fleet.images.source import PIECE


def test_an_image_is_known_by_its_contents(tmp_path: Path):
    image = make_image(tmp_path / "a.raw")
    data = (tmp_path / "a.raw").read_bytes()
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert (image.size, image.path, image.node) == (len(data), str(tmp_path / "a.raw"), "owner")
    assert [len(piece) for piece in contents(image)] == [PIECE, 5000]
    assert b"".join(contents(image)) == data
    with pytest.raises(UsageError, match="has 2 pieces, and no 2"):
        read_piece(image, 2)


def test_paths_that_only_the_nodes_may_have_are_no_images_here(tmp_path: Path):
    assert open_image(tmp_path / "missing.raw", "owner") is None
    assert open_image(tmp_path, "owner") is None
    os.mkfifo(tmp_path / "fifo")
    assert open_image(tmp_path / "fifo", "owner") is None
    assert file_identity(tmp_path / "fifo") is None
    with pytest.raises(UsageError, match="not a regular file"):
        hash_file(tmp_path / "fifo")


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


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda path: path.write_bytes(b"x" * path.stat().st_size), "was changed"),
        (lambda path: os.truncate(path, 700), "was cut short: it has 700 bytes"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "has grown"),
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (
            lambda path: shutil.copy(path, f"{path}.new") and os.replace(f"{path}.new", path),
            "was replaced",
        ),
    ],
)
def test_no_piece_of_a_changed_image_is_sent(tmp_path: Path, change, how):
    path = tmp_path / "a.raw"
    image = make_image(path)
    # Not in the same tick of the file system's clock.
    os.utime(path, ns=(0, 0))
    image = open_image(path, "owner")
    assert image is not None
    change(path)
    with pytest.raises(UsageError, match=how):
        read_piece(image, 0)


def test_links_and_modes_do_not_change_an_image(tmp_path: Path):
    image = make_image(tmp_path / "a.raw")
    os.link(tmp_path / "a.raw", tmp_path / "b.raw")
    (tmp_path / "a.raw").chmod(0o400)
    assert read_piece(image, 0)


def test_an_image_that_is_written_while_it_is_hashed_is_refused(tmp_path: Path):
    path = tmp_path / "a.raw"
    make_image(path)

    def write_once() -> bool:
        if path.stat().st_size < PIECE + 6000:
            with path.open("ab") as file:
                file.write(bytes(6000))
        return True

    with pytest.raises(UsageError, match="has grown"):
        hash_file(path, write_once)


def test_a_hash_that_is_no_longer_wanted_is_given_up(tmp_path: Path):
    make_image(tmp_path / "a.raw")
    with pytest.raises(UnavailableError, match="no longer wanted"):
        hash_file(tmp_path / "a.raw", lambda: False)
