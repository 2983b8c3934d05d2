"""SHELL: the side with the screen: one session for each viewer.

Rules:

- Everything runs in the event loop; only the screen's changes are waited for by a thread.
- What a viewer costs is what `kju.wire.sender` keeps of it. Who is not let in costs nothing after
  the answer, and at most `MOST_NEW` at a time wait to be.
- A viewer that breaks the protocol, or whose token has gone, is forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..consumer import Consumer
from ..errors import KjuError, PeerError
from ..wire import messages
from ..wire.encoder import Encoder
from ..wire.messages import Done, Event, Input
from ..wire.sender import Admit, Sender, Stage
from . import address
from .engine import Engine

log = logging.getLogger(__name__)

#: Sessions of one screen, and of these such that are not open yet.
MOST_VIEWERS = 256
MOST_NEW = 32
#: Seconds between two looks at what nobody announces: a window that has room again, a viewer
#: that is silent.
TICK = 0.02
#: Seconds in which a viewer has to be let in.
GREETING = 10.0


class Screen(Protocol):
    """What is served."""

    @property
    def consumer(self) -> Consumer:
        """The screen's pixels; another object when the surface is another."""

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have this called in the loop after each publication."""


#: Does one input of a viewer; the wire's `Input.body` is what it takes.
#:
#: Raises:
#:     KjuError: It was not done.
Act = Callable[["Viewer", bytes], Awaitable[Done]]


class Viewer:
    """One viewer's session.

    Attributes:
        id: Random, its own.
        sender: What the wire keeps of it.
        began: When it came, seconds of the loop's clock.
        data: Whatever serves it may keep something here.
    """

    def __init__(self, number: str, sender: Sender, now: float) -> None:
        self.id = number
        self.sender = sender
        self.began = now
        self.data: object = None


class Outlet:
    """One screen on the network.

    Args:
        engine: zenoh.
        name: The screen's, as `address.checked` has it.
        screen: The screen.
        admit: Decides who is let in.
        act: Does what viewers want.
        left: Told of a viewer that has gone.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        screen: Screen,
        admit: Admit,
        act: Act,
        left: Callable[[Viewer], object] = lambda viewer: None,
    ) -> None:
        self._engine = engine
        self.name = name
        self._screen = screen
        self._admit, self._act, self._left = admit, act, left
        self._consumer = screen.consumer
        self._encoder = Encoder(self._consumer)
        self.viewers: dict[str, Viewer] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._undo: list[Callable[[], None]] = []
        #: Bytes that were given to zenoh, for whoever wants to know.
        self.sent = 0

    def open(self) -> None:
        """Begin to serve."""
        engine, name = self._engine, self.name
        self._undo = [
            engine.subscribe(address.upward(name, "*"), self._came),
            engine.watch(address.token(name, "*"), self._lives),
            engine.token(address.presence(name)),
        ]
        self._screen.on_change(self._changed)
        self._timer = self._loop.call_later(TICK, self._tick)

    def close(self, reason: str) -> None:
        """Serve no more, and say why."""
        for viewer in list(self.viewers.values()):
            viewer.sender.refuse(reason)
            self._say(viewer)
            self._forget(viewer)
        for undo in self._undo:
            undo()
        self._undo.clear()
        if self._timer:
            self._timer.cancel()
        for job in self._jobs:
            job.cancel()

    def happened(self, name: str, data: bytes) -> None:
        """Tell every viewer of an event."""
        for viewer in self.viewers.values():
            viewer.sender.happened(Event(name, data))
        self._changed()

    # ---- what comes ----

    def _came(self, key: str, data: bytes) -> None:
        number = address.viewer_of(key)
        if not number:
            return
        try:
            message = messages.decode_from_viewer(data)
        except PeerError as error:
            log.info("%s: %s", self.name, error)
            return
        viewer = self.viewers.get(number)
        if isinstance(message, messages.Hello):
            viewer = self._begin(number, viewer)
        if viewer is None:
            return
        now = self._loop.time()
        try:
            wanted = viewer.sender.receive(message, now)
        except PeerError as error:
            log.info("%s: viewer %s: %s", self.name, number[:8], error)
            wanted = None
        if wanted is not None:
            self._start(self._do(viewer, wanted))
        self._serve(viewer, now)

    def _begin(self, number: str, before: Viewer | None) -> Viewer | None:
        """A session for whoever says hello; one that is said again begins anew."""
        if before is not None:
            self._forget(before)
        waiting = sum(v.sender.stage is not Stage.OPEN for v in self.viewers.values())
        if len(self.viewers) >= MOST_VIEWERS or waiting >= MOST_NEW:
            refused = messages.Refused(f"{self.name} has as many viewers as it may")
            self._engine.put(address.downward(self.name, number), messages.encode(refused))
            return None
        self._follow()
        sender = Sender(self._encoder, self._consumer, self._admit)
        viewer = self.viewers[number] = Viewer(number, sender, self._loop.time())
        return viewer

    def _lives(self, key: str, lives: bool) -> None:
        viewer = self.viewers.get(address.viewer_of(key))
        if viewer is not None and not lives:
            log.info("%s: viewer %s has gone", self.name, viewer.id[:8])
            self._forget(viewer)

    def _forget(self, viewer: Viewer) -> None:
        if self.viewers.get(viewer.id) is viewer:
            del self.viewers[viewer.id]
        self._left(viewer)

    async def _do(self, viewer: Viewer, wanted: Input) -> None:
        try:
            done = await self._act(viewer, wanted.body)
            viewer.sender.done(
                messages.Done(wanted.number, done.epoch, done.version, done.error, done.reason)
            )
        except KjuError as error:
            viewer.sender.done(
                messages.Done(wanted.number, error=type(error).__name__, reason=str(error)[:1000])
            )
        self._serve(viewer, self._loop.time())

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    # ---- what goes ----

    def _changed(self) -> None:
        now = self._loop.time()
        self._follow()
        for viewer in list(self.viewers.values()):
            self._serve(viewer, now)

    def _follow(self) -> None:
        """Another surface in place of the old one: every viewer begins anew."""
        consumer = self._screen.consumer
        if consumer is self._consumer:
            return
        self._consumer, self._encoder = consumer, Encoder(consumer)
        for viewer in list(self.viewers.values()):
            viewer.sender.refuse("the screen is another one now: connect again")
            self._say(viewer)
            self._forget(viewer)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK, self._tick)
        now = self._loop.time()
        for viewer in list(self.viewers.values()):
            if viewer.sender.stage is not Stage.OPEN and now > viewer.began + GREETING:
                viewer.sender.refuse(f"no proof came in {GREETING:g} s")
            self._serve(viewer, now)

    def _serve(self, viewer: Viewer, now: float) -> None:
        """All that this viewer may get now."""
        self._say(viewer)
        key = address.downward(self.name, viewer.id)
        try:
            while message := viewer.sender.next_message(now):
                self._put(key, message)
                if isinstance(message, messages.Ping):
                    break
        except KjuError as error:
            log.warning("%s: %s", self.name, error)
        if viewer.sender.stage is Stage.CLOSED:
            self._say(viewer)
            self._forget(viewer)

    def _put(self, key: str, message: messages.Message) -> None:
        data = messages.encode(message)
        self.sent += len(data)
        self._engine.put(key, data)

    def _say(self, viewer: Viewer) -> None:
        key = address.downward(self.name, viewer.id)
        for message in viewer.sender.to_send(self._loop.time()):
            data = messages.encode(message)
            self.sent += len(data)
            self._engine.put_surely(key, data)
