"""The limit of the drawing work of one block, at the receiver and in the encoder."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.wire_scene import surface

from kju.errors import FormatError, PeerError
from kju.surface.consumer import Consumer
from kju.surface.geometry import Rect
from kju.wire import _wire, codecs, messages
from kju.wire.encoder import Encoder
from kju.wire.receiver_session import ReceiverSession

SIZE = (1280, 800, 4)
#: One colour over the whole picture, 10 bytes.
FILL = b"\0\0\0" + bytes([0xFF, 0x09]) + bytes([0x9F, 0x06]) + b"\1\2\3"
#: One pixel, 8 bytes.
DOT = bytes(5) + b"\1\2\3"
#: A copy of the whole picture onto itself.
COPY = b"\1\0\0" + bytes([0xFF, 0x09]) + bytes([0x9F, 0x06]) + b"\0\0"


@pytest.mark.parametrize("item", [FILL, COPY])
def test_items_cover_the_picture_a_few_times_at_most(item: bytes) -> None:
    passes = _wire.MAX_PASSES
    assert len(_wire.check(item * passes, SIZE)) == passes
    with pytest.raises(FormatError, match=f"too much work: at byte {passes * len(item)} "):
        _wire.check(item * (passes + 1), SIZE)
    with pytest.raises(FormatError, match="too much work"):
        _wire.check(item * passes + DOT, SIZE)


def test_items_are_limited_in_number() -> None:
    most = _wire.MAX_ITEMS
    assert len(_wire.check(DOT * most, SIZE)) == most
    with pytest.raises(FormatError, match=f"too much work: at byte {most * len(DOT)} "):
        _wire.check(DOT * (most + 1), SIZE)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_short_segment_that_draws_for_minutes_ends_the_session(codec: str) -> None:
    """Return half a million fills of the whole picture, in a few hundred bytes."""
    block = FILL * (messages.MAX_BLOCK // len(FILL))
    data = codecs.compress(block, codec)
    assert len(data) < 20_000
    target = surface(8 << 20)
    receiver = ReceiverSession(target)
    receiver.start("view", codecs=[codec])
    receiver.receive(messages.SessionWelcome(1, 1, codec, "view"), 0.0)
    receiver.receive(messages.ModeUpdate(1, 1, 1280, 800), 0.0)
    before, begun = target.version, time.process_time()
    with pytest.raises(PeerError, match="too much work"):
        receiver.receive(messages.Segment(2, 0, 1, 1, 0, len(block), data), 0.0)
    assert time.process_time() - begun < 1
    assert target.version == before
    assert not target.pixels.any()


def slanting(width: int, height: int, apart: int, step: int) -> np.ndarray:
    """Return parallel slanting lines: their rectangles overlap most."""
    picture = np.zeros((height, width, 4), np.uint8)
    for row in range(0, height, 8):
        start = row // 8 * step % apart
        for x in range(start, width, apart):
            picture[row : row + 8, x : x + 8, :3] = 255
    return picture


def test_the_encoder_sends_whole_tiles_instead_of_too_many_rectangles() -> None:
    """Each row of cells has two runs, none below another: more items than a block may have."""
    width, height = 1024, 2048
    cells = np.zeros((8, 8), bool)
    cells[0::2, [0, 5]] = cells[1::2, [1, 6]] = True
    board = np.indices((height // 64, width // 64)).sum(0) % 2 == 0
    changed = np.kron(board, cells.repeat(8, 0).repeat(8, 1)).astype(bool)
    picture = np.zeros((height, width, 4), np.uint8)
    picture[changed, :3] = 255
    tiles = [(x * 64, y * 64, 64, 64) for y, x in np.argwhere(board)]
    found = _wire.trim(np.zeros_like(picture), picture, (width, height, width * 4, 4), tiles)
    assert len(tiles) == 256
    assert len(found) == 4096

    producer = surface(8 << 20, tile=64)
    encoder = Encoder(Consumer(producer.memory), "raw")
    producer.set_mode(width, height)
    while encoder.advance(0.0):
        pass
    producer.begin()
    producer.pixels[...] = picture
    producer.publish([Rect(*tile) for tile in tiles])
    step = encoder.advance(0.0, max_bytes=messages.MAX_BLOCK)
    assert step is not None
    assert _wire.check(step.block.data, (width, height, 4)) == tiles
    assert np.array_equal(encoder.shadow, picture)


@given(
    st.integers(33, 60), st.integers(1, 60), st.sampled_from([8, 32, 64, 256]),
    st.sampled_from([(1024, 1024), (1600, 640), (500, 300)]), st.booleans(),
    st.integers(0, 1 << 30),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_the_encoder_stays_below_the_limits(
    apart: int, step: int, tile: int, size: tuple[int, int], isolated: bool, seed: int
) -> None:
    """Changed tiles between unchanged ones are not joined."""
    width, height = size
    producer = surface(8 << 20, tile=tile)
    encoder = Encoder(Consumer(producer.memory), "raw")
    producer.set_mode(width, height)
    picture = slanting(width, height, apart, step)
    if isolated:
        rng = np.random.default_rng(seed)
        tiles = rng.random((-(-height // 64), -(-width // 64))) < 0.5
        picture[~tiles.repeat(64, 0).repeat(64, 1)[:height, :width]] = 0
    for shown in (picture, np.roll(picture, 16, 0), np.roll(picture, 3, 1)):
        producer.begin()
        producer.pixels[...] = shown
        producer.publish([Rect(0, 0, width, height)])
        while taken := encoder.advance(0.0, max_bytes=messages.MAX_BLOCK):
            assert _wire.check(taken.block.data, (width, height, 4))
        assert np.array_equal(encoder.shadow[..., :3], shown[..., :3])
