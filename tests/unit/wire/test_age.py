"""Old inputs that a router has delayed, and pictures whose repairs it drops."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from support.wire_scene import Link, Scene, Viewer

from kju.wire import messages
from kju.wire.messages import CursorUpdate, InputDone, ModeUpdate, Ping, Segment, ViewerInput
from kju.wire.sequence import MAX_AGE

#: What `kju.remote.mirror.STALE` allows, seconds.
STALE = 3.0


@dataclass
class Router(Link):
    """A router that drops chosen messages."""

    drops: Callable[[messages.WireMessage], bool] = lambda message: False

    def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
        if not self.drops(message):
            super().put(message, now, data)


def opened(down: Link | None = None, up: Link | None = None) -> tuple[Scene, Viewer]:
    scene = Scene()
    scene.producer.set_mode(320, 240)
    viewer = scene.view(down, up)
    scene.settle()
    return scene, viewer


def press(scene: Scene, viewer: Viewer, number: int) -> None:
    at = viewer.receiver.clock(scene.now)
    viewer.up.put(ViewerInput(number, b"key %d" % number, at), scene.now)


def draw(scene: Scene, value: int) -> None:
    scene.producer.draw((0, 0, 64, 64), bytes([value]) * 64 * 64 * 4)  # type: ignore[arg-type]


# ---- inputs ----


def test_an_input_that_is_released_late_is_not_carried_out() -> None:
    scene, viewer = opened()
    press(scene, viewer, 1)
    scene.run(0.1)
    assert [each.body for each in viewer.inputs] == [b"key 1"]
    viewer.sender.finish_input(InputDone(1))
    press(scene, viewer, 2)
    held, viewer.up.waiting = viewer.up.waiting, []
    scene.run(MAX_AGE + 1)
    viewer.up.waiting += held
    scene.run(0.1)
    assert [each.body for each in viewer.inputs] == [b"key 1"]
    refused = viewer.said[-1]
    assert (refused.number, refused.error) == (2, "InputError")
    assert "not carried out" in refused.reason
    press(scene, viewer, 3)  # the session goes on
    scene.run(0.1)
    assert [each.body for each in viewer.inputs] == [b"key 1", b"key 3"]


def test_inputs_that_waited_for_a_late_one_are_as_old_as_they_are() -> None:
    scene, viewer = opened()
    press(scene, viewer, 1)
    held, viewer.up.waiting = viewer.up.waiting, []
    scene.run(MAX_AGE - 1)
    press(scene, viewer, 2)
    scene.run(2)
    viewer.up.waiting += held
    scene.run(0.1)
    assert [each.body for each in viewer.inputs] == [b"key 2"]
    assert [each.number for each in viewer.said if each.error] == [1]


@pytest.mark.parametrize("drift", [-1e-3, 1e-3])
def test_an_input_is_not_too_old_after_hours_of_clock_drift(
    drift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clocks differ by 1 ms each second, more than real ones: acks synchronise them."""
    scene, viewer = opened(Link(delay=0.2), Link(delay=0.2))
    receiver = viewer.receiver
    began, clock = scene.now, type(receiver).clock
    monkeypatch.setattr(
        receiver, "clock", lambda now: int(clock(receiver, now) + (now - began) * drift * 1000)
    )
    for _ in range(30_000):  # eight hours of pings, a second at a time
        scene.now += 0.999
        scene.run(0.001)
    press(scene, viewer, 1)
    scene.run(0.5)
    assert [each.body for each in viewer.inputs] == [b"key 1"]
    press(scene, viewer, 2)
    held, viewer.up.waiting = viewer.up.waiting, []
    scene.run(MAX_AGE + 2)
    viewer.up.waiting += held
    scene.run(0.1)
    assert [each.body for each in viewer.inputs] == [b"key 1"]


# ---- pictures ----


def lacks(scene: Scene, viewer: Viewer, seconds: float) -> bool:
    """Return whether the picture counted as stale at some moment of these seconds."""
    stale, end = False, scene.now + seconds
    while scene.now < end:
        scene.run(0.05)
        since = viewer.receiver.ack_state.missing_since
        stale = stale or (since is not None and scene.now - since > STALE)
    return stale


@pytest.mark.parametrize("passes", [Ping, CursorUpdate], ids=["pings", "cursors"])
def test_a_router_that_drops_segments_makes_the_picture_stale(
    passes: type[messages.WireMessage],
) -> None:
    router = Router()
    scene, viewer = opened(router)
    router.drops = lambda m: isinstance(m, messages.Numbered) and not isinstance(m, passes)
    stale = False
    draw(scene, 50)
    for number in range(40):
        if passes is CursorUpdate:
            scene.producer.move_cursor(number, 8, True)
        stale = stale or lacks(scene, viewer, 0.15)
    assert stale
    router.drops = lambda m: False
    scene.settle()
    scene.run(3)
    assert viewer.receiver.ack_state.missing_since is None


def test_a_tile_that_is_never_delivered_makes_the_picture_stale() -> None:
    """The router drops all segments after one, with their repairs, but no pings."""
    router = Router()
    scene, viewer = opened(router)
    draw(scene, 50)
    router.drops = lambda m: isinstance(m, Segment)
    scene.run(0.1)
    router.drops = lambda m: isinstance(m, Segment | ModeUpdate) and m.serial % 4 > 0
    assert lacks(scene, viewer, 12)


def test_a_lost_cursor_on_a_screen_at_rest_is_not_a_stale_picture() -> None:
    """Only cursors follow: their `acknowledged` shows that the sender knows the loss."""
    router = Router()
    scene, viewer = opened(router)
    router.drops = lambda m: isinstance(m, CursorUpdate)
    scene.producer.move_cursor(5, 5, True)
    scene.run(0.005)
    router.drops = lambda m: False
    for number in range(100):
        scene.producer.move_cursor(number, 8, True)
        assert not lacks(scene, viewer, 0.1)
    assert viewer.receiver.ack_state.missing_since is None


@pytest.mark.parametrize(
    "kind", [Ping, CursorUpdate, messages.StateUpdate], ids=lambda k: k.__name__
)
def test_a_lost_message_without_pixels_does_not_make_the_picture_stale(
    kind: type[messages.WireMessage],
) -> None:
    router = Router()
    scene, viewer = opened(router)
    scene.run(1.5)
    router.drops = lambda m: isinstance(m, kind)
    scene.producer.move_cursor(5, 5, True)
    scene.run(0.005 if kind is not Ping else 1.2)
    router.drops = lambda m: False
    assert not lacks(scene, viewer, 10)
    assert viewer.receiver.ack_state.missing_since is None


@pytest.mark.parametrize("seed", range(6))
def test_a_screen_at_rest_after_losses_is_not_stale(seed: int) -> None:
    """Messages that were written off are lost too: the viewer must learn that the sender knows."""
    down = Link(delay=0.03, rng=random.Random(seed))
    scene, viewer = opened(down, Link(delay=0.03))
    down.lost = 0.3
    for number in range(60):
        draw(scene, number + 1)
        scene.run(0.01)
    down.lost = 0
    scene.run(1)
    assert not lacks(scene, viewer, 8)
    assert viewer.receiver.ack_state.missing_since is None
    assert viewer.shows(scene.producer)


@pytest.mark.parametrize("lost", [0.02, 0.1])
def test_a_link_that_loses_some_is_not_stale(lost: float) -> None:
    scene, viewer = opened(Link(lost=lost, delay=0.02), Link(lost=lost, delay=0.02))
    for number in range(100):
        draw(scene, number + 1)
        assert not lacks(scene, viewer, 0.1)
