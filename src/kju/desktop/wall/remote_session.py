"""The picture of one remote screen: a session while its tile is in view.

The session states the rate at which the wall looks, and the size of the tile, so that its sender
compares and sends no more. It has the role `view`. Everything runs in the event loop of the
connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

from ...errors import KjuError
from ...remote import addresses
from ...remote.memory_target import MemoryBudget, MemoryTarget
from ...remote.mirror import Mirror
from ...remote.mirror_link import LinkStatus
from ...remote.proof import Prover
from ...remote.transport import Engine
from ...remote.trust import Trust, default_folder
from ...surface import State
from ...surface.thumbnail import Thumbnail
from ...wire import jpeg
from ...wire.greeting import Stage
from ...wire.reduced_picture import reduced_side
from ..machines.remote_machines import ScreenNews

log = logging.getLogger(__name__)

#: Seconds for a sender to answer, and then for its picture.
OPEN_TIMEOUT = 10.0
#: Seconds for which a session of a tile out of view stays open: the user may scroll back.
LINGER = 10.0
#: Seconds until the next attempt after a failure, at first and at most.
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0
#: Seconds in which a picture of another size is to arrive; the last one is shown meanwhile.
RESIZE_TIME = 3.0
#: Seconds from the last message of a change to the tile's picture, and from the first one at most:
#: an update has several messages, and each thumbnail costs as much as one of them.
SETTLE, MAX_SETTLE = 0.03, 0.25


class ScreenPlace(NamedTuple):
    """A remote screen.

    Attributes:
        engine: The connection to its computer.
        name: Its name there.
        user: The user's name there; empty without certificates.
    """

    engine: Engine
    name: str
    user: str


class SharedParts(NamedTuple):
    """The parts that all remote screens share.

    Attributes:
        threads: Draws their pictures.
        budget: Counts their memory.
    """

    threads: Executor
    budget: MemoryBudget


class Reports(NamedTuple):
    """The callbacks of a screen, called in its event loop.

    Attributes:
        picture: Takes a new thumbnail, and the size of the screen in pixels.
        news: Takes the state, when it is another one.
    """

    picture: Callable[[Thumbnail, tuple[int, int]], object]
    news: Callable[[ScreenNews], object]


class RemoteScreen:
    """One remote screen, from its first look to `close`.

    Args:
        place: Where it is.
        parts: The parts that it shares with others.
        reports: Takes its pictures and its state.

    Attributes:
        rate: Looks per second; 0 for none.
    """

    def __init__(self, place: ScreenPlace, parts: SharedParts, reports: Reports) -> None:
        self._place = place
        self._parts, self._reports = parts, reports
        self.rate = 0.0
        self._size = (1, 1)
        self._target = MemoryTarget(parts.budget)
        self._last: Thumbnail | None = None
        self._news, self._was_live = ScreenNews(), False
        self._mirror: Mirror | None = None
        #: The next look, and the latest time for it.
        self._timer: tuple[asyncio.TimerHandle, float] | None = None
        self._resized_by = 0.0
        self._wanted, self._ended = asyncio.Event(), asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def is_open(self) -> bool:
        """True if there is a session, or one is being opened."""
        return self._mirror is not None

    def set_rate(self, rate: float, size: tuple[int, int]) -> None:
        """Look this often, and make thumbnails of this size at most."""
        if size != self._size:
            side = self._side
            self._size, self._last = size, None
            if self._mirror is not None and self._side != side:
                self._mirror.set_max_side(self._side)
                loop = asyncio.get_running_loop()
                self._resized_by = loop.time() + RESIZE_TIME
                loop.call_at(self._resized_by, self._check_status)
            self._look_soon()
        if rate == self.rate:
            return
        self.rate = rate
        if self._mirror is not None:
            self._mirror.set_rate(rate)
        if rate:
            self._wanted.set()
        else:
            self._wanted.clear()
            asyncio.get_running_loop().call_later(LINGER, self.leave)

    @property
    def _side(self) -> int:
        """The side of the picture to request, so that similar sizes need no other session."""
        return reduced_side(max(self._size))

    def leave(self) -> None:
        """End the session, unless the tile is in view."""
        if not self.rate:
            self._ended.set()

    async def close(self) -> None:
        """End everything; the last picture stays with its owner."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # ---- the session

    async def _run(self) -> None:
        """Have a session whenever the tile is in view."""
        pause = FIRST_PAUSE
        try:
            while True:
                await self._wanted.wait()
                try:
                    reason = await self._use()
                except (KjuError, OSError) as error:
                    # The tile has the name already.
                    reason = str(error).removeprefix(f"{addresses.SCHEME}{self._place.name}: ")
                if reason and self.rate:
                    pause = FIRST_PAUSE if self._was_live else pause
                    log.info("%s: %s", self._place.name, reason)
                    self._report(ScreenNews(reason=f"{reason} (next try in {pause:g} s)"))
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, MAX_PAUSE)
        finally:
            if self._timer is not None:
                self._timer[0].cancel()

    async def _use(self) -> str:
        """Use one session; return the reason of its end, or nothing if it was not needed any more.

        Raises:
            KjuError: The sender did not answer, or refused.
        """
        engine, name, user = self._place
        prove = Prover(Trust(default_folder()), user, name) if user else None
        self._ended.clear()
        self._was_live = False
        self._mirror = mirror = Mirror(
            engine, name, self._target, "view",
            user=user, prove=prove, lossy=jpeg.is_available(), max_side=self._side,
            threads=self._parts.threads,
            on_status=self._status_changed, on_drawn=self._look_soon,
        )  # fmt: skip
        mirror.set_rate(self.rate)
        opening = asyncio.ensure_future(mirror.open(OPEN_TIMEOUT))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({opening, ended}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                opening.result()
            await ended
            return "" if mirror.receiver.stage is Stage.OPEN else mirror.status.reason
        finally:
            opening.cancel()
            ended.cancel()
            await asyncio.gather(opening, ended, return_exceptions=True)
            self._mirror = None
            mirror.close()
            await mirror.drawing_finished()
            self._look_at(mirror)
            self._target.close()

    def _status_changed(self, status: LinkStatus) -> None:
        mirror = self._mirror
        if mirror is None:
            return
        if status.live:
            self._was_live = True
            state, reason = status.state, status.reason
            if state == State.UNAVAILABLE:
                self._report(ScreenNews(reason=reason or "the screen shows no picture now"))
            else:
                self._report(ScreenNews(paused=state == State.PAUSED))
        elif mirror.receiver.stage is Stage.CLOSED:
            self._ended.set()
        elif self._last is not None and asyncio.get_running_loop().time() >= self._resized_by:
            self._report(ScreenNews(reason=status.reason))

    def _check_status(self) -> None:
        if self._mirror is not None:
            self._status_changed(self._mirror.status)

    def _report(self, news: ScreenNews) -> None:
        if news != self._news:
            self._news = news
            self._reports.news(news)

    # ---- the picture

    def _look_soon(self) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() + MAX_SETTLE
        if self._timer is not None:
            timer, latest = self._timer
            timer.cancel()
        self._timer = loop.call_at(min(loop.time() + SETTLE, latest), self._look), latest

    def _look(self) -> None:
        if self._mirror is not None:
            self._look_at(self._mirror)

    def _look_at(self, mirror: Mirror) -> None:
        """Take the picture of the target, if it is another one."""
        if self._timer is not None:
            self._timer[0].cancel()
            self._timer = None
        try:
            thumbnail = self._target.thumbnail(self._size, self._last)
        except KjuError:
            return  # nothing was received yet, or the mode changes all the time
        if thumbnail is not self._last:
            self._last = thumbnail
            self._reports.picture(thumbnail, mirror.screen_size or thumbnail.mode[:2])
