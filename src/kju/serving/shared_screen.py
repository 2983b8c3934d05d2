"""A screen that its viewers share: open while there are some, with one encoder for each codec."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ..errors import UnavailableError
from ..surface.consumer import Consumer
from ..wire.encoder import Encoders

#: Seconds from the last viewer's end to the closing of the screen: a viewer may reconnect.
GRACE_TIME = 5.0


class ScreenOrigin(Protocol):
    """The screen to serve."""

    async def open(self, changed: Callable[[], None]) -> None:
        """Open the screen.

        Args:
            changed: Called in the event loop after each publication.

        Raises:
            KjuError: It cannot be opened.
        """

    @property
    def consumer(self) -> Consumer:
        """The surface of the open screen; another object when the surface was replaced."""

    def close(self) -> None:
        """Close the screen. No effect if it is not open."""


class SharedScreen:
    """A screen and its encoders.

    Args:
        origin: The screen.
        name: Its name, for errors.
    """

    def __init__(self, origin: ScreenOrigin, name: str) -> None:
        self._origin, self._name = origin, name
        self._opened: tuple[Consumer, Encoders] | None = None
        self._lock = asyncio.Lock()
        self._unused_since: float | None = None

    @property
    def opened(self) -> tuple[Consumer, Encoders]:
        """The surface and its encoders.

        Raises:
            UnavailableError: The screen is not open.
        """
        if self._opened is None:
            raise UnavailableError(f"{self._name} is not open")
        return self._opened

    async def open(self, changed: Callable[[], None]) -> None:
        """Open the screen. No effect if it is open.

        Raises:
            KjuError: It cannot be opened.
        """
        async with self._lock:
            if self._opened is None:
                await self._origin.open(changed)
                consumer = self._origin.consumer
                self._opened = consumer, Encoders(consumer)

    def follow_replacement(self) -> bool:
        """Change to the surface that has replaced the present one; return whether one has."""
        if self._opened is None or (consumer := self._origin.consumer) is self._opened[0]:
            return False
        self._opened = consumer, Encoders(consumer)
        return True

    def is_unused(self, now: float, *, has_viewers: bool) -> bool:
        """Return whether there were no viewers for `GRACE_TIME`."""
        if has_viewers:
            self._unused_since = None
        elif self._unused_since is None:
            self._unused_since = now
        return self._unused_since is not None and now > self._unused_since + GRACE_TIME

    def use(self) -> None:
        """Count `GRACE_TIME` anew: there is a viewer."""
        self._unused_since = None

    def close(self) -> None:
        """Close the screen."""
        self._origin.close()
        self._opened = None
