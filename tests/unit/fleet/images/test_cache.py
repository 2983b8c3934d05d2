"""The copies of images on one computer: whole, private, bounded, and never removed in use."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faults import kills, sweep
from support.fleet_images import contents, make_image

from kju.errors import LimitError, UnavailableError, UsageError
from kju.fleet.images.cache import ImageCache, cache_folder, cache_limit
from kju.fleet.images.source import FleetImage

SIZE = 8192


@pytest.fixture(autouse=True)
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for bases of forks in the test's own folder."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], FleetImage]:
    """Return a function that makes different images of `SIZE` bytes."""
    return lambda number: make_image(tmp_path / f"{number}.raw", SIZE, number)


def opened(tmp_path: Path, copies: int | None = None) -> ImageCache:
    return ImageCache(tmp_path / "cache" / "images", copies and copies * SIZE)


def fill(cache: ImageCache, image: FleetImage) -> int:
    return cache.fill(image, lambda: contents(image), lambda: True)


def none() -> Iterator[bytes]:
    raise AssertionError("nothing is copied")


def test_a_copy_is_whole_private_and_made_once(tmp_path: Path, make):
    image, cache = make(1), opened(tmp_path)
    assert cache.find(image) is None
    os.close(fill(cache, image))
    os.close(cache.fill(image, none, lambda: True))
    copy = cache.path / image.key
    assert copy.read_bytes() == (tmp_path / "1.raw").read_bytes()
    assert (copy.stat().st_mode & 0o777, cache.path.stat().st_mode & 0o777) == (0o600, 0o700)
    assert cache.keys() == {image.key}


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (lambda data: [data[:-1]], "cut short"),
        (lambda data: [], "cut short"),
        (lambda data: [data, b"x"], "gets more"),
        (lambda data: [data[:-1] + bytes([data[-1] ^ 1])], "other contents than the image"),
    ],
)
def test_other_contents_are_refused_and_leave_nothing(tmp_path: Path, make, sent, error):
    image, cache = make(1), opened(tmp_path)
    data = (tmp_path / "1.raw").read_bytes()
    with pytest.raises(UsageError, match=error):
        cache.fill(image, lambda: sent(data), lambda: True)
    assert os.listdir(cache.path) == [".lock"]
    os.close(fill(cache, image))


def test_a_copy_that_was_cut_short_later_is_made_again(tmp_path: Path, make):
    image, cache = make(1), opened(tmp_path)
    os.close(fill(cache, image))
    os.truncate(cache.path / image.key, 100)
    os.close(fill(cache, image))
    assert (cache.path / image.key).stat().st_size == SIZE


def test_a_copy_that_is_no_longer_wanted_is_given_up(tmp_path: Path, make):
    image, cache = make(1), opened(tmp_path)
    with pytest.raises(UnavailableError, match="no longer wanted"):
        cache.fill(image, lambda: contents(image), lambda: False)
    assert cache.keys() == frozenset()


def test_the_copies_used_longest_ago_are_removed_for_a_new_one(tmp_path: Path, make):
    cache = opened(tmp_path, copies=3)
    images = [make(number) for number in range(5)]
    for image in images[:3]:
        os.close(fill(cache, image))
    used = cache.find(images[0])  # it is the newest one now
    assert used is not None
    os.close(used)
    os.close(fill(cache, images[3]))
    assert cache.keys() == {images[0].key, images[2].key, images[3].key}
    os.close(fill(cache, images[4]))
    assert cache.keys() == {images[0].key, images[3].key, images[4].key}


def test_a_copy_in_use_is_not_removed(tmp_path: Path, make):
    cache = opened(tmp_path, copies=2)
    one, two, three = (make(number) for number in range(3))
    held = fill(cache, one), fill(cache, two)
    with pytest.raises(LimitError, match=r"needs 1 MiB in .*KJU_IMAGE_CACHE") as raised:
        fill(cache, three)
    assert (raised.value.value, raised.value.asked) == (0, SIZE)
    os.close(held[1])
    os.close(fill(cache, three))
    assert cache.keys() == {one.key, three.key}


def test_no_copy_is_removed_for_an_image_without_room(tmp_path: Path, make):
    cache = opened(tmp_path, copies=2)
    one = make(1)
    os.close(fill(cache, one))
    with pytest.raises(LimitError):
        fill(cache, make_image(tmp_path / "large.raw", 3 * SIZE))
    assert cache.keys() == {one.key}


def test_the_room_of_a_cache_is_its_limit_or_the_free_space(tmp_path: Path, make):
    cache = opened(tmp_path, copies=3)
    assert cache.room() == 3 * SIZE
    os.close(fill(cache, make(1)))
    assert cache.room() == 3 * SIZE
    free = opened(tmp_path).room()
    found = os.statvfs(tmp_path)
    assert 0 < free <= found.f_bavail * found.f_frsize + SIZE


def test_a_fault_in_any_call_leaves_no_copy_that_is_not_whole(tmp_path: Path, make, monkeypatch):
    image = make(1)
    root = tmp_path / "cache"
    (root / "images").mkdir(parents=True, mode=0o700)

    def operation() -> None:
        cache = opened(tmp_path)
        try:
            os.close(fill(cache, image))
        finally:
            cache.close()

    failed = sweep(root, operation, monkeypatch, leaves=lambda name: name.endswith(image.key))
    assert {"open", "posix_fallocate", "write", "fsync", "rename"} <= set(failed)


def test_a_copy_killed_at_any_call_is_made_again(tmp_path: Path, make, monkeypatch):
    image = make(1)

    def operation() -> None:
        os.close(fill(opened(tmp_path), image))

    seen = set()
    for call in kills(operation, monkeypatch):
        seen.add(call)
        cache = opened(tmp_path)
        if (cache.path / image.key).exists():
            assert (cache.path / image.key).read_bytes() == (tmp_path / "1.raw").read_bytes()
        os.close(fill(cache, image))
        assert sorted(os.listdir(cache.path)) == [".lock", image.key]
        (cache.path / image.key).unlink()
    assert {"write", "fsync", "rename"} <= seen


def test_a_link_in_the_place_of_a_copy_is_not_followed(tmp_path: Path, make):
    image, cache = make(1), opened(tmp_path)
    (tmp_path / "other").write_bytes(bytes(SIZE))
    (cache.path / image.key).symlink_to(tmp_path / "other")
    os.close(fill(cache, image))
    assert stat.S_ISREG((cache.path / image.key).lstat().st_mode)
    assert (tmp_path / "other").read_bytes() == bytes(SIZE)


def test_the_folder_and_the_limit_come_from_the_environment(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "kju" / "images"
    monkeypatch.setenv("KJU_IMAGE_CACHE", "40G")
    assert cache_limit() == 40 << 30
    for wrong in ("40", "-1G", "many", "1.5G"):
        monkeypatch.setenv("KJU_IMAGE_CACHE", wrong)
        with pytest.raises(UsageError, match="write a number and a unit, such as 40G"):
            cache_limit()
    monkeypatch.setenv("KJU_IMAGE_CACHE", "")
    assert cache_limit() is None
