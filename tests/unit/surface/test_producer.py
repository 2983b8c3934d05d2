"""A producer on a bytearray: what is refused, and that a refusal changes nothing."""

import pytest

from kju.errors import FormatError, GeometryError
from kju.surface import State, surface_size
from kju.surface.formats import R8, XR24
from kju.surface.geometry import Rect
from kju.surface.producer import Producer

CAPACITY = 64 * 48 * 4


def test_memory_too_small():
    size = surface_size(CAPACITY)
    with pytest.raises(GeometryError, match=str(size)):
        Producer.format(bytearray(size - 1), CAPACITY, incarnation=1)


def test_memory_that_is_read_only():
    with pytest.raises((BufferError, TypeError)):
        Producer.format(bytes(surface_size(CAPACITY)), CAPACITY, incarnation=1)


BAD_MODES = [(0, 1), (1, 0), (-1, 4), (4, -1), (65536, 1), (2**32 + 64, 48), (65, 48), (2**70, 1)]


@pytest.mark.parametrize("size", BAD_MODES)
def test_a_bad_mode_changes_nothing(memory, producer, size):
    producer.set_mode(8, 8)
    before = bytes(memory)
    with pytest.raises(GeometryError):
        producer.set_mode(*size)
    assert memory == before
    assert producer.mode[:2] == (8, 8)


FRAME = bytes(CAPACITY)
BAD_CALLS = {
    "mode of no format": lambda p: p.set_mode(8, 8, fourcc=0),
    "mode of a fourcc that is cut": lambda p: p.set_mode(8, 8, fourcc=XR24 + 2**32),
    "mode with a short source": lambda p: p.set_mode(8, 8, source=bytes(255)),
    "mode with an empty source": lambda p: p.set_mode(8, 8, source=b""),
    "mode with bytes for colours": lambda p: p.set_mode(8, 8, source=FRAME, source_format="r8"),
    "bytes with colours": lambda p: p.set_mode(
        8, 8, fourcc=R8, source=FRAME, source_format="rgb888"
    ),
    "draw outside": lambda p: p.draw(Rect(60, 0, 5, 1), FRAME),
    "draw at a negative place": lambda p: p.draw(Rect(-1, 0, 5, 1), FRAME),
    "draw a negative size": lambda p: p.draw(Rect(0, 0, -5, 1), FRAME),
    "draw a place that wraps": lambda p: p.draw(Rect(2**32, 0, 1, 1), FRAME),
    "draw a size that wraps": lambda p: p.draw(Rect(1, 0, 2**32 - 1, 1), FRAME),
    "draw a short source": lambda p: p.draw(Rect(0, 0, 2, 2), bytes(15)),
    "draw at a source's end": lambda p: p.draw(Rect(0, 0, 2, 2), bytes(16), offset=1),
    "draw a stride below a row": lambda p: p.draw(Rect(0, 0, 2, 2), FRAME, stride=7),
    "draw a stride that wraps": lambda p: p.draw(Rect(0, 0, 2, 2), FRAME, stride=2**64 + 8),
    "draw a negative stride": lambda p: p.draw(Rect(0, 0, 2, 2), FRAME, stride=-8),
    "draw a negative offset": lambda p: p.draw(Rect(0, 0, 2, 2), FRAME, offset=-8),
    "draw a huge offset": lambda p: p.draw(Rect(0, 0, 2, 2), FRAME, offset=2**64 - 8),
    "compare a short frame": lambda p: p.compare(FRAME[:-1]),
    "compare outside": lambda p: p.compare(FRAME, rects=[Rect(0, 0, 1, 1), Rect(0, 47, 1, 2)]),
    "publish outside": lambda p: p.publish([Rect(0, 0, 1, 1), Rect(0, 48, 1, 1)]),
    "publish a range outside": lambda p: p.publish_range(1, len(FRAME)),
    "publish a range that wraps": lambda p: p.publish_range(2**64, 4),
    "publish a negative range": lambda p: p.publish_range(-4, 4),
    "cursor too wide": lambda p: p.set_cursor(bytes(513 * 4), 513, 1, 0, 0),
    "cursor of too few bytes": lambda p: p.set_cursor(bytes(15), 2, 2, 0, 0),
    "cursor of too many bytes": lambda p: p.set_cursor(bytes(17), 2, 2, 0, 0),
    "cursor that wraps": lambda p: p.set_cursor(bytes(16), 2**32 + 2, 2, 0, 0),
    "cursor far away": lambda p: p.move_cursor(2**31, 0, True),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_changes_nothing(memory, producer, consumer, name):
    before = bytes(memory)
    with pytest.raises(GeometryError):
        BAD_CALLS[name](producer)
    assert memory == before
    producer.draw(Rect(0, 0, 1, 1), b"abcd")  # and the producer goes on
    assert consumer.reader.version == 2


@pytest.mark.parametrize("name", ["", "XRGB8888", "argb", "bgrx"])
def test_an_unknown_source_format(memory, producer, consumer, name):
    before = bytes(memory)
    for call in (
        lambda: producer.set_mode(8, 8, source=FRAME, source_format=name or "?"),
        lambda: producer.draw(Rect(0, 0, 1, 1), FRAME, source_format=name or "?"),
        lambda: producer.compare(FRAME, source_format=name or "?"),
    ):
        with pytest.raises(FormatError):
            call()
    assert memory == before


@pytest.mark.parametrize(
    ("reason", "read"),
    [("x" * 500, "x" * 127), ("\u00e9" * 100, "\u00e9" * 63), ("a\0b", "a b"), ("\udc80", "?")],
)
def test_reasons_are_cut_at_a_letter(producer, consumer, reason, read):
    producer.set_state(State.UNAVAILABLE, reason)
    assert consumer.state == (State.UNAVAILABLE, read)


def test_a_state_that_there_is_not(producer):
    with pytest.raises(ValueError, match="state is 1 to 6"):
        producer.set_state(7)
