"""One suite for every kind of source, each fed as in use.

`kju.sources.base` has the rules. The tests stand in for QEMU's side of a listener's socket and its
shared memory; `Feed` has the expected picture of each source.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np
import pytest
from support.fake_display import FakeQemu, memfd
from support.pattern_source import PatternSource, picture
from support.stub_source import StubSource

from kju.memory._system import Mapping
from kju.sources.base import Need, OnStatus, Phase, Source, SourceStatus
from kju.sources.display1.source import Display1Source, socket_pair
from kju.sources.framebuffer import FramebufferSource
from kju.sources.screendump import ScreendumpSource
from kju.surface import NOTHING_TAKEN, State, surface_size
from kju.surface.consumer import Consumer
from kju.surface.geometry import Place
from kju.surface.producer import Producer

WIDTH, HEIGHT = 200, 160
CAPACITY = 1 << 18
TIME = 20.0


def surface(capacity: int = CAPACITY) -> tuple[Producer, Consumer]:
    memory = np.zeros(surface_size(capacity), np.uint8)
    return Producer.format(memory.data, capacity, incarnation=7), Consumer(memory.data)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)


class Feed:
    """A source and its emulator's side. This one is the stub's: it never draws.

    Attributes:
        picture: The expected picture, B G R X.
    """

    source: Source

    def __init__(self, producer: Producer, on_status: OnStatus) -> None:
        self.picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        self.make(producer, on_status)

    def make(self, producer: Producer, on_status: OnStatus) -> None:
        self.source = StubSource(producer, on_status, size=(WIDTH, HEIGHT))

    def begin(self) -> None:
        """Show the first picture, after the start of the source."""

    def draw(self) -> None:
        """Change a part of the picture."""

    def close(self) -> None:
        """Close the emulator's side."""


class Pattern(Feed):
    def make(self, producer: Producer, on_status: OnStatus) -> None:
        self.drawn = PatternSource(producer, on_status, size=(WIDTH, HEIGHT))
        self.source, self.picture = self.drawn, picture((WIDTH, HEIGHT), 0)

    def draw(self) -> None:
        if self.source.status.phase is Phase.RUNNING:  # it needs no emulator
            self.drawn.step()
            self.picture = picture((WIDTH, HEIGHT), self.drawn.frame)


class Window(Feed):
    def make(self, producer: Producer, on_status: OnStatus) -> None:
        self.picture = noise(1)
        self.file = memfd(self.picture.tobytes(), "vga.vram")
        place = Place(WIDTH, HEIGHT, WIDTH * 4, 0)
        mapping = Mapping(self.file, self.picture.nbytes)
        self.source = FramebufferSource(mapping, place, producer, on_status)

    def draw(self) -> None:
        self.picture[40:90, 10:150] ^= 0x55
        os.pwrite(self.file, self.picture.tobytes(), 0)

    def close(self) -> None:
        os.close(self.file)


class Bytes(Feed):
    def make(self, producer: Producer, on_status: OnStatus) -> None:
        self.picture = noise(2)
        ours, theirs = socket_pair()
        self.source = Display1Source(ours, producer, on_status)
        self.qemu = FakeQemu(theirs)

    def begin(self) -> None:
        self.qemu.authenticate()
        self.qemu.ask(self.qemu.calls.scanout(WIDTH, HEIGHT, self.picture.tobytes()))

    def draw(self) -> None:
        self.picture[40:90, 10:150] ^= 0x55
        part = self.picture[40:90, 10:150].tobytes()
        self.tell(self.qemu.calls.update((10, 40, 140, 50), part))

    def tell(self, call: bytes) -> None:
        """Send a call; a closed listener is no error, as in QEMU."""
        try:
            self.qemu.ask(call)
        except (EOFError, OSError):
            assert self.source.status.phase is Phase.ENDED

    def close(self) -> None:
        self.qemu.sock.close()


class Map(Bytes):
    def make(self, producer: Producer, on_status: OnStatus) -> None:
        super().make(producer, on_status)
        self.file = memfd(self.picture.tobytes())

    def begin(self) -> None:
        self.qemu.authenticate()
        self.qemu.ask(self.qemu.calls.scanout_map(WIDTH, HEIGHT), self.file)

    def draw(self) -> None:
        self.picture[40:90, 10:150] ^= 0x55
        os.pwrite(self.file, self.picture.tobytes(), 0)
        self.tell(self.qemu.calls.update_map(10, 40, 140, 50))

    def close(self) -> None:
        super().close()
        os.close(self.file)


class Screendump(Feed):
    def make(self, producer: Producer, on_status: OnStatus) -> None:
        self.picture = noise(3)
        self.source = ScreendumpSource(self.take, producer, on_status)

    def take(self) -> Future[np.ndarray | None]:
        future: Future[np.ndarray | None] = Future()
        future.set_result(self.picture[..., 2::-1].copy())
        return future

    def draw(self) -> None:
        self.picture = noise(4)


#: Sources that receive the picture's size; the others choose it.
TOLD = [Window, Bytes, Map, Screendump]
KINDS = [Feed, Pattern, *TOLD]


class Scene:
    """A source of one kind, its surface, and every status."""

    def __init__(
        self, kind: Callable[[Producer, OnStatus], Feed], capacity: int = CAPACITY
    ) -> None:
        self.statuses: list[SourceStatus] = []
        self.producer, self.consumer = surface(capacity)
        self.feed = kind(self.producer, self.statuses.append)
        self.source = self.feed.source

    def start(self, *, paused: bool = False) -> None:
        self.source.start(paused=paused)
        self.feed.begin()
        assert self.source.flush(TIME)

    def shows(self, consumer: Consumer | None = None) -> bool:
        consumer = consumer or self.consumer
        pixels, wanted = consumer.view(consumer.mode), self.feed.picture
        return pixels.shape == wanted.shape and bool((pixels[..., :3] == wanted[..., :3]).all())


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__.lower())
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    before = len(os.listdir("/proc/self/fd"))
    scene = Scene(request.param)
    yield scene
    if scene.source.status.phase is not Phase.ENDED:
        scene.source.stop()
    scene.feed.close()
    scene.feed = scene.source = None  # the last reference unmaps the memory
    assert len(os.listdir("/proc/self/fd")) == before


def test_phases_are_reported_in_order_and_once(scene: Scene) -> None:
    assert scene.source.status.phase is Phase.NEW
    assert not scene.statuses
    assert scene.consumer.mode.epoch == 0
    scene.start()
    assert scene.source.status.phase is Phase.RUNNING
    scene.source.stop()
    phases = [phase for phase, _ in itertools.groupby(s.phase for s in scene.statuses)]
    assert phases == [Phase.RUNNING, Phase.ENDED]
    assert scene.source.status is scene.statuses[-1]
    assert all(a != b for a, b in itertools.pairwise(scene.statuses)), (
        "each status is reported once"
    )


def test_flush_returns_after_publication(scene: Scene) -> None:
    scene.start()
    assert scene.shows()
    assert scene.source.size == (WIDTH, HEIGHT)
    assert scene.consumer.state[0] is State.LIVE
    mark = scene.consumer.changes(NOTHING_TAKEN).mark
    before = scene.feed.picture.copy()
    scene.feed.draw()
    assert scene.source.flush(TIME)
    assert scene.shows()
    if (before != scene.feed.picture).any():
        assert scene.consumer.changes(mark).rects, "and announced"


def test_retarget_publishes_the_whole_picture_and_later_changes(scene: Scene) -> None:
    scene.start()
    old = scene.consumer.view(scene.consumer.mode).copy()
    producer, consumer = surface()
    scene.source.retarget(producer)
    assert scene.source.flush(TIME)
    assert scene.source.producer is producer
    assert scene.shows(consumer)
    assert consumer.state[0] is State.LIVE
    scene.feed.draw()
    assert scene.source.flush(TIME)
    assert scene.shows(consumer)
    assert (scene.consumer.view(scene.consumer.mode) == old).all(), "the old surface is unchanged"


def test_surface_of_a_machine_paused_from_the_start_is_never_live(scene: Scene) -> None:
    states = []
    tell = scene.producer.set_state
    scene.producer.set_state = lambda state, reason="": (states.append(state), tell(state, reason))
    scene.start(paused=True)
    assert scene.shows()
    assert scene.consumer.state[0] is State.PAUSED
    assert State.LIVE not in states
    scene.source.set_paused(False)
    assert scene.source.flush(TIME)
    assert scene.consumer.state[0] is State.LIVE


def test_retarget_keeps_the_pause(scene: Scene) -> None:
    scene.start()
    scene.source.set_paused(True)
    assert scene.source.flush(TIME)
    assert scene.consumer.state[0] is State.PAUSED
    producer, consumer = surface()
    scene.source.retarget(producer)
    assert scene.source.flush(TIME)
    assert consumer.state[0] is State.PAUSED


def test_nothing_is_published_after_stop(scene: Scene) -> None:
    threads = set(threading.enumerate())
    scene.start()
    scene.source.stop()
    assert not set(threading.enumerate()) - threads, "no thread is left that could publish"
    version, picture = scene.consumer.reader.version, scene.producer.pixels.copy()
    scene.feed.draw()
    scene.source.flush(0.1)
    assert scene.consumer.reader.version == version
    assert (scene.producer.pixels == picture).all(), "the last picture stays"


def test_stop_may_come_before_start(scene: Scene) -> None:
    scene.source.stop()
    assert scene.source.status.phase is Phase.ENDED
    assert scene.consumer.mode.epoch == 0


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__.lower())
def test_picture_that_is_too_large_waits_for_its_surface(kind: type[Feed]) -> None:
    scene = Scene(kind, capacity=4096)
    try:
        scene.start()
        assert scene.consumer.mode.epoch == 0
        assert scene.source.status.need is Need.LARGER
        assert scene.source.status.needed >= WIDTH * HEIGHT * 4
        producer, consumer = surface(scene.source.status.needed)
        scene.source.retarget(producer)
        # A source that works in turns reports its status after the turn.
        assert scene.source.flush(TIME)
        scene.feed.draw()
        assert scene.source.flush(TIME)
        assert scene.source.flush(TIME)
        assert scene.shows(consumer)
        assert scene.source.status.need is Need.NOTHING
    finally:
        scene.source.stop()
        scene.feed.close()
