"""Lost, late and repeated messages of a session: what is sent again, and when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from support.wire_scene import Link, Scene, Viewer, draw_square

from kju.surface import State
from kju.surface.geometry import Rect
from kju.wire import messages
from kju.wire.in_flight import MAX_RETRANSMISSIONS
from kju.wire.messages import (
    Ack,
    Ping,
)

# ---- the last message is lost ----


@dataclass
class Losing(Link):
    """A link that loses a number of messages, and remembers all of them."""

    loses: int = 0
    given: list[messages.WireMessage] = field(default_factory=list)

    def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
        if isinstance(message, messages.Numbered | Ack):
            self.given.append(message)
            if self.loses:
                self.loses -= 1
                return
        super().put(message, now, data)


def far(delay: float = 0.05) -> tuple[Scene, Viewer, Losing, Losing]:
    """Return a scene with a distant viewer whose round trip is known."""
    scene, down, up = Scene(), Losing(delay=delay), Losing(delay=delay)
    scene.producer.set_mode(320, 240)
    viewer = scene.view(down, up)
    scene.settle()
    for number in range(20):
        draw_square(scene, number)
        scene.settle()
        scene.run(2 * delay)
    return scene, viewer, down, up


def shown_after(scene: Scene, viewer: Viewer) -> float:
    """Return the seconds until the viewer shows the screen."""
    began = scene.now
    while not viewer.shows(scene.producer):
        scene.run(0.001)
        assert scene.now < began + 10
    return scene.now - began


def test_a_lost_last_segment_is_retransmitted_soon() -> None:
    scene, viewer, down, _ = far()
    down.loses = 1
    draw_square(scene, 100)
    late = shown_after(scene, viewer)
    # One way, and a round trip and a quarter before that for its acknowledgement.
    assert 0.1 < late < 0.05 + 0.1 * 1.25 + 0.02
    scene.run(1)
    # Where something was lost just now, nobody waits for that.
    down.loses = 1
    draw_square(scene, 101)
    assert shown_after(scene, viewer) < 0.05 + 0.02


def test_a_segment_independent_of_a_loss_is_drawn_at_once() -> None:
    scene, viewer, down, _ = far()
    scene.producer.set_state(State.PAUSED, "")
    down.loses = 1
    scene.run(0.01)
    draw_square(scene, 100)
    assert shown_after(scene, viewer) < 0.05 + 0.02
    scene.run(1)
    assert viewer.receiver.state is not None
    assert viewer.receiver.state[0] == State.PAUSED


def test_a_lost_last_long_segment_is_followed_by_a_ping() -> None:
    scene, viewer, down, _ = far()
    down.loses = 1
    draw_square(scene, 100, side=32)
    # The question, its answer, and what is sent then.
    assert shown_after(scene, viewer) < 0.15 + 0.1 * 1.25 + 0.02
    assert isinstance(down.given[-2], Ping)


def test_an_acknowledgement_that_is_lost_last_is_had_again() -> None:
    scene, viewer, down, up = far()
    up.loses = 1
    draw_square(scene, 100)
    scene.run(0.5)
    assert viewer.sender.outgoing.window.in_flight == 0
    given = len(down.given)
    scene.run(0.4)
    assert len(down.given) == given


@pytest.mark.parametrize("before", [0.05, 0.3])
def test_a_longer_link_gets_a_longer_timeout(before: float) -> None:
    scene, viewer, down, up = far(before)
    down.delay = up.delay = 0.3
    for number in range(100, 130):
        draw_square(scene, number)
        scene.run(1)
    assert 0.6 < viewer.sender.outgoing.window.timeout < 1
    scene.run(60)  # what was late is forgotten
    given = len(down.given)
    for number in range(200, 205):
        draw_square(scene, number)
        scene.run(0.9)
    assert len(down.given) - given == 5


def test_a_viewer_that_has_stopped_is_not_asked_often() -> None:
    scene, viewer, down, _ = far()
    viewer.asleep = True
    draw_square(scene, 100)
    given = len(down.given)
    scene.run(20)
    # The segment and a question, as often as they may be, and that one each second.
    assert len(down.given) - given <= 2 * (1 + MAX_RETRANSMISSIONS) + 20


def test_a_link_that_is_full_carries_no_questions() -> None:
    class Full(Losing):
        """A link of 125,000 bytes a second."""

        free = 0.0

        def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
            self.free = max(self.free, now) + len(messages.encode(message)) / 125_000
            self.delay = self.free - now + 0.01
            super().put(message, now, data)

    scene, down = Scene(), Full()
    scene.producer.set_mode(320, 240)
    scene.view(down, Losing(delay=0.01))
    rng = np.random.default_rng(1)
    for _ in range(300):
        scene.producer.draw(
            Rect(0, 0, 320, 240), rng.integers(0, 256, (240, 320, 4), np.uint8), stride=1280
        )
        scene.run(0.03)
    given = down.given
    again = len(given) - len({message.serial for message in given})  # type: ignore[union-attr]
    asked = sum(isinstance(message, Ping) for message in given)
    assert len(given) > 100
    assert again + asked < len(given) / 20
    assert sum(len(messages.encode(message)) for message in given) > 0.8 * 125_000 * 9
