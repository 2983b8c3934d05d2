"""The messages of a WebSocket, against the vectors that the page's tests use too."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import websocket_vectors as vectors

from kju.errors import PeerError
from kju.web import messages as web
from kju.wire import messages as wire


def decode(sender: str, data: bytes) -> object:
    screen, message = web.split_frame(data)
    if screen == 0:
        decode_own = web.decode_from_page if sender == "page" else web.decode_from_server
        return decode_own(message)
    decode_wire = wire.decode_from_viewer if sender == "page" else wire.decode_from_sender
    return decode_wire(bytes(message))


def test_the_file_of_vectors_has_these_messages() -> None:
    assert vectors.FILE.read_text() == vectors.text()


@pytest.mark.parametrize("one", vectors.MESSAGES, ids=lambda one: one[0])
def test_decoding_a_vector_returns_its_message(one: tuple[str, str, int, object]) -> None:
    name, sender, screen, message = one
    found = next(each for each in vectors.vectors()["messages"] if each["name"] == name)
    data = bytes.fromhex(found["hex"])
    assert web.split_frame(data)[0] == screen
    assert decode(sender, data) == message


@pytest.mark.parametrize("sender", ["page", "server"])
@pytest.mark.parametrize("data", vectors.INVALID.values(), ids=vectors.INVALID)
def test_an_invalid_message_is_rejected(sender: str, data: str) -> None:
    with pytest.raises(PeerError):
        decode(sender, bytes.fromhex(data))


@given(st.integers(0, web.MAX_SCREEN), st.binary(min_size=1))
def test_a_frame_is_split_again(screen: int, data: bytes) -> None:
    assert web.split_frame(web.frame(screen, data)) == (screen, data)


def test_a_page_cannot_send_a_servers_message() -> None:
    message = web.ActionResult(1)
    with pytest.raises(PeerError):
        web.decode_from_page(web.encode(message)[1:])


def test_the_example_in_the_documentation_is_right() -> None:
    found = {each["name"]: each["hex"] for each in json.loads(vectors.FILE.read_text())["messages"]}
    assert found["open console 1"] == "009441ccc8a664656269616e01"
    assert msgspec.msgpack.encode(wire.InputDone(1, 1, 17)).hex() == "9618010111a0a0"
