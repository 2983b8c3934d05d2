"""The viewers of one screen to whom all is sent once: for the wire they are one more viewer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable

import msgspec

from ..errors import PeerError
from ..remote import address
from ..surface.consumer import Consumer
from ..wire import messages
from ..wire.encoders import Encoders
from ..wire.messages import CODECS, PROTOCOL, Hello
from ..wire.receiver import CREDIT
from ..wire.seal import Group
from ..wire.sender import Admission, Sender


class Viewer:
    """One viewer's session.

    Attributes:
        id: Random, its own.
        key: Where it is told something.
        sender: What the wire keeps of it.
        began: When it came, seconds of the loop's clock.
        streamed: The serial number of the last message that was no datagram.
        timer: When it is looked after next, though nothing has changed.
    """

    def __init__(self, number: str, key: str, sender: Sender, now: float) -> None:
        self.id, self.key = number, key
        self.sender = sender
        self.began = now
        self.streamed = 1  # none goes as a datagram before the first has come
        self.timer: asyncio.TimerHandle | None = None

    def encode(self, message: messages.Message) -> bytes:
        """A message as this viewer reads it."""
        return self.sender.encode(message)


class Audience(Viewer):
    """All of them.

    Args:
        name: The screen's.
        encoders: Of the screen.
        consumer: The same screen.
        now: Seconds of the loop's clock.

    Attributes:
        leader: The one that acknowledges for all.
    """

    #: Seconds for which a leader may say nothing while something is under way to it.
    PATIENCE = 3.0
    #: Seconds for which a leader that acknowledged nothing, and its user's mirrors, lead last.
    DEMOTED = 60.0
    #: Seconds from drawing another key until it is used. A member that does not have it by then
    #: asks for the whole picture again.
    RENEWAL = 1.0

    def __init__(self, name: str, encoders: Encoders, consumer: Consumer, now: float) -> None:
        hello = Hello(PROTOCOL, "view", list(CODECS), CREDIT, audience=True)
        sender = Sender(encoders.of(hello), consumer, lambda hello, raw: Admission("view"))
        sender.receive(msgspec.structs.replace(hello, audience=False), now)
        sender.to_send(now)  # its welcome is nobody's
        number = os.urandom(16).hex()
        super().__init__(number, address.to_all(name, number), sender, now)
        self.leader: Viewer | None = None
        self._led, self._acknowledged = now, 0
        self._group: Group | None = None
        self._demoted: dict[str, float] = {}
        self._renewed_at: float | None = None
        self._left_since = False

    def join(self, sealed: bool) -> tuple[str, bytes]:
        """Return the audience's name, and the ticket for its messages.

        Args:
            sealed: Whether its viewers' sessions are: then from the first on this is as well.
        """
        if sealed and self._group is None:
            self._group = Group()
        return self.id, self._group.ticket if self._group else b""

    def encode(self, message: messages.Message) -> bytes:
        """A message as all of them read it."""
        data = messages.encode(message)
        return self._group.close(data) if self._group else data

    def left(self, now: float) -> bytes:
        """Draw another key, because a viewer has left; it is used `RENEWAL` seconds later.

        Returns:
            The ticket of that key, for all that stay. Empty if the audience is not sealed, or if a
            key that was drawn is not used yet: then `renew` draws one more.
        """
        if self._group is None:
            return b""
        if self._renewed_at is not None:
            self._left_since = True
            return b""
        self._renewed_at = now
        return self._group.draw_next()

    def renew(self, now: float) -> bytes:
        """Use the key that was drawn, once `RENEWAL` seconds have passed.

        Args:
            now: Seconds of the loop's clock.

        Returns:
            The ticket of one more key, if another viewer has left meanwhile; else empty.
        """
        if self._group is None or self._renewed_at is None:
            return b""
        if now < self._renewed_at + self.RENEWAL:
            return b""
        self._group.use_next()
        self._renewed_at = None
        if not self._left_since:
            return b""
        self._left_since = False
        return self.left(now)

    @property
    def next_ticket(self) -> bytes:
        """The ticket of the key that follows; empty while there is none."""
        return self._group.next_ticket if self._group else b""

    def take(self, viewer: Viewer, ack: messages.Ack, now: float) -> None:
        """One of them has heard, or lacks something.

        Raises:
            PeerError: It has heard what was not said.
        """
        if ack.again:
            self.sender.want_all()
        if viewer is self.leader:
            if ack.serial > self.sender.serial:
                raise PeerError(f"{ack.serial} was not sent yet", ack.serial)
            if ack.serial > self._acknowledged:  # else it says something and nothing new
                self._acknowledged, self._led = ack.serial, now
            self.sender.receive(msgspec.structs.replace(ack, again=False), now)

    def follow(self, viewer: Viewer, now: float) -> None:
        """This one leads from now on."""
        self.leader, self._led = viewer, now
        viewer.sender.lead()

    def demote(self, now: float) -> None:
        """Let neither the leader nor another mirror of its user lead for `DEMOTED` seconds."""
        if self.leader is not None:
            for each in (self.leader.id, self.leader.sender.user):
                self._demoted[each] = now
        self._demoted = {e: at for e, at in self._demoted.items() if now < at + self.DEMOTED}

    def best_leader(self, members: Iterable[Viewer]) -> Viewer:
        """Return the member heard last, preferring users whose mirrors were not demoted."""

        def rank(viewer: Viewer) -> tuple[float, float, float]:
            user = viewer.sender.user
            failed = self._demoted.get(user, 0.0) if user else 0.0
            return self._demoted.get(viewer.id, 0.0), failed, -viewer.sender.heard

        return min(members, key=rank)

    def is_stuck(self, now: float) -> bool:
        """Whether what is under way waits for a leader that says nothing."""
        return self.sender.window.in_flight > 0 and now > self._led + self.PATIENCE
