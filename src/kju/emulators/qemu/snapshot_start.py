"""SHELL: a start with a snapshot: it is loaded before the guest runs.

QEMU returns the disks to the snapshot first, and then reads the state of memory and devices. If
that does not fit, the later contents of the user's disks would be lost for nothing. So they are
kept as one more snapshot, of the disks only, until the load has succeeded. If it fails, the disks
are returned to it after QEMU has ended.

Source:
    blockdev-snapshot-internal-sync, blockdev-snapshot-delete-internal-sync: qapi/block-core.json,
    qapi/transaction.json of QEMU.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import KjuError, QemuError
from ...store import disk_files
from .arguments.user_options import parse
from .launch import PreparedQemu
from .qmp import Qmp
from .snapshot_disks import Disk, writable_disks
from .snapshots import QemuSnapshots, SnapshotLoadError
from .stderr import error_message

log = logging.getLogger(__name__)

#: Seconds in which QEMU's output arrives that it has written before an answer.
_OUTPUT_TIME = 0.05
#: Seconds to note the contents of the disks: their tables are written.
_KEEP_TIMEOUT = 600.0


def begins_with_snapshot(prepared: PreparedQemu) -> bool:
    """Return whether a QEMU loads a snapshot when it starts. A fork continues from its base."""
    return bool(prepared.request.snapshot) and prepared.fork_memory is None


class SnapshotStart:
    """The start of one QEMU with a snapshot.

    Args:
        prepared: The launch.
        output: Returns QEMU's last output.
    """

    def __init__(self, prepared: PreparedQemu, output: Callable[[], Sequence[str]]) -> None:
        self._prepared, self._output = prepared, output
        self._tag = prepared.request.snapshot
        self._kept_as = f"kju-before-load-{os.urandom(4).hex()}"
        self._kept: list[Path] = []

    async def load(self, qmp: Qmp, snapshots: QemuSnapshots, *, keep: bool) -> None:
        """Load the snapshot, and let the guest run unless the user has passed ``-S``.

        Args:
            qmp: The connection to QEMU.
            snapshots: The machine's snapshots.
            keep: Keep the contents of the disks until it has succeeded: they are the user's own.

        Raises:
            UsageError: The disks have no such snapshot, or it is incomplete.
            QemuError: QEMU could not load it, or has ended.
        """
        disks = await writable_disks(qmp)
        if keep and all(disk.file and self._tag in disk.saved for disk in disks):
            await self._keep(qmp, disks)
        try:
            await snapshots.begin_with(self._tag)
        except SnapshotLoadError as error:
            if qmp.closed.done():
                raise
            raise await self._explain(error) from error
        if self._kept:
            await self._drop(qmp, disks)
        if not any(option.name == "S" for option in parse(self._prepared.request.arguments)):
            await qmp.execute("cont")

    async def undo(self) -> None:
        """Return the disks to their contents before a load that did not succeed; QEMU has ended."""
        kept, self._kept = self._kept, []
        for path in kept:
            try:
                await asyncio.to_thread(disk_files.revert, path, self._kept_as)
                await asyncio.to_thread(disk_files.remove_snapshot, path, self._kept_as)
            except KjuError as error:
                log.error(
                    "%s is as it was at %s; its later contents are in its snapshot %s: %s",
                    path, self._tag, self._kept_as, error,
                )  # fmt: skip

    async def _keep(self, qmp: Qmp, disks: list[Disk]) -> None:
        actions = [
            {
                "type": "blockdev-snapshot-internal-sync",
                "data": {"device": disk.node, "name": self._kept_as},
            }
            for disk in disks
        ]
        await qmp.execute("transaction", {"actions": actions}, timeout=_KEEP_TIMEOUT)
        self._kept = [Path(disk.file) for disk in disks]

    async def _drop(self, qmp: Qmp, disks: list[Disk]) -> None:
        self._kept = []
        for disk in disks:
            arguments: dict[str, object] = {"device": disk.node, "name": self._kept_as}
            try:
                await qmp.execute(
                    "blockdev-snapshot-delete-internal-sync", arguments, timeout=_KEEP_TIMEOUT
                )
            except QemuError as error:
                log.warning("%s still has the snapshot %s: %s", disk.title, self._kept_as, error)

    async def _explain(self, error: SnapshotLoadError) -> QemuError:
        """Return the error for a snapshot that QEMU could not load, with QEMU's reason."""
        await asyncio.sleep(_OUTPUT_TIME)
        text = str(error)
        if lines := self._output():
            text += f": {error_message(lines, self._prepared.qemu.path)}"
        text += f". {self._tag!r} needs the memory, processors, devices and QEMU with which it was"
        text += " saved"
        return QemuError(text + ("; the disks are unchanged" if self._kept else ""))
