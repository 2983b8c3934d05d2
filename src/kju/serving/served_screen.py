"""SHELL: the side with the screen: one session for each viewer.

Rules:

- Everything runs in the event loop; only the screen's changes are waited for by a thread.
- What a viewer costs is what `kju.wire.sender` keeps of it. Who is not let in costs nothing after
  the answer, and at most `MOST_NEW` at a time wait to be.
- A viewer that breaks the protocol, or whose token has gone, is forgotten; so is one whose user was
  removed, has another role, or has a certificate that has expired.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..errors import KjuError, PeerError, UnavailableError
from ..remote import address
from ..remote.notices import Notices
from ..remote.transport import DATAGRAM, Engine
from ..surface.consumer import Consumer
from ..wire import messages
from ..wire.encoders import Encoders
from ..wire.messages import Done, Event, Input
from ..wire.sender import Admission, Admit, Sender, Stage
from .audience import Audience, Viewer

log = logging.getLogger(__name__)

#: Sessions of one screen; of these such that are not open yet, and such of one user.
MOST_VIEWERS, MOST_NEW, MOST_OF_ONE = 256, 128, 64
#: Of the audience, which is not among them; and of these such of one user.
MOST_MEMBERS, MOST_MEMBERS_OF_ONE = 4096, 256
#: Seconds between two looks at what nobody announces: a window that has room again, a viewer
#: that is silent.
TICK = 0.02
#: Seconds for which a screen is looked at when its last viewer has gone: it may come back.
GRACE = 5.0
#: Seconds in which a viewer has to be let in.
GREETING = 10.0
#: Seconds after which a viewer that answers nothing is forgotten. It is asked every second, and its
#: token, which anybody can have, does not count.
SILENT = 10.0
#: Seconds after which one of an audience is forgotten: it says every `kju.remote.mirror.PRESENT`
#: seconds that it is there.
MEMBER_SILENT = 60.0
#: Seconds between two checks of a session's right.
CHECK = 1.0
#: Sessions that one tick checks, and members that it tells a key: each takes 30 to 60 us, and 4,096
#: at once would delay an input.
AT_ONCE = 128


class Screen(Protocol):
    """What is served; it is looked at only while somebody is there."""

    async def open(self, changed: Callable[[], None]) -> None:
        """Look from now on.

        Args:
            changed: Called in the loop after each publication.

        Raises:
            KjuError: It cannot be looked at.
        """

    @property
    def consumer(self) -> Consumer:
        """The screen's pixels, once it is open; another object when the surface is another."""

    def close(self) -> None:
        """Look no more. Fine if it is not open."""


#: Does one input of a viewer; the wire's `Input.body` is what it takes.
#:
#: Raises:
#:     KjuError: It was not done.
Act = Callable[[Viewer, bytes], Awaitable[Done]]


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
        self._audience: Audience | None = None
        self._seen: tuple[Consumer, Encoders] | None = None
        self._opening = asyncio.Lock()
        self._nobody_since: float | None = None
        self._checked_at = 0.0
        self._to_check: list[Viewer] = []
        self._to_tell: list[Viewer] = []
        self._greeting: set[str] = set()
        #: Who is served alone, or not yet let in; and the audience.
        self.viewers: dict[str, Viewer] = {}
        self.members: dict[str, Viewer] = {}
        self._notices = Notices(lambda text: log.warning("%s", text))
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

    def close(self, reason: str) -> None:
        """Serve no more, and say why."""
        self._end_all(reason)
        for undo in self._undo:
            undo()
        self._undo.clear()
        if self._timer:
            self._timer.cancel()
        for job in self._jobs:
            job.cancel()
        self._rest()

    def happened(self, name: str, data: bytes) -> None:
        """Tell every viewer of an event."""
        for viewer in [*self.viewers.values(), *self.members.values()]:
            viewer.sender.happened(Event(name, data))
            self._say(viewer)
        self._changed()

    # ---- what comes ----

    def _came(self, key: str, data: bytes) -> None:
        number = address.viewer_of(key)
        if not number:
            return
        viewer = self.viewers.get(number) or self.members.get(number)
        try:
            message = viewer.sender.decode(data) if viewer else messages.decode_from_viewer(data)
        except PeerError as error:
            self._strange(viewer, number, data, error)
            return
        if isinstance(message, messages.Hello):
            if not viewer and number not in self._greeting:
                self._greet(number, message, data)
        elif viewer:
            self._take(viewer, message)

    def _strange(self, viewer: Viewer | None, number: str, data: bytes, error: PeerError) -> None:
        """Whoever is on the same network can say anything in this viewer's name."""
        log.info("%s: viewer %s: not taken: %s", self.name, number[:8], error)
        if viewer is None:
            return
        if viewer.sender.stage is Stage.CLOSED:
            self._serve(viewer, self._loop.time())
        elif viewer.sender.stage is Stage.CHALLENGED:
            with contextlib.suppress(PeerError):
                message = messages.decode_from_viewer(data)
                if isinstance(message, messages.Goodbye):
                    self._notices.say(f"{self.name}: a viewer says, unproved: {message.reason}")

    def _take(self, viewer: Viewer, message: messages.FromViewer) -> None:
        now, before = self._loop.time(), viewer.sender.stage
        try:
            wanted = viewer.sender.receive(message, now)
        except PeerError as error:
            log.info("%s: viewer %s: %s", self.name, viewer.id[:8], error)
            wanted = []
        for each in wanted:
            self._start(self._do(viewer, each))
        if before is not Stage.OPEN and viewer.sender.stage is Stage.OPEN:
            self._is_in(viewer)
        if viewer.sender.audience and viewer.sender.stage is Stage.OPEN:
            self._take_of_audience(viewer, message, now)
        self._serve(viewer, now)

    def _is_in(self, viewer: Viewer) -> None:
        """It is let in: as one of the audience; or one more of a user who may have some."""
        self._end_previous(viewer)
        if viewer.sender.audience:
            self._is_in_audience(viewer)
            return
        user = viewer.sender.user
        theirs = [each for each in self.viewers.values() if each.sender.user == user]
        if user and len(theirs) > MOST_OF_ONE:
            self._end(theirs[0], f"{user} has more than {MOST_OF_ONE} mirrors of {self.name}")

    def _end_previous(self, viewer: Viewer) -> None:
        """End the session that this one follows: an input of it that comes later is not done."""
        previous = viewer.sender.previous
        old = self.viewers.get(previous) or self.members.get(previous)
        if old is not None and old is not viewer and old.sender.user == viewer.sender.user:
            self._end(old, "its viewer has begun another session")

    def _is_in_audience(self, viewer: Viewer) -> None:
        """It becomes one of the audience, if there is room."""
        user = viewer.sender.user
        theirs = sum(each.sender.user == user for each in self.members.values())
        if len(self.members) >= MOST_MEMBERS:
            self._end(viewer, f"{self.name} has as large an audience as it may")
        elif user and theirs >= MOST_MEMBERS_OF_ONE:
            most = MOST_MEMBERS_OF_ONE
            self._end(viewer, f"{user} has {most} mirrors in the audience of {self.name}")
        else:
            self.members[viewer.id] = self.viewers.pop(viewer.id)
            if self._audience is not None and (ticket := self._audience.next_ticket):
                viewer.sender.new_ticket(ticket)

    def _end_all(self, reason: str) -> None:
        self._audience = None
        for viewer in [*self.viewers.values(), *self.members.values()]:
            self._end(viewer, reason)

    def _end(self, viewer: Viewer, reason: str, *, again: bool = False) -> None:
        """End a viewer's session and say why: see `Sender.refuse`."""
        viewer.sender.refuse(reason, again=again)
        self._say(viewer)
        self._forget(viewer)

    def _take_of_audience(self, viewer: Viewer, message: messages.FromViewer, now: float) -> None:
        """One of the audience is there, has heard, or lacks something."""
        audience = self._gather()
        if audience.leader is None:
            audience.follow(viewer, now)
        if not isinstance(message, messages.Ack):
            return
        try:
            audience.take(viewer, message, now)
        except PeerError as error:
            viewer.sender.refuse(str(error))
        else:
            self._serve(audience, now)

    def _gather(self) -> Audience:
        """The audience as a whole."""
        if self._audience is None:
            if self._seen is None:
                raise UnavailableError(f"nobody looks at {self.name}")
            consumer, encoders = self._seen
            self._audience = Audience(self.name, encoders, consumer, self._loop.time())
        return self._audience

    def _greet(self, number: str, hello: messages.Hello, raw: bytes) -> None:
        """Whoever says hello: let in, asked who it is, or refused."""
        if len(self._greeting) >= MOST_NEW:
            return  # it says it again
        known = sum(each.sender.stage is Stage.OPEN for each in self.viewers.values())
        member = hello.audience and hello.role == "view"
        if known + len(self._greeting) >= MOST_VIEWERS and not member:
            self._refuse(number, f"{self.name} has as many viewers as it may")
            return
        try:
            admission = self._admit(hello, raw)
        except KjuError as error:
            self._refuse(number, str(error))
            return
        self._greeting.add(number)
        self._start(self._begin(number, hello, admission))

    async def _begin(self, number: str, hello: messages.Hello, admission: Admission) -> None:
        """A session."""
        try:
            consumer, encoders = await self._look()
        except KjuError as error:
            # The viewer has proved nothing yet, and the words may name what is on this computer.
            self._notices.say(f"{self.name} cannot be looked at: {error}")
            self._refuse(number, f"{self.name} cannot be looked at now: its sender's log says why")
            return
        finally:
            self._greeting.discard(number)
        new = [each for each in self.viewers.values() if each.sender.stage is not Stage.OPEN]
        if len(new) >= MOST_NEW:
            # Any of them: were it the oldest, a flood would leave nobody the time for a proof.
            reason = f"too many viewers connect to {self.name} at the same time"
            self._end(secrets.choice(new), reason, again=True)
        encoder = encoders.of(hello)
        sender = Sender(
            encoder,
            consumer,
            lambda hello, raw: admission,
            lambda sealed: self._gather().join(sealed),
        )
        key = address.downward(self.name, number)
        viewer = self.viewers[number] = Viewer(number, key, sender, self._loop.time())
        self._nobody_since = None
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)
        self._take(viewer, hello)

    def _refuse(self, number: str, reason: str) -> None:
        self._notices.say(f"{self.name}: a viewer was refused: {reason}")
        refused = messages.encode(messages.Refused(reason[:1000]))
        self._engine.put_surely(address.downward(self.name, number), refused)

    async def _look(self) -> tuple[Consumer, Encoders]:
        """The screen, looked at from now on.

        Raises:
            KjuError: It cannot be looked at.
        """
        async with self._opening:
            if self._seen is None:
                await self._screen.open(self._changed)
                consumer = self._screen.consumer
                self._seen = consumer, Encoders(consumer)
        self._follow()
        return self._seen

    def _rest(self) -> None:
        """Nobody is there: look no more."""
        self._screen.close()
        self._seen = self._audience = None

    def _lives(self, key: str, lives: bool) -> None:
        number = address.viewer_of(key)
        viewer = self.viewers.get(number) or self.members.get(number)
        if viewer is not None and not lives:
            log.info("%s: viewer %s has gone", self.name, viewer.id[:8])
            self._forget(viewer)

    def _forget(self, viewer: Viewer) -> None:
        if self.viewers.get(viewer.id) is viewer:
            del self.viewers[viewer.id]
        member = self.members.get(viewer.id) is viewer
        if member:
            del self.members[viewer.id]
        self._leave(viewer)
        if (audience := self._audience) is not None and member:
            self._tell_ticket(audience.left(self._loop.time()))
            if viewer is audience.leader:
                self._follow_another(audience)
        self._left(viewer)

    def _tell_ticket(self, ticket: bytes) -> None:
        """Tell all of the audience the key that follows, if there is one: some at each tick."""
        if ticket:
            self._to_tell = [*self.members.values()]
            for member in self._to_tell:
                member.sender.new_ticket(ticket)

    def _leave(self, viewer: Viewer) -> None:
        """Say no more to it."""
        if viewer.timer is not None:
            viewer.timer.cancel()
        self._engine.forget(viewer.key)

    def _follow_another(self, audience: Audience) -> None:
        """The audience's leader has gone, or says nothing."""
        if not self.members:
            self._audience = None
            return
        leader = audience.best_leader(self.members.values())
        audience.follow(leader, self._loop.time())
        self._say(leader)

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
        self._serve_all(now)

    def _serve_all(self, now: float) -> None:
        for viewer in [*self.viewers.values(), *filter(None, [self._audience])]:
            self._serve(viewer, now)

    def _follow(self) -> None:
        """Another surface in place of the old one: every viewer begins anew."""
        if self._seen is None or (consumer := self._screen.consumer) is self._seen[0]:
            return
        self._seen = consumer, Encoders(consumer)
        self._end_all("the screen is another one now: connect again")

    def _tick(self) -> None:
        now = self._loop.time()
        if self.viewers or self.members:
            self._nobody_since = None
        elif self._nobody_since is None:
            self._nobody_since = now
        elif now > self._nobody_since + GRACE:
            self._timer = None
            self._rest()
            return
        self._timer = self._loop.call_later(TICK, self._tick)
        for viewer in list(self.viewers.values()):
            if viewer.sender.stage is not Stage.OPEN and now > viewer.began + GREETING:
                viewer.sender.refuse(f"no proof came in {GREETING:g} s")
            elif now > viewer.sender.heard + SILENT:
                self._end(viewer, f"nothing was heard from this viewer for {SILENT:g} s")
        self._check_some(now)
        if (audience := self._audience) is not None:
            self._tell_ticket(audience.renew(now))
            for member in self._to_tell[-AT_ONCE:]:
                self._say(member)
            del self._to_tell[-AT_ONCE:]
            if audience.is_stuck(now):
                audience.demote(now)
                self._follow_another(audience)
        self._serve_all(now)

    def _check_some(self, now: float) -> None:
        """End sessions whose right has ended, and those of silent members of the audience."""
        if not self._to_check and now > self._checked_at + CHECK:
            self._checked_at = now
            self._to_check = [*self.viewers.values(), *self.members.values()]
        checked = self._to_check[-AT_ONCE:]
        del self._to_check[-AT_ONCE:]
        for viewer in checked:
            if viewer is not (self.viewers.get(viewer.id) or self.members.get(viewer.id)):
                continue  # it has left since it was listed
            if viewer.id in self.members and now > viewer.sender.heard + MEMBER_SILENT:
                self._end(viewer, f"nothing was heard from this viewer for {MEMBER_SILENT:g} s")
                continue
            viewer.sender.check()
            if viewer.sender.stage is Stage.CLOSED:
                self._say(viewer)
                self._forget(viewer)

    def _serve(self, viewer: Viewer, now: float) -> None:
        """All that this viewer may get now."""
        self._say(viewer)
        try:
            while message := viewer.sender.next_message(now):
                self._put(viewer, message)
                if isinstance(message, messages.Ping):
                    break
        except KjuError as error:
            log.warning("%s: %s", self.name, error)
        if viewer.sender.stage is Stage.CLOSED:
            self._say(viewer)
            self._forget(viewer)
        elif (due := viewer.sender.due) is not None and due > now:
            self._look_after(viewer, due)

    def _look_after(self, viewer: Viewer, at: float) -> None:
        """Serve it then, too."""
        if viewer.timer is not None:
            viewer.timer.cancel()
        viewer.timer = self._loop.call_at(at, self._again, viewer)

    def _again(self, viewer: Viewer) -> None:
        if viewer is self._audience or self.viewers.get(viewer.id) is viewer:
            self._serve(viewer, self._loop.time())

    def _put(self, viewer: Viewer, message: messages.Numbered) -> None:
        data = viewer.encode(message)
        self.sent += len(data)
        long = len(data) > DATAGRAM
        # What comes behind a long one must not overtake it: the viewer would call that one lost.
        stream = long or viewer.sender.is_under_way(viewer.streamed)
        self._engine.put(viewer.key, data, stream=stream)
        if long:
            viewer.streamed = message.serial

    def _say(self, viewer: Viewer) -> None:
        for message in viewer.sender.to_send(self._loop.time()):
            if isinstance(message, messages.Refused):
                self._notices.say(f"{self.name}: a viewer was refused: {message.reason}")
            data = viewer.encode(message)
            self.sent += len(data)
            if isinstance(message, Done):
                self._engine.put_soon(viewer.key, data)
            else:
                self._engine.put_surely(viewer.key, data)
