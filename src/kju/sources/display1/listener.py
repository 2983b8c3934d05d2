"""The listener: the calls of org.qemu.Display1.Listener, the replies to them, and their events.

Rules of this file:
- Replies are returned with the events. Send them before the events are handled: QEMU's main loop
  waits for the reply to ScanoutMap, and after a slow reply QEMU sends this listener only copies.
- A call with the flag "no reply expected" gets none, not even an error.
- Every number is checked. A message that is not valid becomes a `Mistake`, and an error reply if
  one is expected. It changes nothing, and the listener continues.
- In an event sizes are positive and bounded, strides contain their rows, data and mappings contain
  their strides, and rectangles lie inside the scanout. The shell checks the size of a descriptor's
  memory.
- Pixels are views into the receive buffer: use them before more is received.

Source:
    org.qemu.Display1.Listener and .Listener.Unix.Map, dbus-display1.xml of QEMU's manual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...errors import FormatError, PeerError
from ...surface import MAX_SIDE
from ...surface.formats import SourceFormat, from_pixman
from ...surface.geometry import Rect
from ...surface.layout import CURSOR_SIDE
from . import messages
from .frames import Received, RejectedMessage

#: Largest stride: a row of the widest picture, padded fourfold.
_MAX_STRIDE = MAX_SIDE * 16
#: Largest offset into a mapping; the shell checks it against the descriptor's size.
_MAX_OFFSET = 1 << 40
#: Largest side of a cursor: that of the surface, and of QEMU.
MAX_CURSOR = CURSOR_SIDE
#: Largest distance of a pointer from the origin, in each direction.
_MAX_POSITION = 1 << 16

_UNKNOWN_METHOD = "org.freedesktop.DBus.Error.UnknownMethod"
_UNKNOWN_PROPERTY = "org.freedesktop.DBus.Error.UnknownProperty"
_READ_ONLY = "org.freedesktop.DBus.Error.PropertyReadOnly"
_INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"


@dataclass(frozen=True, slots=True, eq=False)
class Scanout:
    """The console shows another picture; the message contains its bytes."""

    width: int
    height: int
    stride: int
    pixman_format: int
    source_format: str
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """A rectangle has changed; the message contains its bytes, with their own stride."""

    rect: Rect
    stride: int
    pixman_format: int
    source_format: str
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class ScanoutMap:
    """The console shows other memory; the shell maps and closes *fd*."""

    fd: Any
    offset: int
    width: int
    height: int
    stride: int
    pixman_format: int
    source_format: str


@dataclass(frozen=True, slots=True)
class UpdateMap:
    """A rectangle of the mapped memory has changed."""

    rect: Rect


@dataclass(frozen=True, slots=True)
class Unannounced:
    """An update outside of the known picture.

    QEMU announces a new size only with an update of the whole picture, and never updates the whole
    of a text mode that it sends as bytes. A new listener receives the size.
    """

    rect: Rect


@dataclass(frozen=True, slots=True)
class Disable:
    """The console shows nothing."""


@dataclass(frozen=True, slots=True)
class CursorDefine:
    """The cursor's shape: B G R A bytes, the hot spot inside it."""

    width: int
    height: int
    hot_x: int
    hot_y: int
    argb: bytes


@dataclass(frozen=True, slots=True)
class MouseSet:
    """The cursor's position, and whether the guest draws it."""

    x: int
    y: int
    visible: bool


@dataclass(frozen=True, slots=True, eq=False)
class Mistake:
    """QEMU sent a message that was rejected; the connection continues."""

    error: PeerError


Event = (
    Scanout
    | Update
    | ScanoutMap
    | UpdateMap
    | Unannounced
    | Disable
    | CursorDefine
    | MouseSet
    | Mistake
)


class _Outcome(NamedTuple):
    """The result of one message: a reply to send first, then events to handle."""

    reply: bytes
    events: tuple[Event, ...]


class _Answer(NamedTuple):
    signature: str = ""
    body: tuple[object, ...] = ()
    events: tuple[Event, ...] = ()


class _CallError(Exception):
    """An error reply to a call that may be well-meant."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class DisplayListener:
    """The state machine of one registered listener.

    Attributes:
        size: Width and height of the picture; None before the first scanout and after Disable.
        mapped: Whether QEMU sent it as memory to map.
    """

    def __init__(self, maps: bool = True) -> None:
        """Start without a picture.

        Args:
            maps: Offer QEMU to send memory instead of bytes.
        """
        self.size: tuple[int, int] | None = None
        self.mapped = False
        self._serial = 0
        self._interfaces = [messages.LISTENER_MAP] if maps else []
        display: dict[tuple[str, str], Callable[[Received], _Answer]] = {
            ("Scanout", "uuuuay"): self._scanout,
            ("Update", "iiiiuuay"): self._update,
            ("ScanoutDMABUF", "huuuutb"): self._refuse_dmabuf,
            ("UpdateDMABUF", "iiii"): self._refuse_dmabuf,
            ("Disable", ""): self._disable,
            ("CursorDefine", "iiiiay"): self._cursor_define,
            ("MouseSet", "iii"): self._mouse_set,
        }
        mapping: dict[tuple[str, str], Callable[[Received], _Answer]] = {
            ("ScanoutMap", "huuuuu"): self._scanout_map,
            ("UpdateMap", "iiii"): self._update_map,
        }
        self._methods: dict[str, dict[tuple[str, str], Callable[[Received], _Answer]]] = {
            messages.LISTENER: display,
            messages.PROPERTIES: {
                ("Get", "ss"): self._get,
                ("GetAll", "s"): self._get_all,
                ("Set", "ssv"): self._set,
            },
            messages.PEER: {("Ping", ""): lambda call: _Answer()},
        }
        if maps:
            self._methods[messages.LISTENER_MAP] = mapping

    def receive(self, message: Received | RejectedMessage) -> _Outcome:
        """Handle one message from the splitter; a message that is not valid raises nothing."""
        if isinstance(message, RejectedMessage):
            events = (Mistake(message.error),)
            if message.message is None:
                return _Outcome(b"", events)
            return _Outcome(self._error(message.message, _INVALID_ARGS, message.error), events)
        if message.kind != 1:
            # A listener receives no signals, and makes no calls that could be answered.
            return _Outcome(b"", ())
        try:
            answer = self._dispatch(message)
        except _CallError as error:
            return _Outcome(self._error(message, error.name, error), ())
        except PeerError as error:
            return _Outcome(self._error(message, _INVALID_ARGS, error), (Mistake(error),))
        if not message.wants_reply:
            return _Outcome(b"", answer.events)
        serial = self._next_serial()
        reply = messages.method_return(message.serial, serial, answer.signature, answer.body)
        return _Outcome(reply, answer.events)

    def _dispatch(self, message: Received) -> _Answer:
        what = f"{message.interface}.{message.member}({message.signature})"
        if message.path != messages.LISTENER_PATH and message.interface != messages.PEER:
            raise _CallError(_UNKNOWN_METHOD, f"no object {message.path}")
        method = self._methods.get(message.interface, {}).get((message.member, message.signature))
        if method is None:
            raise _CallError(_UNKNOWN_METHOD, f"no method {what}"[:200])
        try:
            return method(message)
        except (PeerError, FormatError) as error:
            numbers = tuple(v for v in message.body if isinstance(v, int))
            raise PeerError(f"{message.member}{numbers}: {error}", numbers) from error

    def _error(self, message: Received, name: str, cause: Exception) -> bytes:
        if not message.wants_reply:
            return b""
        return messages.error(message.serial, self._next_serial(), name, str(cause))

    def _next_serial(self) -> int:
        self._serial = self._serial % 0xFFFFFFFF + 1
        return self._serial

    # -- properties

    def _get_all(self, call: Received) -> _Answer:
        return _Answer("a{sv}", (self._properties(call.body[0]),))

    def _get(self, call: Received) -> _Answer:
        interface, name = call.body
        try:
            return _Answer("v", (self._properties(interface)[name],))
        except KeyError:
            raise _CallError(_UNKNOWN_PROPERTY, f"no property {interface}.{name}"[:200]) from None

    def _set(self, call: Received) -> _Answer:
        raise _CallError(_READ_ONLY, "a listener's properties cannot be set")

    def _properties(self, interface: str) -> dict[str, tuple[str, object]]:
        if interface == messages.LISTENER:
            return {"Interfaces": ("as", self._interfaces)}
        if interface in self._methods:
            return {}
        raise _CallError(_UNKNOWN_METHOD, f"no interface {interface}"[:200])

    # -- pictures

    def _scanout(self, call: Received) -> _Answer:
        width, height, stride, pixman, data = call.body
        source = _check_picture(width, height, stride, pixman)
        _check_length(data, stride, height)
        self.size, self.mapped = (width, height), False
        event = Scanout(width, height, stride, pixman, source.name, data)
        return _Answer(events=(event,))

    def _update(self, call: Received) -> _Answer:
        x, y, width, height, stride, pixman, data = call.body
        source = _check_picture(width, height, stride, pixman)
        _check_length(data, stride, height)
        rect = Rect(x, y, width, height)
        if not Rect(0, 0, MAX_SIDE, MAX_SIDE).contains(rect):
            raise PeerError(f"not within {MAX_SIDE} pixels either way")
        if self.size is None or self.mapped or not Rect(0, 0, *self.size).contains(rect):
            return _Answer(events=(Unannounced(rect),))
        return _Answer(events=(Update(rect, stride, pixman, source.name, data),))

    def _scanout_map(self, call: Received) -> _Answer:
        fd, offset, width, height, stride, pixman = call.body
        source = _check_picture(width, height, stride, pixman)
        if offset > _MAX_OFFSET:
            raise PeerError(f"offset {offset}, the limit is {_MAX_OFFSET}")
        self.size, self.mapped = (width, height), True
        event = ScanoutMap(fd, offset, width, height, stride, pixman, source.name)
        return _Answer(events=(event,))

    def _update_map(self, call: Received) -> _Answer:
        if self.size is None or not self.mapped:
            raise PeerError("UpdateMap, but the picture was not sent as a map")
        rect = Rect(*call.body)
        if rect.width < 1 or rect.height < 1 or not Rect(0, 0, *self.size).contains(rect):
            raise PeerError(f"not a part of the scanout's {self.size[0]}x{self.size[1]}")
        return _Answer(events=(UpdateMap(rect),))

    def _disable(self, call: Received) -> _Answer:
        self.size, self.mapped = None, False
        return _Answer(events=(Disable(),))

    def _refuse_dmabuf(self, call: Received) -> _Answer:
        raise PeerError("DMABUF was not offered; run QEMU without gl=on")

    # -- the cursor

    def _cursor_define(self, call: Received) -> _Answer:
        width, height, hot_x, hot_y, data = call.body
        if not (0 < width <= MAX_CURSOR and 0 < height <= MAX_CURSOR):
            raise PeerError(f"a cursor has sides of 1 to {MAX_CURSOR} pixels")
        if len(data) != width * height * 4:
            raise PeerError(f"{len(data)} bytes, expected {width * height * 4}")
        # Some guests choose a hot spot outside of the shape, which is valid all the same.
        hot_x, hot_y = min(max(hot_x, 0), width - 1), min(max(hot_y, 0), height - 1)
        return _Answer(events=(CursorDefine(width, height, hot_x, hot_y, bytes(data)),))

    def _mouse_set(self, call: Received) -> _Answer:
        x, y, visible = call.body
        if abs(x) > _MAX_POSITION or abs(y) > _MAX_POSITION:
            raise PeerError(f"a pointer further than {_MAX_POSITION} from the screen")
        return _Answer(events=(MouseSet(x, y, bool(visible)),))


def _check_picture(width: int, height: int, stride: int, pixman: int) -> SourceFormat:
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise PeerError(f"a picture has sides of 1 to {MAX_SIDE} pixels")
    source = from_pixman(pixman)
    if not width * source.bytes_per_pixel <= stride <= _MAX_STRIDE:
        low = width * source.bytes_per_pixel
        raise PeerError(f"stride {stride}, expected {low} to {_MAX_STRIDE}")
    return source


def _check_length(data: memoryview, stride: int, height: int) -> None:
    if len(data) < stride * height:
        raise PeerError(f"{len(data)} bytes of pixels, expected {stride * height}")
