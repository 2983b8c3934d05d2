"""The last picture of a defined machine, and files that are not one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kju.errors import FileError
from kju.store import defining, last_pictures
from kju.store.machine_toml import Definition
from kju.store.paths import definitions_folder

PIXELS = np.random.default_rng(1).integers(0, 256, (20, 30, 4), np.uint8)


@pytest.fixture
def folder(runtime_folder: Path) -> Path:
    defining.create("wall", Definition())
    return definitions_folder() / "wall"


def png(*size: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "PNG")
    return file.getvalue()


def test_saved_picture_is_loaded(folder: Path) -> None:
    assert last_pictures.load("wall") is None
    for pixels in (PIXELS, PIXELS[:, :7]):
        assert last_pictures.save("wall", pixels)
        loaded = last_pictures.load("wall")
        assert loaded is not None
        assert np.array_equal(loaded[..., :3], pixels[..., :3])
        assert (loaded[..., 3] == 255).all()
        assert not loaded.flags.writeable
    assert (folder / last_pictures.FILE).stat().st_mode & 0o777 == 0o600


def test_grey_picture_is_loaded_in_colour(folder: Path) -> None:
    assert last_pictures.save("wall", PIXELS[..., 0])
    loaded = last_pictures.load("wall")
    assert loaded is not None
    assert (loaded[..., :3] == PIXELS[..., :1]).all()


def test_machine_that_is_not_defined_has_no_picture(folder: Path) -> None:
    assert not last_pictures.save("other", PIXELS)
    assert last_pictures.load("other") is None
    assert not (folder.parent / "other").exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"no picture", png(30, 20)[:-30], png(last_pictures.MAX_SIDE + 1, 1), b"GIF89a"],
    ids=["empty", "text", "cut", "too wide", "another kind"],
)
def test_other_file_counts_as_none(folder: Path, data: bytes) -> None:
    (folder / last_pictures.FILE).write_bytes(data)
    assert last_pictures.load("wall") is None


def test_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.png"
    target.write_bytes(png(3, 3))
    (folder / last_pictures.FILE).symlink_to(target)
    assert last_pictures.load("wall") is None
    last_pictures.save("wall", PIXELS)
    assert target.read_bytes() == png(3, 3)


def test_picture_is_removed_with_the_machine(folder: Path) -> None:
    last_pictures.save("wall", PIXELS)
    defining.remove("wall")
    assert not folder.exists()


def test_folder_in_its_place_is_an_error(folder: Path) -> None:
    (folder / last_pictures.FILE).mkdir()
    with pytest.raises(FileError):
        last_pictures.save("wall", PIXELS)
