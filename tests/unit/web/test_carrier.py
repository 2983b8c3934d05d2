"""The carrier of a screen's messages over WebSockets."""

from __future__ import annotations

from kju.web.carrier import WebCarrier


class Recorder:
    """A channel that records."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False
        self.room = True

    def has_room(self) -> bool:
        return self.room

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.is_closed = True


def opened() -> tuple[WebCarrier, list[tuple[str, bytes]], list[str]]:
    carrier = WebCarrier("debian")
    received: list[tuple[str, bytes]] = []
    left: list[str] = []
    carrier.open(lambda number, data: received.append((number, data)), left.append)
    return carrier, received, left


def test_messages_of_a_channel_are_passed_on_until_it_leaves() -> None:
    carrier, received, left = opened()
    carrier.connect("a.1", Recorder())
    carrier.receive("a.1", b"x")
    carrier.receive("b.1", b"y")
    carrier.disconnect("a.1")
    carrier.disconnect("a.1")
    carrier.receive("a.1", b"z")
    assert (received, left) == ([("a.1", b"x")], ["a.1"])


def test_a_message_goes_to_its_channel() -> None:
    carrier, _, _ = opened()
    first, second = Recorder(), Recorder()
    carrier.connect("a.1", first)
    carrier.connect("a.2", second)
    carrier.send(carrier.to_viewer("a.2"), b"x", urgent=True)
    carrier.send(carrier.to_viewer("gone"), b"y")
    assert (first.sent, second.sent) == ([], [b"x"])


def test_room_is_that_of_the_channel() -> None:
    carrier, _, _ = opened()
    channel = Recorder()
    carrier.connect("a.1", channel)
    assert carrier.has_room("a.1")
    channel.room = False
    assert not carrier.has_room("a.1")
    assert not carrier.has_room("gone")


def test_a_forgotten_viewer_has_its_channel_closed_and_has_not_left() -> None:
    carrier, _, left = opened()
    channel = Recorder()
    carrier.connect("a.1", channel)
    carrier.forget("a.1")
    assert channel.is_closed
    assert left == []


def test_closing_closes_all_channels_and_passes_nothing_on() -> None:
    carrier, received, left = opened()
    channel = Recorder()
    carrier.connect("a.1", channel)
    carrier.close()
    carrier.receive("a.1", b"x")
    assert channel.is_closed
    assert (received, left) == ([], [])
