"""SHELL: a console's video memory: where QEMU keeps it, what mode it is in, what QEMU shows of it.

Rules:

- What the guest writes (the registers) and what QEMU says of it are checked against the memory.
- The memory's descriptor is opened for reading; its file's mode is set to 0400 at once, so that
  nobody of another user can open it again, and only for reading by this one.
- Nothing here has a side effect in the guest: ports whose reading has one are not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import KjuError, QemuError
from ...memory._system import Mapping
from ...memory.descriptor import Descriptor
from ...surface.geometry import Place
from . import bochs
from .qmp import Qmp

#: QEMU's names of the memory of the devices that have these registers.
_VGA = "vga.vram"
_BOCHS_DISPLAY = "bochs-display-vram"
_IDENTITY = (0x1234, 0x1111)
_REGISTERS_BAR = 2
_PPM = re.compile(rb"P6\n(\d{1,5}) (\d{1,5})\n255\n")


class NoVideoMemoryError(KjuError):
    """This console's pixels cannot be had straight from its video memory."""


class VideoMemory:
    """One console's video memory, mapped.

    Attributes:
        mapping: All of it.
        descriptor: Read-only.
    """

    def __init__(
        self, qmp: Qmp, slots: list[tuple[int, int]], found: _Found, dump: Dump | None
    ) -> None:
        self.mapping = found.mapping
        self.descriptor = found.descriptor
        self._qmp = qmp
        self._slots = slots
        self._has_vga = found.name.endswith(_VGA)
        self._dump = dump
        self._dumping = asyncio.Lock()  # one file, one screenshot
        self._base: int | None = None

    @classmethod
    async def find(cls, qmp: Qmp, pid: int, device_address: str, *, is_first: bool) -> VideoMemory:
        """Find and map the video memory of the device at *device_address*.

        Args:
            qmp: Asked for the registers.
            pid: QEMU's.
            device_address: As the console has it.
            is_first: Whether it is QEMU's first console.

        Raises:
            NoVideoMemoryError: There is none that can be shared, for the reason given.
            QemuError: QEMU does not answer.
        """
        name = bochs.memory_name(device_address)
        if name is None:
            raise NoVideoMemoryError("the display is no PCI device")
        slots = [_slot(part) for part in device_address.split("/")[2:]]
        device = _device(await qmp.execute("query-pci"), slots)
        identity = device.get("id", {}) if device else {}
        if (identity.get("vendor"), identity.get("device")) != _IDENTITY:
            raise NoVideoMemoryError("only std VGA, secondary-vga and bochs-display have linear"
                                     " video memory whose mode can be asked")  # fmt: skip
        found = await asyncio.to_thread(_open, pid, name)
        # QEMU finds a screen to dump as its first, or by its device's name, which it may lack.
        which = str(device.get("qdev_id") or "") if device else ""
        can_dump = is_first or which
        return cls(qmp, slots, found, Dump(qmp, "" if is_first else which) if can_dump else None)

    async def mode(self) -> Place | bochs.OtherMode:
        """The mode now.

        Raises:
            QemuError: QEMU does not answer.
        """
        registers = await self._registers() if self._base is not None else None
        if registers is None or not registers.known:
            self._base = await self._find_base()
            if self._base is None:
                return bochs.OtherMode("the display's registers have no address")
            registers = await self._registers()
        if registers is None:
            return bochs.OtherMode("the display's registers cannot be read", unknown=True)
        return bochs.mode_of(registers, self.mapping.size)

    async def _registers(self) -> bochs.Registers | None:
        place = f"{(self._base or 0) + bochs.REGISTERS_OFFSET:#x}"
        return bochs.parse_registers(await self._qmp.monitor(f"xp /{bochs.COUNT}hx {place}"))

    async def blank(self) -> bool | None:
        """Whether the guest has the screen blanked; None where the registers do not tell.

        Raises:
            QemuError: QEMU does not answer.
        """
        if not self._has_vga:
            return False
        if self._base is None:
            return None
        answer = await self._qmp.monitor(f"xp /1bx {self._base + bochs.ATTRIBUTE_OFFSET:#x}")
        found = bochs.words(answer, 1)
        return bochs.is_blank(found[0]) if found else None

    async def little_endian(self) -> bool:
        """Whether the guest has left the byte order of the pixels as it is on a PC.

        Raises:
            QemuError: QEMU does not answer.
        """
        if self._base is None:
            return True
        answer = await self._qmp.monitor(f"xp /1wx {self._base + bochs.ORDER_OFFSET:#x}")
        return bochs.words(answer, 1) == [bochs.LITTLE_ENDIAN]

    async def shown(self, mode: Place, *, steady: bool) -> bool | None:
        """Whether QEMU shows the picture of *mode*; None where that can't be said.

        QEMU is asked for a screenshot, six milliseconds of its main loop at 1280x800, and what
        the guest draws meanwhile makes the answer uncertain, unless the screenshot is black.

        Args:
            mode: As just read.
            steady: Whether it has been that for a while: of a guest that flips pages all the
                time QEMU may show another than was looked at before and after.

        Raises:
            QemuError: QEMU does not answer, or cannot write it.
        """
        if self._dump is None:
            return None
        before = self._picture(mode).copy()
        async with self._dumping:
            path = await self._dump.take()
            if await self.mode() != mode:
                return None
            dumped = await asyncio.to_thread(read_ppm, path)
        return await asyncio.to_thread(self._agrees, mode, before, dumped, steady)

    @property
    def can_dump(self) -> bool:
        """Whether QEMU can be asked for a screenshot: it names a display only by an id."""
        return self._dump is not None

    async def screenshot(self) -> np.ndarray[Any, Any] | None:
        """What QEMU shows, ``(height, width, 3)``, R G B; None where that cannot be had.

        QEMU draws what the guest shows now for it, whoever looks besides.

        Raises:
            QemuError: QEMU does not answer, or cannot write it.
        """
        # One that nobody waits for any more is taken to its end all the same: QEMU is at it.
        return await asyncio.shield(self._screenshot())

    async def _screenshot(self) -> np.ndarray[Any, Any] | None:
        if self._dump is None:
            return None
        async with self._dumping:
            return await asyncio.to_thread(read_ppm, await self._dump.take())

    def equals(self, mode: Place, published: np.ndarray[Any, Any]) -> bool:
        """Whether the picture is *published*, ``(height, width, 4)``, but for its last byte."""
        here = self._picture(mode)
        return here.shape == published.shape and np.array_equal(here[..., :3], published[..., :3])

    def close(self) -> None:
        """Give the descriptors back; the mapping lives as long as somebody looks at it."""
        self.descriptor.close()
        if self._dump is not None:
            self._dump.close()

    async def _find_base(self) -> int | None:
        """Where the registers are; the guest's firmware decides that, again after a reset."""
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
            return False  # blanked, whatever is drawn meanwhile
        # Drawn upon: the screenshot is of some moment between the two looks.
        return False if steady and np.array_equal(before, here) else None


class Dump:
    """How QEMU is asked what it shows: it writes in memory that it has been lent.

    By a path it could not, where it runs as another user (``-run-with user=``): the machine's
    folder is closed to that.

    Args:
        qmp: Leads to QEMU.
        device: The display's name; empty for QEMU's first console.
    """

    def __init__(self, qmp: Qmp, device: str) -> None:
        self._qmp = qmp
        self._which = {"device": device} if device else {}
        self._sheet: Descriptor | None = None
        self._lent = 0

    async def take(self) -> Path:
        """Take one; returns where it is, until the next.

        Raises:
            QemuError: QEMU does not answer, or cannot write it.
        """
        if self._sheet is None:
            sheet = _sheet()
            try:
                self._lent = await self._qmp.lend(sheet.fileno())
            except BaseException:
                sheet.close()
                raise
            self._sheet = sheet
        number = self._sheet.fileno()
        # It is one open file for both, and QEMU writes from where it stands.
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
        where = {"filename": f"/dev/fdset/{self._lent}"}
        try:
            await self._qmp.execute("screendump", {**where, **self._which})
        except BaseException:
            self.close()  # QEMU may write there yet: the next goes elsewhere
            with contextlib.suppress(QemuError):
                await self._qmp.take_back(self._lent)
            raise
        return Path(f"/proc/self/fd/{number}")

    def close(self) -> None:
        """Give up the memory; the next is another."""
        if self._sheet is not None:
            self._sheet.close()
            self._sheet = None


def _sheet() -> Descriptor:
    """Memory that can be written only: QEMU looks for a descriptor of exactly that kind."""
    number = os.memfd_create("screenshot-for-kju", os.MFD_CLOEXEC)
    try:
        return Descriptor(os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_CLOEXEC))
    finally:
        os.close(number)


class _Found:
    """The memory's file, open and mapped."""

    def __init__(self, name: str, descriptor: Descriptor) -> None:
        self.name = name
        self.descriptor = descriptor
        status = os.fstat(descriptor.fileno())
        os.fchmod(descriptor.fileno(), 0o400)
        self.mapping = Mapping(descriptor.fileno(), status.st_size)


def _open(pid: int, prefix: str) -> _Found:
    folder = Path(f"/proc/{pid}/fd")
    try:
        for name, path in _memory_files(folder):
            if name in (f"{prefix}/{_VGA}", f"{prefix}/{_BOCHS_DISPLAY}"):
                return _Found(name, Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC)))
    except OSError as error:
        raise NoVideoMemoryError(
            f"QEMU's memory is not open to us: {error.strerror} (another user, or hidepid)"
        ) from error
    raise NoVideoMemoryError(
        "QEMU keeps its video memory to itself: -machine aux-ram-share=on shares it, from QEMU"
        " 10.0 on"
    )


def _memory_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        try:
            target = str(path.readlink())
        except FileNotFoundError:
            continue  # closed meanwhile
        if target.startswith("/memfd:"):
            yield target.removeprefix("/memfd:").removesuffix(" (deleted)"), path


def _slot(part: str) -> tuple[int, int]:
    slot, _, function = part.partition(".")
    return int(slot, 16), int(function or "0", 16)


def _device(buses: object, slots: list[tuple[int, int]]) -> dict[str, Any] | None:
    """The device behind these slots, one per bus from the root, in an answer to query-pci."""
    devices = buses[0].get("devices", []) if isinstance(buses, list) and buses else []
    found: dict[str, Any] | None = None
    for slot in slots:
        found = next((d for d in devices if (d.get("slot"), d.get("function")) == slot), None)
        devices = (found or {}).get("pci_bridge", {}).get("devices", [])
    return found


def read_ppm(path: Path) -> np.ndarray[Any, Any] | None:
    """A screenshot as QEMU writes it, ``(height, width, 3)``; None where it is none.

    QEMU pads each row to whole words, which the format knows nothing of: at odd widths its
    pictures look sheared elsewhere.

    Source:
        QEMU's ui/ui-qmp-cmds.c (ppm_save) writes as many bytes as pixman's rows have.
    """
    data = np.fromfile(path, np.uint8)
    header = _PPM.match(data[:64].tobytes())
    if header is None:
        return None
    width, height = int(header[1]), int(header[2])
    rows = data[header.end() :]
    row = rows.size // height if height else 0
    if row not in (width * 3, (width * 3 + 3) & ~3) or row * height != rows.size:
        return None
    return rows.reshape(height, row)[:, : width * 3].reshape(height, width, 3)
