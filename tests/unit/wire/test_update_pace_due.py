"""A sender may sleep until the time that its session names: nothing is polled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.wire_scene import TICK, Link, Scene, Viewer, draw_random

from kju.wire import codecs, messages
from kju.wire.encoder import Encoder
from kju.wire.messages import MachineEvent, Ping, ViewerRate
from kju.wire.photos import PhotoPolicy
from kju.wire.update_pace import QUIET_TIME, quiet_time


class Recorder(Link):
    """A link that notes the messages."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.messages: list[messages.WireMessage] = []

    def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
        self.messages.append(message)
        super().put(message, now, data)


class Watched:
    """A viewer's session, and the reasons for which its sender looks."""

    def __init__(self, scene: Scene, viewer: Viewer) -> None:
        self.scene, self.viewer = scene, viewer
        self.note()

    def note(self) -> None:
        """Note what the sender knows when it goes to sleep."""
        scene, sender = self.scene, self.viewer.sender
        reader = scene.consumer.reader
        self.seen = reader.version, reader.cursor_version, reader.state_code, sender.generation
        self.due = sender.due(scene.now)

    def has_reason(self, now: float) -> bool:
        reader, sender = self.scene.consumer.reader, self.viewer.sender
        seen = reader.version, reader.cursor_version, reader.state_code, sender.generation
        has_message = any(each[0] <= now for each in self.viewer.up.waiting)
        return seen != self.seen or has_message or (self.due is not None and self.due <= now)


def run(scene: Scene, watched: list[Watched], seconds: float) -> int:
    """Let time pass; return how often a sender had a message without a reason to look."""
    surprises = 0
    for _ in range(round(seconds / TICK)):
        now = scene.now + TICK
        before = [(each.has_reason(now), len(sent(each))) for each in watched]
        scene.run(TICK)
        for each, (had_reason, count) in zip(watched, before, strict=True):
            surprises += len(sent(each)) > count and not had_reason
            each.note()
    return surprises


def sent(watched: Watched) -> list[messages.WireMessage]:
    down = watched.viewer.down
    assert isinstance(down, Recorder)
    return down.messages


def photographs(consumer: Any) -> Encoder:
    return Encoder(consumer, "zstd", PhotoPolicy())


@pytest.mark.parametrize("lossy", [False, True], ids=["exact", "photos"])
@pytest.mark.parametrize("rates", [(None, None), (None, 2.0), (4.0, 0.0)])
@pytest.mark.parametrize("link", [{}, {"lost": 0.2, "delay": 0.02}], ids=["good", "lossy"])
def test_a_sender_has_nothing_to_send_before_the_named_time(
    lossy: bool, rates: tuple[float | None, ...], link: dict[str, float]
) -> None:
    scene = Scene(make=photographs) if lossy else Scene()
    rng = np.random.default_rng(4)
    scene.producer.set_mode(320, 200)
    options = {"codecs": codecs.offered(photos=lossy), "lossy": lossy}
    viewers = [scene.view(Recorder(**link), Link(**link), rate=rate, **options) for rate in rates]
    watched = [Watched(scene, each) for each in viewers]
    scene.run(0.2)
    for each in watched:
        each.note()
    surprises = 0
    for _ in range(12):
        draw_random(scene, rng)
        surprises += run(scene, watched, float(rng.uniform(0, 0.7)))
    scene.producer.move_cursor(5, 6, True)
    looking = [each for each, rate in zip(viewers, rates, strict=True) if rate != 0.0]
    end = scene.now + 20
    while scene.now < end and not all(each.shows(scene.producer) for each in looking):
        surprises += run(scene, watched, 0.5)
    surprises += run(scene, watched, 1.5)
    assert surprises == 0
    assert all(each.shows(scene.producer) for each in looking)


@pytest.mark.parametrize(("rate", "most"), [(None, 21), (20.0, 21), (2.0, 4), (0.0, 4)])
def test_a_viewer_that_looks_rarely_gets_rare_pings(rate: float | None, most: int) -> None:
    scene = Scene()
    scene.producer.set_mode(320, 200)
    viewer = scene.view(Recorder(), rate=rate)
    scene.settle()
    scene.run(0.5)
    watched = Watched(scene, viewer)
    sent(watched).clear()
    assert run(scene, [watched], 20) == 0
    pings = sent(watched)
    assert all(isinstance(each, Ping) for each in pings)
    assert most - 2 <= len(pings) <= most


def test_a_viewer_that_does_not_accept_rare_pings_gets_one_each_second() -> None:
    assert quiet_time(2.0, rare_pings=False) == quiet_time(None) == QUIET_TIME


def test_a_faster_rate_asks_for_the_next_ping_at_once() -> None:
    scene = Scene()
    scene.producer.set_mode(320, 200)
    viewer = scene.view(Recorder(), rate=2.0)
    scene.settle()
    scene.run(2.0)
    slow = viewer.sender.due(scene.now)
    viewer.sender.receive(ViewerRate(1, None), scene.now)
    fast = viewer.sender.due(scene.now)
    assert slow is not None and fast is not None
    assert fast <= scene.now + QUIET_TIME < slow


def test_a_viewer_with_rare_pings_gets_events_between_two_of_them() -> None:
    scene = Scene()
    scene.producer.set_mode(320, 200)
    viewer = scene.view(Recorder(), rate=2.0)
    scene.settle()
    scene.run(4.5)
    viewer.sender.queue_event(MachineEvent("paused", b"{}"))
    scene.run(0.05)
    assert viewer.said == [MachineEvent("paused", b"{}")]
    viewer.asleep = True
    scene.run(20)
    viewer.sender.queue_event(MachineEvent("resumed", b"{}"))
    scene.run(0.05)
    assert not any(isinstance(each, MachineEvent) for each in sent(Watched(scene, viewer))[-3:])
