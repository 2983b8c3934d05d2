"""SHELL: keeps the rate of a served screen equal to that of its fastest viewer.

Rules:

- The screen's host is told a new rate at most once in `MIN_INTERVAL`, however often viewers change
  theirs.
- A viewer's change is confirmed when the host publishes at that rate and has published what the
  screen shows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..errors import KjuError
from .served_viewers import ServedViewer
from .shared_screen import SharedScreen

log = logging.getLogger(__name__)

#: Seconds between two changes of the screen's rate.
MIN_INTERVAL = 0.02


class ScreenRate:
    """The rate of a screen.

    Args:
        screen: The screen.
        wanted: Returns the rate that its viewers need: looks per second, 0 if none looks, None for
            the host's own pace.
        confirm: Confirms the rate of a viewer.
    """

    def __init__(
        self,
        screen: SharedScreen,
        wanted: Callable[[], float | None],
        confirm: Callable[[ServedViewer], object],
    ) -> None:
        self._screen, self._wanted, self._confirm = screen, wanted, confirm
        self._to_confirm: dict[ServedViewer, None] = {}
        self._following: asyncio.Task[None] | None = None

    async def match(self) -> None:
        """Return when the screen is published at the rate that its viewers need now.

        Raises:
            KjuError: The host did not take the rate.
        """
        if (wanted := self._wanted()) != self._screen.rate:
            await self._screen.set_rate(wanted)

    def confirm(self, viewer: ServedViewer) -> None:
        """Follow a viewer's new rate, and confirm it."""
        self._to_confirm[viewer] = None
        self.follow()

    def follow(self) -> None:
        """Follow the viewers' rates soon."""
        is_due = self._to_confirm or self._screen.rate != self._wanted()
        if is_due and (self._following is None or self._following.done()):
            self._following = asyncio.create_task(self._follow())

    def close(self) -> None:
        """Follow no more."""
        if self._following is not None:
            self._following.cancel()
        self._to_confirm.clear()

    async def _follow(self) -> None:
        while self._to_confirm or self._screen.rate != self._wanted():
            viewers, self._to_confirm = self._to_confirm, {}
            try:
                await self.match()
            except KjuError as error:
                log.info("the rate of a screen was not changed: %s", error)
                return  # the machine has ended, or its surface is being replaced
            for viewer in viewers:
                self._confirm(viewer)
            await asyncio.sleep(MIN_INTERVAL)
