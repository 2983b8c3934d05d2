"""Forks of a base on the node of a fleet: a real guest goes on there, from a copy of the base."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support import guests
from support.fleet_images import make_image
from support.forks import folders
from support.wait import HANG, until_async

import kju.aio
from kju.errors import MachineLostError
from kju.fleet.bases.keeping import KeptBases
from kju.fleet.bases.manifest import Manifests
from kju.fleet.bases.opening import open_for_fleet
from kju.fleet.bases.source import BaseManifest, FleetBase
from kju.fleet.controller import FleetController
from kju.fleet.images.cache import ImageCache
from kju.fleet.images.files import read_piece
from kju.fleet.images.keeping import KeptImages
from kju.fleet.images.source import FleetImage
from kju.fleet.keeper import Keeper
from kju.fleet.messages import FleetState
from kju.fleet.placement import NodeFacts, Room
from kju.fleet.specs import fork_specs
from kju.store import running

pytestmark = pytest.mark.qemu

#: The base's ID on another computer; here is no base of this ID.
FAR = "01234567-0123456789abcdef"


class Scene:
    """A controller and the keeper of one node, to which a base is sent from another one."""

    def __init__(self, folder: Path) -> None:
        self.real = ""
        self.sent: list[str] = []
        self._manifests = Manifests()
        images = KeptImages("n1", self, lambda: ImageCache(folder / "images"))
        bases = KeptBases("n1", images, self)
        self.controller = FleetController(lambda _, session, order: keeper.order(session, order))

        def facts() -> NodeFacts:
            tmpfs, parts = bases.facts()
            return NodeFacts("n1", Room(memory=4 << 30, tmpfs=tmpfs, disk=1 << 30), parts=parts)

        keeper = Keeper("lab", "n1", facts, self.controller, images=images, bases=bases)
        self.tasks = [asyncio.create_task(each.run()) for each in (self.controller, keeper)]

    def manifest(self, base: FleetBase) -> BaseManifest:
        return self._manifests.get(self.real, base.node)

    def pieces(self, image: FleetImage) -> Iterator[bytes]:
        self.sent.append(image.path)
        yield from (read_piece(image, number) for number in range(image.pieces))

    def state(self, name: str) -> FleetState:
        return self.controller.status(name).state


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    guests.qemu()
    for name, folder in (("XDG_RUNTIME_DIR", "."), ("XDG_DATA_HOME", "data")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    tmp_path.chmod(0o700)
    made = Scene(tmp_path)
    await until_async(lambda: made.controller.nodes(), "the node has joined")
    yield made
    for name in running.names():
        running.kill(name)
    for task in made.tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def disk(machine: kju.aio.Machine, command: str) -> str:
    line = f'qemu-io kju-disk "{command}"'
    return str(await machine.qmp("human-monitor-command", **{"command-line": line}))


async def test_forks_go_on_from_a_copy_of_the_base(scene: Scene, tmp_path: Path) -> None:
    image = make_image(tmp_path / "disk.raw", 1 << 20)
    guest = guests.paint(tmp_path, "shell", device="VGA")
    options = {"args": guest.arguments}
    async with await kju.aio.launch(image.path, name="web", **options) as web:
        await web.screen.text("kju$").wait(timeout=4 * HANG)
        await disk(web, "write -P 0x11 0 64k")
        before = (await web.screen.frame()).copy()
        async with await web.freeze("ready", spares=0) as frozen:
            scene.real = frozen.id
            base = open_for_fleet(frozen.id, "far")
            now = hashlib.sha256(Path(image.path).read_bytes()).hexdigest()
            assert [each.sha256 for each in base.images] == [now]
            assert (base.memory, base.kvm) == (256 << 20, False)
            base = msgspec.structs.replace(base, id=FAR)
            specs = fork_specs(["a", "b"], base, memory="32M", max_restarts=1)
            await scene.controller.launch(specs)
            # The memory, and no overlay: the frozen machine had none.
            assert len(scene.sent) == 1
            async with await kju.aio.attach("a") as one, await kju.aio.attach("b") as two:
                for fork in (one, two):
                    assert np.array_equal(await fork.screen.frame(), before)
                    assert "failed" not in await disk(fork, "read -P 0x11 0 64k")
                await disk(one, "write -P 0x22 0 64k")
                assert "failed" not in await disk(two, "read -P 0x11 0 64k")
                await two.keyboard.type("echo $((0x1389))\n")
                await two.screen.text("5001").wait(timeout=HANG)
                copy = (await one.info())["fork"]["base"]
                assert copy == (await two.info())["fork"]["base"] != frozen.id
            # One that was lost begins with the base, of which the node has a copy.
            running.kill("a")
            await until_async(
                lambda: scene.controller.status("a").generation == 2
                and scene.state("a") is FleetState.RUNNING, "it runs again",
            )  # fmt: skip
            async with await kju.aio.attach("a") as again:
                assert "failed" not in await disk(again, "read -P 0x11 0 64k")
            assert len(scene.sent) == 1
            nodes = scene.controller.nodes()
            assert nodes["n1"].used.tmpfs == base.tmpfs, "once for all of its forks"
            for name in ("a", "b"):
                await scene.controller.end(name, "the end")
        scene.real = frozen.id
        await web.remove_base("ready")
        # The copy is still there; another base of this name is not.
        await scene.controller.launch(fork_specs(["c"], base))
        gone = msgspec.structs.replace(base, id=FAR[:-1] + "0")
        with pytest.raises(MachineLostError, match=r"did not start on n1: .* does not exist"):
            await scene.controller.launch(fork_specs(["d"], gone))
        await scene.controller.end("c", "the end")
    for task in scene.tasks:
        task.cancel()
    await asyncio.gather(*scene.tasks, return_exceptions=True)
    assert folders(tmp_path) == []
