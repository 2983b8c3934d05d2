"""A consumer on a bytearray: every field is checked, and a frame is consistent."""

import threading

import numpy as np
import pytest
from support.header import set_field

from kju.errors import (
    FormatError,
    GeometryError,
    InconsistentError,
    ProducerGoneError,
    SupersededError,
    UnavailableError,
)
from kju.surface import NOTHING_TAKEN, Mark, ProducerIdentity, State, layout, surface_size
from kju.surface.consumer import Consumer, copy_frame, next_wait
from kju.surface.formats import R8, XR24
from kju.surface.geometry import Rect
from kju.surface.producer import Producer


def empty(shape):
    return np.empty(shape, np.uint8)


# ---- Invalid memory


MODE_LIES = {
    "width": [0, 65536, 2**32 - 1, 16385, 65],
    "height": [0, 65536, 2**32 - 1, 49],
    "stride": [0, 255, 257, 2**32 - 4, 260],
    "fourcc": [0, 1, XR24 ^ 1],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in MODE_LIES.items() for v in vs])
def test_every_reader_refuses_an_invalid_mode(memory, consumer, name, value):
    mode = consumer.mode
    set_field(memory, name, value)
    for call in (
        lambda: consumer.mode,
        lambda: consumer.changes(NOTHING_TAKEN),
        lambda: consumer.changes(Mark(3, 1, 0)),
        consumer.tile_versions,
        lambda: copy_frame(consumer, None, "rgb", False, empty, 1),
        lambda: consumer.reader.copy(empty(64 * 48 * 4), 1, mode.whole, "bgrx", False),
    ):
        with pytest.raises(FormatError):
            call()


def test_constant_part_is_read_once(memory, consumer):
    frame = copy_frame(consumer, None, "bgrx", True, empty, 1).pixels
    memory[: layout.BY_NAME["version"].offset] = b"\xff" * layout.BY_NAME["version"].offset
    assert (copy_frame(consumer, None, "bgrx", True, empty, 1).pixels == frame).all()
    assert consumer.tile_versions().shape == (2, 2)


@pytest.mark.parametrize("name", ["mode_sequence", "cursor_sequence"])
def test_a_half_written_field_is_an_error(memory, consumer, name):
    set_field(memory, name, 7)
    with pytest.raises(FormatError, match="half written"):
        _ = consumer.mode if name == "mode_sequence" else consumer.cursor()


@pytest.mark.parametrize(("name", "value"), [("cursor_width", 513), ("cursor_height", 2**32 - 1)])
def test_an_invalid_cursor_is_refused(memory, producer, consumer, name, value):
    producer.set_cursor(bytes(16), 2, 2, 0, 0)
    set_field(memory, name, value)
    with pytest.raises(FormatError, match="cursor"):
        consumer.cursor()


def test_an_unknown_state_is_refused(memory, consumer):
    set_field(memory, "state", 99)
    with pytest.raises(FormatError, match="99"):
        _ = consumer.state


# ---- Reading


def test_rectangles_are_checked_before_memory_is_allocated(consumer):
    def allocate(shape):
        raise AssertionError(shape)

    for rect in (
        Rect(0, 0, 65, 1),
        Rect(0, 0, -1, 1),
        Rect(0, 0, 1 << 40, 1 << 40),
        Rect(64, 48, 1, 0),
    ):
        with pytest.raises(GeometryError):
            copy_frame(consumer, rect, "bgrx", False, allocate, 1)


def test_an_exact_copy_needs_a_producer_that_does_not_write(producer, consumer):
    producer.begin()
    with pytest.raises(InconsistentError):
        copy_frame(consumer, None, "bgrx", True, empty, 3)
    copy_frame(consumer, None, "bgrx", False, empty, 1)
    producer.publish([])  # ends what begin began
    assert copy_frame(consumer, None, "bgrx", True, empty, 1).version == 1


@pytest.mark.parametrize("name", ["bgrx", "rgb", "rgba", "grey"])
def test_a_linear_buffer_returns_its_bytes_in_every_format(memory, producer, name):
    data = bytes(range(200))
    producer.set_mode(20, 10, fourcc=R8, source=data)
    copy = copy_frame(Consumer(memory), None, name, False, empty, 1)
    assert copy.pixels.tobytes() == data
    assert copy.pixels.shape == (10, 20)


def test_a_mark_of_another_incarnation_or_epoch_is_stale(memory, producer, consumer):
    mark = consumer.changes(NOTHING_TAKEN).mark
    assert consumer.changes(mark).rects == []
    assert consumer.changes(mark._replace(incarnation=4)).everything
    assert consumer.changes(mark._replace(epoch=2)).everything
    producer.set_mode(32, 32)
    change = consumer.changes(mark)
    assert change.everything and change.rects == [Rect(0, 0, 32, 32)]


def test_a_view_is_read_only_and_shows_later_pixels(producer, consumer):
    view = consumer.view(consumer.mode)
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0, 0] = 1
    producer.draw(Rect(1, 2, 1, 1), b"abcd")
    assert view[2, 1].tobytes() == b"abcd"


def test_the_identity_of_the_producer(memory):
    who = ProducerIdentity(1, 2, 3, True)
    Producer.format(memory, 4096, incarnation=3, max_side=128, identity=who)
    assert Consumer(memory).producer == who


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (State.CLOSED, ProducerGoneError),
        (State.GONE, ProducerGoneError),
        (State.SUPERSEDED, SupersededError),
        (State.UNAVAILABLE, UnavailableError),
    ],
)
def test_a_state_without_a_picture_raises_its_error(producer, consumer, state, error):
    producer.set_state(state, "because")
    assert consumer.state == (state, "because")
    with pytest.raises(error):
        consumer.raise_unless_live()
    producer.set_state(State.PAUSED)
    consumer.raise_unless_live()


# ---- Waits that need no clock


def test_a_wait_with_a_change_returns_at_once(producer, consumer):
    reader = consumer.reader
    assert not reader.wait(reader.version, -1, State.LIVE, 0)
    assert reader.wait(reader.version - 1, -1, State.LIVE, 500)
    assert reader.wait(reader.version, -1, State.PAUSED, 500)
    assert reader.wait(reader.version, reader.cursor_version + 1, State.LIVE, 500)
    change = reader.wait_changes(0, 0, 0, State.LIVE, 500)
    assert change.everything
    version, epoch = change.mark.version, change.mark.epoch
    assert reader.wait_changes(version, epoch, version, State.LIVE, 0) is None
    assert reader.wait_changes(version, epoch, version, State.PAUSED, 500) is None
    assert reader.wait_changes(version - 1, epoch, version, State.LIVE, 0) is None  # no time
    assert reader.wait_changes(version - 1, epoch, version - 1, State.LIVE, 0).rects
    with pytest.raises(TypeError, match="takes 5 arguments, not 2"):
        reader.wait_changes(1, 2)
    with pytest.raises(TypeError):
        reader.wait_changes(version, epoch, version, State.LIVE, None)


def test_a_mode_is_one_object_until_it_changes(producer, consumer):
    first, again = consumer.changes(NOTHING_TAKEN).mode, consumer.changes(NOTHING_TAKEN).mode
    assert first is again
    producer.set_mode(8, 8)
    assert consumer.changes(NOTHING_TAKEN).mode == consumer.mode != first


def test_the_next_wait_is_bounded_by_the_deadline():
    assert next_wait(5.0, None) == 500
    assert next_wait(5.0, 5.25) == 250
    assert next_wait(5.0, 50.0) == 500
    assert next_wait(5.0, 5.0001) == 1
    assert next_wait(5.0, 5.0) is None


# ---- The live window


WINDOW = np.random.default_rng(5).integers(0, 256, 64 * 1024, np.uint8)


def live_copy(consumer, window=WINDOW, rect=None, form="bgrx", tries=1):
    return copy_frame(consumer, rect, form, False, empty, tries, window)


def test_a_live_window_is_copied_from(producer, consumer):
    assert consumer.reader.live() == (0, 0, 0, 1)
    assert live_copy(consumer) is None
    producer.set_live(1000, 300)
    assert consumer.reader.live() == (1, 1000, 300, 1)
    assert consumer.reader.live_number == 1
    shown = np.ndarray((48, 64, 4), np.uint8, WINDOW.data, 1000, (300, 4, 1))
    copy = live_copy(consumer)
    assert (copy.pixels == shown).all()
    assert (copy.mode, copy.version) == (consumer.mode, consumer.reader.version)
    part = live_copy(consumer, rect=Rect(3, 5, 40, 20))
    assert (part.pixels == shown[5:25, 3:43]).all()
    rgb = live_copy(consumer, rect=Rect(3, 5, 40, 20), form="rgb")
    assert (rgb.pixels == shown[5:25, 3:43, 2::-1]).all()
    view = consumer.live_view(consumer.mode, WINDOW)
    assert (view == shown).all()
    assert not view.flags.writeable
    assert not consumer.view(consumer.mode).any()


def test_live_window_can_be_withdrawn(producer, consumer):
    producer.set_live(0, 256)
    producer.set_live(0, 0)
    assert consumer.reader.live_number == 0
    assert live_copy(consumer) is None
    assert consumer.live_view(consumer.mode, WINDOW) is None
    producer.set_live(0, 256)
    assert consumer.reader.live_number == 2
    # The live window was of the old mode: a new mode has none until it is published.
    producer.set_mode(32, 32)
    assert consumer.reader.live_number == 0
    assert live_copy(consumer) is None


def test_live_window_does_not_end_a_wait(producer, consumer):
    pulse, version = consumer.reader.pulse, consumer.reader.version
    producer.set_live(0, 256)
    producer.set_live(512, 256)
    assert (consumer.reader.pulse, consumer.reader.version) == (pulse, version)


@pytest.mark.parametrize(
    ("offset", "stride", "size", "there"),
    [
        (0, 256, 48 * 256, True),
        (0, 256, 48 * 256 - 1, False),
        (1, 256, 48 * 256, False),
        (100, 400, 100 + 47 * 400 + 256, True),
        (100, 400, 99 + 47 * 400 + 256, False),
        (0, 255, 48 * 256, False),
        (0, 2**32 - 1, 48 * 256, False),
        (2**64 - 1, 256, 48 * 256, False),
        (2**64 - 48 * 256, 256, 48 * 256, False),
        (48 * 256, 256, 48 * 256, False),
        (0, 256, 0, False),
    ],
)
def test_a_live_window_outside_the_memory_is_refused(
    producer, consumer, offset, stride, size, there
):
    producer.set_live(offset, stride)
    assert (live_copy(consumer, WINDOW[:size]) is not None) is there
    assert (consumer.live_view(consumer.mode, WINDOW[:size]) is not None) is there
    # A part inside the memory is rejected too: the window counts as a whole.
    part = live_copy(consumer, WINDOW[:size], Rect(0, 0, 1, 1))
    assert (part is not None) is there


def test_a_surface_of_bytes_has_a_live_window_too(producer, consumer):
    producer.set_mode(64, 48, fourcc=R8)
    producer.set_live(0, 64)
    shown = WINDOW[: 64 * 48].reshape(48, 64)
    assert (consumer.live_view(consumer.mode, shown) == shown).all()
    assert (live_copy(consumer, shown).pixels == shown).all()


def test_a_copy_of_another_epoch_is_not_returned(producer, consumer):
    producer.set_live(0, 256)
    out = empty((48, 64, 4))
    before = out.copy()
    for epoch in (0, 2, 2**64 - 1):
        assert consumer.reader.copy(out, epoch, (0, 0, 64, 48), "bgrx", False, WINDOW) == -1
    assert (out == before).all()


@pytest.mark.parametrize("moves", ["window", "mode"])
def test_a_copy_during_which_pixels_move_is_not_returned(moves):
    """A large copy leaves the interpreter lock, and something moves under it, often.

    Two of three moves come at once, the third leaves time for a copy: however the threads are
    scheduled, some copies are in the way of a move and some are not.
    """
    side, capacity = 1024, 1024 * 1024 * 4
    memory = np.zeros(surface_size(capacity), np.uint8)
    producer = Producer.format(memory.data, capacity, incarnation=3)
    consumer = Consumer(memory.data)
    # Each place has a value of its own throughout, and so has each mode's.
    window = np.repeat(np.arange(4, dtype=np.uint8), capacity)
    ends = threading.Event()

    def move() -> None:
        turn = 0
        while not ends.wait(turn % 3 // 2 * 0.02):
            turn += 1
            if moves == "mode":
                width = side - turn % 2 * 512
                producer.set_mode(width, side)
                producer.set_live(capacity * (turn % 2), width * 4)
            else:
                producer.set_live(capacity * (turn % 4), side * 4)

    producer.set_mode(side, side)
    mover = threading.Thread(target=move)
    mover.start()
    refused = taken = 0
    try:
        while refused < 20 or taken < 20:
            try:
                copy = live_copy(consumer, window)
            except InconsistentError:
                refused += 1
                continue
            if copy is not None:
                taken += 1
                assert (copy.pixels == copy.pixels[0, 0, 0]).all()
                if moves == "mode":
                    assert copy.pixels[0, 0, 0] == (copy.mode.width == 512)
    finally:
        ends.set()
        mover.join()
