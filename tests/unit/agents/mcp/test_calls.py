"""Output of a serial port as text."""

from __future__ import annotations

import pytest

from kju.agents.mcp.calls import _characters

EURO = "\N{EURO SIGN}".encode()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (EURO, "\N{EURO SIGN}"),
        (EURO[1:] + b"a", "a"),
        (b"a" + EURO[:2], "a"),
        (EURO[2:], ""),
        (b"a\xffb", "a\ufffdb"),
        (b"\x80" * 5, "\ufffd\ufffd"),
    ],
)
def test_a_character_that_was_cut_is_left_out(data: bytes, text: str) -> None:
    assert _characters(data) == text
