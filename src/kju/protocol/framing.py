"""The control protocol, I/O-free: bytes in, messages out, bytes to send.

A frame is a little-endian 32-bit length, a 64-bit number and a message in msgpack; the length
counts the last two, and is at most `MAX_FRAME`. A reply has the number of its request, `Cancel`
that of the request to cancel, a notice 0.

Descriptors are sent with the first byte of their frame, so they have arrived when the frame is
complete. The message has their number.

After a `PeerError` the connection is unusable: close it. The first request, and only the first, is
`Hello`; or, where the host expects it, `Launch`. In place of a `Launch` there may be `DryRun`s.

Source:
    SCM_RIGHTS and its place in a stream: unix(7).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import msgspec

from .. import errors
from ..errors import DefinitionError, KjuError, LimitError, MachineError, PeerError, UsageError
from .dry_run import DryRun
from .launch_options import Launch
from .messages import AnyRequest, Cancel, Ended, Failed, FromHost, Happened, Hello, Refused
from .values import PROTOCOL, Message, Reply, Request, Role

MAX_FRAME = 1 << 20
#: Descriptors that no message has claimed yet. A peer must not fill the table of open files.
MAX_DESCRIPTORS = 8
#: Events that wait for a client's program: four times the number that a host replays.
MAX_EVENTS = 1024

_LENGTH = struct.Struct("<I")
_NUMBER = struct.Struct("<Q")
_encode = msgspec.msgpack.Encoder().encode
_DECODING_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


# Made by the import, which one thread does: msgspec shares what it knows of a class before it knows
# all of it, so that two threads which make a decoder of it at the same time crash the process.
_replies: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)


# Made on first use, by a host's only thread: a client does not need it, and it takes a millisecond.
@cache
def _requests() -> msgspec.msgpack.Decoder[AnyRequest]:
    return msgspec.msgpack.Decoder(AnyRequest)


class NumberedBody(NamedTuple):
    """One frame: its number and an encoded message."""

    number: int
    body: bytes


class NumberedRequest(NamedTuple):
    """A request, and the number for its reply."""

    number: int
    request: AnyRequest


class OutgoingData(NamedTuple):
    """Bytes to send, and the descriptors to send with the first of them."""

    data: bytes
    descriptors: tuple[int, ...] = ()


class ReceivedReply(NamedTuple):
    """A reply and its descriptors, which the receiver closes."""

    reply: Reply
    descriptors: tuple[int, ...]


class NumberedAnswer(NamedTuple):
    """An answer, and the number of its request."""

    number: int
    answer: ReceivedReply


def pack(message: Message, number: int = 0) -> bytes:
    """Return a message as a frame.

    Raises:
        PeerError: It is too long.
    """
    body = _encode(message)
    length = _NUMBER.size + len(body)
    if length > MAX_FRAME:
        raise PeerError(
            f"a {type(message).__name__} of {length} bytes is over the limit of {MAX_FRAME}"
        )
    return _LENGTH.pack(length) + _NUMBER.pack(number) + body


class Framer:
    """Cuts a stream into frames. Holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[NumberedBody]:
        """Take bytes, in pieces of any size; return the frames that are complete now.

        Raises:
            PeerError: A frame's length is out of range.
        """
        self._buffer += data
        frames = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if not _NUMBER.size <= length <= MAX_FRAME:
                raise PeerError(
                    f"a frame of {length} bytes: the limits are {_NUMBER.size} and {MAX_FRAME}",
                    length,
                )
            begin, end = _LENGTH.size + _NUMBER.size, _LENGTH.size + length
            if len(self._buffer) < end:
                break
            (number,) = _NUMBER.unpack_from(self._buffer, _LENGTH.size)
            frames.append(NumberedBody(number, bytes(self._buffer[begin:end])))
            del self._buffer[:end]
        return frames


class HostSide:
    """One client's connection, as the host sees it.

    Args:
        launch: Whether the first request is `Launch` or `DryRun` instead of `Hello`.

    Attributes:
        role: The client's role; None before the first request.
        client: The client's name.
    """

    def __init__(self, *, launch: bool = False) -> None:
        self.role: Role | None = None
        self.client: str = ""
        self._first: tuple[type[AnyRequest], ...] = (Launch, DryRun) if launch else (Hello,)
        self._dry = False
        self._framer = Framer()
        self._out: deque[OutgoingData] = deque()

    def receive_data(self, data: bytes) -> list[NumberedRequest]:
        """Take bytes; return the requests to answer.

        Raises:
            PeerError: The bytes are not valid requests, or not allowed now.
        """
        requests = []
        for number, body in self._framer.receive_data(data):
            try:
                request = _requests().decode(body)
            except _DECODING_ERRORS as error:
                raise PeerError(f"a client sent no valid request: {error}", body[:64]) from error
            if number == 0:
                raise PeerError("a client sent a request with the number 0", request)
            self._check_order(request)
            requests.append(NumberedRequest(number, request))
        return requests

    def _check_order(self, request: AnyRequest) -> None:
        if self.role is None:
            self._greet(request)
        elif isinstance(request, Hello | Launch):
            raise PeerError(f"a client sent {type(request).__name__} twice", request)
        elif self._dry != isinstance(request, DryRun) and not isinstance(request, Cancel):
            raise PeerError(f"a client sent {type(request).__name__}, not for this host", request)

    def _greet(self, request: AnyRequest) -> None:
        if not (isinstance(request, Hello | Launch | DryRun) and isinstance(request, self._first)):
            wanted = " or ".join(kind.__name__ for kind in self._first)
            raise PeerError(f"a client began with {type(request).__name__}, not {wanted}", request)
        if isinstance(request, Hello) and request.protocol != PROTOCOL:
            raise PeerError(
                f"a client speaks protocol {request.protocol}, this host {PROTOCOL}:"
                " they are of different versions of kju",
                request.protocol,
            )
        self.role = request.role if isinstance(request, Hello) else "control"
        self.client = request.client
        self._dry = isinstance(request, DryRun)

    def send(self, message: Message, descriptors: Sequence[int] = (), *, number: int = 0) -> None:
        """Queue a notice, or the reply to the request of *number*, for `data_to_send`."""
        self._out.append(OutgoingData(pack(message, number), tuple(descriptors)))

    def data_to_send(self) -> list[OutgoingData]:
        """Return everything queued since the last call, in order."""
        out, self._out = list(self._out), deque()
        return out


class ClientSide:
    """One connection, as the client sees it.

    Attributes:
        ended: The host's notice that the machine has ended, once it has arrived.
        refused: The host's notice that it no longer serves this client, once it has arrived.
        happened: Events that have arrived and were not read yet; the newest `MAX_EVENTS`.
    """

    def __init__(self) -> None:
        self.ended: Ended | None = None
        self.refused: Refused | None = None
        self.happened: deque[Happened] = deque(maxlen=MAX_EVENTS)
        self._framer = Framer()
        self._descriptors: deque[int] = deque()
        self._last_number = 0
        self._open: set[int] = set()

    def request(self, message: Request) -> tuple[int, bytes]:
        """Give a request its number; return the number and the bytes to send.

        Raises:
            UsageError: A value in it is out of range; the host would disconnect its sender.
        """
        data = pack(message, self._last_number + 1)
        try:
            _requests().decode(data[_LENGTH.size + _NUMBER.size :])
        except msgspec.ValidationError as error:
            what = type(message).__name__
            raise UsageError(f"invalid request to a machine ({what}): {error}") from error
        self._last_number += 1
        self._open.add(self._last_number)
        return self._last_number, data

    def cancel(self, number: int) -> bytes:
        """Return the bytes that cancel a request; it is answered all the same."""
        return pack(Cancel(), number)

    def receive_data(self, data: bytes, descriptors: Sequence[int] = ()) -> list[NumberedAnswer]:
        """Take bytes and the descriptors received with them; return complete replies.

        Raises:
            PeerError: The bytes are not valid replies. Descriptors that no reply has claimed
                are in `unclaimed`.
        """
        self._descriptors.extend(descriptors)
        answers: list[NumberedAnswer] = []
        try:
            for frame in self._framer.receive_data(data):
                self._receive_frame(frame, answers)
            if len(self._descriptors) > MAX_DESCRIPTORS:
                raise PeerError("a host sent descriptors that belong to no reply")
        except PeerError:
            # The caller does not get these answers, so their descriptors are unclaimed again.
            for _, answer in answers:
                self._descriptors.extend(answer.descriptors)
            raise
        return answers

    def _receive_frame(self, frame: NumberedBody, answers: list[NumberedAnswer]) -> None:
        try:
            message = _replies.decode(frame.body)
        except _DECODING_ERRORS as error:
            raise PeerError(f"a host sent no valid reply: {error}", frame.body[:64]) from error
        if isinstance(message, Ended):
            self.ended = message
        elif isinstance(message, Refused):
            self.refused = message
        elif isinstance(message, Happened):
            self.happened.append(message)
        else:
            answer = self._match(frame.number, message)
            answers.append(NumberedAnswer(frame.number, answer))

    def _match(self, number: int, reply: Reply) -> ReceivedReply:
        if number not in self._open:
            raise PeerError(f"a host answered {number}, which is not an open request", reply)
        if reply.descriptors > len(self._descriptors):
            raise PeerError("a host sent fewer descriptors than its reply announces", reply)
        self._open.discard(number)
        claimed = tuple(self._descriptors.popleft() for _ in range(reply.descriptors))
        return ReceivedReply(reply, claimed)

    def unclaimed(self) -> list[int]:
        """Return the descriptors that belong to no reply; the caller closes them."""
        out, self._descriptors = list(self._descriptors), deque()
        return out


_ERRORS: dict[str, type[KjuError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, KjuError)
}


def failure(error: KjuError) -> Failed:
    """Return an error as a reply."""
    known = next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _ERRORS)
    reply = Failed(error=known, message=str(error), option=error.option or "")
    if isinstance(error, MachineError):
        return msgspec.structs.replace(reply, machine=error.name or "")
    if isinstance(error, LimitError):
        numbers = {"limit": error.limit, "value": error.value, "asked": error.asked}
        return msgspec.structs.replace(reply, **numbers)
    if isinstance(error, DefinitionError):
        return msgspec.structs.replace(
            reply, option=error.key or "", file=error.file or "", line=error.line or 0
        )
    return reply


def error_from(reply: Failed) -> KjuError:
    """Return the error that a reply stands for; an unknown one as a plain `KjuError`."""
    error = _error_from(_ERRORS.get(reply.error, KjuError), reply)
    if reply.option and not isinstance(error, DefinitionError):
        error.option = reply.option
    return error


def _error_from(cls: type[KjuError], reply: Failed) -> KjuError:
    if issubclass(cls, MachineError):
        return cls(reply.message, reply.machine or None)
    if issubclass(cls, LimitError):
        return cls(reply.message, reply.limit, reply.value, reply.asked)
    if issubclass(cls, DefinitionError):
        return cls(reply.message, reply.file or None, reply.line or None, reply.option or None)
    return cls(reply.message)


def no_screen(name: str) -> UsageError:
    """Return the error for the screen of a machine that has none."""
    return UsageError(
        f"the machine {name!r} has no screen: its emulator has no display device, as with"
        " -vga none or -M microvm. Typing works. For a screen start it with one: -device VGA"
    )
