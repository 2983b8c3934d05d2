"""SHELL: the small pictures of walls: one of each machine for all sockets that show it.

Rules:

- A picture is made at most `RATE` times a second, and only after a change.
- A socket that still has pictures to send gets none; later it gets the newest one.
- A machine that no wall shows is not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from .. import encoding
from ..errors import KjuError, MachineError, UnavailableError
from ..serving.shared_screen import ConsoleOrigin, ScreenOrigin
from ..surface.thumbnail import Thumbnail, copy_thumbnail
from .messages import SmallPicture, encode

log = logging.getLogger(__name__)

#: Pictures per second.
RATE = 2.0
#: Pixels of a picture at most.
MAX_WIDTH, MAX_HEIGHT = 320, 240
#: JPEG's quality: text of a console is readable at 80.
QUALITY = 80
#: Seconds from a failure to the next attempt to open a screen.
RETRY_TIME = 5.0
#: Attempts to make a thumbnail, during each of which the mode changed.
_TRIES = 4


class WallSocket(Protocol):
    """A socket with a wall."""

    @property
    def wall(self) -> frozenset[str]:
        """The machines in view."""

    def has_room(self) -> bool:
        """Return whether little waits to leave this computer."""

    def send(self, data: bytes) -> None:
        """Send a WebSocket message."""


class SmallOrigin(ScreenOrigin, Protocol):
    """A screen of which a small picture is made; its surface may show it smaller."""

    @property
    def screen_size(self) -> tuple[int, int] | None:
        """The size of the screen, pixels; None before it is known."""


class SmallPictures:
    """The pictures of all walls.

    Args:
        sockets: Returns the sockets.
        origin: Returns the screen of a machine, by its name.
    """

    def __init__(
        self,
        sockets: Callable[[], Iterable[WallSocket]],
        origin: Callable[[str], SmallOrigin] = lambda name: ConsoleOrigin(name, 0),
    ) -> None:
        self._sockets, self._origin = sockets, origin
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._newest: dict[str, bytes] = {}
        #: By socket, the pictures that it has.
        self._sent: dict[WallSocket, dict[str, bytes]] = {}

    def update(self, running: Iterable[str]) -> None:
        """Follow the machines that walls show, of those that run; send pictures that are due.

        Call it at least `RATE` times a second.
        """
        sockets = [socket for socket in self._sockets() if socket.wall]
        wanted = {name for socket in sockets for name in socket.wall} & set(running)
        for name in [name for name, task in self._tasks.items() if task.done()]:
            del self._tasks[name]
        for name in self._tasks.keys() - wanted:
            self._tasks.pop(name).cancel()
            self._newest.pop(name, None)
        for name in wanted - self._tasks.keys():
            self._tasks[name] = asyncio.create_task(self._follow(name))
        self._sent = {socket: self._sent.get(socket, {}) for socket in sockets}
        for name in wanted:
            self._send(name)

    async def close(self) -> None:
        """Follow no more machines."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _send(self, name: str) -> None:
        picture = self._newest.get(name)
        for socket, sent in self._sent.items():
            if name not in socket.wall:
                sent.pop(name, None)
            elif picture is not None and sent.get(name) is not picture and socket.has_room():
                sent[name] = picture
                socket.send(picture)

    async def _follow(self, name: str) -> None:
        origin, changed = self._origin(name), asyncio.Event()
        try:
            await origin.set_rate(RATE)
            await origin.open(changed.set)
            last: Thumbnail | None = None
            while True:
                await changed.wait()
                changed.clear()
                with contextlib.suppress(UnavailableError):  # nothing was drawn yet
                    last = await self._make(name, origin, last)
                self._send(name)
                await asyncio.sleep(1 / RATE)
        except MachineError as error:
            log.debug("the small picture of %s: %s", name, error)
        except KjuError as error:
            log.warning("the small picture of %s: %s", name, error)
            await asyncio.sleep(RETRY_TIME)  # `update` begins again when this task is done
        finally:
            origin.close()

    async def _make(self, name: str, origin: SmallOrigin, last: Thumbnail | None) -> Thumbnail:
        """Make the newest picture, if the screen has changed."""
        made = await asyncio.to_thread(
            copy_thumbnail, origin.consumer, MAX_WIDTH, MAX_HEIGHT, last, _TRIES
        )
        if made is not last:
            data = await asyncio.to_thread(as_jpeg, made)
            height, width = made.pixels.shape[:2]
            screen_size = origin.screen_size or made.mode[:2]
            self._newest[name] = encode(
                SmallPicture(name, made.mark.version, width, height, *screen_size, data)
            )
        return made


def as_jpeg(picture: Thumbnail) -> bytes:
    """Return a thumbnail as a JPEG."""
    return encoding.jpeg(picture.pixels, QUALITY)
