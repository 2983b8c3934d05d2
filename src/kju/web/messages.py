"""The messages of a WebSocket between a page and its server.

A WebSocket carries several screens. Each of its binary messages begins with a varint, the number of
a screen on this socket. A message of the wire protocol (`kju.wire.messages`) about that screen
follows. The number 0 is the socket itself: its messages are defined here, in the same form.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from ..errors import PeerError
from ..wire.messages import (
    MAX_MESSAGE,
    Goodbye,
    Number,
    Reason,
    Serial,
    Text,
    WireMessage,
)

PROTOCOL = 1
SUBPROTOCOL = f"kju.{PROTOCOL}"
#: The most bytes of one WebSocket message from a page: the longest wire message and its number.
MAX_FRAME = MAX_MESSAGE + 1024 + 2
#: The highest number of a screen on one socket: two bytes as a varint.
MAX_SCREEN = (1 << 14) - 1
#: The most screens that are open on one socket.
MAX_OPEN = 64
#: The most machines of a wall.
MAX_WALL = 512
#: The most characters of a text that one action types.
MAX_TEXT = 8_192

WebRole = Literal["view", "control", "manage"]
WEB_ROLES: tuple[WebRole, ...] = get_args(WebRole)

ScreenNumber = Annotated[int, Meta(ge=1, le=MAX_SCREEN)]


# ---- from a page ----


class Authenticate(WireMessage, frozen=True, tag=64):
    """The first message on a socket without a cookie, such as that of an embedded page.

    Attributes:
        token: The token of a session, from ``POST /api/login``.
    """

    token: Annotated[str, Meta(max_length=128)]


class OpenScreen(WireMessage, frozen=True, tag=65):
    """Give a screen a number on this socket. The `SessionHello` with that number follows.

    Attributes:
        screen: A number that is not in use.
        machine: The machine's name.
        console: The index of its console.
    """

    screen: ScreenNumber
    machine: Text
    console: Annotated[int, Meta(ge=0, lt=16)] = 0


class CloseScreen(WireMessage, frozen=True, tag=66):
    """End the session of a screen. Its number is free again."""

    screen: ScreenNumber


class MachinesInView(WireMessage, frozen=True, tag=67):
    """The machines whose small pictures are in view, in place of those before.

    Attributes:
        machines: Their names.
    """

    machines: Annotated[list[Text], Meta(max_length=MAX_WALL)] = msgspec.field(default_factory=list)


class Act(WireMessage, frozen=True, tag=68):
    """An action on a machine. `ActionResult` answers it.

    Attributes:
        number: The number of the action on this socket; the first is 1.
        machine: The machine's name.
        action: A name in `kju.web.actions.ACTIONS`.
        arguments: By name.
    """

    number: Serial
    machine: Text
    action: Text
    arguments: dict[Text, str | int | bool | None] = msgspec.field(default_factory=dict)


class CancelAction(WireMessage, frozen=True, tag=69):
    """Cancel an action, which is answered all the same."""

    number: Serial


# ---- from the server ----


class SocketHello(WireMessage, frozen=True, tag=80):
    """The server's first message, after the authentication.

    Attributes:
        protocol: `PROTOCOL`.
        socket: The random id of this socket. The session of its screen N has the id ``socket.N``:
            see `SessionHello.previous`.
        build: The version of the page's files. A page of another version reloads itself.
        user: The name of the session.
        role: The role of the session.
        server: The host name of the server.
    """

    protocol: int
    socket: Text
    build: Text
    user: Text
    role: WebRole
    server: Text = ""


class WebMachine(msgspec.Struct, frozen=True, array_like=True):
    """A machine in `MachineList`.

    Attributes:
        name: Its name.
        kind: The kind of its emulator; empty for a machine that is off.
        state: Its state.
        consoles: The number of its screens.
        is_defined: It has a definition, so it can be started.
        pages: The number of pages of this server that show one of its screens.
    """

    name: Text
    kind: Text
    state: Literal["running", "paused", "off"]
    consoles: int = 1
    is_defined: bool = False
    pages: int = 0


class MachineList(WireMessage, frozen=True, tag=81):
    """All machines of the session, in place of the list before."""

    machines: list[WebMachine]


class ScreenClosed(WireMessage, frozen=True, tag=82):
    """A screen could not be opened, or its session has ended. Its number is free again."""

    screen: ScreenNumber
    reason: Reason


class ActionResult(WireMessage, frozen=True, tag=83):
    """The result of an action.

    Attributes:
        number: The number of the `Act`.
        data: The result, JSON.
        error: The name of the error; empty for success.
        reason: The text of the error.
    """

    number: Serial
    data: bytes = b"null"
    error: Text = ""
    reason: Reason = ""


class ActionProgress(WireMessage, frozen=True, tag=84):
    """The progress of an action that takes long.

    Attributes:
        number: The number of the `Act`.
        done: Parts that are done.
        total: All parts.
    """

    number: Serial
    done: Number
    total: Number


class SmallPicture(WireMessage, frozen=True, tag=85):
    """The newest small picture of a machine of the wall.

    Attributes:
        machine: The machine's name.
        version: The screen's version; another one for another picture.
        width: Pixels of the picture.
        height: Pixels of the picture.
        screen_width: Pixels of the screen.
        screen_height: Pixels of the screen.
        data: A JPEG.
    """

    machine: Text
    version: Number
    width: int
    height: int
    screen_width: int
    screen_height: int
    data: bytes


FromPage = Authenticate | OpenScreen | CloseScreen | MachinesInView | Act | CancelAction | Goodbye
FromServer = (
    SocketHello
    | MachineList
    | ScreenClosed
    | ActionResult
    | ActionProgress
    | SmallPicture
    | Goodbye
)

_from_page: msgspec.msgpack.Decoder[FromPage] = msgspec.msgpack.Decoder(FromPage)
_from_server: msgspec.msgpack.Decoder[FromServer] = msgspec.msgpack.Decoder(FromServer)
_encoder = msgspec.msgpack.Encoder()


def frame(screen: int, data: bytes) -> bytes:
    """Return a WebSocket message: the number of a screen, then a message."""
    if screen < 0x80:
        return bytes((screen,)) + data
    return bytes((screen & 0x7F | 0x80, screen >> 7)) + data


def split_frame(data: bytes) -> tuple[int, memoryview]:
    """Return the number of a screen, and the message about it.

    Raises:
        PeerError: The number is not a varint of one or two bytes in its shortest form, or nothing
            follows.
    """
    length = 1 if data and data[0] < 0x80 else 2
    if len(data) <= length or (length == 2 and not 1 <= data[1] < 0x80):
        raise PeerError(f"a WebSocket message begins with an invalid number: {data[:4].hex()}")
    number = data[0] if length == 1 else data[0] & 0x7F | data[1] << 7
    return number, memoryview(data)[length:]


def encode(message: FromPage | FromServer) -> bytes:
    """Return the WebSocket message of a message of the socket's own."""
    return frame(0, _encoder.encode(message))


def decode_from_page(data: bytes | memoryview) -> FromPage:
    """Decode a message of a page, without the number 0 in front.

    Raises:
        PeerError: It is not valid.
    """
    try:
        return _from_page.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"a page sent an invalid message: {error}", bytes(data[:64])) from error


def decode_from_server(data: bytes | memoryview) -> FromServer:
    """Decode a message of a server, without the number 0 in front.

    Raises:
        PeerError: It is not valid.
    """
    try:
        return _from_server.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"a server sent an invalid message: {error}", bytes(data[:64])) from error
