"""SHELL: a viewer's side: one session at a time with a screen that is served somewhere.

Rules:

- A picture is called the sender's when all of it has come in this session, until nothing was heard
  for `STALE` seconds.
- Before the sender has proved who it is, a refusal is a hint, for anybody on the network can say
  one: it ends the session only when no right answer has come for `REFUSAL` seconds.
- A session that has ended is followed by another one, for as long as the inlet is open.
- An input is said twice, so that it comes soon, and done once. When its session ends before it is
  known what became of it, that is an error; it is not said in another, because it may have been
  done. When nothing is known of it for `PATIENCE` seconds its session ends.
- A session names the last one that was open, and the sender ends that one first. So an input that
  somebody between has kept is not done after one of the next session.
- A thread draws the pixels, one message at a time and in their order. A sender decides how much
  there is to draw, and must not block the event loop. Later messages wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from .. import extras
from ..errors import (
    InputError,
    KjuError,
    MissingError,
    PeerError,
    RoleError,
    UnavailableError,
)
from ..wire import blocks, messages, photos
from ..wire.messages import (
    Done,
    Event,
    FromSender,
    Input,
    Mode,
    Numbered,
    Role,
    Segment,
    Welcome,
)  # fmt: skip
from ..wire.receiver import Prove, Receiver, Stage, Target
from . import address
from .transport import Engine

log = logging.getLogger(__name__)

#: Seconds without a message after which a picture is called stale; a sender says something
#: every second.
STALE = 3.0
#: Seconds between two hellos of one session that nobody answers; until another session is begun
#: in place of one that has ended, or that was greeted and comes no further.
HELLO, AGAIN, STUCK = 0.25, 1.0, 5.0
#: Seconds between two complaints of one of an audience.
COMPLAIN = 2.5
#: Seconds from a refusal without proof until it ends the greeting.
REFUSAL = 3.0
#: Seconds between two `Here` of a member of an audience.
PRESENT = 15.0
#: Seconds for an input to be done: longer than `kju.wire.inputs.MAX_AGE`, after which the sender
#: does not carry it out.
PATIENCE = 30.0
#: A sender's state in which it has no picture: `kju.surface.State.UNAVAILABLE`.
NO_PICTURE = 3
#: Versions of which it is remembered what they are here.
MOST_MARKS = 1024
#: Messages that wait for those before them to be drawn. Of more, those that may be lost are
#: dropped, as a network drops them; a sender that keeps to its credit has fewer under way.
MAX_WAITING = 256
#: Messages that change pixels. A welcome is followed by those that came before it.
DRAWS = (Mode, Segment, Welcome)


class Said(NamedTuple):
    """What an inlet tells of its session.

    Attributes:
        live: Whether the picture is the sender's.
        reason: Why not.
        state: The sender's own state; 0 where it is not known.
    """

    live: bool
    reason: str
    state: int = 0


class Marked(NamedTuple):
    """What the sender's version was when the target had this one."""

    theirs: int
    ours: int


class Inlet:
    """A screen that is served somewhere, kept equal here.

    Args:
        engine: zenoh.
        name: The screen's, as `address.checked` has it.
        target: What is kept equal.
        role: What this viewer wants to be.
        user: Who it is.
        prove: Proves it.
        audience: Be one of an audience, to whom all is sent once; its role is `view`.
        lossy: Take what is like a photograph as JPEG first.
        codec: What else is compressed with, where the sender has it; empty for what is best.
        tell: Told whether the picture is the sender's, each time that changes.
        happened: Told of events.
        drawn: Called after each message that may have changed the target.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        target: Target,
        role: Role = "control",
        *,
        user: str = "",
        prove: Callable[[], Prove] | None = None,
        audience: bool = False,
        lossy: bool = False,
        codec: str = "",
        tell: Callable[[Said], object] = lambda said: None,
        happened: Callable[[Event], object] = lambda event: None,
        drawn: Callable[[], object] = lambda: None,
    ) -> None:
        self._engine, self.name = engine, name
        self._target, self._role = target, role
        self._user, self._prove, self._audience = user, prove, audience
        self._lossy, self._codecs = lossy, readable(codec, lossy=lossy)
        self._complained = float("-inf")
        self._waiting: deque[FromSender] = deque()
        self._thread = ThreadPoolExecutor(1, "draw")
        #: The session whose message the thread draws, and what ends when it has.
        self._draws: Receiver | None = None
        self._drawing: asyncio.Future[Done | Event | None] | None = None
        self._lacking: float | None = None
        self._held = False
        self._tell, self._happened, self._drawn = tell, happened, drawn
        self._loop = asyncio.get_running_loop()
        self.receiver = Receiver(target)
        #: The id of this session, and of the last one before it that was open.
        self._viewer = self._previous = ""
        self._undo: list[Callable[[], None]] = []
        self._said = Said(False, "not connected yet")
        self._began = self._hinted = 0.0
        self._present = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._inputs: dict[int, asyncio.Future[Done]] = {}
        self._number = 0
        self._marks: deque[Marked] = deque(maxlen=MOST_MARKS)
        self._answered, self._pictured = asyncio.Event(), asyncio.Event()
        self._served = True
        self._unwatch: Callable[[], None] = lambda: None
        self._refused = ""
        self.closed = False
        #: Bytes that have come, in all sessions.
        self.received = 0

    @property
    def said(self) -> Said:
        """What was told last."""
        return self._said

    async def open(self, timeout: float) -> None:
        """Connect; returns when there is a picture, or the link is slow.

        Args:
            timeout: Seconds for the sender to answer, and for the picture to come.

        Raises:
            KjuError: Nobody serves this screen, or not to us.
        """
        self._connect()
        self._unwatch = self._engine.watch(address.presence(self.name), self._presence)
        self._timer = self._loop.call_later(HELLO, self._tick)
        try:
            async with asyncio.timeout(timeout):
                await self._answered.wait()
        except TimeoutError:
            why = self._refused or (
                f"nobody answers: no screen is served as {self.name} where this looks"
                " (kju ls --remote lists them)"
            )
            raise UnavailableError(f"{address.SCHEME}{self.name}: {why}") from None
        if self.receiver.stage is not Stage.OPEN:
            raise UnavailableError(f"{address.SCHEME}{self.name}: {self._refused}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._pictured.wait()

    def close(self, reason: str = "the viewer has ended") -> None:
        """End the session, and follow it with none."""
        if self.closed:
            return
        self.closed = True
        self.receiver.goodbye(reason)
        self._answer()
        self._end_session(reason)
        self._unwatch()
        self._thread.shutdown(wait=False)
        if self._timer:
            self._timer.cancel()

    async def drawn(self) -> None:
        """Return when nothing is drawn any more; call after `close`."""
        if self._drawing is not None:
            await asyncio.wait([self._drawing])

    async def hold(self) -> None:
        """Draw nothing until `unhold`; returns when nothing is being drawn."""
        self._held = True
        await self.drawn()

    def unhold(self) -> None:
        """Go on drawing. Fine if it is not held."""
        self._held = False
        self._take_waiting()

    async def input(self, body: bytes) -> tuple[int, int]:
        """Have the sender do this; returns its mark before that, as this target's version.

        Returns:
            The target's version before the sender's screen could show the input, and 0 or the
            sender's own version.

        Raises:
            KjuError: It was not done, or is not known to be.
        """
        if self.receiver.stage is not Stage.OPEN:
            raise UnavailableError(f"{self.name} is not connected: {self._said.reason}")
        if self.receiver.welcome is not None and self.receiver.welcome.role != "control":
            raise RoleError(f"this user may look at {self.name}, and not send it input")
        self._number += 1
        number, receiver = self._number, self.receiver
        said = Input(number, body, receiver.clock(self._loop.time()))
        answer = self._inputs[number] = self._loop.create_future()
        self._engine.put_soon(self._up, receiver.encode(said))
        try:
            async with asyncio.timeout(PATIENCE):
                done = await answer
        except TimeoutError:
            why = f"{self.name} did not say in {PATIENCE:g} s what became of an input"
            if receiver is self.receiver:
                receiver.goodbye(why)
                self._answer()
            raise InputError(f"{why}: it may have been done") from None
        finally:
            self._inputs.pop(number, None)
        if done.error:
            raise _error(done)
        return self._mark_of(done.version), done.version

    def _mark_of(self, theirs: int) -> int:
        """The target's version when it had nothing newer than this version of the sender's."""
        for mark in reversed(self._marks):
            if mark.theirs <= theirs:
                return mark.ours
        return self._marks[0].ours if self._marks else self._target.version

    # ---- sessions ----

    @property
    def _up(self) -> str:
        return address.upward(self.name, self._viewer)

    def _connect(self) -> None:
        """Begin a session."""
        self._end_session(self.receiver.reason)
        self._waiting.clear()
        if self.receiver.welcome is not None:
            self._previous = self._viewer
        self._viewer = os.urandom(16).hex()
        self._marks.clear()
        self._marks.append(Marked(0, self._target.version))
        self.receiver = Receiver(self._target, keep=self._pictured.is_set())
        engine, key = self._engine, address.downward(self.name, self._viewer)
        keys = [key, address.to_all(self.name, "*")] if self._audience else [key]
        self._undo = [
            *(engine.subscribe(each, self._came) for each in keys),
            engine.token(address.token(self.name, self._viewer)),
        ]
        prove = self._prove() if self._prove else None
        self.receiver.hello(
            self._role, user=self._user, prove=prove, audience=self._audience,
            codecs=self._codecs, lossy=self._lossy, previous=self._previous,
        )  # fmt: skip
        self._began, self._hinted = self._loop.time(), 0.0
        self._answer()

    def _end_session(self, reason: str) -> None:
        for undo in self._undo:
            undo()
        self._undo.clear()
        self._engine.forget(self._up)
        for answer in self._inputs.values():
            if not answer.done():
                answer.set_exception(InputError(f"the link ended: {reason}: it may have been done"))
        self._inputs.clear()
        self._number = 0

    def _came(self, key: str, data: bytes) -> None:
        receiver = self.receiver
        audience = address.audience_of(key)
        if not (audience or address.viewer_of(key) == self._viewer) or self.closed:
            return
        self.received += len(data)
        try:
            message = receiver.decode(data, audience=audience)
        except PeerError as error:
            # Whoever is on the same network can say anything in the sender's name.
            log.info("%s: not taken: %s", self.name, error)
            return
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(message)
            self._take_waiting()
        elif not isinstance(message, Numbered):
            receiver.goodbye(f"{len(self._waiting)} messages wait to be drawn")
            self._answer()

    def _take_waiting(self) -> None:
        """Take the messages that wait, until one has to be drawn."""
        while self._waiting and self._drawing is None:
            if self._held and not self.closed and isinstance(self._waiting[0], DRAWS):
                return
            self._take(self._waiting.popleft())

    def _take(self, message: FromSender) -> None:
        receiver, now, before = self.receiver, self._loop.time(), self._target.version
        if isinstance(message, DRAWS) and not self.closed:
            self._draws = receiver
            work = self._loop.run_in_executor(self._thread, receiver.receive, message, now)
            self._drawing = work
            work.add_done_callback(lambda work: self._has_drawn(receiver, work, before))
            return
        try:
            said = receiver.receive(message, now)
        except KjuError as error:
            self._broke(receiver, error)
            said = None
        self._taken(receiver, said, before)

    def _has_drawn(
        self, receiver: Receiver, work: asyncio.Future[Done | Event | None], before: int
    ) -> None:
        """Go on in the loop after a message was drawn in the thread."""
        self._draws = self._drawing = None
        error = work.exception()
        if error is not None:
            self._broke(receiver, error)
        self._taken(receiver, None, before)
        self._take_waiting()

    def _broke(self, receiver: Receiver, error: BaseException) -> None:
        """End the session: its sender sent what cannot be, or a mistake of ours met it."""
        expected = isinstance(error, KjuError)
        log.warning("%s: %s", self.name, error, exc_info=None if expected else error)
        receiver.goodbye(str(error))

    def _taken(self, receiver: Receiver, said: Done | Event | None, before: int) -> None:
        """Report the changes that a message made."""
        if isinstance(said, Done):
            answer = self._inputs.get(said.number)
            if answer is not None and not answer.done():
                answer.set_result(said)
        elif isinstance(said, Event):
            self._happened(said)
        if self._target.version != before and receiver is self.receiver:
            self._marks.append(Marked(receiver.version, self._target.version))
            self._drawn()
        self._answer()
        self._look()

    def _answer(self) -> None:
        receiver = self.receiver
        if self._draws is receiver and not self.closed:
            return  # the thread may be changing what is to be said: `_has_drawn` answers
        for message in receiver.to_send():
            data = receiver.encode(message)
            if isinstance(message, messages.Ack):
                self._engine.put(self._up, data)
            else:
                self._engine.put_surely(self._up, data)
        now = self._loop.time()
        if self._audience and receiver.stage is Stage.OPEN and now > self._present + PRESENT:
            self._present = now
            self._engine.put_surely(self._up, receiver.encode(messages.Here()))
        if receiver.lacks and now > self._complained + COMPLAIN:
            self._complained = now
            self._engine.put_surely(self._up, receiver.encode(receiver.complaint()))

    @property
    def _lacks_since(self) -> float | None:
        """`Receiver.lacks_since`, as it was before the thread began to draw: that changes it."""
        if self._draws is not self.receiver:
            self._lacking = self.receiver.lacks_since
        return self._lacking

    def _presence(self, key: str, lives: bool) -> None:
        """The sender is there, or is not: each has forgotten the other then."""
        back, self._served = lives and not self._served, lives
        if back and not self.closed:
            self._connect()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(HELLO, self._tick)
        receiver = self.receiver
        now = self._loop.time()
        receiver.check()
        self._believe(now)
        self._look()
        self._answer()
        silent = now - max(receiver.heard, self._began)
        silent = max(silent, now - (self._lacks_since or now))
        patience = {Stage.CLOSED: AGAIN, Stage.OPEN: 3 * STALE}.get(receiver.stage, STUCK)
        if receiver.stage is Stage.CLOSED and receiver.again:
            patience = 0.0
        if silent > patience:
            self._connect()
        elif receiver.stage is Stage.GREETED:
            # Nobody may have been there to hear it; who has heard it leaves it.
            self._engine.put_surely(self._up, receiver.encode(receiver.greeting))

    def _believe(self, now: float) -> None:
        """End a greeting with its hint, if no right challenge has come for `REFUSAL` seconds."""
        receiver = self.receiver
        if receiver.stage is not Stage.GREETED or not receiver.hint:
            return
        self._hinted = self._hinted or now
        if now > self._hinted + REFUSAL:
            receiver.goodbye(receiver.hint)

    def _look(self) -> None:
        """Tell whether the picture is the sender's, where that has changed."""
        receiver = self.receiver
        if self.closed:
            return
        if receiver.stage is Stage.OPEN:
            self._answered.set()
            silent = self._loop.time() - max(receiver.heard, self._began)
            state = receiver.state[0] if receiver.state else 0
            reason = receiver.state[1] if receiver.state else ""
            said = Said(True, reason, state)
            lacking = self._loop.time() - (self._lacks_since or float("inf"))
            if silent > STALE:
                said = Said(False, "nothing was heard from the sender")
            elif lacking > STALE:
                said = Said(False, "what the sender sends does not come")
            elif not receiver.whole and state != NO_PICTURE:
                said = Said(False, "the picture has not come yet")
        else:
            if receiver.stage is Stage.CLOSED and receiver.reason:
                self._refused = receiver.reason
                if not receiver.again:
                    self._answered.set()
            said = Said(False, self._refused or "connecting")
        if said.live:
            self._pictured.set()
        if said != self._said:
            self._said = said
            self._tell(said)


def readable(codec: str, *, lossy: bool) -> list[str]:
    """What a viewer says that it reads, the best first."""
    first = [codec] if codec else []
    others = [each for each in messages.CODECS if each != codec]
    return [*first, *others, *([messages.JPEG] if lossy else [])]


def check_readable(codec: str, *, lossy: bool) -> None:
    """Check that what is wanted can be read here.

    Raises:
        MissingError: Something is not installed.
    """
    missing = "" if not codec or codec in blocks.known() else codec
    if lossy and not photos.known():
        missing = "simplejpeg"
    if missing:
        raise MissingError(extras.message("remote", "this mirror", [missing]))


def _error(done: Done) -> KjuError:
    kinds: dict[str, type[KjuError]] = {"InputError": InputError, "RoleError": RoleError}
    return kinds.get(done.error, KjuError)(done.reason)
