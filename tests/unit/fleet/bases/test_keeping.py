"""The bases of one keeper's machines: used where they lie, or copied once and held."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from support.fleet_images import make_image
from support.forks import BUILD, HEADER, MEMORY, folders, freeze
from support.wait import until_async

from kju.errors import ForkError, LimitError, UsageError
from kju.fleet.bases import keeping
from kju.fleet.bases.keeping import KeptBases
from kju.fleet.bases.manifest import Manifests
from kju.fleet.bases.source import BaseManifest, FleetBase
from kju.fleet.images.cache import ImageCache
from kju.fleet.images.files import read_piece
from kju.fleet.images.keeping import KeptImages
from kju.fleet.images.source import FleetImage
from kju.fleet.placement import Instance
from kju.store.forks import places
from kju.store.forks.bases import Base, is_here, open_base

A, B, C = Instance("a", 1), Instance("b", 1), Instance("c", 1)
#: An ID that no base of this computer has: the one of another computer.
FAR = "01234567-0123456789abcdef"


class Sender:
    """The node of a base, which another node knows under an ID that is not found there."""

    def __init__(self) -> None:
        self.real: dict[str, str] = {}
        self.sent: list[str] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.damages = False
        self._manifests = Manifests()

    def manifest(self, base: FleetBase) -> BaseManifest:
        return self._manifests.get(self.real[base.id], base.node)

    def pieces(self, image: FleetImage) -> Iterator[bytes]:
        self.sent.append(image.path)
        while not self.may_end.wait(0.01):
            yield b""
        for number in range(image.pieces):
            piece = read_piece(image, number)
            yield piece[:-1] + b"!" if self.damages else piece


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
async def bases(tmp_path: Path, sender: Sender) -> AsyncIterator[KeptBases]:
    images = KeptImages("n1", sender, lambda: ImageCache(tmp_path / "images"))
    made = KeptBases("n1", images, sender)
    yield made
    sender.may_end.set()
    await made.close()
    await images.close()
    assert folders(tmp_path) == [], "nothing is held"


@pytest.fixture
def frozen(bases: KeptBases) -> Iterator[Base]:
    # Released before the keeper is closed.
    contents = bytes(HEADER) + os.urandom(MEMORY // 2) + bytes(MEMORY // 2)
    with freeze(contents=contents) as made:
        yield made


def near(base: Base) -> FleetBase:
    return FleetBase(base.id, "web", "ready", "n2", MEMORY, MEMORY + places.MARGIN)


def far(base: Base, sender: Sender, name: str = FAR) -> FleetBase:
    sender.real[name] = base.id
    return msgspec.structs.replace(near(base), id=name)


async def test_a_base_is_used_where_it_lies_and_held(
    bases: KeptBases, frozen: Base, sender: Sender
) -> None:
    assert await bases.hold(A, near(frozen)) == frozen.id
    frozen.release()
    assert await bases.hold(B, near(frozen)) == frozen.id, "the keeper holds it"
    room, keys = bases.facts()
    assert keys == {near(frozen).key}
    bases.release(A)
    open_base(frozen.id).release()
    bases.release(B)
    await until_async(lambda: not bases.facts()[1], "it is released")
    assert (sender.sent, room > 0) == ([], True)
    with pytest.raises(ForkError, match="does not exist any more"):
        open_base(frozen.id)


async def test_a_base_is_copied_once_for_all_machines_that_wait(
    bases: KeptBases, frozen: Base, sender: Sender
) -> None:
    wanted = far(frozen, sender)
    before, _ = bases.facts()
    found = await asyncio.gather(*(bases.hold(each, wanted) for each in (A, B)))
    found.append(await bases.hold(C, wanted))
    assert len(set(found)) == 1 and found[0] != frozen.id
    assert sender.sent == [str(frozen.state)]
    with open_base(found[0]) as copy:
        copy.check(BUILD)
        assert copy.state.read_bytes() == frozen.state.read_bytes()
    # Its room is still room of this node for bases. Other programs use the disk, too.
    room, keys = bases.facts()
    assert keys == {wanted.key}
    assert abs(room - before) < wanted.tmpfs


async def test_a_copy_stays_for_a_while_after_its_last_machine(
    bases: KeptBases, frozen: Base, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = far(frozen, sender)
    copy = await bases.hold(A, wanted)
    bases.release(A)
    assert await bases.hold(B, wanted) == copy
    assert len(sender.sent) == 1
    monkeypatch.setattr(keeping, "KEPT_FOR", 0.0)
    bases.release(B)
    await until_async(lambda: not (bases.facts()[1] or is_here(copy)), "the copy is removed")
    with pytest.raises(ForkError, match="does not exist any more"):
        open_base(copy)


async def test_an_unused_copy_is_removed_for_another_base(
    bases: KeptBases, frozen: Base, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await bases.hold(A, far(frozen, sender))
    other = far(frozen, sender, FAR[:-1] + "0")
    asked = []

    def check(root: Path, memory: int) -> None:
        asked.append(memory)
        if places.space(root).reserved > 1.5 * (MEMORY + places.MARGIN):
            raise LimitError("too little memory", "free bytes for bases", 0, memory)

    # The tmpfs of the test is the disk, which has room for many: frozen base and copy are all.
    monkeypatch.setattr(places, "_check_budget", check)
    with pytest.raises(LimitError):
        await bases.hold(B, other)
    bases.release(A)
    frozen_only = await bases.hold(B, other)
    assert frozen_only != one
    with pytest.raises(ForkError):
        open_base(one)
    assert len(asked) == 3


async def test_the_files_below_a_base_are_copied_too(
    bases: KeptBases, frozen: Base, sender: Sender, tmp_path: Path
) -> None:
    image = make_image(tmp_path / "a.raw", 8192)
    moved = msgspec.structs.replace(image, path=str(tmp_path / "other" / "a.raw"))
    sent: list[FleetImage] = []
    real = sender.pieces

    def pieces(file: FleetImage) -> Iterator[bytes]:
        sent.append(file)
        return real(image if file == moved else file)

    sender.pieces = pieces  # type: ignore[method-assign]
    wanted = msgspec.structs.replace(far(frozen, sender), images=(moved,))
    await bases.hold(A, wanted)
    assert [each.path for each in sent] == [moved.path, str(frozen.state)]
    assert (tmp_path / "images" / image.key).read_bytes() == Path(image.path).read_bytes()


async def test_a_damaged_copy_is_refused_and_tried_again(
    bases: KeptBases, frozen: Base, sender: Sender, tmp_path: Path
) -> None:
    before = folders(tmp_path)
    sender.damages = True
    with pytest.raises(UsageError, match="has other contents than the base ready of web"):
        await bases.hold(A, far(frozen, sender))
    assert folders(tmp_path) == before
    sender.damages = False
    await bases.hold(A, far(frozen, sender))


async def test_a_copy_that_nobody_wants_any_more_is_given_up(
    bases: KeptBases, frozen: Base, sender: Sender, tmp_path: Path
) -> None:
    before = folders(tmp_path)
    sender.may_end.clear()
    waits = asyncio.create_task(bases.hold(A, far(frozen, sender)))
    await until_async(lambda: sender.sent, "the copy has begun")
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    await until_async(lambda: folders(tmp_path) == before, "nothing is left of it")


async def test_a_base_that_was_removed_is_an_error_with_its_name(
    bases: KeptBases, frozen: Base, sender: Sender
) -> None:
    own = msgspec.structs.replace(near(frozen), id=FAR, node="n1")
    with pytest.raises(ForkError, match="the base ready of web does not exist any more on n1"):
        await bases.hold(A, own)
    wanted = far(frozen, sender)
    frozen.release()
    with pytest.raises(ForkError, match="does not exist any more"):
        await bases.hold(A, wanted)


async def test_a_restarted_keeper_adopts_the_bases_of_its_machines(
    bases: KeptBases, frozen: Base, sender: Sender
) -> None:
    wanted = far(frozen, sender)
    bases.adopt(A, wanted, frozen.id)
    frozen.release()
    assert await bases.hold(B, wanted) == frozen.id
    assert sender.sent == []
    # Without a note of the machine it is looked for, or copied again.
    lost = far(frozen, sender, FAR[:-1] + "1")
    bases.adopt(C, lost, "")
    assert lost.key not in bases.facts()[1]


async def test_what_a_base_consists_of_is_read_once(frozen: Base, bases: KeptBases) -> None:
    manifests = Manifests()
    one = manifests.get(frozen.id, "n2")
    assert [file.path for file in one.files] == [str(frozen.state)]
    assert one.files[0].node == "n2" and one.description == frozen.description
    assert manifests.get(frozen.id, "n2") is one
    frozen.release()
    with pytest.raises(ForkError, match="does not exist any more"):
        manifests.get(frozen.id, "n2")
