"""One cache of images in several processes, which are killed, and on a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fleet_images import contents, make_image
from support.wait import until

from kju.errors import FileError, LimitError
from kju.fleet.images.cache import ImageCache
from kju.fleet.images.source import PIECE, FleetImage

#: Fills a cache, writes a line with each piece, holds the copy and waits for the end of its input.
FILL = """
import sys
from pathlib import Path
from support.fleet_images import contents
from kju.fleet.images.cache import ImageCache
from kju.fleet.images.opening import open_image
cache, image, begun, stops = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
def pieces():
    for number, piece in enumerate(contents(found)):
        with begun.open("a") as file:
            print(number, file=file)
        if stops == "stops":
            sys.stdin.read()
        yield piece
found = open_image(image, "owner")
lock = ImageCache(cache).fill(found, pieces, lambda: True)
print("held", flush=True)
sys.stdin.read()
"""


class Filler:
    """A process that fills a cache."""

    def __init__(self, folder: Path, image: FleetImage, *, stops: bool = False) -> None:
        self.begun = folder / "begun"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", FILL, folder / "images", image.path, self.begun),
                "stops" if stops else "goes",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def wait_held(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"held\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def fillers() -> Iterator[list[Filler]]:
    found: list[Filler] = []
    yield found
    for filler in found:
        filler.kill()


def test_many_processes_that_ask_at_once_make_one_copy(
    tmp_path: Path, fillers: list[Filler]
) -> None:
    image = make_image(tmp_path / "a.raw")
    fillers += [Filler(tmp_path, image) for _ in range(4)]
    for filler in fillers:
        filler.wait_held()
    assert fillers[0].begun.read_text().split() == ["0", "1"]
    copy = tmp_path / "images" / image.key
    assert copy.read_bytes() == (tmp_path / "a.raw").read_bytes()


def test_nothing_of_a_killed_copy_is_used(tmp_path: Path, fillers: list[Filler]) -> None:
    image = make_image(tmp_path / "a.raw")
    fillers.append(Filler(tmp_path, image, stops=True))
    until(fillers[0].begun.exists, "the copy has begun")
    cache = ImageCache(tmp_path / "images")
    assert cache.find(image) is None
    fillers[0].kill()
    assert os.listdir(cache.path) != [".lock"], "something was left"
    # Another image removes it, too.
    other = make_image(tmp_path / "b.raw", seed=2)
    os.close(cache.fill(other, lambda: contents(other), lambda: True))
    assert sorted(os.listdir(cache.path)) == [".lock", other.key]
    fillers.append(Filler(tmp_path, image))
    fillers[1].wait_held()
    assert (cache.path / image.key).read_bytes() == (tmp_path / "a.raw").read_bytes()


def test_a_copy_is_held_until_its_process_is_killed(tmp_path: Path, fillers: list[Filler]) -> None:
    image, other = make_image(tmp_path / "a.raw"), make_image(tmp_path / "b.raw", seed=2)
    fillers.append(Filler(tmp_path, image))
    fillers[0].wait_held()
    cache = ImageCache(tmp_path / "images", limit=image.size)
    with pytest.raises(LimitError):
        cache.fill(other, lambda: contents(other), lambda: True)
    assert cache.keys() == {image.key}
    fillers[0].kill()
    os.close(cache.fill(other, lambda: contents(other), lambda: True))
    assert cache.keys() == {other.key}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 12 pieces."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={12 * PIECE},mode=0700", "kju-test", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_noticed_before_anything_is_copied(tmp_path: Path, small_disk: Path) -> None:
    cache = ImageCache(small_disk / "images")
    images = [make_image(tmp_path / f"{n}.raw", 5 * PIECE, n) for n in range(4)]
    before = cache.room()
    assert 11 * PIECE < before < 12 * PIECE
    held = [
        cache.fill(image, lambda image=image: contents(image), lambda: True) for image in images[:2]
    ]
    with pytest.raises(LimitError, match="free space on the disk") as raised:
        cache.fill(images[2], lambda: pytest.fail("nothing is copied"), lambda: True)
    assert raised.value.asked == 5 * PIECE
    # A copy that is not in use makes room for another one.
    os.close(held[0])
    os.close(cache.fill(images[2], lambda: contents(images[2]), lambda: True))
    assert cache.keys() == {images[1].key, images[2].key}
    # Another program fills the disk: the copies that are here are the room that is left.
    with (small_disk / "other").open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(PIECE))
    assert cache.room() == 10 * PIECE
    os.close(held[1])


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    cache = ImageCache(small_disk / "images")
    image = make_image(tmp_path / "a.raw", 5 * PIECE)
    # The room is looked at first, and the space is taken by another program before it is reserved.
    looked = cache.room()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_room", lambda used: looked)
        (small_disk / "other").write_bytes(bytes(9 * PIECE))
        with pytest.raises(FileError, match="No space left on device"):
            cache.fill(image, lambda: contents(image), lambda: True)
    assert os.listdir(cache.path) == [".lock"]
    (small_disk / "other").unlink()
    os.close(cache.fill(image, lambda: contents(image), lambda: True))
