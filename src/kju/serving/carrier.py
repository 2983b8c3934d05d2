"""The viewers of a served screen, and the carrier that moves their messages.

There is a carrier for zenoh (`kju.serving.zenoh_carrier`) and one for WebSocket
(`kju.web.carrier`). They do not import each other, and `ServedScreen` knows neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ..wire import messages
from ..wire.sender_session import SenderSession

#: Takes the id of a session, and a message of its viewer.
OnData = Callable[[str, bytes], object]
#: Takes the id of a session whose viewer has disconnected.
OnLeft = Callable[[str], object]


class ServedViewer:
    """One viewer and its session.

    Attributes:
        id: The random id of the session.
        address: Where the carrier sends its messages.
        sender: The sender's end of the session.
        since: The time when it connected, seconds of the loop's clock.
        timer: Serves it when nothing changes.
    """

    def __init__(self, number: str, address: str, sender: SenderSession, now: float) -> None:
        self.id, self.address = number, address
        self.sender = sender
        self.since = now
        self.timer: asyncio.TimerHandle | None = None

    def encode(self, message: messages.WireMessage) -> bytes:
        """Encode and seal a message for the viewer."""
        return self.sender.encode(message)


class Carrier(Protocol):
    """Carries the messages of one screen's sessions.

    Sessions have ids, which viewers choose. Messages to one viewer, or to an audience, have an
    address, which the carrier derives from the id.
    """

    @property
    def name(self) -> str:
        """The screen's name, for messages and the log."""

    @property
    def is_ordered(self) -> bool:
        """Messages arrive once and in order, so the sender repeats none."""

    def open(self, on_data: OnData, on_left: OnLeft) -> None:
        """Begin to carry messages. Callbacks run in the event loop."""

    def close(self) -> None:
        """Carry no more messages."""

    def to_viewer(self, number: str) -> str:
        """Return the address of the viewer of a session."""

    def to_audience(self, number: str) -> str:
        """Return the address of an audience."""

    def has_room(self, address: str) -> bool:
        """Return whether a numbered message would leave soon; else it is made later."""

    def send(self, address: str, data: bytes, *, urgent: bool = False) -> None:
        """Send a message that must arrive, in order.

        Args:
            address: Its receiver.
            data: The message.
            urgent: It may be sent twice, if that is faster: the receiver knows copies.
        """

    def send_numbered(self, viewer: ServedViewer, serial: int, data: bytes) -> None:
        """Send a message with a serial number, which may be lost."""

    def forget(self, address: str) -> None:
        """Free the state of a receiver: nothing more is sent to it."""
