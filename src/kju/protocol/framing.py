"""The control protocol, I/O-free: bytes in, messages out, bytes to send.

A frame is a little-endian 32-bit length and that many bytes of msgpack, at most
`MAX_FRAME`. Descriptors travel beside the first byte of the frame they belong to, so by
the time a frame is whole its descriptors have come; the message says how many are its.

Rules:

- After a `PeerError` the connection is of no more use: close it.
- The first request is `Hello` (or `Launch`, where the host expects one), and only the first.
- What a role may ask for is decided here, in the host, and nowhere else: a client that
  lacks the role gets a `Failure`, and the request is not seen by anybody.

Source:
    SCM_RIGHTS and where it stands in a stream: unix(7).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import msgspec

from .. import errors
from ..errors import KjuError, LimitError, MachineError, PeerError, UsageError
from .messages import (
    CONTROL,
    PROTOCOL,
    AnyRequest,
    Cancel,
    Ended,
    Failure,
    FromHost,
    Happened,
    Hello,
    Launch,
    Message,
    Refused,
    Reply,
    Request,
    Role,
)

MAX_FRAME = 1 << 20
#: A descriptor that no message claims is a leak somebody else chose; this many at most.
MAX_DESCRIPTORS = 8
#: Events that wait for a client's program: four times what a host replays.
MAX_EVENTS = 1024

_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode


# Made when they are first used: a client needs one of them, and makes it in a millisecond.
@cache
def _requests() -> msgspec.msgpack.Decoder[AnyRequest]:
    return msgspec.msgpack.Decoder(AnyRequest)


@cache
def _replies() -> msgspec.msgpack.Decoder[FromHost]:
    return msgspec.msgpack.Decoder(FromHost)


class Outgoing(NamedTuple):
    """Bytes to send, with the descriptors that go beside the first of them."""

    data: bytes
    descriptors: tuple[int, ...] = ()


def pack(message: Message) -> bytes:
    """One message as a frame.

    Raises:
        PeerError: It is larger than a frame may be.
    """
    body = _encode(message)
    if len(body) > MAX_FRAME:
        raise PeerError(
            f"a {type(message).__name__} of {len(body)} bytes is over the limit of {MAX_FRAME}"
        )
    return _LENGTH.pack(len(body)) + body


class Framer:
    """Cuts a stream into frames. Holds at most one frame that is not whole yet."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[bytes]:
        """Take bytes, in pieces of any size; return the frames that are whole now.

        Raises:
            PeerError: A frame says that it is longer than one may be.
        """
        self._buffer += data
        frames = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise PeerError(
                    f"a frame says that it has {length} bytes; the limit is {MAX_FRAME}", length
                )
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            frames.append(bytes(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return frames


class HostSide:
    """One client's connection, as the host sees it.

    Args:
        launch: Whether `Launch` is to come first, in place of `Hello`.
    """

    def __init__(self, *, launch: bool = False) -> None:
        self.role: Role | None = None
        self.client: str = ""
        self._first: type[Hello] | type[Launch] = Launch if launch else Hello
        self._framer = Framer()
        self._out: deque[Outgoing] = deque()

    def receive_data(self, data: bytes) -> list[AnyRequest]:
        """Take bytes; return the requests that are to be answered.

        Raises:
            PeerError: These bytes are not this protocol, or not now.
        """
        requests = []
        for frame in self._framer.receive_data(data):
            try:
                request = _requests().decode(frame)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise PeerError(f"a client sent no valid request: {error}", frame[:64]) from error
            if self._admit(request):
                requests.append(request)
        return requests

    def _admit(self, request: AnyRequest) -> bool:
        if self.role is None:
            self._greet(request)
            return True
        if isinstance(request, Hello | Launch):
            raise PeerError(f"a client sent {type(request).__name__} twice", request)
        if self.role == "view" and isinstance(request, CONTROL):
            what = type(request).__name__.lower()
            self.send(
                Failure(
                    number=request.number,
                    error="RoleError",
                    message=f"a view client may not ask for {what}; attach with role='control'",
                )
            )
            return False
        return True

    def _greet(self, request: AnyRequest) -> None:
        if not isinstance(request, self._first):
            raise PeerError(
                f"a client began with {type(request).__name__}, not {self._first.__name__}", request
            )
        if isinstance(request, Hello) and request.protocol != PROTOCOL:
            raise PeerError(
                f"a client speaks protocol {request.protocol}, this host {PROTOCOL}:"
                " they are of different versions of kju",
                request.protocol,
            )
        self.role = request.role if isinstance(request, Hello) else "control"
        self.client = request.client

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Queue one message; `data_to_send` hands it out."""
        self._out.append(Outgoing(pack(message), tuple(descriptors)))

    def fail(self, request: Request, error: KjuError) -> None:
        """Queue the answer to a request that raised *error*."""
        self.send(failure(request.number, error))

    def data_to_send(self) -> list[Outgoing]:
        """What was queued since the last call, in order."""
        out, self._out = list(self._out), deque()
        return out


class Answer(NamedTuple):
    """A reply with the descriptors that came with it; they are the taker's to close."""

    reply: Reply
    descriptors: tuple[int, ...]


class ClientSide:
    """One connection, as the client sees it.

    Attributes:
        ended: The host's last word, once it has come.
        refused: Why the host does not serve us any more, once it has said so.
        happened: Events that have come and that nobody has taken; of too many the last.
    """

    def __init__(self) -> None:
        self.ended: Ended | None = None
        self.refused: Refused | None = None
        self.happened: deque[Happened] = deque(maxlen=MAX_EVENTS)
        self._framer = Framer()
        self._descriptors: deque[int] = deque()
        self._next = 0
        self._open: set[int] = set()

    def request(self, message: Request) -> tuple[int, bytes]:
        """Give a request its number; return that and the bytes to send.

        Raises:
            UsageError: A value in it is out of range. A host would hang up on whoever sent it.
        """
        data = pack(msgspec.structs.replace(message, number=self._next + 1))
        try:
            _requests().decode(data[_LENGTH.size :])
        except msgspec.ValidationError as error:
            what = type(message).__name__
            raise UsageError(f"this cannot be asked of a machine ({what}): {error}") from error
        self._next += 1
        self._open.add(self._next)
        return self._next, data

    def cancel(self, number: int) -> bytes:
        """The bytes that break a request off; it is answered all the same."""
        return pack(Cancel(number=number))

    def receive_data(self, data: bytes, descriptors: Sequence[int] = ()) -> list[Answer]:
        """Take bytes and the descriptors that came with them; return whole replies.

        Raises:
            PeerError: These bytes are not this protocol. Descriptors that no reply had
                claimed are in `unclaimed`.
        """
        self._descriptors.extend(descriptors)
        answers: list[Answer] = []
        try:
            for frame in self._framer.receive_data(data):
                self._take(frame, answers)
            if len(self._descriptors) > MAX_DESCRIPTORS:
                raise PeerError("a host sent descriptors that belong to no reply")
        except PeerError:
            # Nobody will see these answers, so what came with them is unclaimed again.
            for answer in answers:
                self._descriptors.extend(answer.descriptors)
            raise
        return answers

    def _take(self, frame: bytes, answers: list[Answer]) -> None:
        try:
            message = _replies().decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise PeerError(f"a host sent no valid reply: {error}", frame[:64]) from error
        if isinstance(message, Ended):
            self.ended = message
        elif isinstance(message, Refused):
            self.refused = message
        elif isinstance(message, Happened):
            self.happened.append(message)
        else:
            answers.append(self._match(message))

    def _match(self, reply: Reply) -> Answer:
        if reply.number not in self._open:
            raise PeerError(f"a host answered {reply.number}, which was not asked", reply)
        if reply.descriptors > len(self._descriptors):
            raise PeerError("a host sent fewer descriptors than its reply says", reply)
        self._open.discard(reply.number)
        return Answer(reply, tuple(self._descriptors.popleft() for _ in range(reply.descriptors)))

    def unclaimed(self) -> list[int]:
        """Descriptors that belong to no reply; the caller closes them."""
        out, self._descriptors = list(self._descriptors), deque()
        return out


_ERRORS: dict[str, type[KjuError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, KjuError)
}


def failure(number: int, error: KjuError) -> Failure:
    """An error as a reply."""
    known = next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _ERRORS)
    reply = Failure(number=number, error=known, message=str(error))
    if isinstance(error, MachineError):
        return msgspec.structs.replace(reply, machine=error.name)
    if isinstance(error, LimitError):
        numbers = {"limit": error.limit, "value": error.value, "asked": error.asked}
        return msgspec.structs.replace(reply, **numbers)
    return reply


def no_screen(name: str) -> UsageError:
    """The error for the screen of a machine that has none."""
    return UsageError(
        f"the machine {name!r} has no screen: its emulator has no display device, as with"
        " -vga none or -M microvm. Typing works. For a screen start it with one: -device VGA"
    )


def error_from(reply: Failure) -> KjuError:
    """A reply as the error it stands for; an unknown one as a plain `KjuError`."""
    cls = _ERRORS.get(reply.error, KjuError)
    if issubclass(cls, MachineError):
        return cls(reply.message, reply.machine)
    if issubclass(cls, LimitError):
        return cls(reply.message, reply.limit, reply.value, reply.asked)
    return cls(reply.message)
