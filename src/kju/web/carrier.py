"""Carries the messages of a served screen over WebSockets."""

from __future__ import annotations

from typing import Protocol

from ..serving.carrier import OnData, OnLeft, ServedViewer


class ScreenChannel(Protocol):
    """One screen on one WebSocket."""

    def has_room(self) -> bool:
        """Return whether little waits to leave this computer."""

    def send(self, data: bytes) -> None:
        """Send a message about the screen."""

    def close(self) -> None:
        """Give the screen's number free: nothing more is sent."""


class WebCarrier:
    """A `kju.serving.carrier.Carrier` over WebSockets.

    Args:
        name: The screen's name.

    Attributes:
        name: The same.
        is_closed: `close` was called.
    """

    #: TCP delivers each message once and in order.
    is_ordered = True

    def __init__(self, name: str) -> None:
        self.name, self.is_closed = name, False
        self._on_data: OnData = _nothing
        self._on_left: OnLeft = _nothing
        self._channels: dict[str, ScreenChannel] = {}

    def open(self, on_data: OnData, on_left: OnLeft) -> None:
        """Pass messages on from now on."""
        self._on_data, self._on_left = on_data, on_left

    def close(self) -> None:
        """Pass no more messages on, and close all channels."""
        self.is_closed = True
        self._on_data = self._on_left = _nothing
        for number in list(self._channels):
            self.forget(number)

    def connect(self, number: str, channel: ScreenChannel) -> None:
        """Add a channel, whose session has this id."""
        self._channels[number] = channel

    def receive(self, number: str, data: bytes) -> None:
        """Process a message of a channel's viewer."""
        if number in self._channels:
            self._on_data(number, data)

    def disconnect(self, number: str) -> None:
        """Remove a channel whose viewer has left."""
        if self._channels.pop(number, None) is not None:
            self._on_left(number)

    def to_viewer(self, number: str) -> str:
        """Return the address of a session's viewer: its id."""
        return number

    def to_audience(self, number: str) -> str:
        """Return an address that no channel has: there is no audience over WebSocket."""
        return f"audience {number}"

    def has_room(self, address: str) -> bool:
        """Return whether little waits in the viewer's socket."""
        channel = self._channels.get(address)
        return channel is not None and channel.has_room()

    def send(self, address: str, data: bytes, *, urgent: bool = False) -> None:
        """Send a message; the next one cannot overtake it."""
        if (channel := self._channels.get(address)) is not None:
            channel.send(data)

    def send_numbered(self, viewer: ServedViewer, serial: int, data: bytes) -> None:
        """Send a message with a serial number, in the same order as the others."""
        self.send(viewer.address, data)

    def forget(self, address: str) -> None:
        """Close a channel."""
        if (channel := self._channels.pop(address, None)) is not None:
            channel.close()


def _nothing(*_: object) -> None:
    """Take a callback's arguments before `WebCarrier.open` and after `close`."""
