"""SHELL: the lower overlays of a disk, copied into the newest one while the guest runs.

Each freeze adds an overlay. With eight of them QEMU copies everything between the user's disk and
the newest overlay into the newest, in the background (block-stream). The files below stay as they
are, because bases use them.

Source:
    block-stream in qapi/block-core.json of QEMU.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from ....errors import KjuError, QemuError
from ....store.forks.overlays import ForkDisks
from ..qmp import Qmp
from ..snapshot_disks import Jobs, writable_disks

log = logging.getLogger(__name__)


class Flattening:
    """The copies of one machine's disks, one after the other.

    Args:
        name: The machine's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def begin(self, qmp: Qmp, jobs: Jobs, disks: ForkDisks) -> None:
        """Copy the disks with too many overlays, in the background. A failure is logged."""
        deep = disks.to_flatten()
        if deep and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(qmp, jobs, disks, deep), name="flattening")

    async def settle(self) -> None:
        """Wait until no copy is in progress: the overlays must not change during a freeze."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(
        self, qmp: Qmp, jobs: Jobs, disks: ForkDisks, deep: list[tuple[Path, Path]]
    ) -> None:
        for top, user in deep:
            try:
                await self._copy(qmp, jobs, top, user)
                await asyncio.to_thread(disks.flattened, top)
            except KjuError as error:
                # QEMU has ended, or the disk is full: the next freeze tries again.
                log.info("the overlays of %s are not copied: %s", top, error)
                return
            log.info("the overlays of %s are copied into %s", self._name, top)

    async def _copy(self, qmp: Qmp, jobs: Jobs, top: Path, user: Path) -> None:
        """Make QEMU copy everything between two files of a disk into the first.

        Raises:
            QemuError: QEMU could not, or has ended.
        """
        node = next((d.node for d in await writable_disks(qmp) if Path(d.file) == top), "")
        below = ""
        for found in await qmp.execute("query-named-block-nodes", {"flat": True}):
            # A format's node, not that of the file under it.
            is_file = found.get("drv") in ("file", "host_device")
            with contextlib.suppress(OSError):
                if not is_file and Path(str(found.get("file"))).samefile(user):
                    below = str(found["node-name"])
        if not node or not below:
            raise QemuError(f"QEMU has no disk {top} over {user}", self._name)
        arguments = {"device": node, "base-node": below, "auto-dismiss": False}
        # QEMU writes the name of the new backing file at once, but keeps the tables of the clusters
        # that it has copied in its memory. If it is killed then, the file lacks their contents.
        # QEMU reports an unknown node here, but no error of the disk.
        await jobs.run(
            qmp, "block-stream", arguments, lambda: qmp.monitor(f'qemu-io {node} "flush"')
        )
