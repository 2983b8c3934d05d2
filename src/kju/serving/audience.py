"""The audience of one screen: viewers that share one stream. For the wire it is one more viewer."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from ..errors import PeerError
from ..surface.consumer import Consumer
from ..wire import codecs, messages
from ..wire.encoder import Encoders
from ..wire.greeting import Admission
from ..wire.messages import PROTOCOL, SessionHello
from ..wire.receiver_session import CREDIT
from ..wire.seal import GroupSeal
from ..wire.sender_session import SenderSession
from .carrier import Carrier, ServedViewer
from .served_viewers import BATCH

#: Seconds without a new acknowledgement after which another member leads.
LEADER_TIMEOUT = 3.0
#: Seconds for which a leader that timed out, and other mirrors of its user, lead only if no other
#: member can.
_DEMOTION_TIME = 60.0
#: Seconds from drawing the next key to its use. A member without it by then asks for a restart.
KEY_DELAY = 1.0


class Audience(ServedViewer):
    """The stream of an audience.

    Args:
        carrier: Carries its messages.
        encoders: The encoders of the screen.
        consumer: The same screen.
        now: Seconds of the loop's clock.

    Attributes:
        leader: The member that acknowledges for all.
    """

    def __init__(
        self, carrier: Carrier, encoders: Encoders, consumer: Consumer, now: float
    ) -> None:
        hello = SessionHello(PROTOCOL, "view", codecs.offered(), CREDIT, audience=True)
        encoder = encoders.for_viewer(hello)
        sender = SenderSession(encoder, consumer, lambda hello, raw: Admission("view"))
        sender.receive(msgspec.structs.replace(hello, audience=False), now)
        sender.to_send(now)  # drop the welcome: each member has its own
        number = os.urandom(16).hex()
        super().__init__(number, carrier.to_audience(number), sender, now)
        self.leader: ServedViewer | None = None
        self._acknowledged, self._acknowledged_at = 0, now
        self._demoted_at: dict[str, float] = {}
        self._keys = _GroupKeys()

    # ---- keys ----

    def join(self, sealed: bool) -> tuple[str, bytes]:
        """Return the audience's name, and the ticket of its key.

        Args:
            sealed: The member's session is sealed. From the first one on the audience is, too.
        """
        return self.id, self._keys.join(sealed)

    def encode(self, message: messages.WireMessage) -> bytes:
        """Encode and seal a message for all members."""
        data = messages.encode(message)
        seal = self._keys.seal
        return seal.close(data) if seal else data

    def queue_ticket(self, member: ServedViewer) -> None:
        """Send a new member the next key, if one was drawn."""
        if ticket := self._keys.next_ticket:
            member.sender.queue_ticket(ticket)

    @property
    def is_changing_key(self) -> bool:
        """True until the next key has been sent and used: call `use_next_key` often."""
        return self._keys.is_changing

    def change_key(self, members: Iterable[ServedViewer], now: float) -> None:
        """Draw the next key, because a member has left."""
        self._keys.draw(members, now)

    def use_next_key(self, members: Iterable[ServedViewer], now: float) -> list[ServedViewer]:
        """Use the next key when it is due; return members to send their queued tickets."""
        return self._keys.advance(members, now)

    # ---- the leader ----

    def receive(self, member: ServedViewer, ack: messages.Ack, now: float) -> None:
        """Process a member's acknowledgement or request for a restart.

        Raises:
            PeerError: It acknowledges a message that was not sent.
        """
        if ack.restart:
            self.sender.request_restart()
        if member is not self.leader:
            return
        if ack.serial > self.sender.outgoing.serial:
            raise PeerError(f"{ack.serial} was not sent yet", ack.serial)
        if ack.serial > self._acknowledged:
            self._acknowledged, self._acknowledged_at = ack.serial, now
        self.sender.receive(msgspec.structs.replace(ack, restart=False), now)

    def set_leader(self, member: ServedViewer, now: float) -> None:
        """Make a member the leader."""
        self.leader, self._acknowledged_at = member, now
        member.sender.make_leader()

    def demote_leader(self, now: float) -> None:
        """Make the leader, and other mirrors of its user, the last choice for `_DEMOTION_TIME`."""
        if self.leader is not None:
            for each in (self.leader.id, self.leader.sender.user):
                self._demoted_at[each] = now
        recent = self._demoted_at.items()
        self._demoted_at = {each: at for each, at in recent if now < at + _DEMOTION_TIME}

    def best_leader(self, members: Iterable[ServedViewer]) -> ServedViewer:
        """Return the member with the newest message, preferring users that were not demoted."""

        def rank(member: ServedViewer) -> tuple[float, float, float]:
            user = member.sender.user
            user_demoted = self._demoted_at.get(user, 0.0) if user else 0.0
            return self._demoted_at.get(member.id, 0.0), user_demoted, -member.sender.heard_at

        return min(members, key=rank)

    def is_stuck(self, now: float) -> bool:
        """Return whether the leader's acknowledgements are overdue."""
        is_waiting = self.sender.outgoing.window.in_flight > 0
        return is_waiting and now > self._acknowledged_at + LEADER_TIMEOUT


class _GroupKeys:
    """The keys of an audience: when a member leaves, the others get another one."""

    def __init__(self) -> None:
        self.seal: GroupSeal | None = None
        self._drawn_at: float | None = None
        self._has_left_since = False
        #: Members whose ticket is queued and not sent.
        self._to_send: list[ServedViewer] = []

    def join(self, sealed: bool) -> bytes:
        if sealed and self.seal is None:
            self.seal = GroupSeal()
        return self.seal.ticket if self.seal else b""

    @property
    def next_ticket(self) -> bytes:
        return self.seal.next_ticket if self.seal else b""

    @property
    def is_changing(self) -> bool:
        return bool(self._to_send) or self._drawn_at is not None

    def draw(self, members: Iterable[ServedViewer], now: float) -> None:
        if self.seal is None:
            return
        if self._drawn_at is not None:
            self._has_left_since = True  # one more key is drawn when this one is used
            return
        self._drawn_at = now
        ticket = self.seal.draw_next()
        self._to_send = [*members]
        for member in self._to_send:
            member.sender.queue_ticket(ticket)

    def advance(self, members: Iterable[ServedViewer], now: float) -> list[ServedViewer]:
        seal, drawn_at = self.seal, self._drawn_at
        if seal is not None and drawn_at is not None and now >= drawn_at + KEY_DELAY:
            seal.use_next()
            self._drawn_at = None
            if self._has_left_since:
                self._has_left_since = False
                self.draw(members, now)
        batch = self._to_send[-BATCH:]
        del self._to_send[-BATCH:]
        return batch
