"""The viewers of one screen to whom all is sent once: for the wire they are one more viewer."""

from __future__ import annotations

from ..consumer import Consumer
from ..wire import messages
from ..wire.encoder import Encoder
from ..wire.receiver import CREDIT
from ..wire.seal import Group
from ..wire.sender import Admission, Sender
from . import address


class Viewer:
    """One viewer's session.

    Attributes:
        id: Random, its own.
        sender: What the wire keeps of it.
        began: When it came, seconds of the loop's clock.
    """

    def __init__(self, number: str, sender: Sender, now: float) -> None:
        self.id = number
        self.sender = sender
        self.began = now

    def encode(self, message: messages.Message) -> bytes:
        """A message as this viewer reads it."""
        return self.sender.encode(message)


class Audience(Viewer):
    """All of them.

    Args:
        encoder: Of the screen.
        consumer: The same screen.
        now: Seconds of the loop's clock.

    Attributes:
        leader: The one that acknowledges for all.
    """

    def __init__(self, encoder: Encoder, consumer: Consumer, now: float) -> None:
        sender = Sender(encoder, consumer, lambda hello: Admission("view"))
        sender.receive(messages.Hello(messages.PROTOCOL, "view", [encoder.codec], CREDIT), now)
        sender.to_send(now)  # its welcome is nobody's
        super().__init__(address.AUDIENCE, sender, now)
        self.leader: Viewer | None = None
        self._group: Group | None = None

    @property
    def ticket(self) -> bytes:
        """What opens what is said to all; from the first on, that is sealed."""
        self._group = self._group or Group()
        return self._group.ticket

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
        elif viewer is self.leader:
            self.sender.receive(ack, now)

    def follow(self, viewer: Viewer) -> None:
        """This one leads from now on."""
        self.leader = viewer
        viewer.sender.lead()
