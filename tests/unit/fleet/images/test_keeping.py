"""The images of one keeper's machines: found at their path, or copied once and held."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.fleet_images import contents, make_image
from support.wait import until_async

from kju.errors import FileError, UnavailableError, UsageError
from kju.fleet.images.cache import ImageCache
from kju.fleet.images.keeping import KeptImages
from kju.fleet.images.source import FleetImage
from kju.fleet.placement import Instance

SIZE = 8192
A, B = Instance("a", 1), Instance("b", 1)


class Sender:
    """The node of an image, whose file has moved since: it is missing at its path on others."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.error: Exception | None = None
        self.may_end = threading.Event()
        self.may_end.set()

    def pieces(self, image: FleetImage) -> Iterator[bytes]:
        self.sent.append(image.key)
        if self.error is not None:
            raise self.error
        data = (Path(image.path).parent / "moved.raw").read_bytes()
        yield data[:100]
        while not self.may_end.wait(0.01):
            yield b""
        yield data[100:]


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
async def images(tmp_path: Path, sender: Sender) -> AsyncIterator[KeptImages]:
    made = KeptImages("n1", sender, lambda: ImageCache(tmp_path / "images"))
    yield made
    sender.may_end.set()
    await made.close()


def far(tmp_path: Path) -> FleetImage:
    """Return an image that has no file at its path here."""
    image = make_image(tmp_path / "a.raw", SIZE)
    (tmp_path / "a.raw").rename(tmp_path / "moved.raw")
    return image


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


async def test_a_file_with_the_contents_is_used_where_it_lies(
    tmp_path: Path, images: KeptImages, sender: Sender
):
    image = make_image(tmp_path / "a.raw", SIZE)
    assert images.is_likely_here(image)
    assert await images.hold(A, image) == tmp_path / "a.raw"
    assert (images.facts()[1], sender.sent) == ({image.key}, [])
    assert os.listdir(tmp_path / "images") == []


async def test_another_file_of_the_same_size_is_not_used(
    tmp_path: Path, images: KeptImages, sender: Sender
):
    image = far(tmp_path)
    (tmp_path / "a.raw").write_bytes(bytes(SIZE))
    os.utime(tmp_path / "a.raw", (1, 1))
    assert not images.is_likely_here(image)
    assert await images.hold(A, image) == tmp_path / "images" / image.key
    assert sender.sent == [image.key]


async def test_an_image_that_changed_on_its_own_node_is_refused(tmp_path: Path, sender: Sender):
    images = KeptImages("owner", sender, lambda: ImageCache(tmp_path / "images"))
    image = make_image(tmp_path / "a.raw", SIZE)
    assert await images.hold(A, image) == tmp_path / "a.raw"
    os.truncate(tmp_path / "a.raw", 600)
    with pytest.raises(UsageError, match="was cut short: it has 600 bytes of 8192"):
        await images.hold(B, image)
    (tmp_path / "a.raw").unlink()
    with pytest.raises(UsageError, match="is missing after it was opened for a fleet"):
        await images.hold(B, image)


async def test_machines_that_wait_for_one_image_get_one_copy(
    tmp_path: Path, images: KeptImages, sender: Sender
):
    image = far(tmp_path)
    sender.may_end.clear()
    waiting = [asyncio.create_task(images.hold(each, image)) for each in (A, B)]
    await until_async(lambda: sender.sent, "the copy has begun")
    sender.may_end.set()
    copy = tmp_path / "images" / image.key
    assert await asyncio.gather(*waiting) == [copy, copy]
    assert sender.sent == [image.key]
    assert images.facts()[1] == {image.key}
    images.release(A)
    assert is_locked(copy)
    images.release(B)
    images.release(B)
    assert not is_locked(copy)


async def test_a_copy_that_nobody_waits_for_is_given_up(
    tmp_path: Path, images: KeptImages, sender: Sender
):
    image = far(tmp_path)
    sender.may_end.clear()
    waiting = asyncio.create_task(images.hold(A, image))
    await until_async(lambda: sender.sent, "the copy has begun")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until_async(lambda: os.listdir(tmp_path / "images") == [".lock"], "nothing is left")
    # The next one begins anew.
    sender.may_end.set()
    assert (await images.hold(B, image)).read_bytes() == (tmp_path / "moved.raw").read_bytes()


async def test_an_error_reaches_all_who_wait_and_the_next_one_tries_again(
    tmp_path: Path, images: KeptImages, sender: Sender
):
    image = far(tmp_path)
    sender.error = UnavailableError("the node owner does not send it")
    waiting = [images.hold(each, image) for each in (A, B)]
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(error) for error in found] == ["the node owner does not send it"] * 2
    assert sender.sent == [image.key]
    sender.error = None
    assert await images.hold(A, image) == tmp_path / "images" / image.key


async def test_the_next_keeper_holds_the_images_of_the_machines_that_it_finds(
    tmp_path: Path, sender: Sender
):
    cache = ImageCache(tmp_path / "images")
    image = make_image(tmp_path / "a.raw", SIZE)
    os.close(cache.fill(image, lambda: contents(image), lambda: True))
    images = KeptImages("n1", sender, lambda: cache)
    images.adopt(A, image)
    images.adopt(B, make_image(tmp_path / "gone.raw", SIZE, seed=2))
    assert is_locked(cache.path / image.key)
    await images.close()
    assert not is_locked(tmp_path / "images" / image.key)


async def test_a_node_whose_cache_is_not_usable_has_no_room_for_images(
    tmp_path: Path, sender: Sender
):
    (tmp_path / "images").write_bytes(b"")
    images = KeptImages("n1", sender, lambda: ImageCache(tmp_path / "images"))
    assert images.facts() == (0, frozenset())
    with pytest.raises(FileError):
        await images.hold(A, far(tmp_path))
    # A file at the image's own path needs none.
    (tmp_path / "moved.raw").rename(tmp_path / "a.raw")
    image = make_image(tmp_path / "a.raw", SIZE)
    assert await images.hold(A, image) == tmp_path / "a.raw"
