"""SHELL: puts the messages of sessions on zenoh."""

from __future__ import annotations

import logging

from ..errors import KjuError
from ..remote import address
from ..remote.notices import Notices
from ..remote.transport import MAX_DATAGRAM, Engine
from ..wire import messages
from .registry import ServedViewer

log = logging.getLogger(__name__)


class Delivery:
    """The messages of one screen to its viewers.

    Args:
        engine: The zenoh session.
        name: The screen's name.

    Attributes:
        sent: The bytes sent.
        notices: Log lines that viewers can trigger.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self.sent = 0
        self.notices = Notices(lambda text: log.warning("%s", text))

    def send_reliable(self, viewer: ServedViewer, now: float) -> None:
        """Send a viewer its reliable messages."""
        for message in viewer.sender.to_send(now):
            if isinstance(message, messages.Refused):
                self.notices.report(f"{self._name}: refused a viewer: {message.reason}")
            data = viewer.encode(message)
            self.sent += len(data)
            if isinstance(message, messages.Done):
                self._engine.put_urgent(viewer.key, data)
            else:
                self._engine.put_reliable(viewer.key, data)

    def send_numbered(self, viewer: ServedViewer, now: float) -> None:
        """Send a viewer all numbered messages that it may get now."""
        try:
            while message := viewer.sender.next_message(now):
                self._put(viewer, message)
                if isinstance(message, messages.Ping):
                    break
        except KjuError as error:
            log.warning("%s: %s", self._name, error)

    def _put(self, viewer: ServedViewer, message: messages.Numbered) -> None:
        data = viewer.encode(message)
        self.sent += len(data)
        is_long = len(data) > MAX_DATAGRAM
        # A datagram must not overtake a long message: the viewer would report that as lost.
        stream = is_long or viewer.last_stream in viewer.sender.outgoing.in_flight
        self._engine.put(viewer.key, data, stream=stream)
        if is_long:
            viewer.last_stream = message.serial

    def refuse(self, number: str, reason: str) -> None:
        """Refuse a viewer without a session."""
        self.notices.report(f"{self._name}: refused a viewer: {reason}")
        refused = messages.encode(messages.Refused(reason[:1000]))
        self._engine.put_reliable(address.downward(self._name, number), refused)

    def end(self, viewer: ServedViewer) -> None:
        """Send a viewer nothing more."""
        if viewer.timer is not None:
            viewer.timer.cancel()
        self._engine.drop_publisher(viewer.key)
