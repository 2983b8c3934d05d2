"""SHELL: the lease of a machine: the machine ends with it, unless it is renewed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..errors import UsageError
from ..protocol.leases import MAX_LEASE, Lease, Renew
from ..store.leased import lease_clock

#: Seconds between two looks at the clock. The event loop's clock stands still while the computer
#: sleeps, the lease's does not: after a sleep the lease may have ended long ago.
LOOK = 0.5


class HostLease:
    """The lease of one machine.

    Args:
        lease: The lease of the launch request.
        clock: Returns the time of leases.
    """

    def __init__(self, lease: Lease, *, clock: Callable[[], float] = lease_clock) -> None:
        self._lease = lease
        self._clock = clock
        self._until = min(lease.until, clock() + MAX_LEASE)

    def renew(self, request: Renew) -> None:
        """Renew the lease.

        Raises:
            UsageError: It has ended, or it is another holder's.
        """
        lease, now = self._lease, self._clock()
        if (request.holder, request.generation) != (lease.holder, lease.generation):
            raise UsageError(
                f"the lease is that of {lease.holder}, start {lease.generation}, not of"
                f" {request.holder}, start {request.generation}"
            )
        # Checked here too: after a stop of the process this request may be read before `run_out`
        # is woken.
        if now >= self._until:
            raise UsageError(f"the lease has ended {now - self._until:.1f} s ago")
        self._until = max(self._until, min(request.until, now + MAX_LEASE))

    @property
    def has_ended(self) -> bool:
        """True once the lease has ended."""
        return self._clock() >= self._until

    async def run_out(self) -> str:
        """Wait for the end of the lease; return the reason for the machine's end."""
        while (left := self._until - self._clock()) > 0:
            await asyncio.sleep(min(left, LOOK))
        return f"its lease has ended: {self._lease.holder} did not renew it"

    def info(self) -> dict[str, Any]:
        """Return the lease, ready for JSON."""
        lease = self._lease
        return {
            "holder": lease.holder,
            "generation": lease.generation,
            "seconds": round(self._until - self._clock(), 3),
            "facts": lease.facts,
        }
