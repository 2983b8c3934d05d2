"""Blocks as they are: for a link that is faster than any compression."""

from __future__ import annotations

from .block_codec import BlockCodec


def _compress(data: bytes) -> bytes:
    return data


def _decompress(data: bytes, size: int) -> bytes:
    return data


RAW = BlockCodec("raw", _compress, _decompress, is_offered=True)
