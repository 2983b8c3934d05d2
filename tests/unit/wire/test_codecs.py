"""Blocks in every codec, and invalid blocks."""

from __future__ import annotations

import importlib
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.wire_scene import Scene

from kju.client.requests import check_codec
from kju.errors import PeerError
from kju.protocol.launch_options import Remote
from kju.wire import codecs
from kju.wire.encoder import Encoder, Encoders
from kju.wire.messages import MAX_BLOCK, SessionHello

CODECS = codecs.available()


def test_every_codec_is_known_with_all_packages() -> None:
    pytest.importorskip("lz4")
    assert CODECS == ("zstd", "lz4", "raw")


@pytest.mark.parametrize("codec", CODECS)
@given(st.binary(max_size=2000), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_compression_is_reversible(codec: str, data: bytes, times: int) -> None:
    packed = codecs.compress(data * times, codec)
    assert codecs.decompress(packed, len(data) * times, codec) == data * times


@pytest.mark.parametrize("codec", CODECS)
@given(st.binary(max_size=400), st.integers(0, 5000))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_block_of_the_size_or_an_error(codec: str, data: bytes, size: int) -> None:
    try:
        assert len(codecs.decompress(data, size, codec)) == size
    except PeerError as error:
        assert "block" in str(error)


@pytest.mark.parametrize("codec", CODECS)
def test_a_block_that_becomes_another_size_is_an_error(codec: str) -> None:
    packed = codecs.compress(bytes(1000), codec)
    for size in (0, 999, 1001, MAX_BLOCK):
        with pytest.raises(PeerError, match="block"):
            codecs.decompress(packed, size, codec)
    bomb = codecs.compress(bytes(MAX_BLOCK + 1), codec)
    with pytest.raises(PeerError, match="limit"):
        codecs.decompress(bomb, MAX_BLOCK + 1, codec)


@pytest.mark.parametrize("codec", CODECS)
def test_a_session_in_any_codec_ends_equal(codec: str) -> None:
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


def test_a_codec_is_one_value_and_one_entry_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bz2_codec.py").write_text(
        "import bz2\n"
        "from kju.errors import PeerError\n"
        "from kju.wire.codecs import BlockCodec\n"
        "def decompress(data, size):\n"
        "    try:\n"
        "        return bz2.BZ2Decompressor().decompress(data, size)\n"
        "    except (OSError, EOFError) as error:\n"
        "        raise PeerError(f'a block is not bz2: {error}') from error\n"
        "BZ2 = BlockCodec('bz2', bz2.compress, decompress, library='bz2', is_offered=True)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    codec = importlib.import_module("bz2_codec").BZ2
    monkeypatch.setitem(codecs.CODECS, codec.name, codec)

    assert codecs.available()[-1] == codecs.offered()[-1] == "bz2"
    assert check_codec("bz2") == "bz2"
    remote = Remote(connect=["tcp/127.0.0.1:1"], codec="bz2")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(remote), type=Remote) == remote
    assert codecs.offered("bz2")[0] == "bz2"
    hello = SessionHello(1, "view", ["bz2"], 1)
    assert Encoders(Scene().consumer).for_viewer(hello).codec == "bz2"
    test_a_session_in_any_codec_ends_equal("bz2")
    with pytest.raises(PeerError, match="not bz2"):
        codecs.decompress(b"something else", 10, "bz2")


@pytest.mark.parametrize("codec", CODECS)
def test_several_threads_use_a_codec_at_the_same_time(codec: str) -> None:
    """Each mirror of a process draws in a thread of its own, and each server sends in one."""
    blocks = [random.Random(1).randbytes(200) * times for times in (5, 50, 300, 2000)]

    def go_there_and_back() -> bool:
        return all(
            codecs.decompress(codecs.compress(block, codec), len(block), codec) == block
            for _ in range(100)
            for block in blocks
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(each.result() for each in [pool.submit(go_there_and_back) for _ in range(16)])
