"""One running machine of a wall: its connection, the rate it states, its thumbnails.

Everything runs in the event loop of the tiles' thread. A host that does not answer keeps its own
task waiting and no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from ...client.aio.link import AsyncLink
from ...client.consumer.base import SurfaceBase
from ...client.consumer.frame import Frame
from ...client.link import only_descriptor
from ...errors import (
    KjuError,
    MachineGoneError,
    MachineNotFoundError,
    SupersededError,
    UnavailableError,
    WaitTimeoutError,
)
from ...protocol.messages import Done, GetSurface, SetRate, SurfaceHandle
from ...surface import State
from .tile import TileBoard, TileState

log = logging.getLogger(__name__)

#: Seconds until a host that does not answer counts as not responding; it is waited for all the
#: same.
RESPONSE_SECONDS = 2.0
#: Seconds until the next attempt to attach.
RETRY = 1.0
_CLIENT = "kju desktop"
#: The looks per second at most at a machine that has not changed for these seconds.
STILL_RATES = ((30.0, 0.5), (5.0, 1.0))
#: Above this rate a machine that does not change is looked at as often: the pointer is on it.
_EAGER_RATE = 2.0
_STATES = {State.LIVE: TileState.LIVE, State.PAUSED: TileState.PAUSED}

T = TypeVar("T")


def rate_after(wanted: float, still: float) -> float:
    """Return the looks per second at a machine.

    Args:
        wanted: The rate at which changes must be shown.
        still: Seconds since the last change.
    """
    if wanted > _EAGER_RATE:
        return wanted
    return next((min(wanted, rate) for since, rate in STILL_RATES if still >= since), wanted)


class TileFollower:
    """Follows one running machine from its first look to `close`.

    Args:
        name: The machine's name.
        board: Takes its pictures and states.
        wake: Called when `look` may find something new, and after changes of the board.

    Attributes:
        rate: Looks per second; 0 for none. Lower than the wanted rate for a still machine.
    """

    def __init__(self, name: str, board: TileBoard, wake: Callable[[], object]) -> None:
        self.rate = self._wanted_rate = 0.0
        self._name = name
        self._board = board
        self._wake = wake
        self._size = (1, 1)
        self._surface: SurfaceBase | None = None
        self._frame: Frame | None = None
        self._seen: tuple[int, State] | None = None
        self._due = 0.0
        self._changed_at = 0.0
        self._news = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def is_open(self) -> bool:
        """True if there is a surface to look at."""
        return self._surface is not None

    def set_rate(self, rate: float, size: tuple[int, int]) -> None:
        """Look this often, and make thumbnails of this size at most."""
        if size != self._size:
            self._size, self._seen, self._due = size, None, 0.0
        if rate != self._wanted_rate:
            self._wanted_rate, self._due = rate, 0.0
            self._changed_at = asyncio.get_running_loop().time()
            self._state_rate(rate)

    def close(self) -> None:
        """Take the last picture, and detach."""
        self._look()
        self._task.cancel()
        self._close_surface()
        # The cancelled task refers to this object until the next garbage collection.
        self._frame = None

    # ---- Looks

    def look(self, now: float) -> bool:
        """Look at the surface if that is due; return whether the picture is another."""
        if self._surface is None or not self.rate or now < self._due:
            return False
        before = self._frame
        if self._look():
            # More changes within this time are taken together.
            self._due = now + 1 / self._wanted_rate
        if has_changed := self._frame is not before:
            self._changed_at = now
        self._state_rate(rate_after(self._wanted_rate, now - self._changed_at))
        return has_changed

    def _state_rate(self, rate: float) -> None:
        """Look this often, and state the rate to the host."""
        if rate != self.rate:
            self.rate = rate
            self._news.set()

    def _look(self) -> bool:
        """Look at the surface; return whether anything is new."""
        surface = self._surface
        if surface is None:
            return False
        try:
            state, reason = surface.state
            seen = surface.version, state
            if seen == self._seen:
                return False
            self._seen = seen
            self._take(surface, state, reason or "")
        except SupersededError:
            self._news.set()  # the connection opens the next surface
        except KjuError as error:
            self._board.set_state(self._name, TileState.NO_PICTURE, str(error))
        return True

    def _take(self, surface: SurfaceBase, state: State, reason: str) -> None:
        """Take the picture of a surface."""
        if state == State.SUPERSEDED:
            raise SupersededError("a larger surface has replaced this one")
        if state == State.UNAVAILABLE:
            raise UnavailableError(reason or "the screen shows no picture now")
        frame = surface.thumbnail(*self._size, self._frame)
        if frame is not self._frame and frame.mode is not None:
            self._frame, tile = frame, self._board.tile(self._name)
            self._board.set(tile.showing(frame, (frame.mode.width, frame.mode.height)))
        self._board.set_state(self._name, _STATES.get(state, TileState.OFF), reason)

    # ---- The connection

    async def _run(self) -> None:
        """Attach whenever the machine's screen is viewed."""
        while True:
            while not self.rate:
                self._news.clear()
                await self._news.wait()
            try:
                self._lose(await self._use())
            except (KjuError, OSError) as error:
                self._lose(error)
            finally:
                self._close_surface()
            await asyncio.sleep(RETRY)

    def _lose(self, error: Exception) -> None:
        """Show the reason of a missing connection."""
        log.info("%s: %s", self._name, error)
        if isinstance(error, (MachineGoneError, MachineNotFoundError)):
            state = TileState.OFF
        elif isinstance(error, WaitTimeoutError):
            state = TileState.NOT_RESPONDING
        else:
            state = TileState.WAITING
        self._look()
        self._board.set_state(self._name, state, str(error))
        self._wake()

    async def _use(self) -> KjuError:
        """Use one connection; return the reason of its end."""
        attached = self._board.tile(self._name)
        if attached.state is TileState.OFF:
            self._board.set_state(self._name, TileState.WAITING)
            self._wake()
        link = await self._answered(AsyncLink.attach(self._name, "view", _CLIENT))
        ended = asyncio.ensure_future(link.ended.wait())
        try:
            if link.welcome.consoles:
                await self._follow(link, ended)
            else:
                reason = "the machine has no screen"
                self._board.set_state(self._name, TileState.NO_PICTURE, reason)
                self._wake()
                await ended
            return MachineGoneError(link.gone() or "the machine has ended", self._name)
        finally:
            ended.cancel()
            link.close()

    async def _follow(self, link: AsyncLink, ended: asyncio.Task[Literal[True]]) -> None:
        """Keep the surface open and the rate stated until the machine ends."""
        stated: float | None = None
        while not ended.done():
            self._news.clear()
            rate = self.rate
            if rate and (self._surface is None or self._is_superseded(self._surface)):
                await self._open_surface(link, rate)
            elif rate != stated:
                await self._answered(link.ask(SetRate(rate=rate), Done))
                self._wake()
            stated = rate
            news = asyncio.ensure_future(self._news.wait())
            try:
                await asyncio.wait({news, ended}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()

    @staticmethod
    def _is_superseded(surface: SurfaceBase) -> bool:
        return surface.state[0] == State.SUPERSEDED

    async def _open_surface(self, link: AsyncLink, rate: float) -> None:
        answer = await self._answered(link.call(GetSurface(rate=rate)))
        surface = SurfaceBase.from_fd(only_descriptor(answer, SurfaceHandle))
        self._close_surface()
        self._surface, self._seen, self._due = surface, None, 0.0
        self._wake()

    def _close_surface(self) -> None:
        if self._surface is not None:
            self._surface.close()
        self._surface = None

    async def _answered(self, answer: Awaitable[T]) -> T:
        """Wait for an answer of the host; after `RESPONSE_SECONDS` show that it is missing."""

        def show_silence() -> None:
            self._board.set_state(self._name, TileState.NOT_RESPONDING, "the host does not answer")
            self._seen = None  # the next look shows the answered state
            self._wake()

        timer = asyncio.get_running_loop().call_later(RESPONSE_SECONDS, show_silence)
        try:
            return await answer
        finally:
            timer.cancel()
