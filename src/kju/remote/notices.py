"""Log lines that peers can trigger: rate-limited, and as one plain line each."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..escaping import one_line

#: Seconds in which an equal line is logged once: a refused peer tries again and again.
INTERVAL = 10.0
#: Different lines in that time; more are dropped.
MAX_LINES = 32


class Notices:
    """A rate limit of log lines.

    Args:
        log: Called with each line, escaped for a terminal.
        clock: Returns seconds.
    """

    def __init__(
        self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._clock = log, clock
        self._logged_at: dict[str, float] = {}

    def report(self, text: str) -> None:
        """Log a line, unless it was logged just now."""
        now, text = self._clock(), one_line(text)
        recent = self._logged_at.items()
        self._logged_at = {line: at for line, at in recent if now < at + INTERVAL}
        if text not in self._logged_at and len(self._logged_at) < MAX_LINES:
            self._logged_at[text] = now
            self._log(text)
