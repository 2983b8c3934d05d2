from __future__ import annotations

import pytest
from support.fake_display import RGB565, XRGB, Calls

from kju.sources.display1 import messages
from kju.sources.display1.frames import Splitter
from kju.sources.display1.listener import (
    CursorDefine,
    Disable,
    DisplayListener,
    Mistake,
    MouseSet,
    Scanout,
    ScanoutMap,
    Unannounced,
    Update,
    UpdateMap,
)
from kju.surface.geometry import Rect


class Talk:
    """A listener and its connection: bytes in, one reply and its events out."""

    def __init__(self, maps: bool = True) -> None:
        self.calls = Calls()
        self.listener = DisplayListener(maps)
        self.splitter = Splitter()

    def say(self, data, fds=()):
        (message,) = self.splitter.receive_data(data, fds)
        reply, events = self.listener.receive(message)
        answer = Splitter().receive_data(reply)
        assert len(answer) <= 1
        if answer:
            assert answer[0].reply_serial == self.calls.serial
        return (answer[0] if answer else None), events

    def mistake(self, data, fds=()) -> str:
        answer, (event,) = self.say(data, fds)
        assert answer.kind == 3
        assert isinstance(event, Mistake)
        return str(event.error)


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.mark.parametrize("maps", [True, False])
def test_interfaces_property_offers_maps(maps):
    talk = Talk(maps)
    path, interface = messages.LISTENER_PATH, messages.LISTENER
    expected = ("as", [messages.LISTENER_MAP] if maps else [])
    answer, _ = talk.say(talk.calls.bytes(messages.get_properties(path, interface)))
    assert answer.body == ({"Interfaces": expected},)
    answer, _ = talk.say(talk.calls.bytes(messages.get_property(path, interface, "Interfaces")))
    assert answer.body == (expected,)


def test_the_map_interface_has_no_properties(talk):
    path = messages.LISTENER_PATH
    answer, _ = talk.say(talk.calls.bytes(messages.get_properties(path, messages.LISTENER_MAP)))
    assert answer.body == ({},)
    missing = messages.get_property(path, messages.LISTENER_MAP, "Nothing")
    answer, _ = talk.say(talk.calls.bytes(missing))
    assert answer.error_name.endswith("UnknownProperty")


@pytest.mark.parametrize(
    "message",
    [
        messages.call(messages.LISTENER_PATH, messages.LISTENER, "Nothing"),
        messages.call(messages.LISTENER_PATH, "org.example.Odd", "Disable"),
        messages.call("/org/example", messages.LISTENER, "Disable"),
        messages.call(messages.LISTENER_PATH, messages.LISTENER, "Disable", "u", 1),
        messages.get_properties(messages.LISTENER_PATH, "org.example.Odd"),
    ],
)
def test_unknown_method_or_property_gets_an_error_reply(talk, message):
    answer, events = talk.say(talk.calls.bytes(message))
    assert answer.kind == 3
    assert events == ()


def test_ping_is_answered(talk):
    answer, _ = talk.say(talk.calls.bytes(messages.call("/", messages.PEER, "Ping")))
    assert answer.kind == 2


def test_call_that_expects_no_reply_gets_none(talk):
    calls = talk.calls
    assert talk.say(calls.listener("Disable", reply=False)) == (None, (Disable(),))
    assert talk.say(calls.listener("Nothing", reply=False)) == (None, ())
    answer, (event,) = talk.say(calls.listener("MouseSet", "iii", 1 << 30, 0, 1, reply=False))
    assert answer is None
    assert isinstance(event, Mistake)


def test_scanout_and_update(talk):
    answer, (event,) = talk.say(talk.calls.scanout(4, 2, range(32)))
    assert answer.kind == 2
    assert isinstance(event, Scanout)
    assert (event.width, event.height, event.stride) == (4, 2, 16)
    assert event.source_format == "xrgb8888"
    assert bytes(event.data) == bytes(range(32))
    assert talk.listener.size == (4, 2)
    _, (event,) = talk.say(talk.calls.update((1, 1, 3, 1), bytes(6), 6, RGB565))
    assert isinstance(event, Update)
    assert event.rect == Rect(1, 1, 3, 1)
    assert event.source_format == "rgb565"


def test_scanout_map_and_update(talk):
    fd = object()
    answer, (event,) = talk.say(talk.calls.scanout_map(4, 2, stride=32, offset=8), [fd])
    assert answer.kind == 2
    assert isinstance(event, ScanoutMap)
    assert event.fd is fd
    assert (event.offset, event.stride) == (8, 32)
    assert talk.say(talk.calls.update_map(0, 0, 4, 2))[1] == (UpdateMap(Rect(0, 0, 4, 2)),)


def test_listener_without_maps_rejects_maps():
    talk = Talk(maps=False)
    answer, events = talk.say(talk.calls.scanout_map(4, 2), [object()])
    assert answer.error_name.endswith("UnknownMethod")
    assert events == ()


@pytest.mark.parametrize(
    ("width", "height", "stride", "size", "code"),
    [
        (0, 2, 16, 32, XRGB),
        (4, 0, 16, 32, XRGB),
        (4, 2, 15, 32, XRGB),
        (4, 2, 16, 31, XRGB),
        (4, 2, 1 << 31, 32, XRGB),
        (1 << 30, 1 << 30, 4, 32, XRGB),
        (16385, 1, 16385 * 4, 16385 * 4, XRGB),
        (4, 2, 16, 32, 0x12345678),
        (4, 2, 16, 32, 0),
    ],
)
def test_impossible_pictures_are_rejected_and_change_nothing(
    talk, width, height, stride, size, code
):
    talk.say(talk.calls.scanout(8, 8, bytes(256)))
    talk.mistake(talk.calls.listener("Scanout", "uuuuay", width, height, stride, code, bytes(size)))
    talk.mistake(
        talk.calls.listener("Update", "iiiiuuay", 0, 0, width, height, stride, code, bytes(size))
        if size != 32 or code != XRGB or stride != 16
        else talk.calls.listener("Update", "iiiiuuay", 0, 0, width, height, 3, code, bytes(size))
    )
    assert talk.listener.size == (8, 8)


@pytest.mark.parametrize(
    ("offset", "width", "height", "stride", "code"),
    [
        (0, 0, 2, 16, XRGB),
        (0, 4, 2, 15, XRGB),
        (0, 4, 2, 0xFFFFFFFF, XRGB),
        (0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, XRGB),
        (0, 4, 2, 16, 7),
    ],
)
def test_impossible_maps_are_rejected(talk, offset, width, height, stride, code):
    data = talk.calls.map_listener("ScanoutMap", "huuuuu", 0, offset, width, height, stride, code)
    talk.mistake(data, [object()])
    assert talk.listener.size is None


@pytest.mark.parametrize(
    "rect", [(-1, 0, 1, 1), (0, 0, 5, 1), (0, 1, 1, 2), (0, 0, 0, 1), (0, 0, 1, -1)]
)
def test_map_updates_outside_the_picture_are_rejected(talk, rect):
    talk.say(talk.calls.scanout_map(4, 2), [object()])
    assert "not a part of" in talk.mistake(talk.calls.update_map(*rect))


def test_map_updates_need_a_map(talk):
    assert "was not sent as a map" in talk.mistake(talk.calls.update_map(0, 0, 1, 1))
    talk.say(talk.calls.scanout(4, 2, bytes(32)))
    assert "was not sent as a map" in talk.mistake(talk.calls.update_map(0, 0, 1, 1))


def test_update_outside_the_picture_is_reported_as_unannounced(talk):
    rect = (0, 0, 8, 1)
    assert talk.say(talk.calls.update(rect, bytes(32)))[1] == (Unannounced(Rect(*rect)),)
    talk.say(talk.calls.scanout(4, 2, bytes(32)))
    assert talk.say(talk.calls.update(rect, bytes(32)))[1] == (Unannounced(Rect(*rect)),)
    talk.mistake(talk.calls.update((-1, 0, 1, 1), bytes(4)))
    talk.mistake(talk.calls.update((0x7FFFFFFF, 0, 1, 1), bytes(4)))


def test_dmabuf_is_rejected(talk):
    body = (0, 4, 2, 16, 0, 0, False)
    answer, (event,) = talk.say(talk.calls.listener("ScanoutDMABUF", "huuuutb", *body), [1])
    assert answer.kind == 3
    assert "gl=on" in str(event.error)


def test_disable_clears_the_size(talk):
    talk.say(talk.calls.scanout(4, 2, bytes(32)))
    assert talk.say(talk.calls.listener("Disable"))[1] == (Disable(),)
    assert talk.listener.size is None


def test_cursor(talk):
    data = talk.calls.listener("CursorDefine", "iiiiay", 2, 1, 9, -9, b"abcdefgh")
    assert talk.say(data)[1] == (CursorDefine(2, 1, 1, 0, b"abcdefgh"),)
    assert talk.say(talk.calls.listener("MouseSet", "iii", -3, 4, 1))[1] == (MouseSet(-3, 4, True),)


@pytest.mark.parametrize(
    ("width", "height", "size"), [(0, 1, 0), (513, 1, 2052), (-1, -1, 4), (2, 2, 15), (2, 2, 17)]
)
def test_impossible_cursors_are_rejected(talk, width, height, size):
    talk.mistake(talk.calls.listener("CursorDefine", "iiiiay", width, height, 0, 0, bytes(size)))


def test_invalid_body_gets_an_error_reply(talk):
    data = talk.calls.listener("MouseSet", "iii", 1, 2, 3).replace(b"\3iii\0", b"\3iiZ\0")
    talk.mistake(data)


def test_replies_and_signals_are_ignored(talk):
    assert talk.say(messages.method_return(3, 4)) == (None, ())
