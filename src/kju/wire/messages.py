"""The messages between a sender, which has the screen, and a viewer.

A message is one msgpack array: its number, then its fields in the order of the class. New fields
are appended; a receiver skips fields that it does not know. An unknown message, or a value that is
out of range, breaks the protocol.

Messages that change the viewer's picture have a serial number, one higher each time, and are
acknowledged. A transport may lose, repeat and reorder them. The sender does not repeat a lost one:
it sends the newest content of the same areas.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ..errors import PeerError
from ..protocol.values import Rate, Role
from ..surface import MAX_SIDE
from .codecs import MAX_BLOCK

PROTOCOL = 1
#: The most bytes of a message. On slow links, larger ones were seen not to arrive at all.
MAX_MESSAGE = 60_000
#: The most lost messages that one acknowledgement lists.
MAX_LOST = 256
#: The most bytes of a proof: a certificate with 32 long names has 9,000.
_MAX_PROOF = 12_288
#: The most compressed bytes of a cursor's shape: larger ones are not sent.
MAX_CURSOR = 48_000

Text = Annotated[str, Meta(max_length=256)]
Reason = Annotated[str, Meta(max_length=1024)]
Number = Annotated[int, Meta(ge=0)]
Serial = Annotated[int, Meta(ge=1, lt=1 << 53)]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Place = Annotated[int, Meta(ge=-(1 << 15), lt=1 << 15)]
Bytes = Annotated[bytes, Meta(max_length=MAX_MESSAGE)]
#: The most photos of one message, and the most pixels of them together: those of `MAX_BLOCK`.
MAX_PHOTOS, MAX_PHOTO_PIXELS = 256, MAX_BLOCK // 4


class WireMessage(Struct, frozen=True, array_like=True):
    """The base of all messages."""


# ---- from a viewer ----


class SessionHello(WireMessage, frozen=True, tag=1):
    """The first message of a session.

    The sender answers with `Challenge`, `SessionWelcome` or `SessionRefused`.

    Attributes:
        role: The wanted role.
        codecs: The codecs that the viewer can read, best first.
        credit: The bytes that may be in flight to it.
        user: The name of its user; empty without authentication.
        key: The public X25519 key of this session (see `kju.wire.seal`); empty without
            authentication.
        audience: Join the audience, whose members share one stream and send no input.
        lossy: Photographic areas may be sent as JPEG first; the codecs must have `jpeg`.
        previous: The id of this viewer's last open session; empty for none. The sender ends it, if
            it has the same user, before it opens this one.
        rate: The rate at which the viewer looks, per second; 0: it does not look; None: at the
            sender's own pace. Later `ViewerRate` messages change it.
        rare_pings: While it looks rarely, its pings may be rare: see `update_pace.quiet_time`.
        max_side: The viewer shows the screen small: it needs no more pixels than this on the longer
            side. It gets a smaller picture and the role `view`. 0: the screen as it is.
    """

    protocol: int
    role: Role
    codecs: Annotated[list[Text], Meta(max_length=16)]
    credit: Annotated[int, Meta(ge=1, lt=1 << 40)]
    user: Text = ""
    key: Annotated[bytes, Meta(max_length=32)] = b""
    audience: bool = False
    lossy: bool = False
    previous: Text = ""
    rate: Rate | None = None
    rare_pings: bool = False
    max_side: Annotated[int, Meta(ge=0, le=MAX_SIDE)] = 0


class Proof(WireMessage, frozen=True, tag=2):
    """The answer to a `Challenge`."""

    proof: Annotated[bytes, Meta(max_length=_MAX_PROOF)]


class Ack(WireMessage, frozen=True, tag=3):
    """An acknowledgement of all messages up to a serial number, as received or lost.

    Attributes:
        serial: The highest received serial number.
        lost: Lower serial numbers that were not received, or could not be used. Each is listed
            until the sender knows it: see `Segment.acknowledged`.
        credit: The bytes that may be in flight from now on.
        restart: More was lost than can be listed: the sender must restart with the mode.
        timestamp: The time of sending, milliseconds after the viewer received the welcome.
    """

    serial: Number
    lost: Annotated[list[Serial], Meta(max_length=MAX_LOST)] = []
    credit: Annotated[int, Meta(ge=1, lt=1 << 40)] = 1 << 20
    restart: bool = False
    timestamp: Number = 0


class ViewerInput(WireMessage, frozen=True, tag=4):
    """Keyboard or pointer input. The viewer has the role `control`; the answer is `InputDone`.

    Attributes:
        number: The number of the input; the first is 1.
        body: A request for the screen's host.
        timestamp: The time of sending, milliseconds after the viewer received the welcome. The
            sender does not carry out an input older than `kju.wire.sequence.MAX_AGE`.
    """

    number: Serial
    body: Annotated[bytes, Meta(max_length=16_384)]
    timestamp: Number = 0


class KeepAlive(WireMessage, frozen=True, tag=5):
    """A sign that a member of an audience, which has nothing else to send, is still connected."""


class ViewerRate(WireMessage, frozen=True, tag=6):
    """A change of the rate at which the viewer looks; `RateDone` answers the last of several.

    Only for a sender whose welcome has `rates`.

    Attributes:
        number: The number of the change; the first is 1.
        rate: As `SessionHello.rate`.
    """

    number: Serial
    rate: Rate | None = None


# ---- from a sender ----


class Challenge(WireMessage, frozen=True, tag=16):
    """A request for the viewer's proof. All later messages are sealed, in both directions.

    Attributes:
        key: The sender's public key of this session.
        proof: The proof of the sender's identity.
    """

    key: Annotated[bytes, Meta(max_length=32)]
    proof: Annotated[bytes, Meta(max_length=_MAX_PROOF)] = b""


class SessionWelcome(WireMessage, frozen=True, tag=17):
    """The admission of a viewer: the session is open.

    Attributes:
        incarnation: The incarnation of the sender's surface.
        codec: The codec of segments.
        role: The viewer's role.
        tile: The side of a tile, pixels.
        audience: The name of the audience that the viewer has joined; empty for none. Numbered
            messages arrive on its key, and only its leader acknowledges them.
        ticket: The key of its messages (`kju.wire.seal.GroupSeal`); empty if the session is not
            sealed.
        lossy: There may be `LossySegment` messages.
        rates: The sender accepts `ViewerRate` messages.
    """

    protocol: int
    incarnation: Number
    codec: Text
    role: Role
    tile: Annotated[int, Meta(ge=8, le=256)] = 32
    audience: Text = ""
    ticket: Annotated[bytes, Meta(max_length=128)] = b""
    lossy: bool = False
    rates: bool = False


class SessionRefused(WireMessage, frozen=True, tag=18):
    """The rejection of a viewer.

    Attributes:
        retry: The viewer should try again at once: too many viewers connect at the same time.
    """

    reason: Reason
    retry: bool = False


class ModeUpdate(WireMessage, frozen=True, tag=19):
    """A new mode of the screen, which begins with a black picture.

    Attributes:
        epoch: The sender's number of the mode.
        width: The width of the picture, pixels.
        height: The height of the picture, pixels.
        grey: A pixel has one byte.
        screen_width: The width of the screen, if the picture is a smaller one; else 0.
        screen_height: The same for its height.
    """

    serial: Serial
    epoch: Number
    width: Side
    height: Side
    grey: bool = False
    screen_width: Annotated[int, Meta(ge=0, le=MAX_SIDE)] = 0
    screen_height: Annotated[int, Meta(ge=0, le=MAX_SIDE)] = 0

    @property
    def screen_size(self) -> tuple[int, int]:
        """The size of the screen, pixels."""
        return self.screen_width or self.width, self.screen_height or self.height


class Segment(WireMessage, frozen=True, tag=20):
    """Changed pixels.

    Attributes:
        serial: The serial number.
        depends_on: The segment depends on the messages from this serial number on: it cannot be
            used if one was lost. 0: it depends on none.
        epoch: The epoch of its mode.
        version: The screen's version when the pixels were copied.
        complete_version: With this segment the viewer has all changes up to this version of the
            screen; 0 while some of the picture was never sent.
        size: The bytes of `data` when decompressed.
        data: A compressed block (see `kju.wire._wire`).
        acknowledged: The sender has received an acknowledgement of this serial number, and knows
            all losses up to it.
    """

    serial: Serial
    depends_on: Number
    epoch: Number
    version: Number
    complete_version: Number
    size: Annotated[int, Meta(ge=0, le=MAX_BLOCK)]
    data: Bytes
    acknowledged: Number = 0


class Photo(Struct, frozen=True, array_like=True):
    """A rectangle of pixels that are close to the screen's.

    Attributes:
        x: The left edge.
        y: The top edge.
        width: The width.
        height: The height.
        data: A JPEG: see `kju.wire.jpeg`.
    """

    x: Annotated[int, Meta(ge=0, lt=MAX_SIDE)]
    y: Annotated[int, Meta(ge=0, lt=MAX_SIDE)]
    width: Side
    height: Side
    data: Bytes


class LossySegment(Segment, frozen=True, tag=27):
    """A segment after which some of the picture is only close to the screen's pixels.

    After a plain `Segment` all of the picture is exact.

    Attributes:
        photos: The photos, drawn after the block.
    """

    photos: Annotated[list[Photo], Meta(max_length=MAX_PHOTOS)] = []


class CursorUpdate(WireMessage, frozen=True, tag=21):
    """The guest's cursor.

    Attributes:
        shape: B, G, R, A of each pixel, compressed; None if it has not changed.
        acknowledged: See `Ping`.
    """

    serial: Serial
    visible: bool
    x: Place
    y: Place
    hot_x: Annotated[int, Meta(ge=0, le=256)] = 0
    hot_y: Annotated[int, Meta(ge=0, le=256)] = 0
    width: Annotated[int, Meta(ge=0, le=256)] = 0
    height: Annotated[int, Meta(ge=0, le=256)] = 0
    shape: Bytes | None = None
    acknowledged: Number = 0


class StateUpdate(WireMessage, frozen=True, tag=22):
    """The state of the sender's surface, such as live or paused, and the reason.

    Attributes:
        acknowledged: See `Ping`.
    """

    serial: Serial
    state: Annotated[int, Meta(ge=1, le=6)]
    reason: Reason = ""
    acknowledged: Number = 0


class Ping(WireMessage, frozen=True, tag=23):
    """A request for an acknowledgement, while nothing else is sent.

    Attributes:
        version: The version of the last segment: a viewer with an older one lacks pixels.
        acknowledged: As in `Segment`, if the viewer has every pixel that was sent; 0 while pixels
            are in flight or must be sent again.
    """

    serial: Serial
    version: Number = 0
    acknowledged: Number = 0


class InputDone(WireMessage, frozen=True, tag=24):
    """The result of an input.

    Attributes:
        number: The number of the input.
        epoch: The screen's epoch before the input: its effect is visible after that.
        version: The screen's version before the input.
        error: The name of the error; empty for success.
        reason: The text of the error.
    """

    number: Serial
    epoch: Number = 0
    version: Number = 0
    error: Text = ""
    reason: Reason = ""


class MachineEvent(WireMessage, frozen=True, tag=25):
    """An event of the machine.

    Attributes:
        data: JSON.
    """

    name: Text
    data: Annotated[bytes, Meta(max_length=16_384)] = b"{}"


class Lead(WireMessage, frozen=True, tag=26):
    """A request to a member of an audience: acknowledge for all from now on."""


class Ticket(WireMessage, frozen=True, tag=28):
    """The next key of an audience, for a member: another member has left.

    Attributes:
        ticket: See `SessionWelcome`.
    """

    ticket: Annotated[bytes, Meta(max_length=128)]


class RateDone(WireMessage, frozen=True, tag=29):
    """The screen is published at the viewer's new rate.

    Attributes:
        number: The number of the `ViewerRate`.
        version: The screen's version then: a picture with it is no older than the change.
    """

    number: Serial
    version: Number = 0


# ---- from either ----


class Goodbye(WireMessage, frozen=True, tag=40):
    """The last message."""

    reason: Reason = ""


FromViewer = SessionHello | Proof | Ack | ViewerInput | KeepAlive | ViewerRate | Goodbye
FromSender = (
    Challenge
    | SessionWelcome
    | SessionRefused
    | ModeUpdate
    | Segment
    | LossySegment
    | CursorUpdate
    | StateUpdate
    | Ping
    | InputDone
    | MachineEvent
    | Lead
    | Ticket
    | RateDone
    | Goodbye
)
#: The messages with a serial number.
Numbered = ModeUpdate | Segment | CursorUpdate | StateUpdate | Ping

_encoder = msgspec.msgpack.Encoder()
_from_viewer: msgspec.msgpack.Decoder[FromViewer] = msgspec.msgpack.Decoder(FromViewer)
_from_sender: msgspec.msgpack.Decoder[FromSender] = msgspec.msgpack.Decoder(FromSender)
_Kind = TypeVar("_Kind")


def encode(message: WireMessage) -> bytes:
    """Encode a message."""
    return _encoder.encode(message)


def decode_from_viewer(data: bytes) -> FromViewer:
    """Decode a viewer's message.

    Raises:
        PeerError: The bytes are not a valid message of a viewer.
    """
    return _decoded(_from_viewer, data, "viewer")


def decode_from_sender(data: bytes) -> FromSender:
    """Decode a sender's message.

    Raises:
        PeerError: The bytes are not a valid message of a sender.
    """
    return _decoded(_from_sender, data, "sender")


def _decoded(decoder: msgspec.msgpack.Decoder[_Kind], data: bytes, who: str) -> _Kind:
    if len(data) > MAX_MESSAGE + 1024:
        raise PeerError(f"a {who} sent a message of {len(data)} bytes", len(data))
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"a {who} sent an invalid message: {error}", data[:64]) from error
