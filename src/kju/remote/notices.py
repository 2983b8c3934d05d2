"""What others bring about, told to who serves: each thing once in a while, as one plain line."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..escaping import one_line

#: Seconds in which the same is said once: who is refused tries again and again.
AGAIN = 10.0
#: Different things in that time; who makes up more is not heard.
MOST = 32


class Notices:
    """Says things.

    Args:
        say: Given each; what a terminal would obey is taken out of it.
        clock: Seconds.
    """

    def __init__(
        self, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._said: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Say this, unless it was said just now."""
        now, text = self._clock(), one_line(text)
        self._said = {each: when for each, when in self._said.items() if now < when + AGAIN}
        if text not in self._said and len(self._said) < MOST:
            self._said[text] = now
            self._say(text)
