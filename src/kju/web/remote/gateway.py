"""SHELL: the screens that other computers serve (`kju serve`), for the pages of this server.

Rules:

- Each address has a connection of its own, which is tried again until it opens. After a loss zenoh
  connects again.
- A sender is not trusted: at most `MAX_SCREENS` names of it are taken, and only names of kju's form
  with a ``/``, which no machine of this computer has.
- The memory of pictures is shared: each computer has an equal part, walls have half of that, and a
  link or a user gets no further screen above its share (`refusal`).
- A screen that is not served any more is *off* for `KEEP_TIME`, so that a page continues when it
  returns; then it is forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ...errors import KjuError
from ...escaping import one_line
from ...remote import addresses
from ...remote.addresses import SessionOptions
from ...remote.memory_target import MemoryBudget
from ...remote.transport import Engine
from ...serving.carrier import Carrier
from ...wire.greeting import Admit
from ..access_list import Principal
from .mirror_origin import MirrorParts, RemotePlace
from .screen import FarScreen

log = logging.getLogger(__name__)

#: Screens of one address.
MAX_SCREENS = 256
#: Seconds until the next attempt to connect, at first and at most.
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0
#: Seconds for which a screen that is not served any more is listed.
KEEP_TIME = 60.0
#: The part of the memory of all pictures, as a divisor, above which a link, and a user, gets no
#: further screen.
LINK_PART, USER_PART = 2, 4
#: Bytes of a picture that is being opened: 1920x1080.
ASSUMED_SIZE = 8 << 20
#: Threads that draw.
_THREADS = 2


def is_remote(name: str) -> bool:
    """Return whether a name is that of a screen of another computer."""
    return "/" in name


def memory_refusal(holder: Principal, sizes: Iterable[int], whole: int) -> str:
    """Return why the pages of a link or a user get no further screen; empty if they do.

    Args:
        holder: The holder of the new screen's page.
        sizes: The bytes of the screens that they show; 0 for one that is being opened.
        whole: The bytes of all pictures.
    """
    share = whole // (LINK_PART if holder.link else USER_PART)
    if sum(size or ASSUMED_SIZE for size in sizes) < share:
        return ""
    who = f"the link {holder.link}" if holder.link else f"the user {holder.owner}"
    return f"{who} shows remote machines of {share >> 20} MiB, the most allowed: close some"


class FarComputer(NamedTuple):
    """A computer, or a router, whose screens are served.

    Attributes:
        options: How to connect to it.
        user: This user's name there; empty without certificates.
    """

    options: SessionOptions
    user: str = ""


class Gateway:
    """The screens of other computers.

    Args:
        remotes: The computers.
        names: The names of screens; none for all.
        carrier: Returns the carrier of a screen, by its name.
        admit: Returns the `Admit` of a screen, by its name.

    Attributes:
        screens: By name.
    """

    def __init__(
        self,
        remotes: Sequence[FarComputer],
        names: Sequence[str],
        carrier: Callable[[str], Carrier],
        admit: Callable[[str], Admit],
    ) -> None:
        self._remotes, self._names = remotes, frozenset(names)
        self._carrier, self._admit = carrier, admit
        self._threads = ThreadPoolExecutor(_THREADS, "kju-remote-drawing")
        self._budget = MemoryBudget()
        self.screens: dict[str, FarScreen] = {}
        self._forgetting: dict[str, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Follow all computers until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            for remote in self._remotes:
                group.create_task(self._follow(remote))

    async def close(self) -> None:
        """End all sessions."""
        for timer in self._forgetting.values():
            timer.cancel()
        for name in list(self.screens):
            self._forget(name, "the server has ended")
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def live(self) -> list[str]:
        """Return the names of the screens that are served now."""
        return [name for name, screen in self.screens.items() if screen.is_served]

    def refusal(self, name: str, holder: Principal, shown: Iterable[str]) -> str:
        """Return why a page gets no screen; empty if it does, and for a machine of this computer.

        Args:
            name: The screen.
            holder: The holder of the page's session.
            shown: The screens that all pages of the holder's link or user show.
        """
        theirs = {each for each in shown if each in self.screens}
        if name not in self.screens or name in theirs:
            return ""
        sizes = [self.screens[each].memory for each in theirs]
        return memory_refusal(holder, sizes, self._budget.limit)

    # ---- one computer

    async def _follow(self, remote: FarComputer) -> None:
        where = ", ".join(map(str, remote.options.connect))
        parts = MirrorParts.of_computer(self._threads, self._budget, len(self._remotes))
        pause, reported = FIRST_PAUSE, ""
        while True:
            try:
                engine = await Engine.open(remote.options)
            except KjuError as error:
                if str(error) != reported:
                    log.warning("the screens of %s: %s", where, error)
                reported = str(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE)
                continue
            log.info("the screens of %s are served too", where)
            try:
                await self._use(engine, remote.user, parts)
            finally:
                await engine.close()

    async def _use(self, engine: Engine, user: str, parts: MirrorParts) -> None:
        def notice(key: str, is_present: bool) -> None:
            name = addresses.screen_of(key)
            if not is_remote(name) or (self._names and name not in self._names):
                return
            if is_present:
                self._add(RemotePlace(engine, name, user), parts)
            elif (screen := self.screens.get(name)) and screen.place.engine is engine:
                self._lose(screen)

        undo = engine.on_presence(addresses.presence("**"), notice)
        try:
            await asyncio.Event().wait()
        finally:
            undo()
            await self._end_all_of(engine)

    async def _end_all_of(self, engine: Engine) -> None:
        for screen in [each for each in self.screens.values() if each.place.engine is engine]:
            self._forget(screen.name, "the connection has ended")
        await asyncio.gather(*self._closing, return_exceptions=True)

    # ---- screens

    def _add(self, place: RemotePlace, parts: MirrorParts) -> None:
        screen, name = self.screens.get(place.name), place.name
        if screen is not None:  # it returns, or another computer serves one of the same name
            if screen.place.engine is place.engine:
                screen.is_served = True
                if (timer := self._forgetting.pop(name, None)) is not None:
                    timer.cancel()
            return
        theirs = sum(each.place.engine is place.engine for each in self.screens.values())
        if theirs >= MAX_SCREENS:
            log.warning("%s is not served: there are %s screens", one_line(name), MAX_SCREENS)
            return
        carrier, admit = self._carrier(name), self._admit(name)
        self.screens[name] = FarScreen(place, parts, carrier, admit)

    def _lose(self, screen: FarScreen) -> None:
        screen.is_served = False
        reason = f"{screen.name} is not served any more"
        self._forgetting[screen.name] = asyncio.get_running_loop().call_later(
            KEEP_TIME, self._forget, screen.name, reason
        )

    def _forget(self, name: str, reason: str) -> None:
        self._forgetting.pop(name, None)
        with contextlib.suppress(KeyError):
            task = asyncio.create_task(self.screens.pop(name).close(reason))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
