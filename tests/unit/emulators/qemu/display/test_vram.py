"""A console's video memory without QEMU: checks of its answers, and errors."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kju.emulators.qemu.display import guest_mode
from kju.emulators.qemu.display import vram as video
from kju.emulators.qemu.display.guest_mode import OtherMode
from kju.emulators.qemu.display.screenshot import read_ppm
from kju.emulators.qemu.display.vram import NoVideoMemoryError, VideoMemory
from kju.errors import QemuError
from kju.surface.geometry import Place

SIZE = 1 << 20
BASE = 0xFEBF0000
PLACE = Place(64, 48, 256, 0)


class FakeQmp:
    """QEMU's display: its registers and its picture."""

    def __init__(self) -> None:
        self.registers = [0xB0C5, 64, 48, 32, 0x41, 0, 64, 0, 0, 0, 16, 0]
        self.base = BASE
        self.ports = {guest_mode.ATTRIBUTE_OFFSET: 0x20}
        self.dump: Callable[[], bytes] | None = None
        self.asked: list[dict[str, Any]] = []
        self.lent: list[int] = []
        self.device: dict[str, Any] = {
            "slot": 2, "function": 0, "qdev_id": "card",
            "id": {"vendor": 0x1234, "device": 0x1111},
        }  # fmt: skip

    async def lend(self, descriptor: int) -> int:
        assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        self.lent.append(descriptor)
        return descriptor

    async def take_back(self, number: int) -> None:
        self.lent.remove(number)

    async def monitor(self, line: str) -> str:
        return str(await self.execute("human-monitor-command", {"command-line": line}))

    async def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        self.asked.append(arguments or {})
        if command == "query-pci":
            regions = [{"bar": 0, "address": 0xFD000000}, {"bar": 2, "address": self.base}]
            return [{"devices": [self.device | {"regions": regions}]}]
        if command == "screendump":
            if self.dump is None:
                raise QemuError("QEMU refused screendump")
            number = int(arguments["filename"].removeprefix("/dev/fdset/"))
            assert number in self.lent
            Path(f"/proc/self/fd/{number}").write_bytes(self.dump())
            return {}
        _, _, place = arguments["command-line"].split()
        offset = int(place, 16) - self.base
        if offset == 0x500:
            return f"{place}: " + " ".join(f"{word:#06x}" for word in self.registers)
        if offset == 0x604:
            return f"{place}: 0x1e1e1e1e"
        return f"{place}: {self.ports.get(offset, 0xFF):#04x}"


class Scene:
    def __init__(self, folder: Path) -> None:
        self.qmp = FakeQmp()
        self.folder = folder
        name = "0000:00:02.0/vga.vram"
        self.descriptor = os.memfd_create(name)
        os.ftruncate(self.descriptor, SIZE)
        os.pwrite(self.descriptor, np.random.default_rng(2).bytes(SIZE), 0)

    async def find(self, *, is_first: bool = True, address: str = "pci/0000/02.0") -> VideoMemory:
        self.memory = await VideoMemory.find(self.qmp, os.getpid(), address, is_first=is_first)
        return self.memory

    def picture(self, place: Place = PLACE) -> np.ndarray:
        data = np.frombuffer(os.pread(self.descriptor, SIZE, 0), np.uint8)
        steps = (place.stride, 4, 1)
        shape = (place.height, place.width, 4)
        return np.lib.stride_tricks.as_strided(data[place.offset :], shape, steps)[..., 2::-1]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    os.close(made.descriptor)
    assert list(tmp_path.iterdir()) == [], "no screenshot is left"


def ppm(pixels: np.ndarray, padded: bool = True) -> bytes:
    height, width, _ = pixels.shape
    row = width * 3 + (-width * 3 % 4 if padded else 0)
    rows = np.full((height, row), 0xAA, np.uint8)
    rows[:, : width * 3] = pixels.reshape(height, width * 3)
    return b"P6\n%d %d\n255\n" % (width, height) + rows.tobytes()


async def test_memory_is_found_by_its_address_and_closed_to_others(scene: Scene) -> None:
    memory = await scene.find()
    assert memory.mapping.size == SIZE
    assert os.fstat(scene.descriptor).st_mode & 0o777 == 0o400
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(memory.descriptor.fileno(), b"x")
    memory.close()


@pytest.mark.parametrize(
    ("address", "change", "says"),
    [
        ("isa/2", {}, "not a PCI device"),
        ("pci/0000/03.0", {}, "only std VGA"),
        ("pci/0000/02.0", {"id": {"vendor": 0x1AF4, "device": 0x1050}}, "only std VGA"),
        ("pci/0000/02.0", {"id": {}}, "only std VGA"),
        ("pci/0000/05.0", {"slot": 5}, "aux-ram-share"),
    ],
)
async def test_error_names_why_there_is_no_video_memory(
    scene: Scene, address: str, change: dict, says: str
) -> None:
    scene.qmp.device |= change
    with pytest.raises(NoVideoMemoryError, match=says):
        await scene.find(address=address)


async def test_error_names_a_process_that_cannot_be_opened(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> Iterator[tuple[str, Path]]:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(video, "_memory_files", refuse)
    with pytest.raises(NoVideoMemoryError, match=r"Permission denied .*hidepid"):
        await scene.find()


async def test_registers_are_found_after_firmware_moves_them(scene: Scene) -> None:
    memory = await scene.find()
    assert await memory.mode() == PLACE
    assert await memory.little_endian()
    assert await memory.blank() is False
    # A reset: no address, and nobody answers at the old one.
    scene.qmp.base, scene.qmp.registers = -1, [0xFFFF] * 12
    found = await memory.mode()
    assert isinstance(found, OtherMode)
    assert not found.unknown
    assert await memory.blank() is None
    scene.qmp.base = 0xFEBE0000
    scene.qmp.registers = [0xB0C5, 32, 16, 32, 1, 0, 32, 0, 0, 0, 16, 0]
    assert await memory.mode() == Place(32, 16, 128, 0)
    memory.close()


@pytest.mark.parametrize("width", [64, 61, 62, 63])
async def test_screenshot_is_read_at_any_width(scene: Scene, width: int) -> None:
    scene.qmp.registers[1] = width
    memory = await scene.find()
    place = await memory.mode()
    assert place == Place(width, 48, 256, 0)
    for padded in (True, False):
        scene.qmp.dump = lambda padded=padded: ppm(scene.picture(place), padded)
        assert await memory.shown(place, steady=True) is True
    scene.qmp.dump = lambda: ppm(scene.picture(place) ^ 1)
    assert await memory.shown(place, steady=True) is False
    assert await memory.shown(place, steady=False) is None
    memory.close()


async def test_black_screenshot_is_certain_while_the_guest_draws(scene: Scene) -> None:
    memory = await scene.find()
    await memory.mode()

    def draw_and_dump() -> bytes:
        os.pwrite(scene.descriptor, os.urandom(64), 0)
        return ppm(np.zeros((48, 64, 3), np.uint8))

    scene.qmp.dump = draw_and_dump
    assert await memory.shown(PLACE, steady=False) is False
    scene.qmp.dump = lambda: draw_and_dump()[:15] + b"\1" * 48 * 64 * 3
    assert await memory.shown(PLACE, steady=True) is None, "drawn upon: it does not tell"
    memory.close()


async def test_screenshot_during_a_page_flip_is_uncertain(scene: Scene) -> None:
    memory = await scene.find()
    await memory.mode()

    def flip_and_dump() -> bytes:
        scene.qmp.registers[9] = 48
        return ppm(scene.picture(PLACE._replace(offset=48 * 256)))

    scene.qmp.dump = flip_and_dump
    assert await memory.shown(PLACE, steady=True) is None
    assert await memory.shown(PLACE._replace(offset=48 * 256), steady=True) is True
    memory.close()


async def test_screenshot_of_another_display_names_its_device(scene: Scene) -> None:
    memory = await scene.find(is_first=False)
    await memory.mode()
    scene.qmp.dump = lambda: ppm(scene.picture())
    assert await memory.shown(PLACE, steady=True) is True
    assert any(asked.get("device") == "card" for asked in scene.qmp.asked)
    memory.close()
    scene.qmp.device["qdev_id"] = ""
    memory = await scene.find(is_first=False)
    assert await memory.shown(PLACE, steady=True) is None
    await memory.screenshot()
    memory.close()


async def test_failed_screenshot_raises_qemus_error(scene: Scene) -> None:
    memory = await scene.find()
    for call in (memory.shown(PLACE, steady=True), memory.screenshot()):
        with pytest.raises(QemuError):
            await call
        assert not scene.qmp.lent, "QEMU keeps nothing of one that failed"
    scene.qmp.dump = lambda: ppm(scene.picture())
    assert await memory.screenshot() is not None
    memory.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P6",
        b"P6\n2 2\n255\n",
        b"P6\n2 2\n255\n" + bytes(11),
        b"P6\n2 2\n255\n" + bytes(17),
        b"P6\n2 0\n255\n",
        b"P6\n2 0\n255\n" + bytes(12),
        b"P5\n2 2\n255\n" + bytes(12),
        b"P6\n2 2\n65535\n" + bytes(24),
        b"P6\n-2 -2\n255\n" + bytes(12),
        b"P6\n99999 99999\n255\n" + bytes(12),
        b"P6\nx y\n255\n" + bytes(12),
    ],
)
def test_file_that_is_not_a_screenshot_reads_as_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dump"
    path.write_bytes(data)
    assert read_ppm(path) is None
