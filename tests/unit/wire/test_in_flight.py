"""The congestion window finds the capacity of a link and keeps its queue short."""

from __future__ import annotations

import random
from collections import deque

import pytest

from kju.wire.in_flight import (
    INITIAL_TIMEOUT,
    MIN_WINDOW,
    NOT_SENT,
    QUIET_TIME,
    CongestionWindow,
    InFlight,
    OutgoingMessages,
)
from kju.wire.messages import Ping

MESSAGE = 20_000


class Bottleneck:
    """A link with a rate (bytes a second), a round trip (seconds), and an unlimited queue."""

    def __init__(self, rate: float, trip: float) -> None:
        self.rate, self.trip = rate, trip
        self.free = 0.0

    def send(self, size: int, now: float) -> float:
        """Return the time when the acknowledgement arrives."""
        self.free = max(self.free, now) + size / self.rate
        return self.free + self.trip


def saturate(
    window: CongestionWindow, link: Bottleneck, seconds: float, size: int = MESSAGE
) -> list[float]:
    """Send all that the window allows; return the round trip of each message."""
    under_way: deque = deque()
    now, took = 0.0, []
    while now < seconds:
        now += 0.001
        while under_way and under_way[0][0] <= now:
            _, sent = under_way.popleft()
            window.acknowledge(sent, now)
            took.append((now, now - sent.at))
        while window.in_flight < window.size(now):
            under_way.append((link.send(size, now), window.send(size, now)))
    for at, sent in under_way:
        window.acknowledge(sent, at)
    return [trip for at, trip in took if at > seconds / 2]


@pytest.mark.parametrize("rate", [125_000, 2_500_000, 12_500_000])
@pytest.mark.parametrize("trip", [0.02, 0.1])
def test_a_link_is_filled_and_little_waits(rate: float, trip: float) -> None:
    window = CongestionWindow()
    took = saturate(window, Bottleneck(rate, trip), 20)
    assert len(took) * MESSAGE >= 0.85 * rate * 10
    each = MESSAGE / rate
    assert sorted(took)[len(took) // 2] <= 1.5 * trip + 3 * each


def test_a_lost_message_leaves_flight_without_a_rate_sample() -> None:
    window = CongestionWindow()
    window.acknowledge(window.send(5000, 1.0), 2.0, lost=True)
    assert (window.in_flight, window.rate, window.round_trip) == (0, 0.0, 0.0)


def test_an_acknowledgement_is_overdue_after_the_usual_round_trip() -> None:
    window, rng = CongestionWindow(), random.Random(1)
    assert window.timeout == INITIAL_TIMEOUT
    for second in range(100):
        window.acknowledge(window.send(100, second), second + 0.1 + rng.uniform(0, 0.004))
    assert 0.125 <= window.timeout < 0.135
    before = window.timeout
    # Sent twice, or known by a later one's acknowledgement: no round trip.
    window.acknowledge(window.send(100, 200.0), 205.0, timed=False)
    assert window.timeout == before
    for second in range(300, 400):
        window.acknowledge(window.send(100, second), second + rng.uniform(0.1, 0.3))
    assert window.timeout > 0.3


def test_seldom_messages_do_not_make_the_window_small() -> None:
    window = CongestionWindow()
    saturate(window, Bottleneck(2_500_000, 0.02), 5)
    before = window.size(5.0)
    for second in range(10, 100):
        sent = window.send(100, second)
        window.acknowledge(sent, second + 0.02)
    assert window.size(101.0) >= before / 2
    assert window.size(101.0) >= MIN_WINDOW


def test_an_ordered_transport_begins_with_the_window_of_tcp() -> None:
    assert CongestionWindow().size(0.0) < 6_000
    assert OutgoingMessages(ordered=True).window.size(0.0) == 10 * 1460


def test_nothing_is_sent_again_over_an_ordered_transport() -> None:
    outgoing = OutgoingMessages(ordered=True)
    outgoing.credit = 1 << 20
    outgoing.send(InFlight(NOT_SENT, Ping(1)), 0.0)
    assert outgoing.due is None
    assert outgoing.repeat(QUIET_TIME / 2, 0.0, lambda: 0) is None
    assert isinstance(outgoing.repeat(QUIET_TIME, 0.0, lambda: 0), Ping)
