"""SHELL: a viewer's end of a served screen: one session after another, for as long as it is open.

Rules:

- The picture counts as the sender's when all of it was received in this session, until there was no
  message for `STALE_TIME` seconds; longer for a viewer that looks rarely, which gets rare pings.
- An idle session wakes when a message arrives, and to notice that none does.
- Before the sender's proof, a refusal is a hint, because anybody on the network can send one. It
  ends the session only without a right challenge for `_REFUSAL_TIME` seconds.
- After the end of a session another one begins.
- An input is sent twice, so that it arrives soon, and carried out once. It fails if its session
  ends before its result is known; it is not sent again, because it may have been carried out. The
  session ends without a result for `INPUT_TIMEOUT` seconds.
- A mirror states the rate at which its own viewers look, and gets as many updates.
- A session names the last open one, and the sender ends that first. So an input that was delayed by
  a router is not carried out after inputs of the next session.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

from .. import extras
from ..errors import InputError, KjuError, MissingError, PeerError, RoleError, UnavailableError
from ..protocol.values import Role, may_send_input
from ..wire import codecs, jpeg, messages
from ..wire.greeting import Prove, Stage
from ..wire.messages import FromSender, InputDone, MachineEvent, Numbered, RateDone, ViewerInput
from ..wire.received_picture import DrawTarget
from ..wire.receiver_session import ForCaller, ReceiverSession
from . import addresses
from .drawing import DrawingJob, DrawingQueue
from .mirror_link import (
    HELLO_INTERVAL,
    STALE_TIME,
    LinkStatus,
    MirrorLink,
    PendingInputs,
    StatedRate,
    StatusReport,
    VersionMarks,
    input_error,
)
from .transport import Engine

log = logging.getLogger(__name__)

#: Seconds until another session begins: after one has ended, and in place of one whose greeting
#: does not finish.
RECONNECT_TIME, GREETING_TIMEOUT = 1.0, 5.0
#: Seconds between two requests of a member of an audience for a restart.
RESTART_REQUEST_INTERVAL = 2.5
#: Seconds from a refusal without proof to the end of the session.
_REFUSAL_TIME = 3.0
#: Seconds between two `KeepAlive` messages of a member of an audience.
KEEP_ALIVE_INTERVAL = 15.0
#: Seconds for the result of an input: longer than `kju.wire.sequence.MAX_AGE`, so that the sender
#: cannot carry it out after this.
INPUT_TIMEOUT = 30.0


class _Callbacks(NamedTuple):
    on_event: Callable[[MachineEvent], object]
    on_drawn: Callable[[], object]


class _SessionOptions(NamedTuple):
    """The options of each session: see `messages.SessionHello`."""

    role: Role
    user: str
    prove: Callable[[], Prove] | None
    audience: bool
    lossy: bool
    codecs: list[str]
    max_side: int


class _SessionTimes:
    """The times of a mirror's session, seconds of the loop's clock."""

    def __init__(self) -> None:
        self.started = self.hinted = 0.0
        self.restart_requested = self.kept_alive = self.checked = float("-inf")
        #: `AckState.missing_since` when the thread began to draw.
        self.missing_since: float | None = None


class Mirror:
    """A surface that is kept equal to a served screen.

    Args:
        engine: The zenoh session.
        name: The screen's name: see `addresses.check_screen`.
        target: The surface.
        role: The wanted role.
        user: The user's name.
        prove: Creates the authentication of one session.
        audience: Join the audience; its members share one stream and have the role `view`.
        lossy: Accept photographic areas as JPEG first.
        codec: The preferred codec; empty for the best one.
        max_side: The target shows the screen small: see `messages.SessionHello.max_side`.
        threads: Draws; by default a thread of this mirror's own.
        on_status: Called with each new status of the link.
        on_event: Called with each event of the machine.
        on_drawn: Called after a message may have changed the target.

    Attributes:
        receiver: The present session.
        received: The bytes received in all sessions.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        target: DrawTarget,
        role: Role = "control",
        *,
        user: str = "",
        prove: Callable[[], Prove] | None = None,
        audience: bool = False,
        lossy: bool = False,
        codec: str = "",
        max_side: int = 0,
        threads: Executor | None = None,
        on_status: Callable[[LinkStatus], object] = lambda status: None,
        on_event: Callable[[MachineEvent], object] = lambda event: None,
        on_drawn: Callable[[], object] = lambda: None,
    ) -> None:
        self._engine, self.name = engine, name
        self._target = target
        offered = codecs.offered(codec, photos=lossy)
        self._options = _SessionOptions(role, user, prove, audience, lossy, offered, max_side)
        self._calls = _Callbacks(on_event, on_drawn)
        self._loop = asyncio.get_running_loop()
        self._queue = DrawingQueue(self._begin_drawing, self._process, threads)
        self._report = StatusReport(on_status)
        self._inputs, self._marks = PendingInputs(), VersionMarks()
        self._times, self._rate = _SessionTimes(), StatedRate()
        self._link = MirrorLink(engine, name)
        self.receiver = ReceiverSession(target)
        self.received = 0

    @property
    def status(self) -> LinkStatus:
        """The last status of the link."""
        return self._report.status

    @property
    def screen_size(self) -> tuple[int, int] | None:
        """The size of the screen, which the target may show smaller; None before it is known."""
        mode = self.receiver.picture.mode
        return mode.screen_size if mode else None

    @property
    def is_closed(self) -> bool:
        """True if `close` was called."""
        return self._queue.is_closed

    # ---- opening and closing ----

    async def open(self, timeout: float) -> None:
        """Connect; return when there is a picture, or without one after *timeout*.

        Args:
            timeout: Seconds for the sender's answer, and seconds for the picture.

        Raises:
            UnavailableError: No sender has answered, or it has refused.
        """
        self._connect()
        self._link.open(self._on_presence, self._tick)
        try:
            async with asyncio.timeout(timeout):
                await self._report.answered.wait()
        except TimeoutError:
            why = self._report.refusal or (
                f"no sender answers for {self.name}: list the screens there with kju ls --remote"
            )
            raise UnavailableError(f"{addresses.SCHEME}{self.name}: {why}") from None
        if self.receiver.stage is not Stage.OPEN:
            raise UnavailableError(f"{addresses.SCHEME}{self.name}: {self._report.refusal}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._report.pictured.wait()

    def close(self, reason: str = "the viewer has ended the session") -> None:
        """End the session and begin no other. No effect if it is closed."""
        if self.is_closed:
            return
        self._queue.close()
        self.receiver.goodbye(reason)
        self._flush()
        self._end_session(reason)
        self._link.close()

    async def drawing_finished(self) -> None:
        """Return when nothing is being drawn; call it after `close`."""
        await self._queue.idle()

    async def hold(self) -> None:
        """Draw nothing until `unhold`; return when nothing is being drawn."""
        await self._queue.hold()

    def unhold(self) -> None:
        """Continue to draw. No effect if drawing is not held."""
        self._queue.unhold()

    # ---- the rate ----

    @property
    def rate(self) -> float | None:
        """The rate at which viewers of the target look, as set last."""
        return self._rate.rate

    def set_rate(self, rate: float | None) -> None:
        """State how often viewers look at the target. May be called before `open`.

        Args:
            rate: Looks per second: the sender sends as many updates. 0: nobody looks, and after the
                first picture no pixels are sent. None, as at first: the sender's own pace.
        """
        if self._rate.set(rate) and not self.is_closed:
            self._flush()
            self._plan_tick()

    def set_max_side(self, max_side: int) -> None:
        """Show the screen in another size: begins another session, unless the size is the same."""
        if max_side != self._options.max_side:
            self._options = self._options._replace(max_side=max_side)
            if not self.is_closed and self.receiver.stage is not Stage.NEW:
                self.receiver.goodbye("the viewer shows the screen in another size")
                self._flush()
                self._connect()

    async def shown(self, timeout: float) -> None:
        """Return when the picture is no older than the last change of the rate.

        Args:
            timeout: The most seconds to wait; not at all while the link is down.
        """
        if self.status.live and not self.is_closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._rate.shown()

    # ---- input ----

    async def input(self, body: bytes) -> tuple[int, int]:
        """Have the sender carry out an input.

        Returns:
            The target's version before the effect of the input, and the sender's version.

        Raises:
            UnavailableError: The mirror is not connected.
            RoleError: The user may not send input.
            InputError: The input failed, or its result is unknown.
        """
        receiver = self.receiver
        if receiver.stage is not Stage.OPEN:
            raise UnavailableError(f"{self.name} is not connected: {self.status.reason}")
        if receiver.welcome is not None and not may_send_input(receiver.welcome.role):
            raise RoleError(f"this user has the role view of {self.name} and cannot send input")
        number, result = self._inputs.add()
        message = ViewerInput(number, body, receiver.clock(self._loop.time()))
        self._engine.put_urgent(self._link.key, receiver.encode(message))
        try:
            async with asyncio.timeout(INPUT_TIMEOUT):
                done = await result
        except TimeoutError:
            why = f"{self.name} sent no result of an input in {INPUT_TIMEOUT:g} s"
            if receiver is self.receiver:
                receiver.goodbye(why)
                self._flush()
            raise InputError(f"{why}: it may have been carried out") from None
        finally:
            self._inputs.remove(number)
        if done.error:
            raise input_error(done)
        return self._marks.ours(done.version, self._target.version), done.version

    # ---- sessions ----

    def _connect(self) -> None:
        """Begin a session, in place of the present one."""
        self._end_session(self.receiver.reason)
        self._queue.clear()
        if self.receiver.welcome is not None:
            self._link.previous = self._link.viewer
        self._marks.restart(self._target.version)
        self.receiver = ReceiverSession(self._target, keep=self._report.pictured.is_set())
        options = self._options
        self._link.begin(self._on_data, audience=options.audience)
        self.receiver.start(
            options.role, user=options.user, prove=options.prove() if options.prove else None,
            audience=options.audience, codecs=options.codecs, lossy=options.lossy,
            previous=self._link.previous, rate=self._rate.begin(), max_side=options.max_side,
        )  # fmt: skip
        self._times.started, self._times.hinted = self._loop.time(), 0.0
        self._flush()
        self._plan_tick()

    def _end_session(self, reason: str) -> None:
        self._link.end()
        self._inputs.fail_all(reason)

    def _on_presence(self, key: str, is_present: bool) -> None:
        """Reconnect when the sender is back: each end has forgotten the other."""
        is_back, self._link.is_served = is_present and not self._link.is_served, is_present
        if is_back and not self.is_closed:
            self._connect()

    def _tick(self) -> None:
        receiver, now = self.receiver, self._loop.time()
        self._check_trust(now)
        self._accept_hint(now)
        self._update_status()
        self._flush()
        limit = {Stage.CLOSED: RECONNECT_TIME, Stage.OPEN: 3 * self._rate.stale_time}.get(
            receiver.stage, GREETING_TIMEOUT
        )
        if receiver.stage is Stage.CLOSED and receiver.retry:
            limit = 0.0
        is_lacking = now - (self._missing_since or now) > 3 * STALE_TIME
        if now - self._heard_at > limit or is_lacking:
            self._connect()
        elif receiver.stage is Stage.GREETED:
            # The sender may have missed the last hello. It ignores a repeated one.
            self._engine.put_reliable(self._link.key, receiver.encode(receiver.hello))
        self._plan_tick()

    @property
    def _heard_at(self) -> float:
        """The time of the session's last message, or of its beginning."""
        return max(self.receiver.heard_at, self._times.started)

    def _plan_tick(self) -> None:
        """Have `_tick` called when something may be due without a message."""
        if self.is_closed:
            return
        receiver, at = self.receiver, self._loop.time() + HELLO_INTERVAL
        is_complete = self._missing_since is None and not receiver.is_restart_request_due
        if receiver.stage is Stage.OPEN and self.status.live and is_complete:
            silent_at = self._heard_at + self._rate.stale_time
            keep_alive_at = self._times.kept_alive + KEEP_ALIVE_INTERVAL
            at = max(at, min(silent_at, keep_alive_at) if self._is_member else silent_at)
        self._link.tick_by(at)

    def _check_trust(self, now: float) -> None:
        """End the session of a sender that is no longer trusted."""
        if now > self._times.checked + HELLO_INTERVAL:
            self._times.checked = now
            self.receiver.check()

    def _accept_hint(self, now: float) -> None:
        """End a greeting with its hint, without a right challenge for `_REFUSAL_TIME` seconds."""
        receiver = self.receiver
        if receiver.stage is not Stage.GREETED or not receiver.hint:
            return
        self._times.hinted = self._times.hinted or now
        if now > self._times.hinted + _REFUSAL_TIME:
            receiver.goodbye(receiver.hint)

    # ---- receiving ----

    def _on_data(self, key: str, data: bytes) -> None:
        receiver = self.receiver
        audience = addresses.audience_of(key)
        if not (audience or addresses.viewer_of(key) == self._link.viewer) or self.is_closed:
            return
        self.received += len(data)
        try:
            message = receiver.decode(data, audience=audience)
        except PeerError as error:
            # Anybody on the same network can send messages in the sender's name.
            log.info("%s: a message was dropped: %s", self.name, error)
            return
        if not self._queue.add(message) and not isinstance(message, Numbered):
            receiver.goodbye(f"{len(self._queue)} messages wait to be drawn")
            self._flush()

    def _begin_drawing(self, message: FromSender) -> DrawingJob:
        receiver, now, before = self.receiver, self._loop.time(), self._target.version
        self._times.missing_since = receiver.ack_state.missing_since

        def draw() -> None:
            receiver.receive(message, now)

        def finish(error: BaseException | None) -> None:
            if error is not None:
                self._fail(receiver, error)
            self._after_message(receiver, None, before)

        return DrawingJob(receiver, draw, finish)

    def _process(self, message: FromSender) -> None:
        receiver, before = self.receiver, self._target.version
        try:
            result = receiver.receive(message, self._loop.time())
        except KjuError as error:
            self._fail(receiver, error)
            result = None
        self._after_message(receiver, result, before)

    def _fail(self, receiver: ReceiverSession, error: BaseException) -> None:
        """End a session: its sender sent something invalid, or there is a bug here."""
        is_expected = isinstance(error, KjuError)
        log.warning("%s: %s", self.name, error, exc_info=None if is_expected else error)
        receiver.goodbye(str(error))

    def _after_message(
        self, receiver: ReceiverSession, result: ForCaller | None, before: int
    ) -> None:
        """Report the changes of a message, and send the messages that are due."""
        if isinstance(result, InputDone):
            self._inputs.finish(result)
        elif isinstance(result, MachineEvent):
            self._calls.on_event(result)
        elif isinstance(result, RateDone):
            self._rate.receive(result)
        if self._target.version != before and receiver is self.receiver:
            self._marks.add(receiver.picture.version, self._target.version)
            self._calls.on_drawn()
        self._check_trust(self._loop.time())
        self._flush()
        self._update_status()
        self._plan_tick()

    @property
    def _is_member(self) -> bool:
        """True in a session of an audience."""
        return self._options.audience and self.receiver.stage is Stage.OPEN

    @property
    def _missing_since(self) -> float | None:
        """`AckState.missing_since`, as it was before the drawing thread may change it."""
        if self._queue.receiver is not self.receiver:
            self._times.missing_since = self.receiver.ack_state.missing_since
        return self._times.missing_since

    def _update_status(self) -> None:
        if self.is_closed:
            return
        now = self._loop.time()
        self._report.update(
            self.receiver,
            is_silent=now - self._heard_at > self._rate.stale_time,
            is_lacking=now - (self._missing_since or now) > STALE_TIME,
        )

    # ---- sending ----

    def _flush(self) -> None:
        """Send the messages of the session."""
        receiver, engine, key = self.receiver, self._engine, self._link.key
        if self._queue.receiver is receiver and not self.is_closed:
            return  # the thread may be changing the session; it is flushed when that has finished
        for message in receiver.to_send():
            data = receiver.encode(message)
            if isinstance(message, messages.Ack):
                engine.put(key, data)
            else:
                engine.put_reliable(key, data)
        if rate := self._rate.to_send(receiver):
            engine.put_reliable(key, receiver.encode(rate))
        self._rate.check(receiver)
        now, times = self._loop.time(), self._times
        if self._is_member and now > times.kept_alive + KEEP_ALIVE_INTERVAL:
            times.kept_alive = now
            engine.put_reliable(key, receiver.encode(messages.KeepAlive()))
        if (
            receiver.is_restart_request_due
            and now > times.restart_requested + RESTART_REQUEST_INTERVAL
        ):
            times.restart_requested = now
            engine.put_reliable(key, receiver.encode(receiver.restart_request()))


def check_codec(codec: str, *, lossy: bool) -> None:
    """Check that a codec, and photos, can be read here.

    Raises:
        MissingError: A library is not installed.
    """
    missing = "" if not codec or codec in codecs.available() else codec
    if lossy and not jpeg.is_available():
        missing = "simplejpeg"
    if missing:
        raise MissingError(extras.message("remote", "this mirror", [missing]))
