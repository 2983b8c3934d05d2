"""Hashes that are kept until a file changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from kju.errors import UnavailableError
from kju.fleet.images import hashes
from kju.fleet.images.cache import ImageCache
from kju.fleet.images.hashes import HASHES, KEPT_FROM, sha256_of


def no() -> bool:
    """Give up every file that is read."""
    return False


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # The file system's own time of the last change cannot be set.
    monkeypatch.setattr(hashes, "_TOO_NEW", -60.0)
    return tmp_path / "kju" / "images"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file without blocks, of the least size whose hash is kept."""
    path = tmp_path / "large.raw"
    with path.open("wb") as file:
        file.truncate(KEPT_FROM)
    return path


def test_a_large_file_is_read_once_until_it_changes(cache: Path, large: Path):
    found, file = sha256_of(large)
    assert found == hashlib.sha256(bytes(KEPT_FROM)).hexdigest()
    assert sha256_of(large, no) == (found, file)
    assert (cache / HASHES).stat().st_mode & 0o777 == 0o600
    # It is no copy of an image.
    assert ImageCache(cache).keys() == frozenset()
    with large.open("r+b") as changed:
        changed.write(b"x")
    with pytest.raises(UnavailableError):
        sha256_of(large, no)
    assert sha256_of(large)[0] != found
    large.unlink()
    large.with_name("new").write_bytes(b"")
    os.truncate(large.with_name("new"), KEPT_FROM)
    large.with_name("new").rename(large)
    assert sha256_of(large)[0] == found


def test_a_small_or_new_file_is_read_each_time(cache: Path, large: Path, monkeypatch):
    os.truncate(large, KEPT_FROM - 1)
    sha256_of(large)
    with pytest.raises(UnavailableError):
        sha256_of(large, no)
    monkeypatch.setattr(hashes, "_TOO_NEW", 60.0)
    os.truncate(large, KEPT_FROM)
    sha256_of(large)
    with pytest.raises(UnavailableError):
        sha256_of(large, no)
    assert not (cache / HASHES).exists()


@pytest.mark.parametrize("data", [b"", b"{", b'{"/a": 1}', b"\xff"])
def test_damaged_hashes_are_replaced(cache: Path, large: Path, data: bytes):
    ImageCache(cache).close()
    (cache / HASHES).write_bytes(data)
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    assert sha256_of(large)[0] == digest
    assert sha256_of(large, no)[0] == digest, "it is kept"


def test_a_cache_that_is_not_usable_keeps_nothing(cache: Path, large: Path):
    cache.parent.write_bytes(b"")
    assert sha256_of(large) == sha256_of(large)


def test_the_hashes_found_first_are_dropped(cache: Path, large: Path, monkeypatch):
    monkeypatch.setattr(hashes, "_MAX_HASHES", 2)
    links = [large.with_name(f"{number}.raw") for number in range(3)]
    for link in links:
        link.symlink_to(large)
        sha256_of(link)
    with pytest.raises(UnavailableError):
        sha256_of(links[0], no)
    for link in links[1:]:
        sha256_of(link, no)
