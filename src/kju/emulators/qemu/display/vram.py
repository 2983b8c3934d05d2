"""SHELL: a console's video memory: the search and the mapping, the mode, QEMU's picture of it.

- The guest's registers and QEMU's answers are checked against the size of the memory.
- The memory is mapped for reading only.
- Nothing here has a side effect in the guest: ports with a side effect on reading are not read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import KjuError
from ....memory._system import Mapping
from ....memory.shared import Descriptor
from ....surface.geometry import Place
from ..qmp import Qmp
from .guest_mode import (
    ATTRIBUTE_OFFSET,
    LITTLE_ENDIAN,
    ORDER_OFFSET,
    REGISTERS,
    REGISTERS_OFFSET,
    OtherMode,
    Registers,
    is_blank,
    memory_name,
    mode_of,
    parse_registers,
    words,
)
from .screenshot import ScreenDumper, read_ppm

#: QEMU's names of the memory of the devices with a Bochs display interface.
_VGA = "vga.vram"
_BOCHS_DISPLAY = "bochs-display-vram"
_IDENTITY = (0x1234, 0x1111)
_REGISTERS_BAR = 2


class NoVideoMemoryError(KjuError):
    """The pixels of this console cannot be read from its video memory."""


class VideoMemory:
    """The mapped video memory of one console.

    Attributes:
        mapping: The whole memory.
        descriptor: The read-only descriptor of the memory.
    """

    def __init__(
        self,
        qmp: Qmp,
        slots: list[tuple[int, int]],
        found: _MappedFile,
        dumper: ScreenDumper | None,
    ) -> None:
        self.mapping = found.mapping
        self.descriptor = found.descriptor
        self._qmp = qmp
        self._slots = slots
        self._has_vga = found.name.endswith(_VGA)
        self._dumper = dumper
        self._dumping = asyncio.Lock()  # all screenshots are written to the same memory
        self._base: int | None = None

    @classmethod
    async def find(cls, qmp: Qmp, pid: int, device_address: str, *, is_first: bool) -> VideoMemory:
        """Find and map the video memory of the device at *device_address*.

        Args:
            qmp: The connection to QEMU.
            pid: QEMU's process.
            device_address: The console's device.
            is_first: Whether it is QEMU's first console.

        Raises:
            NoVideoMemoryError: The device has none, or does not share it.
            QemuError: QEMU does not answer.
        """
        name = memory_name(device_address)
        if name is None:
            raise NoVideoMemoryError("the display is not a PCI device")
        slots = _slots(device_address)
        device = _device(await qmp.execute("query-pci"), slots)
        identity = device.get("id", {}) if device else {}
        if (identity.get("vendor"), identity.get("device")) != _IDENTITY:
            raise NoVideoMemoryError("only std VGA, secondary-vga and bochs-display have linear"
                                     " video memory whose mode can be read")  # fmt: skip
        found = await asyncio.to_thread(_open, pid, name)
        # QEMU's screendump takes the first console, or a device's console by the device's id. The
        # user may have given none.
        device_id = str(device.get("qdev_id") or "") if device else ""
        can_dump = is_first or device_id
        dumper = ScreenDumper(qmp, "" if is_first else device_id) if can_dump else None
        return cls(qmp, slots, found, dumper)

    async def mode(self) -> Place | OtherMode:
        """Read the mode from the registers.

        Raises:
            QemuError: QEMU does not answer.
        """
        registers = await self._registers() if self._base is not None else None
        if registers is None or not registers.known:
            self._base = await self._find_base()
            if self._base is None:
                return OtherMode("the display's registers have no address")
            registers = await self._registers()
        if registers is None:
            return OtherMode("the display's registers cannot be read", unknown=True)
        return mode_of(registers, self.mapping.size)

    async def _registers(self) -> Registers | None:
        place = f"{(self._base or 0) + REGISTERS_OFFSET:#x}"
        return parse_registers(await self._qmp.monitor(f"xp /{REGISTERS}hx {place}"))

    async def blank(self) -> bool | None:
        """Return whether the guest has blanked the screen; None if that is unknown.

        Raises:
            QemuError: QEMU does not answer.
        """
        if not self._has_vga:
            return False
        if self._base is None:
            return None
        answer = await self._qmp.monitor(f"xp /1bx {self._base + ATTRIBUTE_OFFSET:#x}")
        found = words(answer, 1)
        return is_blank(found[0]) if found else None

    async def little_endian(self) -> bool:
        """Return whether the guest has left the byte order of the pixels as on a PC.

        Raises:
            QemuError: QEMU does not answer.
        """
        if self._base is None:
            return True
        answer = await self._qmp.monitor(f"xp /1wx {self._base + ORDER_OFFSET:#x}")
        return words(answer, 1) == [LITTLE_ENDIAN]

    async def shown(self, mode: Place, *, steady: bool) -> bool | None:
        """Return whether QEMU shows the picture of *mode*; None if that is uncertain.

        The screenshot takes six milliseconds of QEMU's main loop at 1280x800. If the guest draws
        during it, the result is uncertain, unless the screenshot is black.

        Args:
            mode: The mode as just read.
            steady: Whether this has been the mode for a while. If a guest flips pages all the
                time, QEMU may show another page than those compared before and after.

        Raises:
            QemuError: QEMU does not answer, or cannot write it.
        """
        if self._dumper is None:
            return None
        before = self._picture(mode).copy()
        async with self._dumping:
            path = await self._dumper.dump()
            if await self.mode() != mode:
                return None
            dumped = await asyncio.to_thread(read_ppm, path)
        return await asyncio.to_thread(self._agrees, mode, before, dumped, steady)

    @property
    def can_dump(self) -> bool:
        """True if QEMU takes screenshots of this display: it is the first, or has an id."""
        return self._dumper is not None

    async def screenshot(self) -> np.ndarray[Any, Any] | None:
        """Take a screenshot: ``(height, width, 3)``, R G B; None if it cannot be read.

        QEMU draws the guest's current picture for it, with or without listeners.

        Raises:
            QemuError: QEMU does not answer, or cannot write it.
        """
        # Cancelling must not stop it half-way: QEMU writes the file in any case.
        return await asyncio.shield(self._screenshot())

    async def _screenshot(self) -> np.ndarray[Any, Any] | None:
        if self._dumper is None:
            return None
        async with self._dumping:
            return await asyncio.to_thread(read_ppm, await self._dumper.dump())

    def equals(self, mode: Place, published: np.ndarray[Any, Any]) -> bool:
        """Return whether the picture equals *published*, ``(height, width, 4)``, in B, G and R."""
        here = self._picture(mode)
        return here.shape == published.shape and np.array_equal(here[..., :3], published[..., :3])

    def close(self) -> None:
        """Close the descriptors; the mapping lives as long as an array uses it."""
        self.descriptor.close()
        if self._dumper is not None:
            self._dumper.close()

    async def _find_base(self) -> int | None:
        """Return the address of the registers, which the guest's firmware sets after each reset."""
        device = _device(await self._qmp.execute("query-pci"), self._slots) or {}
        for region in device.get("regions", ()):
            address = region.get("address")
            if region.get("bar") == _REGISTERS_BAR and isinstance(address, int) and address > 0:
                return address
        return None

    def _picture(self, mode: Place) -> np.ndarray[Any, Any]:
        pixels = np.frombuffer(memoryview(self.mapping), np.uint8)[mode.offset :]
        shape, steps = (mode.height, mode.width, 4), (mode.stride, 4, 1)
        return np.lib.stride_tricks.as_strided(pixels, shape, steps, writeable=False)

    def _agrees(
        self,
        mode: Place,
        before: np.ndarray[Any, Any],
        dumped: np.ndarray[Any, Any] | None,
        steady: bool,
    ) -> bool | None:
        if dumped is None:
            return None
        here = self._picture(mode)
        if dumped.shape[:2] == here.shape[:2] and np.array_equal(dumped, here[..., 2::-1]):
            return True
        if not dumped.any() and before[..., :3].any() and here[..., :3].any():
            return False  # blanked: the guest's drawing cannot make all of it black
        # Unequal readings: the guest has drawn, and the screenshot is of a moment between them.
        return False if steady and np.array_equal(before, here) else None


class _MappedFile:
    """The file of the memory, open and mapped for reading.

    Its mode becomes 0400 at once: after that other users cannot open it, and this user only for
    reading.
    """

    def __init__(self, name: str, descriptor: Descriptor) -> None:
        self.name = name
        self.descriptor = descriptor
        status = os.fstat(descriptor.fileno())
        os.fchmod(descriptor.fileno(), 0o400)
        self.mapping = Mapping(descriptor.fileno(), status.st_size)


def _open(pid: int, prefix: str) -> _MappedFile:
    folder = Path(f"/proc/{pid}/fd")
    try:
        for name, path in _memory_files(folder):
            if name in (f"{prefix}/{_VGA}", f"{prefix}/{_BOCHS_DISPLAY}"):
                return _MappedFile(name, Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC)))
    except OSError as error:
        raise NoVideoMemoryError(
            f"QEMU's memory cannot be opened: {error.strerror} (another user, or hidepid)"
        ) from error
    raise NoVideoMemoryError(
        "QEMU does not share its video memory; QEMU 10.0 and newer do, with -machine"
        " aux-ram-share=on"
    )


def _memory_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        try:
            target = str(path.readlink())
        except FileNotFoundError:
            continue  # closed since the listing
        if target.startswith("/memfd:"):
            yield target.removeprefix("/memfd:").removesuffix(" (deleted)"), path


async def device_id(qmp: Qmp, device_address: str) -> str:
    """Return the id of the PCI device of a console; empty if it has none.

    Args:
        qmp: The connection to QEMU.
        device_address: A console's ``DeviceAddress``.

    Raises:
        QemuError: QEMU does not answer.
    """
    if memory_name(device_address) is None:
        return ""
    device = _device(await qmp.execute("query-pci"), _slots(device_address))
    return str((device or {}).get("qdev_id") or "")


def _slots(device_address: str) -> list[tuple[int, int]]:
    """Return slot and function of each device on the way from the root bus."""
    parts = [part.partition(".") for part in device_address.split("/")[2:]]
    return [(int(slot, 16), int(function or "0", 16)) for slot, _, function in parts]


def _device(buses: object, slots: list[tuple[int, int]]) -> dict[str, Any] | None:
    """Return the device at these slots, one per bus from the root, of a query-pci answer."""
    devices = buses[0].get("devices", []) if isinstance(buses, list) and buses else []
    found: dict[str, Any] | None = None
    for slot in slots:
        found = next((d for d in devices if (d.get("slot"), d.get("function")) == slot), None)
        devices = (found or {}).get("pci_bridge", {}).get("devices", [])
    return found
