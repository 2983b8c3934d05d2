"""Splits a byte stream into D-Bus messages; the bytes may be hostile.

Rules of this file:
- A message with a declared size over the limit is rejected before memory is allocated for it.
- Framing that is not valid (unknown byte order, size over the limit, too many descriptors) raises
  `PeerError`: the stream is lost. An error *inside* a message becomes a `RejectedMessage` in its
  place, and the stream continues.
- jeepney parses small messages only. It makes a Python object per array element, so a large message
  with a hostile signature would cost fifty times its size. The large messages of QEMU have three
  known signatures and are read here, their pixels as a view.
- jeepney never returns from an array of empty structs (not valid D-Bus). Such bytes are rejected
  before jeepney reads them.
- Pixels are views into the one receive buffer: use them before more is received.
- Descriptors are opaque objects here. Dropping the last reference closes them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jeepney import low_level

from ...errors import PeerError

#: D-Bus allows arrays of 64 MiB; pixels are one array, the rest of the message is small.
MAX_MESSAGE = (64 << 20) + 4096
#: Largest message given to jeepney. QEMU's own are under 1 KiB, except for pixels and cursors.
_MAX_SMALL = 64 << 10
#: Descriptors that may wait for their message; QEMU sends one.
MAX_FDS = 16
#: Usual size of the receive buffer: a little more than one read of a Unix socket returns
#: (net.core.wmem_default is 208 KiB).
BUFFER = 256 << 10
#: A grown buffer shrinks after this many messages that fit in a quarter of it.
SHRINK_AFTER = 256
#: Scanout, Update and CursorDefine: numbers, then one byte array to the message's end.
_PIXEL_SIGNATURES = {"uuuuay": "4I", "iiiiuuay": "4i2I", "iiiiay": "4i"}

_T = TypeVar("_T", int, str)
_ENDLESS = re.compile(rb"a\(+\)")
_FIXED = 16
_ORDER = {0x6C: "<", 0x42: ">"}


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """One message with a checked and typed header.

    Attributes:
        kind: 1 call, 2 return, 3 error, 4 signal.
        wants_reply: Whether it is a call without the flag "no reply expected".
        body: The arguments; pixel arguments are views into the receive buffer.
        fds: Its descriptors.
    """

    kind: int
    wants_reply: bool
    serial: int
    reply_serial: int = 0
    path: str = ""
    interface: str = ""
    member: str = ""
    error_name: str = ""
    signature: str = ""
    body: tuple[Any, ...] = ()
    fds: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RejectedMessage:
    """A message that was rejected; the stream continues after it.

    Attributes:
        error: The reason; its ``received`` holds the beginning of the message.
        message: Its header, if that is valid, so that a reply can be sent.
    """

    error: PeerError
    message: Received | None = None


class Splitter:
    """Splits a byte stream into messages.

    Use `get_buffer` and `received` around a ``recvmsg_into``, or `receive_data`.
    """

    def __init__(self, limit: int = MAX_MESSAGE, fd_limit: int = MAX_FDS) -> None:
        self.limit = limit
        self.fd_limit = fd_limit
        self._buffer = _allocate(BUFFER)
        self._start = 0
        self._end = 0
        self._fds: list[Any] = []
        self._since_large = 0

    @property
    def _buffered(self) -> int:
        """Bytes held of an incomplete message."""
        return self._end - self._start

    @property
    def capacity(self) -> int:
        """Size of the receive buffer."""
        return len(self._buffer)

    def get_buffer(self) -> memoryview:
        """Return the memory for the next bytes, never empty. Earlier views become invalid."""
        self._reserve(max(self._wanted(), self._buffered + 1))
        return self._buffer[self._end :]

    def received(self, count: int, fds: Sequence[Any] = ()) -> list[Received | RejectedMessage]:
        """Handle *count* bytes that were received into `get_buffer`, and their descriptors.

        Returns:
            The complete messages, in order.

        Raises:
            PeerError: The stream is not valid any more.
        """
        self._end += count
        self._fds.extend(fds)
        if len(self._fds) > self.fd_limit:
            found, self._fds = len(self._fds), []
            raise PeerError(f"{found} descriptors wait, the limit is {self.fd_limit}", found)
        messages: list[Received | RejectedMessage] = []
        while self._buffered >= _FIXED:
            try:
                size = self._wanted()
            except PeerError:
                if messages:
                    break  # return the messages before it; the next call raises
                raise
            if self._buffered < size:
                break
            messages.append(self._take(self._buffer[self._start : self._start + size]))
            self._start += size
            self._note(size)
        if not self._buffered and self._fds:
            # Linux delivers descriptors with their message's first byte: these have none.
            found, self._fds = len(self._fds), []
            messages.append(
                RejectedMessage(PeerError(f"{found} descriptors without a message", found))
            )
        return messages

    def receive_data(
        self, data: bytes | bytearray | memoryview, fds: Sequence[Any] = ()
    ) -> list[Received | RejectedMessage]:
        """Handle bytes that were received elsewhere; otherwise as `received`."""
        self._reserve(self._buffered + len(data))
        self._buffer[self._end : self._end + len(data)] = data
        return self.received(len(data), fds)

    def _wanted(self) -> int:
        """Return the size of the first message, as far as it is known."""
        if self._buffered < _FIXED:
            return _FIXED
        fixed = bytes(self._buffer[self._start : self._start + _FIXED])
        order = _ORDER.get(fixed[0])
        if order is None:
            raise PeerError(f"a message starts with byte {fixed[0]:#04x}, not l or B", fixed)
        body, _, fields = struct.unpack_from(order + "III", fixed, 4)
        size: int = _header_size(fields) + body
        if size > self.limit:
            raise PeerError(f"a message of {size} bytes; the limit is {self.limit}", fixed)
        return size

    def _reserve(self, size: int) -> None:
        """Make room for *size* bytes from the first message on, and keep the held ones."""
        if not self._buffered:
            self._start = self._end = 0
            if self._since_large > SHRINK_AFTER and len(self._buffer) > BUFFER:
                self._buffer = _allocate(BUFFER)
        if self._start + size <= len(self._buffer):
            return
        held = self._buffer[self._start : self._end]
        if size > len(self._buffer):
            self._buffer = _allocate(size)
        self._buffer[: len(held)] = held
        self._start, self._end = 0, len(held)

    def _note(self, size: int) -> None:
        self._since_large = 0 if size * 4 > len(self._buffer) else self._since_large + 1

    def _take(self, data: memoryview) -> Received | RejectedMessage:
        """Parse one complete message; take its declared number of descriptors."""
        try:
            header, count, body = _parse_header(data)
        except Exception as error:
            # jeepney raises AssertionError, KeyError, TypeError, RecursionError and others on bytes
            # that are not valid. The number of its descriptors is unknown: drop them all.
            self._fds = []
            return _refuse("unreadable D-Bus header", data, error)
        fds, self._fds = tuple(self._fds[:count]), self._fds[count:]
        try:
            if len(fds) < count:
                raise PeerError(f"{count} descriptors are declared, {len(fds)} were received")
            return _parse_body(header, body, fds, data[0])
        except Exception as error:
            return _refuse(f"unreadable body of {header.member or 'a reply'}", data, error, header)


def _allocate(size: int) -> memoryview:
    # np.empty does not touch the pages: a large declared size costs address space only.
    return np.empty(max(size, BUFFER), np.uint8).data


def _header_size(fields: int) -> int:
    return (_FIXED + fields + 7) & ~7


def _refuse(
    what: str, data: memoryview, cause: Exception, header: Received | None = None
) -> RejectedMessage:
    error = PeerError(f"{what}: {type(cause).__name__}: {cause}"[:300], bytes(data[:256]))
    return RejectedMessage(error, header)


def _parse_header(data: memoryview) -> tuple[Received, int, memoryview]:
    """Parse a message's header; returns it, the number of descriptors and the body."""
    order = _ORDER[data[0]]
    kind, flags, version = data[1], data[2], data[3]
    _, serial, fields_size = struct.unpack_from(order + "III", data, 4)
    size = _header_size(fields_size)
    if version != 1 or not 1 <= kind <= 4 or not serial or size > _MAX_SMALL:
        raise PeerError(f"version {version}, type {kind}, serial {serial}, header of {size}")
    head = bytes(data[:size])
    _check_finite(head)
    endianness = low_level.endian_map[head[:1]]
    fields, end = low_level.parse_header_fields(head, endianness)
    if end != _FIXED + fields_size:
        raise PeerError(f"header fields end at {end}, declared {_FIXED + fields_size}")
    texts = {code: _field(fields, code, str, "") for code in (1, 2, 3, 4, 8)}
    count = _field(fields, 9, int, 0)
    message = Received(
        kind=kind,
        wants_reply=kind == 1 and not flags & 1,
        serial=serial,
        reply_serial=_field(fields, 5, int, 0),
        path=texts[1],
        interface=texts[2],
        member=texts[3],
        error_name=texts[4],
        signature=texts[8],
    )
    if kind == 1 and not (message.path and message.member):
        raise PeerError("a call without path or member")
    if kind in (2, 3) and not message.reply_serial:
        raise PeerError("a reply without the serial it replies to")
    return message, count, data[size:]


def _field(fields: dict[Any, Any], code: int, kind: type[_T], default: _T) -> _T:
    """Return one header field. A variant may have any type, so the type is checked here."""
    value = fields.get(low_level.HeaderFields(code), default)
    if type(value) is not kind or (isinstance(value, int) and not 0 <= value < 1 << 32):
        raise PeerError(f"header field {code} is {value!r:.80}")
    return value


def _parse_body(
    header: Received, body: memoryview, fds: tuple[Any, ...], order_byte: int
) -> Received:
    numbers = _PIXEL_SIGNATURES.get(header.signature)
    values: tuple[Any, ...]
    if numbers is not None:
        layout = struct.Struct(_ORDER[order_byte] + numbers + "I")
        *leading, length = layout.unpack_from(body)
        if layout.size + length != len(body):
            raise PeerError(
                f"{length} bytes of pixels are declared, {len(body) - layout.size} were received"
            )
        values = (*leading, body[layout.size :].toreadonly())
    else:
        values = _parse_small(header.signature, body, fds, order_byte)
    return Received(
        header.kind,
        header.wants_reply,
        header.serial,
        header.reply_serial,
        header.path,
        header.interface,
        header.member,
        header.error_name,
        header.signature,
        values,
        fds,
    )


def _parse_small(
    signature: str, body: memoryview, fds: tuple[Any, ...], order_byte: int
) -> tuple[Any, ...]:
    if len(body) > _MAX_SMALL:
        raise PeerError(f"{len(body)} bytes in signature {signature!r:.80}")
    if not signature:
        if len(body):
            raise PeerError(f"{len(body)} bytes without a signature")
        return ()
    data = bytes(body)
    _check_finite(signature.encode(), data)
    endianness = low_level.endian_map[bytes((order_byte,))]
    kind = low_level.parse_signature(list(f"({signature})"))
    values, end = kind.parse_data(data, 0, endianness, fds=fds)
    if end != len(data):
        raise PeerError(f"the arguments end at byte {end} of {len(data)}")
    return tuple(values)


def _check_finite(*parts: bytes) -> None:
    if any(_ENDLESS.search(part) for part in parts):
        raise PeerError("an array of empty structs")
