"""A producer that compares with unannounced changes in memory, and copies of consumers.

The memory is the guest's: it is written, and written back, whenever its owner likes, while it is
compared and while consumers copy. When it rests and has been compared once more, every consumer
that copies the published pixels holds what it holds. One that copies the memory itself does not.
"""

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kju.surface import NOTHING_TAKEN, surface_size
from kju.surface.consumer import Consumer, copy_frame
from kju.surface.producer import Producer

TILE = 16


def empty(shape):
    return np.empty(shape, np.uint8)


class Guest:
    """Video memory, its pixels, and the surface in which they are published."""

    def __init__(self, width, height):
        self.vram = bytearray(width * height * 4)
        self.pixels = np.frombuffer(self.vram, np.uint8).reshape(height, width, 4)
        capacity, side = len(self.vram), max(width, height)
        self.memory = bytearray(surface_size(capacity, tile=TILE, max_side=side))
        self.producer = Producer.format(
            self.memory, capacity, incarnation=7, tile=TILE, max_side=side
        )
        self.producer.set_mode(width, height, source=self.vram)

    def flip(self, x, y, size):
        """Write a square; a second call restores the old pixels."""
        self.pixels[y : y + size, x : x + size] ^= 255

    def compare(self):
        return self.producer.compare(self.vram)


class Copier:
    """A consumer that keeps a copy, in steps that may be interleaved."""

    def __init__(self, guest):
        self.consumer = Consumer(guest.memory)
        self.mark = NOTHING_TAKEN
        self.copy = np.zeros_like(guest.pixels)
        self.change = None
        self.left = []

    def pixels_of(self, rect):
        return copy_frame(self.consumer, rect, "bgrx", False, empty, 1).pixels

    def step(self):
        """Do the next step: ask for changes, copy one rectangle, or remember the mark."""
        if self.change is None:
            self.change = self.consumer.changes(self.mark)
            self.left = list(self.change.rects)
        elif self.left:
            rect = self.left.pop()
            self.copy[rect.y : rect.bottom, rect.x : rect.right] = self.pixels_of(rect)
        else:
            self.mark, self.change = self.change.mark, None

    def finish(self):
        """Finish the steps of this round."""
        while self.change is not None:
            self.step()

    def take(self):
        """Do one round, from the question to the mark."""
        self.step()
        self.finish()


class FromTheLiveWindow(Copier):
    """The mistake: it asks for published tiles, and copies the guest's memory."""

    def __init__(self, guest):
        super().__init__(guest)
        self.window = guest.pixels

    def pixels_of(self, rect):
        return self.window[rect.y : rect.bottom, rect.x : rect.right]


WIDTH, HEIGHT, CONSUMERS = 40, 36, 3

flips = st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, 20))
# The guest writes or writes back, the producer compares, a consumer makes its next step.
steps = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, 2)),
    st.tuples(st.just("compare"), st.none()),
    st.tuples(st.just("step"), st.integers(0, CONSUMERS - 1)),
)


@given(st.lists(flips, min_size=3, max_size=3), st.lists(steps, max_size=80))
def test_copies_end_equal_in_any_order_of_steps(squares, order):
    guest = Guest(WIDTH, HEIGHT)
    copiers = [Copier(guest) for _ in range(CONSUMERS)]
    for what, which in order:
        if what == "flip":
            guest.flip(*squares[which])
        elif what == "compare":
            guest.compare()
        else:
            copiers[which].step()
    guest.compare()
    assert np.array_equal(guest.producer.pixels, guest.pixels)
    for copier in copiers:
        copier.finish()
        copier.take()
        assert np.array_equal(copier.copy, guest.pixels)
        assert copier.consumer.changes(copier.mark).rects == []


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_copies_end_equal_while_a_thread_writes_and_writes_back(seed):
    # Large enough that comparing and copying release the interpreter lock during the writes.
    guest = Guest(400, 300)
    random = np.random.default_rng(seed)
    squares = [(*random.integers(0, 280, 2), random.integers(1, 120)) for _ in range(8)]
    turns = random.integers(0, len(squares), 400)
    rests = threading.Event()
    failures = []

    def write():
        for turn in turns:
            guest.flip(*squares[turn])

    def look(copier):
        try:
            while not rests.is_set():
                copier.take()
            copier.take()
        except BaseException as error:
            failures.append(error)

    copiers = [Copier(guest) for _ in range(2)]
    writer = threading.Thread(target=write)
    lookers = [threading.Thread(target=look, args=(copier,)) for copier in copiers]
    for thread in (writer, *lookers):
        thread.start()
    while writer.is_alive():
        guest.compare()
    guest.compare()
    rests.set()
    for thread in (writer, *lookers):
        thread.join()
    assert not failures
    assert guest.compare() == 0
    for copier in copiers:
        assert np.array_equal(copier.copy, guest.pixels)


def test_copy_of_the_live_memory_can_stay_wrong():
    guest = Guest(WIDTH, HEIGHT)
    right, wrong = Copier(guest), FromTheLiveWindow(guest)
    for copier in (right, wrong):
        copier.take()
    square = (0, 0, 8)
    guest.flip(*square)
    assert guest.compare() == 1  # published, then the guest writes:
    guest.flip(*square)
    for copier in (right, wrong):
        copier.take()
    guest.flip(*square)  # back to the published pixels, which no comparison notices
    assert guest.compare() == 0
    for copier in (right, wrong):
        copier.take()
        assert copier.consumer.changes(copier.mark).rects == []  # it is up to date
    assert np.array_equal(guest.producer.pixels, guest.pixels)
    assert np.array_equal(right.copy, guest.pixels)
    assert not np.array_equal(wrong.copy, guest.pixels)
    assert not wrong.copy[:8, :8].any()
    assert guest.pixels[:8, :8].all()
