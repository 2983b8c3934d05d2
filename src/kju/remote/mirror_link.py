"""The link of a mirror: its keys and tokens, its status, and the inputs that wait for a result."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ..errors import InputError, KjuError, RoleError
from ..surface import State
from ..wire.greeting import Stage
from ..wire.messages import InputDone, RateDone, ViewerRate
from ..wire.receiver_session import ReceiverSession
from ..wire.update_pace import quiet_time
from . import addresses
from .transport import Engine

#: Seconds without a message after which a picture is stale, for each second after which the sender
#: sends a ping.
STALE_TIME = 3.0
#: The sender's state without a picture: `kju.surface.State.UNAVAILABLE`.
_UNAVAILABLE_STATE = 3
#: The most versions of the sender whose counterparts here are remembered.
MAX_MARKS = 1024
#: Seconds between two hellos of one session without an answer, and between two checks of a session
#: that lacks something.
HELLO_INTERVAL = 0.25


class MirrorLink:
    """The keys, subscriptions and tokens of a mirror's sessions."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._loop = asyncio.get_running_loop()
        self.viewer = os.urandom(16).hex()
        self.previous = ""
        self.is_served = True
        self._undo: list[Callable[[], None]] = []
        self._stop_presence: Callable[[], None] = lambda: None
        self._tick: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> str:
        """The key of the messages to the sender."""
        return addresses.from_viewer(self._name, self.viewer)

    def open(self, on_presence: Callable[[str, bool], object], tick: Callable[[], None]) -> None:
        """Follow the sender's presence; *tick* is called at the time of `tick_by`."""
        self._stop_presence = self._engine.on_presence(addresses.presence(self._name), on_presence)
        self._tick = tick
        self.tick_by(self._loop.time() + HELLO_INTERVAL)

    def tick_by(self, at: float) -> None:
        """Call *tick* at this time at the latest."""
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._tick_now)

    def _tick_now(self) -> None:
        self._timer = None
        self._tick()

    def begin(self, on_data: Callable[[str, bytes], object], *, audience: bool) -> None:
        """Begin a session with a new id."""
        engine, name = self._engine, self._name
        self.viewer = os.urandom(16).hex()
        keys = [addresses.to_viewer(name, self.viewer)]
        if audience:
            keys.append(addresses.to_audience(name, "*"))
        self._undo = [
            *(engine.subscribe(each, on_data) for each in keys),
            engine.declare_token(addresses.viewer_token(name, self.viewer)),
        ]

    def end(self) -> None:
        """End the session."""
        for undo in self._undo:
            undo()
        self._undo.clear()
        self._engine.drop_publisher(self.key)

    def close(self) -> None:
        """Follow nothing any more."""
        self._stop_presence()
        self._tick = lambda: None
        if self._timer is not None:
            self._timer.cancel()


class LinkStatus(NamedTuple):
    """The status of a link.

    Attributes:
        live: The picture is the sender's.
        reason: Why not.
        state: The sender's own state; 0 while unknown.
    """

    live: bool
    reason: str
    state: int = 0


def surface_state(link: LinkStatus) -> tuple[State, str]:
    """Return the state, and its reason, of a surface that shows the picture of a link now."""
    if not link.live:
        return State.UNAVAILABLE, f"stale since {time.strftime('%H:%M:%S')}: {link.reason}"
    states = {State.LIVE, State.PAUSED, State.UNAVAILABLE}
    state = State(link.state) if link.state in states else State.UNAVAILABLE
    return state, link.reason or ("" if state is not State.UNAVAILABLE else "no picture yet")


class StatusReport:
    """The status of a mirror's link, over all its sessions.

    Args:
        report: Called with each new status.

    Attributes:
        status: The last status.
        refusal: Why the last session was refused or ended; empty for none yet.
        answered: Set when a sender has answered.
        pictured: Set when there was a live picture.
    """

    def __init__(self, report: Callable[[LinkStatus], object]) -> None:
        self._report = report
        self.status = LinkStatus(False, "not connected yet")
        self.refusal = ""
        self.answered, self.pictured = asyncio.Event(), asyncio.Event()

    def update(self, receiver: ReceiverSession, *, is_silent: bool, is_lacking: bool) -> None:
        """Report the status, if it has changed.

        Args:
            receiver: The present session.
            is_silent: There was no message for too long.
            is_lacking: Sent messages are missing for too long.
        """
        if receiver.stage is Stage.OPEN:
            self.answered.set()
            status = _open_status(receiver, is_silent=is_silent, is_lacking=is_lacking)
        else:
            if receiver.stage is Stage.CLOSED and receiver.reason:
                self.refusal = receiver.reason
                if not receiver.retry:
                    self.answered.set()
            status = LinkStatus(False, self.refusal or "connecting")
        if status.live:
            self.pictured.set()
        if status != self.status:
            self.status = status
            self._report(status)


def _open_status(receiver: ReceiverSession, *, is_silent: bool, is_lacking: bool) -> LinkStatus:
    state, reason = receiver.state or (0, "")
    if is_silent:
        return LinkStatus(False, "no message from the sender")
    if is_lacking:
        return LinkStatus(False, "messages of the sender are missing")
    if not receiver.picture.complete_version and state != _UNAVAILABLE_STATE:
        return LinkStatus(False, "the picture was not received yet")
    return LinkStatus(True, reason, state)


def _stale_time(rate: float | None) -> float:
    return STALE_TIME * quiet_time(rate)


class StatedRate:
    """The rate at which a mirror's viewers look, as it was reported to the sender.

    Attributes:
        rate: Looks per second; 0: nobody looks; None: the sender's own pace.
        stale_time: Seconds without a message after which the picture is stale. Until the sender
            confirms a change, it may send pings as rarely as at the rate before.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self.stale_time = _stale_time(None)
        self._number = self._stated = 0
        #: The newest confirmed change, and the sender's version then.
        self._confirmed, self._version = 0, 1
        self._shown = asyncio.Event()

    def set(self, rate: float | None) -> bool:
        """Set the rate; return whether it is another one."""
        if rate == self.rate:
            return False
        self.rate, self.stale_time = rate, max(self.stale_time, _stale_time(rate))
        self._number += 1
        self._shown.clear()
        return True

    def begin(self) -> float | None:
        """Begin a session: return the rate for its hello, which the session's picture confirms."""
        self._stated = self._confirmed = self._number
        self._version, self.stale_time = 1, _stale_time(self.rate)
        self._shown.clear()
        return self.rate

    def to_send(self, receiver: ReceiverSession) -> ViewerRate | None:
        """Return the message that states another rate than before, for an open session."""
        if receiver.stage is not Stage.OPEN or self._stated == self._number:
            return None
        self._stated = self._number
        if receiver.welcome is None or not receiver.welcome.rates:
            self._confirmed = self._number  # an older sender, which sends at its own pace
            return None
        return ViewerRate(self._number, self.rate)

    def receive(self, done: RateDone) -> None:
        """Process the sender's confirmation."""
        if done.number > self._confirmed:
            self._confirmed, self._version = done.number, max(1, done.version)
            if self._confirmed == self._number:
                self.stale_time = _stale_time(self.rate)

    def check(self, receiver: ReceiverSession) -> None:
        """Note whether the picture is one of this rate."""
        picture = receiver.picture
        is_shown = picture.mode is None or picture.complete_version >= self._version
        if receiver.stage is Stage.OPEN and self._confirmed >= self._number and is_shown:
            self._shown.set()

    async def shown(self) -> None:
        """Return when the picture is no older than the last change of the rate."""
        await self._shown.wait()


class PendingInputs:
    """The inputs of one session without a result."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._results: dict[int, asyncio.Future[InputDone]] = {}
        self._number = 0

    def add(self) -> tuple[int, asyncio.Future[InputDone]]:
        """Return the number of a new input and the future of its result."""
        self._number += 1
        result = self._results[self._number] = self._loop.create_future()
        return self._number, result

    def remove(self, number: int) -> None:
        """Forget an input."""
        self._results.pop(number, None)

    def finish(self, done: InputDone) -> None:
        """Set the result of an input."""
        result = self._results.get(done.number)
        if result is not None and not result.done():
            result.set_result(done)

    def fail_all(self, reason: str) -> None:
        """Fail the inputs of a session that has ended, and count from 1 again."""
        for result in self._results.values():
            if not result.done():
                result.set_exception(
                    InputError(f"the link ended ({reason}): the input may have been carried out")
                )
        self._results.clear()
        self._number = 0


class _Mark(NamedTuple):
    theirs: int
    ours: int


class VersionMarks:
    """Pairs of a sender's version and the target's version that showed it first."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque(maxlen=MAX_MARKS)

    def restart(self, ours: int) -> None:
        """Begin a session."""
        self._marks.clear()
        self.add(0, ours)

    def add(self, theirs: int, ours: int) -> None:
        """Add a pair."""
        self._marks.append(_Mark(theirs, ours))

    def ours(self, theirs: int, default: int) -> int:
        """Return the target's version when it showed nothing newer than a sender's version."""
        for mark in reversed(self._marks):
            if mark.theirs <= theirs:
                return mark.ours
        return self._marks[0].ours if self._marks else default


def input_error(done: InputDone) -> KjuError:
    """Return the error of a failed input."""
    kinds: dict[str, type[KjuError]] = {"InputError": InputError, "RoleError": RoleError}
    return kinds.get(done.error, KjuError)(done.reason)
