"""A machine's snapshots and events, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ...errors import MachineGoneError
from ...protocol.messages import Done, GetSnapshots, Subscribe
from ...protocol.messages import Snapshots as SnapshotsReply
from .. import life
from ..life import Event, Snapshot
from .link import AsyncLink


class Snapshots:
    """The snapshots of one machine: see `kju.client.snapshots.Snapshots`."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def save(self, tag: str, timeout: float = life.SNAPSHOT) -> Snapshot:
        """Save the whole machine: its memory, its disks, its screen as a PNG."""
        return await self._do("save", tag, timeout)

    async def load(self, tag: str, timeout: float = life.SNAPSHOT) -> Snapshot:
        """Go back to a snapshot. Every screen shows it when this returns."""
        return await self._do("load", tag, timeout)

    async def remove(self, tag: str) -> Snapshot:
        """Remove a snapshot, with its picture."""
        return await self._do("remove", tag, life.SNAPSHOT)

    async def list(self) -> list[Snapshot]:
        """All there are, oldest first."""
        reply = await self._link.ask(GetSnapshots(), SnapshotsReply)
        return [life.snapshot(saved) for saved in reply.snapshots]

    async def _do(self, how: str, tag: str, timeout: float) -> Snapshot:
        reply = await self._link.ask(life.snapshot_request(how, tag), SnapshotsReply, timeout)
        return life.snapshot(reply.snapshots[0], reply.note)


async def events(name: str, client: str, since: int, timeout: float | None) -> AsyncIterator[Event]:
    """A machine's events, on a connection of their own: see `kju.Machine.events`."""
    link = await AsyncLink.attach(name, "view", client)
    try:
        await link.ask(Subscribe(since=since), Done)
        while True:
            yield life.event(await link.next_event(timeout))
    except MachineGoneError:
        return
    finally:
        link.close()
