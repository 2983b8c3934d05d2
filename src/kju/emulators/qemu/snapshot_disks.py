"""SHELL: the disks that hold a machine's snapshots, and the jobs of QEMU that write them.

Source:
    BlockInfo in qapi/block-core.json of QEMU.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from ...errors import KjuError, QemuError, UsageError
from ...protocol.snapshots import SavedSnapshot
from ...store.snapshot_tree import DiskSnapshot, cannot_hold, no_snapshot
from .qmp import Qmp

log = logging.getLogger(__name__)


JOB_EVENT = "JOB_STATUS_CHANGE"
#: Seconds for the command that starts a job: QEMU answers only when a snapshot is done.
_COMMAND_TIMEOUT = 24 * 3600.0


class Disk(NamedTuple):
    """A writable disk of the machine.

    Attributes:
        node: QEMU's node name.
        title: The file and the format, for messages.
        file: The path; empty if the disk is not a file.
        format: QEMU's name of the format.
        saved: The snapshots, by tag.
    """

    node: str
    title: str
    file: str
    format: str
    saved: dict[str, SavedSnapshot]


async def writable_disks(qmp: Qmp) -> list[Disk]:
    """Return every writable disk, in QEMU's order; a firmware's variables last.

    Raises:
        QemuError: QEMU did not answer, or its answer is invalid.
    """
    return disks_of(await qmp.execute("query-block"))


def check_disks(disks: list[Disk]) -> list[Disk]:
    """Return *disks* if all of them can hold a snapshot.

    Raises:
        UsageError: A disk cannot, or the machine has no disk.
    """
    if not disks:
        raise UsageError(
            "this machine has no disk that could hold a snapshot; add a qcow2 disk"
            " (kju create NAME --disk 20G)"
        )
    if unable := [disk.title for disk in disks if disk.format != "qcow2"]:
        raise cannot_hold(unable)
    return disks


def find_snapshot(tag: str, disks: list[Disk]) -> SavedSnapshot:
    """Return a snapshot of these disks; if several have it, the one with the machine's state.

    Raises:
        UsageError: No disk has a snapshot of this name.
    """
    found = [disk.saved[tag] for disk in disks if tag in disk.saved]
    if found:
        return max(found, key=lambda saved: saved.size)
    raise no_snapshot(tag, sorted({tag for disk in disks for tag in disk.saved}))


async def explain_failure(qmp: Qmp, disks: list[Disk]) -> str:
    """Return a hint on a full file system, or "": QEMU reports only "Input/output error"."""
    with contextlib.suppress(KjuError, OSError, KeyError):
        memory = (await qmp.execute("query-memory-size-summary"))["base-memory"]
        for disk in disks:
            if disk.file:
                found = os.statvfs(disk.file)
                free = found.f_bavail * found.f_frsize
                if free < memory:
                    return (
                        f". No space left, most likely: the file system of {disk.file} has"
                        f" {free >> 20} MiB, and a snapshot takes up to {memory >> 20}"
                    )
    return ""


class _Image(Struct):
    filename: str = ""
    snapshots: list[DiskSnapshot] = []


class _Inserted(Struct, rename="kebab"):
    node_name: str
    drv: str = ""
    file: str = ""
    ro: bool = False
    image: _Image = msgspec.field(default_factory=_Image)


class _Block(Struct):
    device: str = ""
    inserted: _Inserted | None = None


def disks_of(blocks: object) -> list[Disk]:
    """Return the writable disks in an answer to query-block; a firmware's variables last.

    Raises:
        QemuError: The answer is invalid.
    """
    try:
        found = msgspec.convert(blocks, list[_Block])
    except (msgspec.ValidationError, RecursionError) as error:
        shown = str(blocks)[:100]
        raise QemuError(f"QEMU answered query-block with {shown!r}: {error}"[:400]) from error
    ordered = sorted(found, key=lambda block: block.device.startswith("pflash"))
    return [_disk(b.inserted) for b in ordered if b.inserted and not b.inserted.ro]


def _disk(inserted: _Inserted) -> Disk:
    name = inserted.image.filename or inserted.file
    saved = {found.name: found.saved() for found in inserted.image.snapshots}
    path = os.path.abspath(name) if name and os.path.isfile(name) else ""  # noqa: PTH100, PTH113
    return Disk(inserted.node_name, f"{name} ({inserted.drv})", path, inserted.drv, saved)


class _Job:
    """The progress of one job.

    Attributes:
        pending: Its work is done, or it has ended.
        concluded: It has ended.
    """

    def __init__(self) -> None:
        self.pending = asyncio.Event()
        self.concluded = asyncio.Event()


class Jobs:
    """The jobs of one QEMU: started, awaited by their events, and dismissed.

    - A job has no time limit while QEMU runs: the snapshot of a gigabyte takes long, and blocks
      QEMU's main loop.
    - Every job is dismissed: otherwise QEMU keeps it after its end.

    Source:
        qapi/job.json of QEMU.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Job] = {}

    def on_event(self, data: dict[str, Any]) -> None:
        """Receive QEMU's event on the status of a job."""
        found, status = self._waiting.get(str(data.get("id"))), data.get("status")
        if found is not None and status in ("pending", "concluded", "null"):
            found.pending.set()
        if found is not None and status in ("concluded", "null"):
            found.concluded.set()

    async def run(
        self,
        qmp: Qmp,
        command: str,
        arguments: dict[str, object],
        finalize: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Run a command that starts a job, and return when the job has succeeded.

        Args:
            qmp: The connection to QEMU.
            command: The command.
            arguments: Its arguments.
            finalize: Called when the work is done, before QEMU makes its result take effect. A
                `KjuError` of it cancels the job.

        Raises:
            QemuError: The job has failed, with QEMU's reason; or the connection has ended.
        """
        name = f"kju-{next(self._numbers)}"
        job = self._waiting[name] = _Job()
        manual = {"auto-finalize": False} if finalize is not None else {}
        try:
            await qmp.execute(command, {"job-id": name, **manual, **arguments}, _COMMAND_TIMEOUT)
            if finalize is not None:
                await self._wait_for(job.pending, qmp, command)
                if not job.concluded.is_set():
                    await self._finalize(qmp, name, finalize)
            await self._wait_for(job.concluded, qmp, command)
            why = await self._error(qmp, name)
        finally:
            del self._waiting[name]
            with contextlib.suppress(QemuError):
                await qmp.execute("job-dismiss", {"id": name})
        if why:
            raise QemuError(f"QEMU could not do {command}: {why}")

    async def _finalize(
        self, qmp: Qmp, name: str, finalize: Callable[[], Awaitable[object]]
    ) -> None:
        try:
            await finalize()
        except KjuError as error:
            log.info("job %s is cancelled: %s", name, error)
            await qmp.execute("job-cancel", {"id": name})
        else:
            await qmp.execute("job-finalize", {"id": name})

    async def _wait_for(self, concluded: asyncio.Event, qmp: Qmp, command: str) -> None:
        waits: asyncio.Future[Any] = asyncio.ensure_future(concluded.wait())
        try:
            await asyncio.wait({waits, qmp.closed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waits.cancel()
        if not concluded.is_set():
            raise QemuError(f"QEMU ended during {command}: {qmp.closed.result()}")

    async def _error(self, qmp: Qmp, job: str) -> str:
        for found in await qmp.execute("query-jobs"):
            if found.get("id") == job:
                return str(found.get("error") or "")
        return "QEMU does not report its result"
