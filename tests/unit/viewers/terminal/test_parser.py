"""Terminal input: bytes in, events out, wherever they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.keys import NUMBERS
from kju.viewers.terminal.parser import (
    LETTERS,
    NUMBERED,
    ChordTyped,
    FocusChanged,
    InputParser,
    KeyChange,
    KittySupported,
    MouseButton,
    MouseMoved,
    TextTyped,
    WheelTurned,
)


def parsed(data, kitty=False, flush=True):
    parser = InputParser()
    parser.kitty = kitty
    return [*parser.feed(data), *(parser.flush() if flush else ())]


def chord(text):
    return ChordTyped(tuple(NUMBERS[name] for name in text.split()))


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b"a", TextTyped("a")),
        ("grüße 日本".encode(), TextTyped("grüße 日本")),
        (b"\r", chord("ret")),
        (b"\t", chord("tab")),
        (b"\x7f", chord("backspace")),
        (b"\x03", chord("ctrl c")),
        (b"\x1a", chord("ctrl z")),
        (b"\x00", chord("ctrl spc")),
        (b"\x1d", chord("ctrl bracket_right")),
        (b"\x1b", chord("esc")),
        (b"\x1b[A", chord("up")),
        (b"\x1bOA", chord("up")),
        (b"\x1b[1;5C", chord("ctrl right")),
        (b"\x1b[1;4D", chord("shift alt left")),
        (b"\x1b[Z", chord("shift tab")),
        (b"\x1bOP", chord("f1")),
        (b"\x1b[[B", chord("f2")),
        (b"\x1b[15~", chord("f5")),
        (b"\x1b[24;2~", chord("shift f12")),
        (b"\x1b[3~", chord("delete")),
        (b"\x1bx", chord("alt x")),
        (b"\x1bX", chord("alt shift x")),
        (b"\x1b\x17", chord("ctrl alt w")),
        (b"\x1b\r", chord("alt ret")),
        (b"\x1b[97;5u", chord("ctrl a")),
        (b"\x1b[I", FocusChanged(True)),
        (b"\x1b[O", FocusChanged(False)),
        (b"\x1b[?0u", KittySupported()),
        (b"\x1b[?31u", KittySupported()),
    ],
)
def test_keys_of_a_terminal_without_the_protocol(data, event):
    assert parsed(data) == [event]


@pytest.mark.parametrize(
    ("data", "key", "down", "repeat"),
    [
        (b"\x1b[97u", "a", True, False),
        (b"\x1b[97;1:1u", "a", True, False),
        (b"\x1b[97;1:2u", "a", True, True),
        (b"\x1b[97;1:3u", "a", False, False),
        (b"\x1b[97:65;2;65u", "a", True, False),
        (b"\x1b[57442;5u", "ctrl", True, False),
        (b"\x1b[57448;1:3u", "ctrl_r", False, False),
        (b"\x1b[57453u", "alt_r", True, False),
        (b"\x1b[13u", "ret", True, False),
        (b"\x1b[27;1:3u", "esc", False, False),
        (b"\x1b[1;1:3A", "up", False, False),
        (b"\x1b[1;5:2D", "left", True, True),
        (b"\x1b[15;1:3~", "f5", False, False),
        (b"\x1b[57400u", "kp_1", True, False),
        # A Cyrillic and a German layout: the key's place on a US keyboard counts.
        (b"\x1b[1092::97;1u", "a", True, False),
        (b"\x1b[122::121u", "y", True, False),
    ],
)
def test_kittys_protocol_reports_keys_by_their_place(data, key, down, repeat):
    assert parsed(data, kitty=True) == [KeyChange(NUMBERS[key], down, repeat)]


def test_a_key_without_a_known_place_types_its_text():
    assert parsed(b"\x1b[1092;1;1092u", kitty=True) == [TextTyped("ф")]
    assert parsed(b"\x1b[1092;1:3u", kitty=True) == []


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"\x1b[<35;1;1M", [MouseMoved(0, 0)]),
        (b"\x1b[<0;10;5M", [MouseMoved(9, 4), MouseButton("left", True)]),
        (b"\x1b[<2;10;5m", [MouseMoved(9, 4), MouseButton("right", False)]),
        (b"\x1b[<32;10;5M", [MouseMoved(9, 4)]),
        (b"\x1b[<16;10;5M", [MouseMoved(9, 4), MouseButton("left", True)]),
        (b"\x1b[<128;1;1M", [MouseMoved(0, 0), MouseButton("side", True)]),
        (b"\x1b[<64;2;3M", [MouseMoved(1, 2), WheelTurned(-1, 0)]),
        (b"\x1b[<67;2;3M", [MouseMoved(1, 2), WheelTurned(0, 1)]),
        (b"\x1b[<0;0;0M", [MouseMoved(0, 0), MouseButton("left", True)]),
    ],
)
def test_mouse_reports_are_parsed(data, events):
    assert parsed(data) == events


def test_a_paste_is_text_and_presses_no_control_key():
    data = b"\x1b[200~one\rtwo\r\n\x03\x1b[31m\xe2\x82\xac\x1b[201~\x03"
    assert parsed(data) == [TextTyped("one\ntwo\n[31m€"), chord("ctrl c")]


@pytest.mark.parametrize(
    "data", [b"\x1b[1;2;3;4;5;6t", b"\x1b[>1;2c", b"\x1b[?62;22c", b"\x1b[99~", b"\x1b[9999999999A",
             b"\x1b[1$y", b"\x1b[<1M", b"\x1b[1114112u", b"\x1bOz", b"\x1b[57999u"],
)  # fmt: skip
def test_unknown_sequences_are_dropped(data):
    assert parsed(data) == []
    assert parsed(data + b"q") == [TextTyped("q")]


WHOLE = (
    "añ€日😀".encode() + b"\x1b[1;5C\x1b[<0;10;5M\x1b[97;1:3u\x1bOP\x1b[[B\x1b[I"
    b"\x1b[200~p\xe2\x82\xac\rq\x1b[201~\x03\x1b\x17z"
)


@given(st.lists(st.integers(0, len(WHOLE))), st.booleans())
def test_input_may_be_split_anywhere(cuts, kitty):
    parser = InputParser()
    parser.kitty = kitty
    events = []
    edges = [0, *sorted(cuts), len(WHOLE)]
    for start, end in pairwise(edges):
        events += parser.feed(WHOLE[start:end])
    assert not parser.waits
    assert joined(events) == joined(parsed(WHOLE, kitty))


def joined(events):
    """Neighbouring texts as one."""
    out = []
    for event in events:
        if out and isinstance(event, TextTyped) and isinstance(out[-1], TextTyped):
            out[-1] = TextTyped(out[-1].text + event.text)
        else:
            out.append(event)
    return out


def test_a_lone_escape_waits_and_is_the_esc_key():
    parser = InputParser()
    assert parser.feed(b"\x1b") == []
    assert parser.waits
    assert parser.flush() == [chord("esc")]
    assert not parser.waits
    assert parser.feed(b"\x1b[") == []
    assert parser.flush() == [chord("esc"), TextTyped("[")]


PARTS = st.lists(
    st.sampled_from([b"\x1b", b"[", b"<", b"?", b";", b":", b"200~", b"201~", b"1", b"u", b"M",
                     b"O", b"\xe2", b"\x82", b"\x00", b"a", b"57442", b"\r", b"\n",
                     b"\x1b[200~", b"\x1b[201~"])
)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), PARTS.map(b"".join)), st.booleans(), st.integers(0, 300))
def test_any_input_gives_the_same_events_however_it_is_split(data, kitty, at):
    parser = InputParser()
    parser.kitty = kitty
    split = [*parser.feed(data[:at]), *parser.feed(data[at:]), *parser.flush()]
    assert joined(split) == joined(parsed(data, kitty))


def test_a_line_end_of_a_paste_may_be_split():
    data = b"\x1b[200~one\r\ntwo\x1b[201~"
    for at in range(len(data)):
        parser = InputParser()
        assert joined([*parser.feed(data[:at]), *parser.feed(data[at:])]) == [TextTyped("one\ntwo")]


def test_characters_after_half_a_character_are_typed_once():
    parser = InputParser()
    assert parser.feed(b"\xe0 ") == [TextTyped(" ")]
    assert not parser.waits
    assert parser.feed(b"a") == [TextTyped("a")]


@given(PARTS, st.booleans())
def test_every_sequence_ends_without_an_error(parts, kitty):
    parser = InputParser()
    parser.kitty = kitty
    for part in parts:
        parser.feed(part)
    parser.feed(b"\x1b[201~")
    for _ in range(len(parts) + 2):
        parser.flush()
    assert not parser.waits


def test_every_named_key_exists():
    assert {*LETTERS.values(), *NUMBERED.values()} <= set(NUMBERS)
