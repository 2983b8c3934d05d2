"""Images of a fleet's machines: copied once to a node, read by several guests, written by none."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from support import guests
from support.fleet_images import make_image
from support.forks import folders
from support.wait import until_async

import kju.aio
from kju.errors import FleetFullError, LimitError, MachineLostError
from kju.fleet.controller import FleetController
from kju.fleet.images.cache import ImageCache
from kju.fleet.images.files import read_piece
from kju.fleet.images.keeping import KeptImages
from kju.fleet.images.source import FleetImage
from kju.fleet.keeper import Keeper
from kju.fleet.messages import FleetState, MachineSpec
from kju.fleet.placement import NodeFacts, Room
from kju.fleet.specs import machine_specs
from kju.store import running, sweeping

pytestmark = pytest.mark.qemu

SIZE = 1 << 20


class Scene:
    """A controller and the keeper of one node, to which an image is sent from another folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent: list[int] = []
        self.is_stopped = False
        (folder / "far").mkdir()
        made = make_image(folder / "far" / "disk.raw", SIZE)
        self._source = made
        #: Here is no file at its path.
        self.image = FleetImage(made.sha256, made.file, str(folder / "disk.raw"), "far")
        self.cache = ImageCache(folder / "images", limit=SIZE)
        images = KeptImages("n1", self, lambda: self.cache)
        self.controller = FleetController(lambda _, session, order: keeper.order(session, order))

        def facts() -> NodeFacts:
            room, parts = images.facts()
            return NodeFacts("n1", Room(memory=4 << 30, disk=room), parts=parts)

        self.keeper = keeper = Keeper("lab", "n1", facts, self.controller, images=images)
        self.tasks = [asyncio.create_task(each.run()) for each in (self.controller, keeper)]

    def pieces(self, image: FleetImage) -> Iterator[bytes]:
        self.sent.append(1)
        while self.is_stopped:
            yield b""
        yield from (read_piece(self._source, number) for number in range(image.pieces))

    def specs(self, *names: str) -> list[MachineSpec]:
        options = {
            "image": self.image.path,
            "memory": "64M",
            "args": ["-accel", "tcg", "-nic", "none", "-monitor", "none"],
        }
        return machine_specs(names, options, image=self.image)

    def state(self, name: str) -> FleetState:
        return next(each.state for each in self.controller.statuses() if each.name == name)


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    guests.qemu()
    for name, folder in (("XDG_RUNTIME_DIR", "."), ("XDG_DATA_HOME", "data")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    tmp_path.chmod(0o700)
    made = Scene(tmp_path)
    await until_async(lambda: made.controller.nodes(), "the node has joined")
    yield made
    made.is_stopped = False
    for name in running.names():
        running.kill(name)
    for task in made.tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def write(machine: kju.aio.Machine, pattern: int) -> None:
    """Write to the first bytes of the disk as the guest does, and read them."""
    for command in (f"write -P {pattern} 0 64k", f"read -P {pattern} 0 64k", "flush"):
        line = f'qemu-io kju-disk "{command}"'
        answer = await machine.qmp("human-monitor-command", **{"command-line": line})
        assert "failed" not in str(answer).lower(), answer


async def test_machines_read_one_copy_and_write_their_own_overlays(scene: Scene) -> None:
    await scene.controller.launch(scene.specs("a", "b"))
    copy = scene.cache.path / scene.image.key
    assert scene.sent == [1]
    assert len(folders(scene.folder)) == 2, "each has an overlay"
    async with await kju.aio.attach("a") as one, await kju.aio.attach("b") as two:
        blocks = [block for block in await one.qmp("query-block") if block["device"] == "kju-disk"]
        assert blocks[0]["inserted"]["image"]["backing-filename"] == str(copy)
        await write(one, 0x11)
        await write(two, 0x22)
        # A machine of a fleet can be frozen: its fork goes on with what it has written.
        async with await one.freeze("now", spares=0) as base, await base.fork() as fork:
            line = 'qemu-io kju-disk "read -P 17 0 64k"'
            answer = await fork.qmp("human-monitor-command", **{"command-line": line})
            assert "failed" not in str(answer).lower(), answer
    # The copy is in use: there is no room for another one.
    other = make_image(scene.folder / "other.raw", SIZE, seed=2)
    with pytest.raises(LimitError, match="holds 1 MiB that stay"):
        scene.cache.fill(other, lambda: iter(()), lambda: True)
    async with await kju.aio.attach("a") as one:
        base = await one.freeze("later", spares=0)
    for name in ("a", "b"):
        await scene.controller.end(name, "the end")
    # The base has outlived its machine, and needs the image.
    with pytest.raises(LimitError, match="holds 1 MiB that stay"):
        scene.cache.fill(other, lambda: iter(()), lambda: True)
    async with await base.fork() as fork:
        await write(fork, 0x44)
    await base.close()
    assert folders(scene.folder) == []
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == scene.image.sha256
    # It stays for the next machine, which begins with the image.
    await scene.controller.launch(scene.specs("c"))
    async with await kju.aio.attach("c") as machine:
        await write(machine, 0x33)
    assert scene.sent == [1]
    await scene.controller.end("c", "the end")


async def test_an_overlay_of_a_killed_machine_is_removed_and_the_copy_stays(scene: Scene) -> None:
    (spec,) = scene.specs("a")
    await scene.controller.launch([msgspec.structs.replace(spec, max_restarts=1)])
    first = folders(scene.folder)
    running.kill("a")
    await until_async(
        lambda: (scene.state("a") is FleetState.RUNNING) and running.names() == ["a"]
        and folders(scene.folder) != first, "it runs again",
    )  # fmt: skip
    assert scene.sent == [1]
    await scene.controller.end("a", "the end")
    sweeping.sweep()
    assert folders(scene.folder) == []


async def test_an_image_that_changed_meanwhile_starts_no_machine(scene: Scene) -> None:
    with (scene.folder / "far" / "disk.raw").open("ab") as file:
        file.write(b"x")
    with pytest.raises(MachineLostError, match=r"did not start on n1: .* has grown") as raised:
        await scene.controller.launch(scene.specs("a", "b"))
    assert raised.value.node == "n1"
    assert running.names() == []
    assert scene.cache.keys() == frozenset()


async def test_a_machine_that_waits_for_its_image_can_be_ended(scene: Scene) -> None:
    scene.is_stopped = True
    launch = asyncio.create_task(scene.controller.launch(scene.specs("a")))
    await until_async(lambda: scene.sent, "the copy has begun")
    assert scene.state("a") is FleetState.STARTING
    await scene.controller.end("a", "it takes too long")
    with pytest.raises(MachineLostError, match="it takes too long"):
        await launch
    await until_async(lambda: os.listdir(scene.cache.path) == [".lock"], "nothing is left")


async def test_an_image_without_room_is_refused_with_the_name_of_the_node(scene: Scene) -> None:
    scene.image = msgspec.structs.replace(
        scene.image, file=msgspec.structs.replace(scene.image.file, size=3 << 30)
    )
    with pytest.raises(FleetFullError, match=r"n1 lacks 3 GiB of disk"):
        await scene.controller.launch(scene.specs("a"))
    assert scene.sent == []
