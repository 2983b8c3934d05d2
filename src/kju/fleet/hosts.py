"""SHELL: a host on this node: started with a lease, or found again; renewed; ended for certain.

`NodeHosts` is a node as its keeper uses it, and `LocalHosts` this computer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Protocol, Self

import msgspec

from ..client.aio.link import AsyncLink
from ..client.aio.starting import Starting
from ..client.processes import HostSpawner
from ..client.requests import client_name
from ..errors import KjuError, MachineGoneError, MachineNotFoundError
from ..protocol.launch_options import Launch
from ..protocol.leases import Lease, Renew
from ..protocol.messages import Done, Stop
from ..store import log_files, running, sweeping
from ..store.forks import listing
from ..store.leased import lease_clock, leased_machines
from ..store.paths import machine_paths
from .messages import EndKind, MachineSpec, StartOrder
from .placement import Instance

log = logging.getLogger(__name__)

#: Seconds for a host to answer a renewal; one that does not is killed before its lease ends.
RENEW_TIMEOUT = 5.0
#: Seconds for a machine to end after the request.
STOP_TIMEOUT = 10.0
#: Seconds between two looks for the end of a host's process.
_LOOK = 0.05


class KeptHost(Protocol):
    """A host with a lease: see `LeasedHost`."""

    name: str

    async def renew(self, lease: Lease) -> None:
        """Renew the lease.

        Raises:
            KjuError: The host refuses, or does not answer in time.
        """

    async def ended(self) -> tuple[EndKind, str]:
        """Wait for the end of the machine; return how and why it has ended."""

    async def stop(self) -> None:
        """End the machine. It has ended afterwards."""

    async def close(self) -> None:
        """Close the connection; the machine runs until its lease ends."""


class HostStart(Protocol):
    """A host that starts: see `StartingHost`."""

    async def renew(self, lease: Lease) -> None:
        """Renew the lease during a long start.

        Raises:
            KjuError: The host refuses, has ended, or does not answer in time.
        """

    async def finish(self) -> KeptHost:
        """Return the host once its machine runs.

        Raises:
            KjuError: It did not start; nothing is left of it.
        """

    def give_up(self) -> None:
        """Let the host end. `finish` raises an error then, unless the machine has started."""


class NodeHosts(Protocol):
    """The hosts of one node, and their clock."""

    def clock(self) -> float:
        """Return the time of leases."""

    def find(self, holder: str) -> list[StartOrder]:
        """Return the machines of a holder that run, also those whose hosts do not answer.

        Raises:
            RuntimeFolderError: The folder of running machines is not usable.
        """

    def base_of(self, name: str) -> str:
        """Return the ID of the base that a machine was forked from; empty for none."""

    def start(self, launch: dict[str, Any], name: str, lease: Lease) -> HostStart:
        """Begin to start a host.

        Raises:
            KjuError: No process could be started.
        """

    def last_log(self, name: str) -> tuple[str, ...]:
        """Return the last lines of the logs of a machine that has failed."""

    async def attach(self, name: str) -> KeptHost:
        """Connect to a host that runs.

        Raises:
            KjuError: It does not answer, or ended at this moment.
            TimeoutError: It does not answer.
        """

    async def kill(self, name: str) -> None:
        """Kill a host; no process is left afterwards."""

    def close(self) -> None:
        """Start no more hosts; those that run go on."""


class LocalHosts:
    """The hosts of this user on this computer.

    They are forked from one process: each would import the same modules, which takes longer than
    the rest of its start, and need memory of its own for them.
    """

    def __init__(self) -> None:
        self._spawner = HostSpawner()

    def clock(self) -> float:
        """Return the time of leases."""
        return lease_clock()

    def find(self, holder: str) -> list[StartOrder]:
        """Return the machines of a holder: see `NodeHosts`."""
        sweeping.sweep()
        return [
            StartOrder(msgspec.convert(each.lease.facts, MachineSpec), each.lease.generation)
            for each in leased_machines(holder)
        ]

    def base_of(self, name: str) -> str:
        """Return the ID of the base of a machine: see `NodeHosts`."""
        return listing.base_of(machine_paths(name))

    def start(self, launch: dict[str, Any], name: str, lease: Lease) -> StartingHost:
        """Begin to start a host: see `NodeHosts`."""
        return StartingHost(launch, name, lease, self._spawner)

    def last_log(self, name: str) -> tuple[str, ...]:
        """Return the last lines of a machine's logs: see `NodeHosts.last_log`."""
        return log_files.failure_lines(name)

    async def attach(self, name: str) -> LeasedHost:
        """Connect to a host that runs: see `NodeHosts`."""
        return await LeasedHost.attach(name)

    async def kill(self, name: str) -> None:
        """Kill a host; no process is left afterwards."""
        await kill(name)

    def close(self) -> None:
        """End the process that hosts are forked from; they go on."""
        self._spawner.close()


def memory_of_others(fleet: str, node: str) -> int:
    """Return the bytes of memory that the machines of other fleets take on a node.

    Several nodes may be on this computer, each with its own memory.
    """
    taken = 0
    for each in leased_machines():
        holder, _, where = each.lease.holder.partition("/")
        if where == node and holder != fleet:
            with contextlib.suppress(msgspec.ValidationError):  # of another version of kju
                taken += msgspec.convert(each.lease.facts, MachineSpec).demand.room.memory
    return taken


class StartingHost:
    """A detached host with a lease, which starts.

    Args:
        launch: The fields of its `Launch`.
        name: The machine's name.
        lease: Its lease.
        spawner: Starts its process.

    Raises:
        KjuError: No process could be started.
    """

    def __init__(
        self, launch: dict[str, Any], name: str, lease: Lease, spawner: HostSpawner
    ) -> None:
        self._starting = Starting(
            Launch(
                machine=name, detach=True, lease=lease, client=client_name(),
                **{key: value for key, value in launch.items() if key not in ("machine", "detach")},
            ),
            start=spawner.start,
        )  # fmt: skip

    async def renew(self, lease: Lease) -> None:
        """Renew the lease during a long start.

        Raises:
            KjuError: The host refuses, has ended, or does not answer in time.
        """
        await self._starting.ask(_renewal(lease), RENEW_TIMEOUT)

    async def finish(self) -> LeasedHost:
        """Return the host once its machine runs.

        Raises:
            KjuError: It did not start; nothing is left of it.
        """
        return await self._starting.finish(LeasedHost)

    def give_up(self) -> None:
        """Let the host end: see `Starting.give_up`."""
        self._starting.give_up()


class LeasedHost:
    """A host with a lease, and the connection that watches it.

    Args:
        link: The connection, with the control role.
    """

    def __init__(self, link: AsyncLink, *_: object) -> None:
        self._link = link
        self.name = link.name

    @classmethod
    async def attach(cls, name: str) -> Self:
        """Connect to a host that runs.

        Raises:
            KjuError: It does not answer, or ended at this moment.
        """
        async with asyncio.timeout(RENEW_TIMEOUT):
            return cls(await AsyncLink.attach(name, "control", client_name()))

    async def renew(self, lease: Lease) -> None:
        """Renew the lease.

        Raises:
            KjuError: The host refuses, or does not answer in time.
        """
        await self._link.ask(_renewal(lease), Done, timeout=RENEW_TIMEOUT)

    async def ended(self) -> tuple[EndKind, str]:
        """Wait for the end of the machine; return how and why it has ended."""
        await self._link.ended.wait()
        await kill(self.name, wait=STOP_TIMEOUT)
        last = self._link.last_message
        how: EndKind = "ended" if last is not None and last.status == 0 else "lost"
        return how, self._link.gone() or "its host has ended"

    async def stop(self) -> None:
        """Ask the machine to end, and kill its host if it does not. It has ended afterwards."""
        with contextlib.suppress(KjuError):
            await self._link.ask(Stop(how="quit"), Done, timeout=RENEW_TIMEOUT)
            await self._link.wait_ended(STOP_TIMEOUT)
        await kill(self.name, wait=STOP_TIMEOUT if self._link.ended.is_set() else 0)

    async def close(self) -> None:
        """Close the connection; the machine runs until its lease ends."""
        self._link.close()


class Renewals:
    """The leases of a keeper's hosts.

    Args:
        hosts: The node's hosts, whose clock counts.
        lease: Seconds of a lease.

    Attributes:
        lease: The same.
    """

    def __init__(self, hosts: NodeHosts, lease: float) -> None:
        self._hosts, self.lease = hosts, lease
        #: The ends of the leases, by machine.
        self._until: dict[Instance, float] = {}

    def latest_end(self) -> float:
        """Return a time at which a lease that another keeper has given now has ended."""
        return self._hosts.clock() + self.lease

    async def renew(self, host: KeptHost, lease: Lease, instance: Instance) -> bool:
        """Renew a lease; return False if the last one has ended and the host has to be killed.

        A busy host takes a later renewal. One that hangs cannot end itself with its lease.
        """
        until = self._until.setdefault(instance, self.latest_end())
        try:
            await host.renew(lease)
        except MachineGoneError:
            pass  # it ends by itself, and its watcher sees to it
        except KjuError as error:
            log.warning("the lease of %s was not renewed: %s", host.name, error)
            return self._hosts.clock() < until
        else:
            self._until[instance] = max(lease.until, until)
        return True

    def forget(self, instance: Instance) -> None:
        """Forget a machine that has ended."""
        self._until.pop(instance, None)


def _renewal(lease: Lease) -> Renew:
    return Renew(holder=lease.holder, generation=lease.generation, until=lease.until)


async def kill(name: str, *, wait: float = 0) -> None:
    """Kill a host that has not ended within *wait* seconds; no process is left afterwards.

    This does not return while the host is alive: the machine may be started elsewhere afterwards.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while running.is_alive(machine_paths(name)):
        if loop.time() >= deadline:
            try:
                await asyncio.to_thread(running.kill, name)
            except MachineNotFoundError:
                pass  # it ends at this moment, or has not written its number yet
            except KjuError as error:
                log.error("%s", error)
            else:
                return
        await asyncio.sleep(_LOOK)
