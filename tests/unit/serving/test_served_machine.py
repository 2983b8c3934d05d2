"""The bodies of viewers' inputs, which are hostile."""

from __future__ import annotations

import msgspec
import pytest

from kju.errors import UsageError
from kju.protocol.messages import Keys
from kju.serving.served_machine import decode_input


def test_an_input_is_decoded() -> None:
    keys = Keys(steps=[(30, True)])
    assert decode_input(msgspec.msgpack.encode(keys)) == keys


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\x81\xa4type\xa2\xff\xff",
        b"\x83\xa4type\xa4keys\xa5steps\x90\xa1x" + b"\x91" * 12_000 + b"\xc0",
    ],
    ids=["empty", "not msgpack", "no type", "not UTF-8", "nested"],
)
def test_an_invalid_input_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError, match="not a valid input"):
        decode_input(body)
