"""Blocks in every codec: there and back, and blocks that lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.wire_scene import Scene

from kju.errors import PeerError
from kju.wire import blocks
from kju.wire.encoder import Encoder
from kju.wire.messages import MAX_BLOCK, Codec

CODECS = blocks.known()


def test_all_are_known_where_all_is_installed() -> None:
    pytest.importorskip("lz4")
    assert CODECS == ("zstd", "lz4", "raw")


@pytest.mark.parametrize("codec", CODECS)
@given(st.binary(max_size=2000), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_what_is_compressed_comes_back(codec: Codec, data: bytes, times: int) -> None:
    packed = blocks.compress(data * times, codec)
    assert blocks.decompress(packed, len(data) * times, codec) == data * times


@pytest.mark.parametrize("codec", CODECS)
@given(st.binary(max_size=400), st.integers(0, 5000))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_block_of_the_size_or_an_error(
    codec: Codec, data: bytes, size: int
) -> None:
    try:
        assert len(blocks.decompress(data, size, codec)) == size
    except PeerError as error:
        assert "block" in str(error)


@pytest.mark.parametrize("codec", CODECS)
def test_a_block_that_becomes_another_size_is_an_error(codec: Codec) -> None:
    packed = blocks.compress(bytes(1000), codec)
    for size in (0, 999, 1001, MAX_BLOCK):
        with pytest.raises(PeerError, match="block"):
            blocks.decompress(packed, size, codec)
    bomb = blocks.compress(bytes(MAX_BLOCK + 1), codec)
    with pytest.raises(PeerError, match="limit"):
        blocks.decompress(bomb, MAX_BLOCK + 1, codec)


@pytest.mark.parametrize("codec", CODECS)
def test_a_session_in_any_codec_ends_equal(codec: Codec) -> None:
    scene, rng = Scene(make=lambda consumer: Encoder(consumer, codec)), np.random.default_rng(1)
    scene.producer.set_mode(320, 240)
    viewer = scene.view(codecs=[codec])
    for _ in range(4):
        pixels = scene.producer.pixels.copy()
        pixels[20:200, 30:300] = rng.integers(0, 256, (180, 270, 4))
        pixels[40:60] = 7
        scene.producer.compare(pixels)
        scene.producer.set_cursor(rng.integers(0, 256, (16, 16, 4), np.uint8), 16, 16, 3, 4)
        scene.settle()
    assert viewer.receiver.welcome is not None
    assert viewer.receiver.welcome.codec == codec
