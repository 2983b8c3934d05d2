"""Carries the messages of a served screen over zenoh."""

from __future__ import annotations

from collections.abc import Callable

from ..remote import addresses
from ..remote.transport import MAX_DATAGRAM, Engine
from .carrier import OnData, OnLeft, ServedViewer


class ZenohCarrier:
    """A `kju.serving.carrier.Carrier` over a zenoh session.

    Args:
        engine: The zenoh session.
        name: The screen's name: see `addresses.check_screen`.
    """

    #: zenoh may lose, repeat and reorder numbered messages.
    is_ordered = False

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name
        self._undo: list[Callable[[], None]] = []
        #: By address, the serial number of the last message that was not a datagram.
        self._last_stream: dict[str, int] = {}

    def open(self, on_data: OnData, on_left: OnLeft) -> None:
        """Receive messages, and announce the screen."""

        def receive(key: str, data: bytes) -> None:
            if number := addresses.viewer_of(key):
                on_data(number, data)

        def notice(key: str, is_present: bool) -> None:
            if not is_present:
                on_left(addresses.viewer_of(key))

        engine, name = self._engine, self.name
        self._undo = [
            engine.subscribe(addresses.from_viewer(name, "*"), receive),
            engine.on_presence(addresses.viewer_token(name, "*"), notice),
            engine.declare_token(addresses.presence(name)),
        ]

    def close(self) -> None:
        """Receive no more messages."""
        for undo in self._undo:
            undo()
        self._undo.clear()

    def to_viewer(self, number: str) -> str:
        """Return the key of messages to a viewer."""
        return addresses.to_viewer(self.name, number)

    def to_audience(self, number: str) -> str:
        """Return the key of messages to an audience."""
        return addresses.to_audience(self.name, number)

    def has_room(self, address: str) -> bool:
        """Return True: zenoh drops a message without room, and the session notices."""
        return True

    def send(self, address: str, data: bytes, *, urgent: bool = False) -> None:
        """Put a message with congestion control *block*."""
        if urgent:
            self._engine.put_urgent(address, data)
        else:
            self._engine.put_reliable(address, data)

    def send_numbered(self, viewer: ServedViewer, serial: int, data: bytes) -> None:
        """Put a message with congestion control *drop*: a short one as a datagram.

        A datagram must not overtake a long message: the viewer would report that as lost. The first
        message is never a datagram, because nothing was received before it.
        """
        is_long = len(data) > MAX_DATAGRAM
        last_stream = self._last_stream.get(viewer.address, 1)
        stream = is_long or last_stream in viewer.sender.outgoing.in_flight
        self._engine.put(viewer.address, data, stream=stream)
        if is_long:
            self._last_stream[viewer.address] = serial

    def forget(self, address: str) -> None:
        """Free the publisher of a receiver."""
        self._last_stream.pop(address, None)
        self._engine.drop_publisher(address)
