"""Files of images: hashes, pieces, and the changes that are noticed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.fleet_images import contents, make_image

from kju.errors import UnavailableError, UsageError
from kju.fleet.images.files import file_identity, hash_file, read_piece
from kju.fleet.images.opening import open_image
from kju.fleet.images.source import PIECE


def test_an_image_is_sent_in_pieces(tmp_path: Path):
    image = make_image(tmp_path / "a.raw")
    assert [len(piece) for piece in contents(image)] == [PIECE, 5000]
    assert b"".join(contents(image)) == (tmp_path / "a.raw").read_bytes()
    with pytest.raises(UsageError, match="has 2 pieces, and no 2"):
        read_piece(image, 2)


def test_only_regular_files_are_read(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    assert file_identity(tmp_path / "fifo") is None
    with pytest.raises(UsageError, match="not a regular file"):
        hash_file(tmp_path / "fifo")


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
