"""QEMU's display listener with a real QEMU: the published picture equals screendump's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from qemu.qmp import QMPClient
from support import guests
from support.wait import HANG

from kju.emulators.qemu.display.dbus import DisplayBus
from kju.sources.base import Need, Phase
from kju.sources.display1.source import FELL_BACK, Display1Source, socket_pair
from kju.surface import surface_size
from kju.surface.producer import Producer

pytestmark = pytest.mark.qemu

CAPACITY = 16 << 20
PATIENCE = HANG


class Rig:
    """A QEMU with its main connection and any number of listeners."""

    def __init__(
        self, folder: Path, qmp: QMPClient, bus: DisplayBus, properties: dict[str, int]
    ) -> None:
        self.folder = folder
        self.qmp = qmp
        self.bus = bus
        self.sources: list[Display1Source] = []
        self.properties = properties

    def surface(self, capacity: int = CAPACITY) -> Producer:
        memory = np.zeros(surface_size(capacity), np.uint8)
        return Producer.format(memory.data, capacity, incarnation=7)

    async def listen(self, producer: Producer, console: int = 0, maps: bool = True):
        ours, theirs = socket_pair()
        source = Display1Source(ours, producer, maps=maps, label=str(console))
        self.sources.append(source)
        source.start()
        await self.bus.register_listener(console, theirs)
        return source

    async def listen_until(self, width: int, height: int) -> Display1Source:
        """Listen until a booting guest has this mode.

        On a busy computer QEMU may answer a listener too late. The host registers another then.
        """
        producer = self.surface()
        source = await self.listen(producer)  # has_mode reads the producer that all share
        has_mode = sized(source, width, height)

        def is_decided() -> bool:
            return has_mode() or self.sources[-1].status.phase is Phase.ENDED

        while True:
            await self.until(is_decided, f"{width}x{height}", times=2)
            if has_mode():
                return self.sources[-1]
            self.sources[-1].stop()
            await self.listen(producer)

    async def until(self, condition, what: str, times: int = 1):
        deadline = time.monotonic() + times * PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, f"{what}: {[s.status for s in self.sources]}"
            await asyncio.sleep(0.01)
        return value

    async def screendump(self, device: str | None = None, head: int = 0) -> np.ndarray:
        path = self.folder / "dump.ppm"
        which = {"device": device, "head": head} if device else {}
        await self.qmp.execute("screendump", {"filename": str(path), **which})
        return np.asarray(Image.open(path))

    async def equals_screendump(self, source: Display1Source, **which) -> bool:
        """Pause the guest and wait for the pixels that QEMU sends with its next tick."""
        await self.qmp.execute("stop")
        dump = await self.screendump(**which)

        def equal() -> bool:
            source.flush(5)
            pixels = source.producer.pixels
            return pixels.shape[:2] == dump.shape[:2] and bool((pixels[..., 2::-1] == dump).all())

        await self.until(equal, "the published picture never equals the screendump")
        await self.qmp.execute("cont")
        return True


@contextlib.asynccontextmanager
async def running(folder: Path, arguments: list[str], qemu: Path | None = None):
    control, inherited = socket.socketpair()
    command = [str(qemu or guests.qemu()), *arguments, "-display", "dbus,p2p=yes", "-net", "none"]
    command += ["-chardev", f"socket,id=qmp,fd={inherited.fileno()}"]
    command += ["-mon", "chardev=qmp,mode=control"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[inherited.fileno()])
    inherited.close()
    qmp = QMPClient("test")
    rig = None
    try:
        await qmp.connect(control)
        ours, theirs = socket.socketpair()
        qmp.send_fd_scm(theirs.fileno())
        await qmp.execute("getfd", {"fdname": "display"})
        await qmp.execute("add_client", {"protocol": "@dbus-display", "fdname": "display"})
        theirs.close()
        properties: dict[str, int] = {}
        bus = await DisplayBus.connect(ours, lambda path, interface, new: properties.update(new))
        rig = Rig(folder, qmp, bus, properties)
        yield rig
    finally:
        if rig is not None:
            for source in rig.sources:
                source.stop()
            rig.bus.close()
        process.kill()
        process.wait()
        with contextlib.suppress(EOFError, OSError):
            await qmp.disconnect()


def sized(source: Display1Source, width: int, height: int):
    return lambda: source.producer.mode[:2] == (width, height)


async def test_text_mode_is_mapped(tmp_path):
    async with running(tmp_path, guests.invaders()) as rig:
        assert await rig.bus.console_ids() == [0]
        console = await rig.bus.console(0)
        assert (console.label, console.kind, console.head) == ("VGA", "Graphic", 0)
        source = await rig.listen(rig.surface())
        await rig.until(sized(source, 720, 400), "text mode")
        for _ in range(3):
            version = source.producer.version
            await rig.until(lambda v=version: source.producer.version > v + 5, "movement")
            assert await rig.equals_screendump(source)
        assert source.status.name == "display1-map"
        assert source.status.reason == ""
        assert source.mistakes == 0


@pytest.mark.parametrize("old", [False, True], ids=["installed", "7.2"])
async def test_text_mode_as_bytes_needs_a_new_listener(tmp_path, old):
    binary = guests.qemu72() if old else None
    async with running(tmp_path, guests.invaders(), binary) as rig:
        producer = rig.surface()
        source = await rig.listen(producer, maps=old)
        await rig.until(lambda: source.status.need == Need.REGISTER, "out of step")
        source.stop()
        source = await rig.listen(producer, maps=old)
        await rig.until(sized(source, 720, 400), "text mode")
        await rig.until(lambda: source.size == (720, 400), "the source's own size")
        assert (rig.properties["Width"], rig.properties["Height"]) == (720, 400)
        assert await rig.equals_screendump(source)
        assert source.status.name == "display1-copy"
        assert source.status.need == Need.NOTHING
        assert source.mistakes == 0


@pytest.mark.parametrize(
    ("device", "mode", "name", "old"),
    [
        ("virtio-vga", "animate", "display1-map", False),
        ("virtio-vga", "flip", "display1-map", False),
        ("VGA", "animate", "display1-copy", False),
        ("virtio-vga", "box", "display1-copy", True),
    ],
)
async def test_graphics_mode_is_published(tmp_path, device, mode, name, old):
    guest = guests.paint(tmp_path, mode, device=device)
    async with running(tmp_path, guest.arguments, guests.qemu72() if old else None) as rig:
        source = await rig.listen_until(1280, 800)
        for _ in range(3):
            version = source.producer.version
            await rig.until(lambda v=version: source.producer.version > v + 20, "movement")
            assert await rig.equals_screendump(source)
        assert source.status.name == name
        assert source.status.need == Need.NOTHING
        assert source.mistakes == 0


def is_dark(source: Display1Source) -> bool:
    return not source.producer.pixels[source.producer.mode.height // 2 :, :, :3].any()


async def test_mode_changes_show_no_placeholder(tmp_path):
    sizes = [(640, 480), (800, 600), (1024, 768)]
    words = ",".join(f"{w}x{h}" for w, h in sizes)
    guest = guests.paint(tmp_path, "resize", sizes=words, rate=4)
    async with running(tmp_path, guest.arguments) as rig:
        source = await rig.listen(rig.surface())
        seen: list[tuple[int, int]] = []
        dark: set[int] = set()  # after which of them a placeholder was seen

        def look() -> bool:
            mode = source.producer.mode
            if seen[-1:] != [mode[:2]]:
                seen.append(mode[:2])
            # `paint` fills the screen with colour; QEMU's placeholder is black.
            if mode[:2] in sizes[1:] and is_dark(source):
                dark.add(len(seen))
            # The source delays a placeholder by a fixed time: on a busy computer
            # QEMU sometimes takes longer to replace it. Without the delay every second
            # change of the mode shows a placeholder.
            return len(seen) > 24 and dark.isdisjoint(range(len(seen) - 24, len(seen) + 1))

        await rig.until(look, "24 modes without a placeholder between them")
        assert len(seen) < 200, dark
        assert set(seen[-6:]) == set(sizes)
        assert source.mistakes == 0


async def test_each_head_is_a_console(tmp_path):
    guest = guests.paint(tmp_path, "animate", device="virtio-vga,id=card,max_outputs=2", heads=2)
    async with running(tmp_path, guest.arguments) as rig:
        assert await rig.bus.console_ids() == [0, 1]
        assert (await rig.bus.console(1)).head == 1
        sources = [await rig.listen(rig.surface(), console) for console in (0, 1)]
        await rig.until(sized(sources[0], 1280, 800), "the first head")
        assert await rig.equals_screendump(sources[0], device="card", head=0)
        await rig.bus.set_ui_info(1, 1024, 768)
        assert all(source.mistakes == 0 for source in sources)


async def test_keys_reach_the_guest(tmp_path):
    guest = guests.paint(tmp_path, "still")
    async with running(tmp_path, guest.arguments) as rig:
        with guests.Serial(guest) as serial:
            await asyncio.to_thread(serial.wait, "kju: ready")
            await rig.bus.key(0, 0x1E, True)
            await rig.bus.key(0, 0x1E, False)
            await asyncio.to_thread(serial.wait, "kju: key 30 down")
            await asyncio.to_thread(serial.wait, "kju: key 30 up")
        assert not await rig.bus.is_absolute(0)


async def test_new_listener_after_a_slow_answer_gets_maps_again(tmp_path):
    guest = guests.paint(tmp_path, "flip")
    async with running(tmp_path, guest.arguments) as rig:
        producer = rig.surface()
        source = await rig.listen(producer)
        await rig.until(sized(source, 1280, 800), "a graphical mode")
        await rig.until(lambda: source.status.name == "display1-map", "maps")
        # The wait is the point: QEMU gives up on a listener by its own clock.
        source._submit(lambda: threading.Event().wait(3))
        await rig.until(lambda: source.status.need == Need.REGISTER, "the fall to bytes")
        assert source.status.reason == FELL_BACK
        source.stop()
        source = await rig.listen(producer)
        await rig.until(lambda: source.status.name == "display1-map", "maps again")
        assert await rig.equals_screendump(source)
        assert source.status.name == "display1-map"


async def test_end_of_qemu_ends_source_and_bus(tmp_path):
    async with running(tmp_path, guests.invaders()) as rig:
        source = await rig.listen(rig.surface())
        await rig.until(sized(source, 720, 400), "text mode")
        await rig.qmp.execute("quit")
        await rig.until(lambda: source.status.phase == Phase.ENDED, "the end")
        assert "hung up" in source.status.reason
        async with asyncio.timeout(HANG):
            await asyncio.shield(rig.bus.closed)
