"""The messages about a machine's lease. I/O-free.

A machine with a lease ends by itself when the lease does, unless it is renewed before. Times are
seconds of CLOCK_BOOTTIME, which all processes of a computer share and nobody sets.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from .values import Name, Request

#: Seconds that a lease may last at most, from now.
MAX_LEASE = 3600.0

Generation = Annotated[int, Meta(ge=1)]


class Lease(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The lease of a machine.

    Attributes:
        holder: The keeper that renews it: ``FLEET/NODE``.
        generation: The number of this start of the machine in its fleet.
        until: When it ends.
        facts: Facts about the machine, for a holder that finds it again.
    """

    holder: Name
    generation: Generation
    until: float
    facts: dict[str, Any] = field(default_factory=dict)


class Renew(Request, frozen=True, tag="renew"):
    """Renew the machine's lease. Answered by `Done`.

    Attributes:
        holder: The holder.
        generation: The start that the holder means.
        until: When the lease is to end. An earlier end than the present one changes nothing.
    """

    holder: Name
    generation: Generation
    until: float
