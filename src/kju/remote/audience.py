"""The viewers of one screen to whom all is sent once: for the wire they are one more viewer."""

from __future__ import annotations

import asyncio
import os

import msgspec

from ..consumer import Consumer
from ..errors import PeerError
from ..wire import messages
from ..wire.encoders import Encoders
from ..wire.messages import CODECS, PROTOCOL, Hello
from ..wire.receiver import CREDIT
from ..wire.seal import Group
from ..wire.sender import Admission, Sender
from . import address


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

    def __init__(self, name: str, encoders: Encoders, consumer: Consumer, now: float) -> None:
        hello = Hello(PROTOCOL, "view", list(CODECS), CREDIT, audience=True)
        sender = Sender(encoders.of(hello), consumer, lambda hello: Admission("view"))
        sender.receive(msgspec.structs.replace(hello, audience=False), now)
        sender.to_send(now)  # its welcome is nobody's
        number = os.urandom(16).hex()
        super().__init__(number, address.to_all(name, number), sender, now)
        self.leader: Viewer | None = None
        self._led = now
        self._group: Group | None = None

    def join(self, sealed: bool) -> tuple[str, bytes]:
        """What this audience is called, and what opens what is said to it.

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
            self._led = now
            self.sender.receive(msgspec.structs.replace(ack, again=False), now)

    def follow(self, viewer: Viewer, now: float) -> None:
        """This one leads from now on."""
        self.leader, self._led = viewer, now
        viewer.sender.lead()

    def is_stuck(self, now: float) -> bool:
        """Whether what is under way waits for a leader that says nothing."""
        return self.sender.window.in_flight > 0 and now > self._led + self.PATIENCE
