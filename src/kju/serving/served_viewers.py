"""The viewers of one served screen: sessions, limits, messages to them, and the rate they need."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..errors import KjuError
from ..escaping import without_folders
from ..protocol.values import fastest_look
from ..remote.connection_errors import Notices
from ..wire import messages
from ..wire.greeting import Stage
from ..wire.sender_session import SenderSession
from .carrier import Carrier, ServedViewer
from .shared_screen import SharedScreen

log = logging.getLogger(__name__)

#: The most sessions of one screen; of these, sessions in their greeting, and sessions of one user.
MAX_VIEWERS, MAX_GREETING, MAX_VIEWERS_PER_USER = 256, 128, 64
#: The most members of its audience, which are not counted above; of these, members of one user.
MAX_MEMBERS, MAX_MEMBERS_PER_USER = 4096, 256
#: Seconds for a greeting.
GREETING_TIMEOUT = 10.0
#: Seconds without a message after which a viewer is removed, and pings that it must have missed
#: (`SenderSession.quiet_time`). Its token does not count, because anybody can declare it.
VIEWER_TIMEOUT, _MISSED_PINGS = 10.0, 4
#: The same for a member of an audience: it sends a `KeepAlive` every
#: `kju.remote.mirror.KEEP_ALIVE_INTERVAL` seconds.
MEMBER_TIMEOUT = 60.0
#: Looks per second: a viewer's higher rate counts as this one, since comparing takes CPU.
MAX_RATE = 120.0
#: Seconds between two changes of the screen's rate.
MIN_INTERVAL = 0.02
#: Seconds between two checks of a session's right, at least.
CHECK_INTERVAL = 0.5
#: Sessions that one tick checks, and members that it sends a key. Each takes 30 to 60 us, and 4,096
#: at once would delay inputs.
BATCH = 128


class ViewerRegistry:
    """The viewers of one screen.

    Args:
        name: The screen's name.

    Attributes:
        viewers: Viewers with a stream of their own, and viewers in their greeting, by id.
        members: The members of the audience, by id.
        starting: The ids of viewers whose session is being created, and the rates at which they
            look.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.viewers: dict[str, ServedViewer] = {}
        self.members: dict[str, ServedViewer] = {}
        self.starting: dict[str, float | None] = {}
        self._checked_at = 0.0
        self._to_check: list[ServedViewer] = []

    def get(self, number: str) -> ServedViewer | None:
        """Return a viewer or a member by its id."""
        return self.viewers.get(number) or self.members.get(number)

    def all(self) -> list[ServedViewer]:
        """Return all viewers and members."""
        return [*self.viewers.values(), *self.members.values()]

    def add(self, number: str, address: str, sender: SenderSession, now: float) -> ServedViewer:
        """Add a viewer in its greeting."""
        viewer = self.viewers[number] = ServedViewer(number, address, sender, now)
        return viewer

    def remove(self, viewer: ServedViewer) -> bool:
        """Remove a viewer, and return whether it was a member of the audience."""
        if self.viewers.get(viewer.id) is viewer:
            del self.viewers[viewer.id]
        is_member = self.members.get(viewer.id) is viewer
        if is_member:
            del self.members[viewer.id]
        return is_member

    def make_member(self, viewer: ServedViewer) -> None:
        """Move a viewer into the audience."""
        self.members[viewer.id] = self.viewers.pop(viewer.id)

    def rate(self) -> float | None:
        """Return the rate of the screen for all viewers; see `protocol.rates.fastest_look`."""
        rates = [each.sender.pace.look_rate for each in self.viewers.values()]
        rates += [*self.starting.values(), self.member_rate()]
        return fastest_look([rate if rate is None else min(rate, MAX_RATE) for rate in rates])

    def member_rate(self) -> float | None:
        """Return the rate of the audience's stream."""
        return fastest_look([each.sender.pace.rate for each in self.members.values()])

    # ---- limits ----

    def has_room(self, hello: messages.SessionHello) -> bool:
        """Return whether one more session may begin its greeting."""
        if hello.audience and hello.role == "view":
            return True
        is_open = sum(each.sender.stage is Stage.OPEN for each in self.viewers.values())
        return is_open + len(self.starting) < MAX_VIEWERS

    def greeting(self) -> list[ServedViewer]:
        """Return the viewers in their greeting."""
        return [each for each in self.viewers.values() if each.sender.stage is not Stage.OPEN]

    def surplus_of(self, user: str) -> ServedViewer | None:
        """Return the oldest viewer of a user with too many, or None."""
        theirs = [each for each in self.viewers.values() if each.sender.user == user]
        return theirs[0] if user and len(theirs) > MAX_VIEWERS_PER_USER else None

    def member_limit(self, user: str) -> str:
        """Return why a user's viewer cannot join the audience; empty if it can."""
        theirs = sum(each.sender.user == user for each in self.members.values())
        if len(self.members) >= MAX_MEMBERS:
            return f"the audience of {self._name} is full ({MAX_MEMBERS} members)"
        if user and theirs >= MAX_MEMBERS_PER_USER:
            return f"{user} has {theirs} mirrors in the audience of {self._name}, the most allowed"
        return ""

    # ---- checks ----

    @property
    def has_unchecked(self) -> bool:
        """True if `next_to_check` has more to return at once."""
        return bool(self._to_check)

    def next_to_check(self, now: float) -> list[ServedViewer]:
        """Return some viewers whose right is due to be checked."""
        if not self._to_check and now > self._checked_at + CHECK_INTERVAL:
            self._checked_at = now
            self._to_check = self.all()
        batch = self._to_check[-BATCH:]
        del self._to_check[-BATCH:]
        return [each for each in batch if self.get(each.id) is each]

    def is_timed_out(self, viewer: ServedViewer, now: float) -> bool:
        """Return whether a viewer or member was silent for too long."""
        limit = max(VIEWER_TIMEOUT, _MISSED_PINGS * viewer.sender.quiet_time)
        if viewer.id in self.members:
            limit = MEMBER_TIMEOUT
        return now > viewer.sender.heard_at + limit


class Delivery:
    """The messages of one screen to its viewers.

    Args:
        carrier: Carries them.

    Attributes:
        sent: The bytes sent.
        notices: Log lines that viewers can trigger.
    """

    def __init__(self, carrier: Carrier) -> None:
        self._carrier, self._name = carrier, carrier.name
        self.sent = 0
        self.notices = Notices(lambda text: log.warning("%s", text))

    def send_reliable(self, viewer: ServedViewer, now: float) -> None:
        """Send a viewer its reliable messages."""
        for message in viewer.sender.to_send(now):
            if isinstance(message, messages.SessionRefused):
                self.notices.report(f"{self._name}: refused a viewer: {message.reason}")
            data = viewer.encode(message)
            self.sent += len(data)
            urgent = isinstance(message, messages.InputDone)
            self._carrier.send(viewer.address, data, urgent=urgent)

    def send_numbered(self, viewer: ServedViewer, now: float) -> None:
        """Send a viewer all numbered messages that it may get now."""
        try:
            while self._carrier.has_room(viewer.address):
                message = viewer.sender.next_message(now)
                if message is None:
                    break
                data = viewer.encode(message)
                self.sent += len(data)
                self._carrier.send_numbered(viewer, message.serial, data)
                if isinstance(message, messages.Ping):
                    break
        except KjuError as error:
            log.warning("%s: %s", self._name, error)

    def refuse(self, number: str, reason: str, *, retry: bool = False) -> None:
        """Refuse a viewer without a session."""
        self.notices.report(f"{self._name}: refused a viewer: {reason}")
        refused = messages.encode(messages.SessionRefused(without_folders(reason)[:1000], retry))
        address = self._carrier.to_viewer(number)
        self._carrier.send(address, refused)
        self._carrier.forget(address)

    def end(self, viewer: ServedViewer) -> None:
        """Send a viewer nothing more."""
        if viewer.timer is not None:
            viewer.timer.cancel()
        self._carrier.forget(viewer.address)


class ScreenRate:
    """Keeps the rate of a served screen equal to that of its fastest viewer.

    - The screen's host is told a new rate at most once in `MIN_INTERVAL`, however often viewers
      change theirs.
    - A viewer's change is confirmed when the host publishes at that rate and has published the
      screen's present content.

    Args:
        screen: The screen.
        wanted: Returns the rate that its viewers need: looks per second, 0 if none looks, None for
            the host's own pace.
        confirm: Confirms the rate of a viewer.
    """

    def __init__(
        self,
        screen: SharedScreen,
        wanted: Callable[[], float | None],
        confirm: Callable[[ServedViewer], object],
    ) -> None:
        self._screen, self._wanted, self._confirm = screen, wanted, confirm
        self._to_confirm: dict[ServedViewer, None] = {}
        self._following: asyncio.Task[None] | None = None

    async def match(self) -> None:
        """Return when the screen is published at the rate that its viewers need now.

        Raises:
            KjuError: The host did not take the rate.
        """
        if (wanted := self._wanted()) != self._screen.rate:
            await self._screen.set_rate(wanted)

    def confirm(self, viewer: ServedViewer) -> None:
        """Follow a viewer's new rate, and confirm it."""
        self._to_confirm[viewer] = None
        self.follow()

    def follow(self) -> None:
        """Follow the viewers' rates soon."""
        is_due = self._to_confirm or self._screen.rate != self._wanted()
        if is_due and (self._following is None or self._following.done()):
            self._following = asyncio.create_task(self._follow())

    def close(self) -> None:
        """Follow no more."""
        if self._following is not None:
            self._following.cancel()
        self._to_confirm.clear()

    async def _follow(self) -> None:
        while self._to_confirm or self._screen.rate != self._wanted():
            viewers, self._to_confirm = self._to_confirm, {}
            try:
                await self.match()
            except KjuError as error:
                log.info("the rate of a screen was not changed: %s", error)
                return  # the machine has ended, or its surface is being replaced
            for viewer in viewers:
                self._confirm(viewer)
            await asyncio.sleep(MIN_INTERVAL)
