"""Every message between a sender, which has the screen, and a viewer.

A message is one msgpack array: its number, then its fields in the order they have here. Who knows
more fields may append them: what is not known is skipped. An unknown message, or a value that is
out of range, is a broken protocol.

What changes the viewer's picture has a serial number, one higher each time, and is acknowledged.
Transports may lose, repeat and reorder whole messages; what is lost is not sent again as it was,
but anew, as the screen is by then.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from ..errors import PeerError
from ..surface import MAX_SIDE

PROTOCOL = 1
#: Bytes of a message. Larger ones were seen not to arrive at all where the link was slow.
MAX_MESSAGE = 60_000
#: Bytes of pixels that one segment may become.
MAX_BLOCK = 4 << 20
#: Messages that one acknowledgement calls lost.
MAX_LOST = 256
#: Bytes of a proof: a certificate with 32 long names has 9,000.
MAX_PROOF = 12_288
#: Bytes of a cursor's shape are at most a few segments': larger ones are not sent.
MAX_CURSOR = 48_000

Role = Literal["view", "control"]
Text = Annotated[str, Meta(max_length=256)]
Reason = Annotated[str, Meta(max_length=1024)]
Number = Annotated[int, Meta(ge=0)]
Serial = Annotated[int, Meta(ge=1, lt=1 << 53)]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Place = Annotated[int, Meta(ge=-(1 << 15), lt=1 << 15)]
Bytes = Annotated[bytes, Meta(max_length=MAX_MESSAGE)]
#: Photos of one message, and pixels of them all: as many as `MAX_BLOCK` has.
MAX_PHOTOS, MAX_PHOTO_PIXELS = 256, MAX_BLOCK // 4
Codec = Literal["raw", "zstd", "lz4"]
#: What a viewer reads unless it is told otherwise, the best first.
CODECS: tuple[Codec, ...] = ("zstd", "raw")
#: In a viewer's list: it can read photos.
JPEG = "jpeg"


class Message(Struct, frozen=True, array_like=True):
    """Any message."""


# ---- from a viewer ----


class Hello(Message, frozen=True, tag=1):
    """The first message. Answered by `Challenge`, `Welcome` or `Refused`.

    Attributes:
        role: What the viewer wants to be.
        codecs: What it can read, the best first.
        credit: Bytes that may be under way to it.
        user: Who it says that it is; empty for nobody.
        key: The public half of an X25519 key drawn for this session (see `kju.wire.seal`); empty
            where nothing is to be proved.
        audience: Only to look, among others who get the same: what is sent is sent once for all.
        lossy: What is like a photograph may come as JPEG first, where the codecs have that.
        previous: The id of this viewer's last session that was open; empty for none. The sender
            ends it, if it is of the same user, before it opens this one.
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


class Proof(Message, frozen=True, tag=2):
    """The answer to a `Challenge`."""

    proof: Annotated[bytes, Meta(max_length=MAX_PROOF)]


class Ack(Message, frozen=True, tag=3):
    """Up to this serial number everything has come or is lost.

    Attributes:
        serial: The highest that has come.
        lost: Those below that have not, or could not be used, until the sender has heard of
            them: see `Segment`.
        credit: Bytes that may be under way from now on.
        again: More was lost than can be listed: begin again with the mode.
        at: When this was sent, milliseconds after the viewer took the welcome.
    """

    serial: Number
    lost: Annotated[list[Serial], Meta(max_length=MAX_LOST)] = []
    credit: Annotated[int, Meta(ge=1, lt=1 << 40)] = 1 << 20
    again: bool = False
    at: Number = 0


class Input(Message, frozen=True, tag=4):
    """Keys or the pointer, from a viewer with the role `control`. Answered by `Done`.

    Attributes:
        number: The viewer counts from 1.
        body: What is to be done, as the screen's own host takes it.
        at: When this was sent, milliseconds after the viewer took the welcome. The sender carries
            out no input that is too old (`kju.wire.inputs.MAX_AGE`).
    """

    number: Serial
    body: Annotated[bytes, Meta(max_length=16_384)]
    at: Number = 0


class Here(Message, frozen=True, tag=5):
    """One of an audience is still connected. Nothing else need be sent by it for long."""


# ---- from a sender ----


class Challenge(Message, frozen=True, tag=16):
    """Prove who you are. What comes after this is sealed, both ways.

    Attributes:
        key: The sender's half of the session's key.
        proof: That the sender is who it should be.
    """

    key: Annotated[bytes, Meta(max_length=32)]
    proof: Annotated[bytes, Meta(max_length=MAX_PROOF)] = b""


class Welcome(Message, frozen=True, tag=17):
    """The viewer is served from now on.

    Attributes:
        incarnation: Of the sender's screen: a new one is another screen.
        codec: What segments are compressed with.
        role: What the viewer may do.
        tile: Side of a tile, pixels.
        audience: The viewer is of this audience: what has serial numbers comes where all of that
            listen, and only who leads it acknowledges. Empty for none.
        ticket: What opens that (`kju.wire.seal.Group`); empty where the session is not sealed.
        lossy: Some of what comes may be `Lossy`.
    """

    protocol: int
    incarnation: Number
    codec: Codec
    role: Role
    tile: Annotated[int, Meta(ge=8, le=256)] = 32
    audience: Text = ""
    ticket: Annotated[bytes, Meta(max_length=128)] = b""
    lossy: bool = False


class Refused(Message, frozen=True, tag=18):
    """The viewer is not served.

    Attributes:
        again: It may be in a moment: too many others ask at the same time.
    """

    reason: Reason
    again: bool = False


class Mode(Message, frozen=True, tag=19):
    """From this serial number on the screen has this form, and is black.

    Attributes:
        epoch: The sender's number of the mode.
        grey: Whether a pixel has one byte.
    """

    serial: Serial
    epoch: Number
    width: Side
    height: Side
    grey: bool = False


class Segment(Message, frozen=True, tag=20):
    """Pixels.

    Attributes:
        serial: Of this message.
        since: It can be used if nothing was lost from this serial number on; 0: whatever was lost.
        epoch: Of the mode that it belongs to.
        version: The screen's, when these pixels were taken.
        whole: Up to this version of the screen the viewer has everything with this segment; 0
            where some of the picture has never been sent.
        size: Bytes that `data` is when it is not compressed.
        data: A block (see `kju.wire._wire`), compressed.
        heard: The sender has taken an acknowledgement of this serial number: it knows what was
            lost up to there.
    """

    serial: Serial
    since: Number
    epoch: Number
    version: Number
    whole: Number
    size: Annotated[int, Meta(ge=0, le=MAX_BLOCK)]
    data: Bytes
    heard: Number = 0


class Photo(Struct, frozen=True, array_like=True):
    """Pixels that are nearly what the screen shows.

    Attributes:
        x: Of the rectangle.
        y: The same.
        width: The same.
        height: The same.
        data: JPEG: see `kju.wire.photos`.
    """

    x: Annotated[int, Meta(ge=0, lt=MAX_SIDE)]
    y: Annotated[int, Meta(ge=0, lt=MAX_SIDE)]
    width: Side
    height: Side
    data: Bytes


class Lossy(Segment, frozen=True, tag=27):
    """A segment after which some of the picture is only near what the screen shows.

    After a `Segment` all of it is as the screen is.

    Attributes:
        photos: Drawn after the block.
    """

    photos: Annotated[list[Photo], Meta(max_length=MAX_PHOTOS)] = []


class Cursor(Message, frozen=True, tag=21):
    """The guest's cursor.

    Attributes:
        shape: B, G, R, A of each pixel, compressed; None where it is as it was.
        heard: As in `Ping`.
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
    heard: Number = 0


class State(Message, frozen=True, tag=22):
    """What the sender's own surface says: live, paused, no picture, and why.

    Attributes:
        heard: As in `Ping`.
    """

    serial: Serial
    state: Annotated[int, Meta(ge=1, le=6)]
    reason: Reason = ""
    heard: Number = 0


class Ping(Message, frozen=True, tag=23):
    """Nothing has changed, or nothing was heard: acknowledge this.

    Attributes:
        version: Of the last segment that was sent: who has none so new lacks something.
        heard: The viewer has every pixel that was sent, and the sender has taken an
            acknowledgement of this serial number: losses up to there count no more. 0 while pixels
            are under way or are to be sent again.
    """

    serial: Serial
    version: Number = 0
    heard: Number = 0


class Done(Message, frozen=True, tag=24):
    """An input was sent to the guest, or why not.

    Attributes:
        number: The input's.
        epoch: The screen's mark before that: what shows the input comes after it.
        version: The same.
        error: The error's name; empty for none.
        reason: In words.
    """

    number: Serial
    epoch: Number = 0
    version: Number = 0
    error: Text = ""
    reason: Reason = ""


class Event(Message, frozen=True, tag=25):
    """Something has happened in the machine's life.

    Attributes:
        data: JSON.
    """

    name: Text
    data: Annotated[bytes, Meta(max_length=16_384)] = b"{}"


class Lead(Message, frozen=True, tag=26):
    """To one of the audience: acknowledge for it from now on."""


class Ticket(Message, frozen=True, tag=28):
    """To one of an audience: somebody has left it, and another key follows soon.

    Attributes:
        ticket: As in `Welcome`.
    """

    ticket: Annotated[bytes, Meta(max_length=128)]


# ---- from either ----


class Goodbye(Message, frozen=True, tag=40):
    """The last message."""

    reason: Reason = ""


FromViewer = Hello | Proof | Ack | Input | Here | Goodbye
FromSender = (
    Challenge
    | Welcome
    | Refused
    | Mode
    | Segment
    | Lossy
    | Cursor
    | State
    | Ping
    | Done
    | Event
    | Lead
    | Ticket
    | Goodbye
)
#: What has a serial number.
Numbered = Mode | Segment | Cursor | State | Ping

_encoder = msgspec.msgpack.Encoder()
_from_viewer: msgspec.msgpack.Decoder[FromViewer] = msgspec.msgpack.Decoder(FromViewer)
_from_sender: msgspec.msgpack.Decoder[FromSender] = msgspec.msgpack.Decoder(FromSender)
_Kind = TypeVar("_Kind")


def encode(message: Message) -> bytes:
    """A message as bytes."""
    return _encoder.encode(message)


def decode_from_viewer(data: bytes) -> FromViewer:
    """Bytes as what a viewer may say.

    Raises:
        PeerError: They are no such message.
    """
    return _decoded(_from_viewer, data, "viewer")


def decode_from_sender(data: bytes) -> FromSender:
    """Bytes as what a sender may say.

    Raises:
        PeerError: They are no such message.
    """
    return _decoded(_from_sender, data, "sender")


def _decoded(decoder: msgspec.msgpack.Decoder[_Kind], data: bytes, who: str) -> _Kind:
    if len(data) > MAX_MESSAGE + 1024:
        raise PeerError(f"a {who} sent a message of {len(data)} bytes", len(data))
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"a {who} sent no valid message: {error}", data[:64]) from error
