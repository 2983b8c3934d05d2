"""SHELL: screenshots by QEMU (``screendump``), written to memory and read from its PPM format.

QEMU writes to a descriptor that it has been lent. A path would fail where QEMU runs as another user
(``-run-with user=``): the machine's folder is closed to that user.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import QemuError
from ...memory.shared import Descriptor
from .qmp import Qmp

_PPM = re.compile(rb"P6\n(\d{1,5}) (\d{1,5})\n255\n")


class ScreenDumper:
    """Has QEMU write screenshots of one display to memory.

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
        """Take a screenshot; returns its path, valid until the next one.

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
            self.close()  # QEMU may still write there: the next one gets other memory
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
    """Read a PPM file as QEMU writes it: ``(height, width, 3)``, R G B; None if it is not valid.

    QEMU pads each row to whole words, against the format: at odd widths other programs show its
    pictures sheared.

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
