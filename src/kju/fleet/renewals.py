"""SHELL: the leases that a keeper's hosts have confirmed, and the hosts that confirm none."""

from __future__ import annotations

import logging

from ..errors import KjuError, MachineGoneError
from ..protocol.leases import Lease
from .hosts import KeptHost, NodeHosts
from .placement import Instance

log = logging.getLogger(__name__)


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
