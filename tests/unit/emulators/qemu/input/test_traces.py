"""QEMU's traces are taken out of what it prints, however that is cut."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from kju.emulators.qemu.input.traces import MAX_LINE, Traces

words = st.sampled_from(
    [b"event", b"even", b"event 1", b"other", b" ", b"\n", b"\r", b"\x0b", b"\t"]
)
texts = st.lists(words, max_size=12).map(b"".join)


def passed_on(parts: list[bytes]) -> tuple[bytes, list[bytes]]:
    heard: list[bytes] = []
    traces = Traces()
    traces.listen("event", heard.append)
    return b"".join(map(traces.receive_data, [*parts, b"\n"])), heard


def test_lines_of_an_event_are_heard_and_no_others() -> None:
    said = b"QEMU says\nevent 1 2\neventually\n event\nevent\r\n"
    assert passed_on([said]) == (
        b"QEMU says\neventually\n event\n\n",
        [b"event 1 2\n", b"event\r\n"],
    )


@given(texts, st.lists(st.integers(0, 40), max_size=4))
@example(b"event\rmore", [])
@example(b"\x0bevent\n", [1])
@example(b"event".ljust(MAX_LINE - 1) + b"\n", [9])
@example(b"event".ljust(MAX_LINE) + b"\n", [MAX_LINE])
def test_a_cut_changes_nothing_and_no_byte_is_lost(text: bytes, places: list[int]) -> None:
    ends = sorted(min(place, len(text)) for place in places)
    parts = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    rest, heard = passed_on(parts)
    assert (rest, heard) == passed_on([text])
    assert len(rest) + sum(map(len, heard)) == len(text) + 1
