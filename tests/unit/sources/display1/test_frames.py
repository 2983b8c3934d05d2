from __future__ import annotations

import struct

import pytest
from jeepney import low_level
from support.fake_display import XRGB, Calls

from kju.errors import PeerError
from kju.sources.display1 import messages
from kju.sources.display1.frames import BUFFER, SHRINK_AFTER, Received, RejectedMessage, Splitter


def test_call_is_parsed_as_it_was_built():
    data = Calls().listener("MouseSet", "iii", 3, -4, 1)
    (message,) = Splitter().receive_data(data)
    assert isinstance(message, Received)
    assert (message.kind, message.member, message.signature) == (1, "MouseSet", "iii")
    assert message.body == (3, -4, 1)
    assert message.wants_reply
    assert message.interface == messages.LISTENER
    assert message.path == messages.LISTENER_PATH


def test_no_reply_expected_flag_is_read():
    data = Calls().listener("MouseSet", "iii", 0, 0, 1, reply=False)
    (message,) = Splitter().receive_data(data)
    assert not message.wants_reply


def test_pixels_are_a_read_only_view():
    (message,) = Splitter().receive_data(Calls().scanout(2, 1, b"abcdefgh"))
    assert message.body[:4] == (2, 1, 8, XRGB)
    assert bytes(message.body[4]) == b"abcdefgh"
    assert message.body[4].readonly


def test_big_endian_is_read():
    head = struct.pack(">cBBBII", b"B", 1, 0, 1, 12, 7)
    fields = {1: messages.LISTENER_PATH, 2: messages.LISTENER, 3: "MouseSet", 8: "iii"}
    typed = {low_level.HeaderFields(k): v for k, v in fields.items()}
    head += low_level.serialise_header_fields(typed, low_level.Endianness.big)
    head += bytes(-len(head) % 8)
    (message,) = Splitter().receive_data(head + struct.pack(">iii", 1, 2, 3))
    assert message.body == (1, 2, 3)


def test_size_over_the_limit_is_rejected_before_memory_is_allocated():
    splitter = Splitter(limit=1000)
    head = struct.pack("<cBBBIII", b"l", 1, 0, 1, 990, 1, 100)
    with pytest.raises(PeerError, match="the limit is 1000"):
        splitter.receive_data(head)
    assert splitter.capacity == BUFFER


def test_memory_of_a_declared_size_is_not_touched_before_the_bytes_arrive():
    splitter = Splitter()
    head = struct.pack("<cBBBIII", b"l", 1, 0, 1, 60 << 20, 1, 8)
    assert splitter.receive_data(head) == []
    assert len(splitter.get_buffer()) >= 60 << 20  # address space only


@pytest.mark.parametrize("first", [b"\0", b"L", b"\xff"])
def test_unknown_byte_order_ends_the_stream(first):
    splitter = Splitter()
    with pytest.raises(PeerError, match="starts with byte"):
        splitter.receive_data(first + bytes(15))
    with pytest.raises(PeerError):
        splitter.get_buffer()


def test_messages_before_a_broken_frame_are_returned():
    splitter = Splitter()
    (message,) = splitter.receive_data(Calls().listener("Disable") + bytes(16))
    assert message.member == "Disable"
    with pytest.raises(PeerError):
        splitter.receive_data(b"")


def patched(data: bytes, find: bytes, replace: bytes) -> bytes:
    assert data.count(find) == 1
    assert len(find) == len(replace)
    return data.replace(find, replace)


def hostile_bodies() -> dict[str, bytes]:
    calls = Calls()
    mouse = calls.listener("MouseSet", "iii", 1, 2, 3)
    strings = calls.listener("Odd", "s", "text")
    return {
        "signature cut": patched(mouse, b"iii\0", b"ii(\0"),
        "signature longer": patched(mouse, b"iii\0", b"ttt\0"),
        "unknown type": patched(mouse, b"iii\0", b"iiZ\0"),
        "bare dict entry": patched(mouse, b"iii\0", b"{i}\0"),
        "not UTF-8": patched(strings, b"text", b"te\xff\xfe"),
        "no end of string": patched(strings, b"text\0", b"textX"),
        "string too long": patched(strings, b"\4\0\0\0text", b"\xff\0\0\0text"),
        "array of nothing": calls.listener("Odd", "u", 8).replace(b"\1u\0", b"\1h\0"),
        "huge nesting": calls.listener("Odd", "ay", b"\1v\0" * 9000).replace(b"ay\0", b"av\0"),
    }


@pytest.mark.parametrize("name", hostile_bodies())
def test_invalid_body_is_rejected_and_the_stream_continues(name):
    splitter = Splitter()
    good = Calls().listener("Disable")
    refused, message = splitter.receive_data(hostile_bodies()[name] + good)
    assert isinstance(refused, RejectedMessage)
    assert isinstance(refused.error, PeerError)
    assert refused.error.received
    assert refused.message.serial > 0
    assert message.member == "Disable"


def test_array_of_empty_structs_does_not_hang_the_parser():
    body = struct.pack("<II", 4, 0)
    data = Calls().listener("Odd", "ai", [0]).replace(b"\2ai\0", b"\3a()")
    (refused,) = Splitter().receive_data(data)
    assert isinstance(refused, RejectedMessage)
    variant = b"\3a()\0" + body
    data = Calls().listener("Odd", "(yyyyyyyyyyyyy)", tuple(variant))
    data = data.replace(b"(yyyyyyyyyyyyy)", b"v" + b"y" * 14)
    (refused,) = Splitter().receive_data(data)
    assert "empty structs" in str(refused.error)


def test_large_messages_of_other_signatures_are_not_parsed():
    data = Calls().listener("Odd", "ai", [7] * 20000)
    (refused,) = Splitter().receive_data(data)
    assert isinstance(refused, RejectedMessage)
    assert "80004 bytes in signature" in str(refused.error)


@pytest.mark.parametrize("length", [0, 7, 9, 1 << 31])
def test_pixels_must_fill_the_message(length):
    data = Calls().scanout(2, 1, b"abcdefgh")
    data = patched(data, struct.pack("<I", 8) + b"abcd", struct.pack("<I", length) + b"abcd")
    (refused,) = Splitter().receive_data(data)
    assert isinstance(refused, RejectedMessage)


def test_descriptors_belong_to_the_message_that_declares_them():
    splitter, calls = Splitter(), Calls()
    first, second = object(), object()
    data = calls.scanout_map(4, 4) + calls.listener("Disable") + calls.scanout_map(4, 4)
    one, two, three = splitter.receive_data(data, [first, second])
    assert one.body[0] is first
    assert one.fds == (first,)
    assert two.fds == ()
    assert three.body[0] is second


def test_missing_descriptor_is_rejected():
    (refused,) = Splitter().receive_data(Calls().scanout_map(4, 4))
    assert "1 descriptors are declared, 0 were received" in str(refused.error)


def test_descriptor_that_no_message_declares_is_dropped():
    splitter = Splitter()
    message, refused = splitter.receive_data(Calls().listener("Disable"), [object()])
    assert message.fds == ()
    assert "without a message" in str(refused.error)
    (message,) = splitter.receive_data(Calls().scanout_map(4, 4), [7])
    assert message.body[0] == 7


def test_descriptors_are_bounded():
    splitter = Splitter(fd_limit=2)
    with pytest.raises(PeerError, match="the limit is 2"):
        splitter.receive_data(b"l", [1, 2, 3])


def test_grown_buffer_shrinks_again():
    splitter, calls = Splitter(), Calls()
    for message in splitter.receive_data(calls.scanout(512, 512, bytes(1 << 20))):
        assert len(message.body[4]) == 1 << 20
    assert splitter.capacity > 1 << 20
    for _ in range(SHRINK_AFTER + 3):
        splitter.receive_data(calls.update_map(0, 0, 1, 1))
    assert splitter.capacity == BUFFER


def test_replies_are_read():
    data = messages.method_return(5, 9, "v", (("au", [0, 1]),))
    data += messages.error(6, 10, "org.example.Odd", "why")
    good, bad = Splitter().receive_data(data)
    assert (good.kind, good.reply_serial, good.body) == (2, 5, (("au", [0, 1]),))
    assert (bad.kind, bad.reply_serial, bad.body) == (3, 6, ("why",))
    assert bad.error_name == "org.example.Odd"
