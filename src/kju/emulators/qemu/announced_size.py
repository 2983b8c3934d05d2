"""SHELL: replaces a listener that did not receive the size which QEMU announces for its console.

That is the only sign of some changes of the mode: QEMU before 9.2 does not tell a listener of a
text mode, and rectangles of a smaller mode look like those of a larger one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ..console import SourceRunner

log = logging.getLogger(__name__)

#: Seconds for a listener to receive an announced size: QEMU announces it to consoles at once, and
#: to listeners at its next tick, in 30 ms.
LISTENER_DELAY = 0.1


class AnnouncedSize:
    """The size that QEMU announced last for one console.

    Args:
        width: At the start, pixels.
        height: Likewise.
        check: Called with the size once the listener should have received it too.
    """

    def __init__(self, width: int, height: int, check: Callable[[tuple[int, int]], object]) -> None:
        self.size = (width, height)
        self._check = check
        self._timer: asyncio.TimerHandle | None = None

    def update(self, properties: dict[str, Any]) -> None:
        """Take over the announced properties, which hold only what has changed."""
        width, height = (properties.get(name, old) for name, old in zip(
            ("Width", "Height"), self.size, strict=True
        ))  # fmt: skip
        if not (isinstance(width, int) and isinstance(height, int)):
            log.warning("QEMU announced a size that is not valid: %r", (width, height))
            return
        self.size = (width, height)
        self.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LISTENER_DELAY, lambda: self._check(self.size))

    def cancel(self) -> None:
        """Cancel the check that waits."""
        if self._timer is not None:
            self._timer.cancel()


class AnnouncedSizeRunner(SourceRunner):
    """Runs the source of a QEMU console; replaces it if it missed a size."""

    def check_size(self, size: tuple[int, int]) -> None:
        """Replace a listener that has not received the announced *size*."""
        source = self.supervisor.source
        received = source.size if source is not None else None
        if received is not None and received != size:
            log.info(
                "console %d: QEMU announced %dx%d and its listener received %dx%d: replacing it",
                self.supervisor.surface.index, *size, *received,
            )  # fmt: skip
            self.supervisor.replace_source(at_once=True)
