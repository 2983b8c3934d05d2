"""SHELL: the CD drive of a machine: another medium in it, or none.

A medium stays in the drive over a reset of the machine. The next start of a defined machine has the
medium of its definition again.

Source:
    query-block and blockdev-change-medium in qapi/block-core.json of QEMU; "force" since 7.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec
from msgspec import Struct

from ...errors import QemuError, UsageError
from ...store import disk_files
from ...store.image import Kind
from ..base import CommandChannel
from ..events import ReportEvent

log = logging.getLogger(__name__)

#: Types of the devices that are CD drives.
_CD_TYPES = frozenset(("ide-cd", "scsi-cd"))
#: A guest that has locked its drive opens it when QEMU asks; then the tray is forced.
_UNLOCK_TRIES, UNLOCK_SECONDS = 6, 0.25


class _CdBlock(Struct, rename="kebab"):
    qdev: str = ""
    removable: bool = False


class QemuCdDrive:
    """The first CD drive of one QEMU.

    Args:
        qmp: The connection to QEMU.
        machine: The machine's name, for messages.
        report: Called with each event.
    """

    def __init__(self, qmp: CommandChannel, machine: str, report: ReportEvent) -> None:
        self._qmp = qmp
        self._machine = machine
        self._report = report

    async def change(self, path: str) -> None:
        """Put a medium in the drive, in place of the old one; an empty path ejects that.

        Raises:
            UsageError: The machine has no CD drive, or the file is not a CD's image.
            QemuError: QEMU could not change the medium.
        """
        medium = await asyncio.to_thread(_checked, path) if path else ""
        drive = await self._drive()
        try:
            await self._open_and_change(drive, medium)
        except QemuError as error:
            verb = f"put {medium} into" if medium else "eject the medium of"
            raise QemuError(
                f"QEMU could not {verb} the CD drive of {self._machine}: {error}", self._machine
            ) from error
        log.info("CD: %s", medium or "ejected")
        self._report("cd-changed", {"file": medium})

    async def _open_and_change(self, drive: str, medium: str) -> None:
        for _ in range(_UNLOCK_TRIES):
            try:
                await self._execute(drive, medium, force=False)
                return
            except QemuError as error:
                # QEMU has asked the guest to open the tray; most do at once.
                if "locked" not in str(error) and "not open" not in str(error):
                    raise
            await asyncio.sleep(UNLOCK_SECONDS)
        await self._execute(drive, medium, force=True)

    async def _execute(self, drive: str, medium: str, *, force: bool) -> None:
        if not medium:
            await self._qmp.execute("eject", {"id": drive, "force": force})
            return
        arguments: dict[str, object] = {"id": drive, "filename": medium, "format": "raw"}
        if force:
            # Before 7.1 "blockdev-change-medium" cannot force: the tray is opened first.
            with contextlib.suppress(QemuError):
                await self._qmp.execute("blockdev-open-tray", {"id": drive, "force": True})
        await self._qmp.execute("blockdev-change-medium", arguments)

    async def _drive(self) -> str:
        """Return QEMU's name, or the path, of the first CD drive.

        Raises:
            UsageError: The machine lacks one.
            QemuError: QEMU does not answer, or its answer is invalid.
        """
        answer = await self._qmp.execute("query-block")
        try:
            blocks = msgspec.convert(answer, list[_CdBlock])
        except (msgspec.ValidationError, RecursionError) as error:
            shown = str(answer)[:100]
            raise QemuError(f"QEMU answered query-block with {shown!r}: {error}"[:400]) from error
        for block in blocks:
            if block.removable and block.qdev and await self._is_cd(block.qdev):
                return block.qdev
        raise UsageError(
            f"{self._machine} has no CD drive; a machine has one if it was started with a CD, or"
            " with: kju run ... -- -cdrom FILE"
        )

    async def _is_cd(self, device: str) -> bool:
        try:
            kind = await self._qmp.execute("qom-get", {"path": device, "property": "type"})
        except QemuError:
            return False
        return kind in _CD_TYPES


def _checked(path: str) -> str:
    """Return the absolute path of a CD's image.

    Raises:
        UsageError: It cannot be read, or is not a CD.
    """
    image = disk_files.read_image(path)
    if image.kind is not Kind.CDROM:
        what = "a kernel" if image.kind is Kind.KERNEL else "a disk"
        raise UsageError(
            f"{image.path} is {what}, not a CD ({image.reason}): a CD drive takes ISO images only"
        )
    checked, _ = disk_files.checked(image, trusted=False, made=lambda path: frozenset())
    return checked.path
