"""How often a source publishes for viewers that state different rates."""

from __future__ import annotations

from collections.abc import Collection

#: Looks per second at which a source's own pace is as good: its probes are 24 to 33 ms apart.
OWN_RATE = 40.0


def fastest(rates: Collection[float | None]) -> float | None:
    """Return the rate of a source for viewers with these rates; None for its own pace.

    A viewer without a rate takes the source's own pace, which a higher rate exceeds.
    """
    stated = max((rate for rate in rates if rate is not None), default=0.0)
    own = not stated or (None in rates and stated <= OWN_RATE)
    return None if own else stated


def fastest_look(rates: Collection[float | None]) -> float | None:
    """Return the same for viewers that may not look at all; 0 if none of them looks."""
    looking = [rate for rate in rates if rate != 0]
    return fastest(looking) if looking else 0.0
