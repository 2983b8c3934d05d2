"""A machine's snapshots and events, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ...errors import MachineGoneError
from ...protocol.messages import Done, GetSnapshots, SnapshotList, Subscribe
from .. import life
from ..life import Event, Snapshot
from ..timeouts import DEFAULT_TIMEOUT, Timeout
from .link import AsyncLink


class Snapshots:
    """The snapshots of one machine: see `kju.client.snapshots.Snapshots`."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def save(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Save the whole machine: its memory, its disks, its screen as a PNG."""
        return await self._do("save", tag, timeout)

    async def load(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Go back to a snapshot. Every screen shows it when this returns."""
        return await self._do("load", tag, timeout)

    async def remove(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Remove a snapshot, with its picture."""
        return await self._do("remove", tag, timeout)

    async def list(self) -> list[Snapshot]:
        """All there are, oldest first."""
        reply = await self._link.ask(GetSnapshots(), SnapshotList)
        return [life.snapshot(saved) for saved in reply.snapshots]

    async def _do(self, how: str, tag: str, timeout: Timeout) -> Snapshot:
        request = life.snapshot_request(how, tag)
        reply = await self._link.ask(request, SnapshotList, timeout=timeout)
        return life.snapshot(reply.snapshots[0], reply.note)


async def events(
    name: str, client: str, since: int | None, timeout: float | None
) -> AsyncIterator[Event]:
    """A machine's events, on a connection of their own: see `kju.Machine.events`."""
    link = await AsyncLink.attach(name, "view", client)
    try:
        await link.ask(Subscribe(since=-1 if since is None else since), Done)
        while True:
            yield life.event(await link.next_event(timeout))
    except MachineGoneError:
        return
    finally:
        link.close()
