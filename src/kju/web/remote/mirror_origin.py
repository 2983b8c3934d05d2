"""SHELL: a screen of another computer as a `ScreenOrigin`: a mirror that is open while it is seen.

The mirror is a sealed viewer of that computer, with the role of this user's key there. The rate of
the viewers here is passed on, and without any the session ends. So only what is seen is carried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

from ...errors import UnavailableError
from ...protocol.values import Role
from ...remote.memory_target import MemoryBudget, MemoryTarget
from ...remote.mirror import Mirror
from ...remote.mirror_link import LinkStatus, surface_state
from ...remote.proof import Prover
from ...remote.transport import Engine
from ...remote.trust import Trust, default_folder
from ...surface.consumer import Consumer
from ...wire.messages import MachineEvent
from ...wire.receiver_session import ReceiverSession

#: Seconds for a sender to answer, and then for its picture.
OPEN_TIMEOUT = 5.0
#: Seconds to wait for a picture of now, after a change of the rate.
_PICTURE_TIMEOUT = 1.0


class RemotePlace(NamedTuple):
    """A screen of another computer.

    Attributes:
        engine: The connection to the computer.
        name: The screen's name there.
        user: This user's name there; empty without certificates.
    """

    engine: Engine
    name: str
    user: str


class MirrorParts(NamedTuple):
    """The parts that all mirrors of one computer share.

    Attributes:
        threads: Draws their pictures.
        budget: Counts their memory.
        small_budget: Counts the memory of those for small pictures; a part of the other one.
    """

    threads: Executor
    budget: MemoryBudget
    small_budget: MemoryBudget

    @classmethod
    def of_computer(cls, threads: Executor, whole: MemoryBudget, computers: int) -> MirrorParts:
        """Return the parts of one of several computers, which share the memory equally.

        Small pictures have half of it, so that a wall leaves room for a page.
        """
        budget = MemoryBudget(whole.limit // computers, whole)
        return cls(threads, budget, MemoryBudget(budget.limit // 2, budget))

    def for_small_pictures(self) -> MirrorParts:
        """Return the parts of mirrors for small pictures."""
        return self._replace(budget=self.small_budget)


class MirrorOrigin:
    """A `kju.serving.shared_screen.ScreenOrigin` on another computer.

    Args:
        place: The screen.
        parts: The parts that it shares with others.
        role: The wanted role.
        lossy: Accept photographic areas as JPEG first.
        max_side: Show the screen small: see `messages.SessionHello.max_side`.
        on_event: Called with each event of the machine.
    """

    def __init__(
        self,
        place: RemotePlace,
        parts: MirrorParts,
        role: Role,
        *,
        lossy: bool = False,
        max_side: int = 0,
        on_event: Callable[[MachineEvent], object] = lambda event: None,
    ) -> None:
        self._place, self._parts, self._wanted = place, parts, role
        self._lossy, self._max_side, self._on_event = lossy, max_side, on_event
        self._rate: float | None = None
        self._target: MemoryTarget | None = None
        self._mirror: Mirror | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def mirror(self) -> Mirror:
        """The mirror of the open screen.

        Raises:
            UnavailableError: It is not open.
        """
        if self._mirror is None:
            raise UnavailableError(f"{self._place.name} is not open")
        return self._mirror

    @property
    def session(self) -> ReceiverSession | None:
        """The present session with the sender; None if the screen is not open."""
        return self._mirror.receiver if self._mirror else None

    @property
    def role(self) -> Role:
        """The role that the sender has granted; ``view`` before."""
        welcome = self.session.welcome if self.session else None
        return welcome.role if welcome else "view"

    @property
    def consumer(self) -> Consumer:
        """The surface of the open screen; another one when it has grown.

        Raises:
            UnavailableError: It is not open.
        """
        if self._target is None:
            raise UnavailableError(f"{self._place.name} is not open")
        return self._target.consumer

    @property
    def screen_size(self) -> tuple[int, int] | None:
        """The size of the screen, which the surface may show smaller; None before it is known."""
        return self._mirror.screen_size if self._mirror else None

    @property
    def memory(self) -> int:
        """The bytes of its picture."""
        return self._target.size if self._target else 0

    def surface_version(self, version: int) -> int:
        """Return the version of the present surface for one of the mirror's target."""
        return self._target.surface_version(version) if self._target else 0

    async def open(self, changed: Callable[[], None]) -> None:
        """Connect, and call *changed* after each publication.

        Raises:
            UnavailableError: The sender does not answer, or it refuses.
        """
        engine, name, user = self._place
        target = self._target = MemoryTarget(self._parts.budget, has_cursor=True)

        def show(status: LinkStatus) -> None:
            if self._mirror is mirror:
                target.set_state(*surface_state(status))
                changed()

        mirror = self._mirror = Mirror(
            engine, name, target, self._wanted,
            user=user, prove=Prover(Trust(default_folder()), user, name) if user else None,
            lossy=self._lossy, max_side=self._max_side, threads=self._parts.threads,
            on_status=show, on_event=self._on_event, on_drawn=changed,
        )  # fmt: skip
        mirror.set_rate(self._rate)
        try:
            await mirror.open(OPEN_TIMEOUT)
            target.set_state(*surface_state(mirror.status))
        except BaseException:
            self.close()
            raise

    async def set_rate(self, rate: float | None) -> None:
        """State the rate to the sender, and wait for a picture of now; also before `open`."""
        self._rate = rate
        if self._mirror is not None:
            self._mirror.set_rate(rate)
            await self._mirror.shown(_PICTURE_TIMEOUT)

    def close(self) -> None:
        """End the session. No effect if it is not open."""
        mirror, target = self._mirror, self._target
        self._mirror = self._target = None
        if mirror is not None and target is not None:
            task = asyncio.create_task(_end(mirror, target))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def closed(self) -> None:
        """Return when no session is being ended."""
        await asyncio.gather(*self._closing, return_exceptions=True)


async def _end(mirror: Mirror, target: MemoryTarget) -> None:
    mirror.close("no page shows this screen")
    await mirror.drawing_finished()
    target.close()
