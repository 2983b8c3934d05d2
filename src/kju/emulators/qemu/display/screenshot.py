"""SHELL: screenshots by QEMU (``screendump``): PPM files in memory, the pictures of snapshots."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import GeometryError, KjuError, QemuError
from ....memory.shared import Descriptor
from ..qmp import Qmp

if TYPE_CHECKING:
    from ...console import Console

    Picture = np.ndarray[Any, Any]

log = logging.getLogger(__name__)


_PPM = re.compile(rb"P6\n(\d{1,5}) (\d{1,5})\n255\n")

#: Seconds for a surface to show a loaded snapshot. A listener is notified in QEMU's next tick of
#: 30 ms; a mode that may be a placeholder waits 0.3 s; a blank screen is known after two checks,
#: 0.3 s apart.
_SHOW_TIMEOUT = 3.0


class ScreenDumper:
    """Takes screenshots of one display, which QEMU writes to memory.

    QEMU writes to a descriptor that it has been lent. A path would fail if QEMU runs as another
    user (``-run-with user=``): the machine's folder is closed to that user.

    Args:
        qmp: The connection to QEMU.
        device: The display's id; empty for QEMU's first console.
    """

    def __init__(self, qmp: Qmp, device: str) -> None:
        self._qmp = qmp
        self._device = {"device": device} if device else {}
        self._memory: Descriptor | None = None
        self._fdset = 0

    async def dump(self) -> Path:
        """Take a screenshot; return its path, valid until the next one.

        Raises:
            QemuError: QEMU does not answer, or cannot write it.
        """
        if self._memory is None:
            memory = _write_only_memory()
            try:
                self._fdset = await self._qmp.lend(memory.fileno())
            except BaseException:
                memory.close()
                raise
            self._memory = memory
        descriptor = self._memory.fileno()
        # Both processes share one open file, and QEMU writes at its position.
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        where = {"filename": f"/dev/fdset/{self._fdset}"}
        try:
            await self._qmp.execute("screendump", {**where, **self._device})
        except BaseException:
            self.close()  # QEMU may still write there: the next screenshot gets other memory
            with contextlib.suppress(QemuError):
                await self._qmp.take_back(self._fdset)
            raise
        return Path(f"/proc/self/fd/{descriptor}")

    def close(self) -> None:
        """Free the memory; the next screenshot allocates it again."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def _write_only_memory() -> Descriptor:
    """Make memory that can only be written: QEMU accepts no other access mode."""
    descriptor = os.memfd_create("screenshot-for-kju", os.MFD_CLOEXEC)
    try:
        return Descriptor(os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_CLOEXEC))
    finally:
        os.close(descriptor)


def read_ppm(path: Path) -> np.ndarray[Any, Any] | None:
    """Read a PPM file as QEMU writes it: ``(height, width, 3)``, R G B; None if it is invalid.

    QEMU pads each row to whole words, which the format does not allow: at odd widths other programs
    show its pictures sheared.

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


class SnapshotScreens:
    """The picture of the first console for a snapshot, and the check of all screens after a load.

    Args:
        qmp: The connection to QEMU.
    """

    def __init__(self, qmp: Qmp) -> None:
        self._dump = ScreenDumper(qmp, "")

    def close(self) -> None:
        """Free the memory that was lent to QEMU."""
        self._dump.close()

    async def picture(self) -> tuple[Picture | None, str]:
        """Return the first console's pixels, or None and the reason."""
        try:
            picture = await asyncio.to_thread(read_ppm, await self._dump.dump())
        except (KjuError, OSError, KeyError, TypeError) as error:
            return None, f"no picture: {error}"
        return picture, "" if picture is not None else "no picture: QEMU has no screen"

    async def show(self, console: Console) -> None:
        """Wait until a console's surface shows QEMU's screen; the guest is paused."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SHOW_TIMEOUT
        asker = object()
        console.runner.distrust()
        await console.attach(asker)
        try:
            while True:
                await console.refresh(sync=True)
                # QEMU takes a screenshot of a console other than the first only by a device's id.
                if console.index or await self._is_shown(console):
                    return
                if loop.time() > deadline:
                    log.warning("console %d does not show the loaded snapshot", console.index)
                    return
                await asyncio.sleep(0.01)
        except (KjuError, OSError) as error:
            log.warning("console %d: the loaded snapshot cannot be shown: %s", console.index, error)
        finally:
            console.detach(asker)

    async def _is_shown(self, console: Console) -> bool:
        dumped = await asyncio.to_thread(read_ppm, await self._dump.dump())
        if dumped is None or not console.producer.mode.epoch:
            return False
        try:
            here = console.producer.pixels
        except GeometryError:
            return False
        return here.shape[:2] == dumped.shape[:2] and np.array_equal(here[..., 2::-1], dumped)
