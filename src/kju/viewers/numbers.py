"""Figures of one view, collected while the user wants to see them. I/O-free.

The time of a key is the time between the toolkit's key event and the painting of the first damage
that was read after it. Over an animation that may be a picture of the animation.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

#: Keys whose times are kept.
KEYS = 100
#: Seconds of updates that the rates are computed from.
SPAN = 2.0
#: Seconds after which a key has no answer: the guest did not react to it.
_UNANSWERED = 2.0


class Usage(NamedTuple):
    """CPU seconds so far; None where they are unknown."""

    host: float | None = None
    viewer: float | None = None


class Report(NamedTuple):
    """Figures of one view.

    Attributes:
        keys: Number of keys that were measured.
        key_median: Half of the keys were painted within this time, seconds.
        key_most: 95 % of them.
        updates: Updates per second.
        damaged: Share of the picture that an update changed, on average.
        source: The source of the pixels; empty where it is unknown.
        host: Share of a core that the host uses; None where it is unknown.
        viewer: Share of a core that this process uses.
    """

    keys: int = 0
    key_median: float = 0.0
    key_most: float = 0.0
    updates: float = 0.0
    damaged: float = 0.0
    source: str = ""
    host: float | None = None
    viewer: float | None = None

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Names and values as a user reads them."""
        key = "press a key"
        if self.keys:
            key = f"{1000 * self.key_median:.1f} / {1000 * self.key_most:.1f} ms (p50 / p95)"
        return [
            ("Key to pixel", key),
            ("Keys measured", f"{self.keys} of the last {KEYS}" if self.keys else "none"),
            ("Updates", f"{self.updates:.1f} per second"),
            ("Damaged", f"{self.damaged:.1%} of the picture"),
            ("Source", self.source or "unknown"),
            ("CPU of the host", _percent(self.host)),
            ("CPU of this window", _percent(self.viewer)),
        ]


class Numbers:
    """Collects the figures of one view. Times are seconds of one clock.

    Args:
        now: The time.
    """

    def __init__(self, now: float) -> None:
        self._begun = now
        self._times: deque[float] = deque(maxlen=KEYS)
        self._pressed: float | None = None
        self._answered = False
        self._updates: deque[tuple[float, float]] = deque()
        self._usage: deque[tuple[float, Usage]] = deque()

    def pressed(self, now: float) -> None:
        """Note a key event. A key that is pressed before the answer to the last one is ignored."""
        if self._pressed is None or now - self._pressed > _UNANSWERED:
            self._pressed, self._answered = now, False

    def updated(self, now: float, read: float, damaged: float) -> None:
        """Note an update.

        Args:
            now: The time.
            read: The time at which its damage was read.
            damaged: Share of the picture that it changes.
        """
        self._forget(now)
        self._updates.append((now, damaged))
        if damaged and self._pressed is not None and read >= self._pressed:
            self._answered = True

    def painted(self, now: float) -> None:
        """Note that the view has painted the updates so far."""
        if self._answered and self._pressed is not None:
            if now - self._pressed <= _UNANSWERED:
                self._times.append(now - self._pressed)
            self._pressed, self._answered = None, False

    def report(self, now: float, usage: Usage, source: str) -> Report:
        """Return the figures of the last seconds, and of the last keys."""
        self._forget(now)
        times = sorted(self._times)
        share = [damaged for _, damaged in self._updates]
        host, viewer = self._shares(now, usage)
        return Report(
            keys=len(times),
            key_median=_percentile(times, 0.5),
            key_most=_percentile(times, 0.95),
            updates=len(share) / max(min(SPAN, now - self._begun), 0.1),
            damaged=sum(share) / len(share) if share else 0.0,
            source=source,
            host=host,
            viewer=viewer,
        )

    def _forget(self, now: float) -> None:
        while self._updates and self._updates[0][0] < now - SPAN:
            self._updates.popleft()

    def _shares(self, now: float, usage: Usage) -> tuple[float | None, float | None]:
        """Return the shares of a core since the oldest usage that is kept."""
        while len(self._usage) > 1 and self._usage[1][0] <= now - SPAN:
            self._usage.popleft()
        self._usage.append((now, usage))
        begun, before = self._usage[0]
        seconds = now - begun
        if seconds <= 0:
            return None, None
        host, viewer = (
            None if old is None or new is None else max(0.0, new - old) / seconds
            for old, new in zip(before, usage, strict=True)
        )
        return host, viewer


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%} of a core"
