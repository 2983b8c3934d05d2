"""The snapshots of a machine, for asyncio."""

from __future__ import annotations

from ...protocol.snapshots import GetSnapshots, SnapshotList
from .. import requests
from ..link import DEFAULT_TIMEOUT, Timeout
from ..requests import Snapshot
from .link import AsyncLink


class Snapshots:
    """The snapshots of one machine, in its own qcow2 disks."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def save(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Save the whole machine: its memory, its disks, its screen as a PNG.

        The guest is stopped meanwhile, and runs again afterwards if it ran. With QEMU's -snapshot
        or snapshot=on the snapshot is lost when the machine ends. Its ``note`` has this warning,
        and ``machine.info()["temporary"]`` has it before.

        Args:
            tag: A name that no other snapshot has.
            timeout: Seconds to wait; None for no limit. The default is `default_timeout` of the
                machine. QEMU writes the memory that the guest uses: 100 MB took 0.2 s. A timeout
                does not cancel it.

        Raises:
            UsageError: A snapshot has this name, or a disk cannot hold snapshots.
            QemuError: QEMU failed, for example because a disk is full. Older snapshots are
                unchanged.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: The snapshot is not complete yet.
        """
        return await self._do("save", tag, timeout)

    async def load(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Return to a snapshot. Every screen shows it when this returns.

        The guest runs afterwards if it ran before.

        Raises:
            UsageError: The snapshot does not exist or is incomplete; the machine is unchanged.
            QemuError: QEMU failed; the machine is paused then.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: The snapshot is not loaded yet.
        """
        return await self._do("load", tag, timeout)

    async def remove(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Remove a snapshot, with its picture.

        Raises:
            UsageError: The snapshot does not exist.
            QemuError: QEMU failed.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        return await self._do("remove", tag, timeout)

    async def list(self) -> list[Snapshot]:
        """Return all snapshots, oldest first.

        Raises:
            MachineGoneError: The machine has ended.
        """
        reply = await self._link.ask(GetSnapshots(), SnapshotList)
        return [requests.snapshot_of(saved) for saved in reply.snapshots]

    async def _do(self, how: str, tag: str, timeout: Timeout) -> Snapshot:
        request = requests.snapshot_request(how, tag)
        reply = await self._link.ask(request, SnapshotList, timeout=timeout)
        return requests.snapshot_of(reply.snapshots[0], reply.note)
