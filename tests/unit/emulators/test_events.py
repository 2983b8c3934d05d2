"""The events of a machine: numbers, history, bounds, subscribers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from kju.emulators.events import HISTORY, MAX_TEXT, MachineEvents, from_qmp, from_remote
from kju.protocol.messages import Happened
from kju.surface import surface_size
from kju.surface.producer import Producer


class Subscriber:
    def __init__(self) -> None:
        self.got: list[Happened] = []

    def send(self, message: Any) -> None:
        msgspec.msgpack.encode(message)
        self.got.append(message)

    @property
    def numbers(self) -> list[int]:
        return [happened.sequence for happened in self.got]


def test_subscriber_receives_events_from_then_on() -> None:
    events, late = MachineEvents(), Subscriber()
    events.happen("started")
    events.subscribe(late, -1)
    events.happen("paused")
    events.leave(late)
    events.happen("resumed")
    assert [(h.sequence, h.event) for h in late.got] == [(2, "paused")]


def test_past_events_are_sent_again_and_none_twice() -> None:
    events, everything, some = MachineEvents(), Subscriber(), Subscriber()
    for _ in range(HISTORY + 10):
        events.happen("reset")
    events.subscribe(everything, 0)
    events.subscribe(some, HISTORY + 8)
    events.subscribe(some, HISTORY + 20)
    events.happen("reset")
    assert everything.numbers == list(range(11, HISTORY + 12)), "the gap shows how many were missed"
    assert some.numbers == [HISTORY + 9, HISTORY + 10, HISTORY + 11]


def test_subscriber_that_leaves_during_an_event_disturbs_no_other() -> None:
    events, other = MachineEvents(), Subscriber()

    class Goes(Subscriber):
        def send(self, message: Any) -> None:
            events.leave(self)
            events.happen("client-went")

    events.subscribe(Goes(), -1)
    events.subscribe(other, -1)
    events.happen("paused")
    assert [(h.sequence, h.event) for h in other.got] == [(1, "paused"), (2, "client-went")]


def test_subscriber_that_leaves_during_past_events_receives_no_more() -> None:
    events, other = MachineEvents(), Subscriber()

    class Goes(Subscriber):
        def send(self, message: Any) -> None:
            super().send(message)
            events.leave(self)
            events.happen("client-went")

    goes = Goes()
    events.subscribe(other, -1)
    for _ in range(3):
        events.happen("reset")
    events.subscribe(goes, 0)
    events.happen("paused")
    assert goes.numbers == [1]
    assert other.numbers == [1, 2, 3, 4, 5]


def test_data_is_bounded_and_encodable() -> None:
    events, one = MachineEvents(), Subscriber()
    events.subscribe(one, -1)
    events.happen("panicked", {"info": {"a": "x" * 9999}, "action": "y" * 9999, "n": 3})
    data = one.got[0].data
    assert len(data["info"]) == len(data["action"]) == MAX_TEXT and data["n"] == 3


@pytest.mark.parametrize("bad", ["\ud800", "a\udfff", float("nan"), float("inf"), -1e999, 1 << 64])
def test_event_that_cannot_be_encoded_does_not_stop_later_ones(bad: object) -> None:
    events, one, late = MachineEvents(), Subscriber(), Subscriber()
    events.subscribe(one, -1)
    found = from_remote("reset", json.dumps({"reason": bad, "guest": True}).encode())
    assert found == ("remote-reset", {"guest": True})
    events.happen(*found)
    events.happen("panicked", {"action": bad, "info": {"a": bad}})
    events.happen("paused")
    events.subscribe(late, 0)
    assert one.numbers == late.numbers == [1, 2, 3]
    json.dumps([happened.data for happened in late.got], allow_nan=False)


def test_error_of_one_subscriber_keeps_no_event_from_others() -> None:
    events, other = MachineEvents(), Subscriber()

    class Fails(Subscriber):
        def send(self, message: Any) -> None:
            raise ValueError("no")

    events.subscribe(Fails(), -1)
    events.subscribe(other, -1)
    events.happen("paused")
    events.happen("resumed")
    events.subscribe(Fails(), 0)
    assert other.numbers == [1, 2]


@pytest.mark.parametrize(
    ("name", "data", "ours"),
    [
        ("STOP", {}, ("paused", {})),
        ("RESET", {"guest": True, "reason": "r"}, ("reset", {"guest": True, "reason": "r"})),
        ("SHUTDOWN", {}, ("shutdown", {"guest": False, "reason": ""})),
        ("GUEST_PANICKED", {"action": "pause"}, ("panicked", {"action": "pause"})),
        (
            "BLOCK_IO_ERROR",
            {"node-name": "#b", "operation": "write", "reason": "no space", "action": "stop",
             "nospace": True},
            ("disk-error", {"device": "#b", "operation": "write", "reason": "no space",
                            "action": "stop", "full": True}),
        ),
        ("JOB_STATUS_CHANGE", {}, None),
    ],
)  # fmt: skip
def test_events_of_qemu_are_translated(name: str, data: dict[str, Any], ours: object) -> None:
    assert from_qmp(name, data) == ours


def producer() -> Producer:
    memory = np.zeros(surface_size(1 << 21), np.uint8)
    return Producer.format(memory.data, 1 << 21, incarnation=7)


def test_modes_are_announced_from_the_start_on_and_once_each() -> None:
    events, subscriber = MachineEvents(), Subscriber()
    events.subscribe(subscriber, -1)
    first, second = producer(), producer()
    first.set_mode(640, 480)
    events.note_mode(0, first)
    assert not subscriber.got, "the machine has not started"
    events.announce_start([first, second])
    events.note_mode(0, first)
    second.set_mode(800, 600)
    events.note_mode(1, second)
    second.set_mode(640, 480)
    events.note_mode(1, second)
    assert [(h.event, h.data.get("console"), h.data.get("width")) for h in subscriber.got] == [
        ("started", None, None),
        ("mode", 0, 640),
        ("mode", 1, 800),
        ("mode", 1, 640),
    ]
