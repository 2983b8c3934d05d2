"""A log of input: its lines, and the times at which it is sent again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import FormatError
from kju.protocol.input_log import Input, decode, encode, schedule
from kju.protocol.messages import Keys, Point
from kju.protocol.values import Button, To

KEYS = Input(1.5, 0, [(0x1E, True), (0x1E, False)])
POINTER = Input(2.0, 1, [], [To(3, 4), Button(0, True)])
BOTH = Input(4.0, 0, [(0x1C, True)], [To(0, 0)])


def test_a_written_log_is_read_back() -> None:
    entries = [KEYS, POINTER, BOTH]
    text = b"".join(map(encode, entries))
    assert text.count(b"\n") == 3
    assert decode(text) == entries
    assert decode(text.replace(b"\n", b"\n\n")) == entries  # blank lines are skipped


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"time": "soon"}', b'{"time": 1, "keys": [[1]]}', b"\xff", b"[" * 9999]
)
def test_a_line_that_is_not_input_is_named(line: bytes) -> None:
    with pytest.raises(FormatError, match=r"^line 2 ") as raised:
        decode(encode(KEYS) + line)
    assert raised.value.found == line[:80]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    try:
        entries = decode(text)
    except FormatError:
        return
    assert decode(b"".join(map(encode, entries))) == entries


def test_times_count_from_the_first_entry_and_shrink_with_the_speed() -> None:
    sent = list(schedule([KEYS, POINTER, BOTH], 2))
    assert [delay for delay, _ in sent] == [0, 0.25, 1.25, 1.25]
    assert [type(request) for _, request in sent] == [Keys, Point, Keys, Point]
    assert [request.console for _, request in sent] == [0, 1, 0, 0]


def test_a_time_before_the_first_is_sent_at_once() -> None:
    assert [delay for delay, _ in schedule([POINTER, KEYS], 1)] == [0, 0]
