"""A producer and consumers on a bytearray, against their NumPy twins, in any order of calls."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support import oracle

from kju.surface import NOTHING_TAKEN, Cursor, surface_size
from kju.surface.consumer import Consumer, blend_cursor, copy_frame
from kju.surface.geometry import Rect
from kju.surface.producer import Producer

SIDE = 70
CAPACITY = SIDE * SIDE * 4

sizes = st.integers(1, SIDE)
seeds = st.integers(0, 2**32 - 1)


def empty(shape):
    return np.empty(shape, np.uint8)


def make(tile):
    memory = bytearray(surface_size(CAPACITY, tile=tile, max_side=SIDE))
    return memory, Producer.format(memory, CAPACITY, incarnation=5, tile=tile, max_side=SIDE)


def source_of(seed, name, width, height):
    """Return random pixels of a format with offset and padding, and the expected result."""
    random = np.random.default_rng(seed)
    size = oracle.BYTES[name]
    offset, padding = int(random.integers(0, 9)), int(random.integers(0, 9))
    stride = width * size + padding
    source = random.integers(0, 256, offset + stride * height, np.uint8).tobytes()
    pixels = oracle.convert_in(name, oracle.rows(source, offset, stride, width, height, size))
    return {
        "source": source,
        "offset": offset,
        "stride": stride,
        "source_format": name,
    }, pixels


@st.composite
def rect_within(draw, width, height):
    x, y = draw(st.integers(0, width)), draw(st.integers(0, height))
    return Rect(x, y, draw(st.integers(0, width - x)), draw(st.integers(0, height - y)))


class Mirror:
    """A consumer that keeps a copy from changed rectangles."""

    def __init__(self, memory):
        self.consumer = Consumer(memory)
        self.mark = NOTHING_TAKEN
        self.pixels = None

    def take(self, twin):
        change = self.consumer.changes(self.mark)
        assert change.mark == (5, twin.mode.epoch, twin.version)
        covered = oracle.tiles_of(change.rects, change.mode, self.consumer.tile_side)
        if change.everything:
            assert (covered == 1).all()
            self.pixels = None
        else:
            assert (covered == twin.newer(self.mark.version)).all()
        for rect in change.rects:
            part = copy_frame(self.consumer, rect, "bgrx", False, empty, 3)
            if self.pixels is None:
                self.pixels = np.empty(twin.pixels.shape, np.uint8)
            self.pixels[rect.y : rect.bottom, rect.x : rect.right] = part.pixels
        self.mark = change.mark
        assert np.array_equal(self.pixels, twin.pixels)
        assert self.consumer.changes(self.mark).rects == []


class Surface(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        tile = 16
        self.memory, self.producer = make(tile)
        self.twin = oracle.Twin(tile)
        self.mirrors = [Mirror(self.memory) for _ in range(3)]

    @property
    def size(self):
        return self.twin.mode.width, self.twin.mode.height

    @property
    def formats(self):
        return oracle.COLOURS if self.twin.mode.fourcc == oracle.XR24 else ["r8"]

    @rule(width=sizes, height=sizes, data=st.data(), seed=seeds, black=st.booleans())
    def set_mode(self, width, height, data, seed, black):
        name = data.draw(st.sampled_from(list(oracle.BYTES)))
        fourcc = oracle.R8 if name == "r8" else oracle.XR24
        arguments, pixels = source_of(seed, name, width, height)
        if black:
            arguments, pixels = {}, None
        version = self.producer.set_mode(width, height, fourcc=fourcc, **arguments)
        self.twin.set_mode(width, height, fourcc, pixels)
        assert version == self.twin.version

    @precondition(lambda self: self.twin.mode.epoch)
    @rule(data=st.data(), seed=seeds)
    def draw(self, data, seed):
        rect = data.draw(rect_within(*self.size))
        name = data.draw(st.sampled_from(self.formats))
        arguments, pixels = source_of(seed, name, rect.width, rect.height)
        assert self.producer.draw(rect, **arguments) == self.twin.version + 1
        self.twin.draw(rect, pixels)

    @precondition(lambda self: self.twin.mode.epoch)
    @rule(data=st.data(), seed=seeds)
    def compare_with_another(self, data, seed):
        name = data.draw(st.sampled_from(self.formats))
        arguments, pixels = source_of(seed, name, *self.size)
        rects = data.draw(st.none() | st.lists(rect_within(*self.size), max_size=3))
        assert self.producer.compare(**arguments, rects=rects) == self.twin.compare(pixels, rects)

    @precondition(lambda self: self.twin.mode.epoch)
    @rule(data=st.data(), seed=seeds)
    def compare_with_nearly_the_same(self, data, seed):
        random = np.random.default_rng(seed)
        frame = self.twin.pixels.copy()
        for _ in range(data.draw(st.integers(0, 4))):
            frame.reshape(-1)[random.integers(0, frame.size)] ^= np.uint8(1 << random.integers(8))
        assert self.producer.compare(frame) == self.twin.compare(frame)
        assert self.producer.compare(frame) == 0

    @precondition(lambda self: self.twin.mode.epoch)
    @rule(data=st.data(), value=st.integers(0, 255))
    def draw_by_hand(self, data, value):
        rects = data.draw(st.lists(rect_within(*self.size), max_size=4))
        self.producer.begin()
        for r in rects:
            for pixels in (self.producer.pixels, self.twin.pixels):
                pixels[r.y : r.bottom, r.x : r.right] = value
        self.producer.publish(rects)
        self.twin.publish(rects)

    @precondition(lambda self: self.twin.mode.epoch)
    @rule(data=st.data(), value=st.integers(0, 255))
    def draw_a_range(self, data, value):
        total = self.twin.pixels.size
        start = data.draw(st.integers(0, total))
        length = data.draw(st.integers(0, total - start))
        for pixels in (self.producer.pixels, self.twin.pixels):
            pixels.reshape(-1)[start : start + length] = value
        self.producer.publish_range(start, length)
        self.twin.publish_range(start, length)

    @precondition(lambda self: self.twin.mode.epoch)
    @rule(which=st.integers(0, 2))
    def take(self, which):
        self.mirrors[which].take(self.twin)

    @invariant()
    def equal(self):
        consumer = self.mirrors[0].consumer
        mode = consumer.mode
        assert (mode.width, mode.height, mode.epoch) == (*self.size, self.twin.mode.epoch)
        assert consumer.reader.version == self.twin.version
        if mode.epoch:
            assert (consumer.tile_versions() == self.twin.tiles).all()
            assert np.array_equal(consumer.view(mode), self.twin.pixels)
            out = empty(self.twin.pixels.shape)
            assert consumer.reader.copy(out, mode.epoch + 1, mode.whole, "bgrx", False) == -1
            exact = copy_frame(consumer, None, "bgrx", True, empty, 1)
            assert np.array_equal(exact.pixels, self.twin.pixels)
            assert exact.version == self.twin.version

    def teardown(self):
        if (
            self.twin.mode.epoch
        ):  # the producer has stopped: the slowest consumers catch up and are equal
            for mirror in self.mirrors:
                mirror.take(self.twin)


TestSurface = Surface.TestCase
TestSurface.settings = settings(max_examples=60, stateful_step_count=25)


@settings(max_examples=60)
@given(sizes, sizes, seeds, st.sampled_from(["bgrx", "rgb", "rgba", "grey"]), st.data())
def test_frame_in_every_format_equals_numpy(width, height, seed, name, data):
    memory, producer = make(32)
    arguments, pixels = source_of(seed, "xrgb8888", width, height)
    producer.set_mode(width, height, **arguments)
    rect = data.draw(rect_within(width, height))
    copy = copy_frame(Consumer(memory), rect, name, True, empty, 1)
    expected = oracle.convert_out(name, pixels)[rect.y : rect.bottom, rect.x : rect.right]
    assert copy.pixels.shape == expected.shape
    assert np.array_equal(copy.pixels, expected)


@settings(max_examples=100)
@given(
    st.integers(8, 256).map(lambda n: 1 << n.bit_length() - 1),
    st.integers(1, 400),
    st.integers(1, 400),
    st.sampled_from([oracle.XR24, oracle.R8]),
)
def test_every_mode_within_the_capacity_fits(tile, width, height, fourcc):
    capacity = width * height * (4 if fourcc == oracle.XR24 else 1)
    side = max(width, height)
    memory = bytearray(surface_size(capacity, tile=tile, max_side=side))
    producer = Producer.format(memory, capacity, incarnation=1, tile=tile, max_side=side)
    producer.set_mode(width, height, fourcc=fourcc)
    assert Consumer(memory).mode[:2] == (width, height)


@settings(max_examples=80)
@given(st.data(), seeds)
def test_cursor_blend_equals_numpy(data, seed):
    random = np.random.default_rng(seed)
    rect = Rect(*data.draw(st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 12)] * 2)))
    frame = random.integers(0, 256, (rect.height, rect.width, 4), np.uint8)
    height, width = data.draw(st.tuples(st.integers(0, 8), st.integers(0, 8)))
    shape = random.integers(0, 256, (height, width, 4), np.uint8)
    shape[..., 3] = random.choice([0, 1, 127, 128, 254, 255], (height, width))
    place = data.draw(st.tuples(*[st.integers(-10, 30)] * 2, *[st.integers(0, 8)] * 2))
    cursor = Cursor(1, data.draw(st.booleans()), *place, shape)
    expected = oracle.blend(frame, rect, cursor)
    blend_cursor(frame, rect, cursor)
    assert np.array_equal(frame, expected)
