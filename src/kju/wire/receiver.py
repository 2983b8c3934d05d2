"""The side that keeps a surface equal to a screen elsewhere.

Rules:

- A message that is older than one that has come is not used: it was told lost.
- A segment that builds on what was lost is not used, and told lost as well.
- A segment is checked whole before a pixel is touched; a wrong one ends the session.
- Within one session the screen's version never runs backwards.
- The picture of a session before is shown until this one's is whole.
- In a session with proofs, messages before the sender's proof end nothing: a refusal or a wrong
  challenge is remembered as a hint, and the right challenge may still come.

| state  | may come                                        | leads to         |
|--------|-------------------------------------------------|------------------|
| NEW    | (`hello` is sent)                               | GREETED          |
| GREETED| Challenge                                       | PROVED           |
| GREETED, PROVED | Welcome, Refused                       | OPEN, CLOSED     |
| OPEN   | Mode, Segment, Cursor, State, Ping, Done, Event, Lead, Ticket | OPEN |
| any    | Goodbye                                         | CLOSED           |

Anything else is a broken protocol, and ends the session.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ..errors import FormatError, GeometryError, KjuError, PeerError
from ..surface.formats import R8, XR24
from ..surface.geometry import Rect
from . import _wire, blocks, messages, photos
from .messages import (
    CODECS,
    JPEG,
    MAX_LOST,
    MAX_PHOTO_PIXELS,
    PROTOCOL,
    Ack,
    Challenge,
    Codec,
    Cursor,
    Done,
    Event,
    FromSender,
    Goodbye,
    Hello,
    Lead,
    Lossy,
    Message,
    Mode,
    Numbered,
    Ping,
    Proof,
    Refused,
    Role,
    Segment,
    State,
    Ticket,
    Welcome,
)
from .seal import Member

if TYPE_CHECKING:
    import numpy.typing as npt

    from .seal import Seal

#: Bytes that may be under way: what a reader can be behind by.
CREDIT = 1 << 20
#: Messages that have overtaken the welcome and are kept until it comes: as many as a sender sends
#: before it is answered.
MOST_EARLY = 16


class Target(Protocol):
    """What is kept equal: `kju.surface.producer.Producer`, or a recorder's."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The pixels of the mode that was set last."""

    @property
    def version(self) -> int:
        """Of what has been published."""

    def set_mode(self, width: int, height: int, *, fourcc: int) -> int:
        """A black picture of this form; returns its version."""

    def begin(self) -> None:
        """Pixels are about to change."""

    def publish(self, rects: Sequence[Rect], /) -> int:
        """They have changed in these rectangles; returns the version."""

    def set_cursor(self, argb: bytes, width: int, height: int, hot_x: int, hot_y: int, /) -> int:
        """The cursor's shape: B, G, R, A."""

    def move_cursor(self, x: int, y: int, visible: bool, /) -> int:
        """Where the cursor is."""


class Stage(enum.Enum):
    """Where a session stands."""

    NEW = "new"
    GREETED = "greeted"
    PROVED = "proved"
    OPEN = "open"
    CLOSED = "closed"


class Proven(NamedTuple):
    """The answer to a challenge.

    Attributes:
        proof: That this viewer is who it says.
        sender: Who the sender has proved to be.
        seal: Of all that is said after the challenge.
    """

    proof: bytes
    sender: str
    seal: Seal | None = None


class Prove(Protocol):
    """Answers one session's challenge, and says later whether the sender is still trusted."""

    @property
    def key(self) -> bytes:
        """What the hello says of the session's key."""

    def __call__(self, hello: bytes, challenge: Challenge, raw: bytes, /) -> Proven:
        """Answer it.

        Args:
            hello: The hello, as it was sent.
            challenge: The challenge.
            raw: The challenge as bytes, with fields that this side does not know.

        Raises:
            KjuError: There is nothing to prove it with, or the sender is not who it should be.
        """

    def check(self) -> None:
        """Check that the sender may still be believed; only after a right challenge.

        Raises:
            KjuError: Its certificate has expired, or was denied.
        """


class Receiver:
    """A viewer's session.

    Args:
        target: What is kept equal.
        most: Pixels that a screen may have.
        keep: The target shows the picture of a session before: it stays, if the form is the same,
            until all of the new one has come.

    Attributes:
        stage: Where the session stands.
        welcome: What the sender has said first, once it has.
        reason: Why the session has ended.
        version: The sender's version of what came last.
        whole: Up to this version of the sender's the target has everything; 0 while some of the
            picture has never come.
        exact: Whether the target shows what has come of the sender's picture as it was; else some
            of it is only near that.
        state: The sender's state and reason; None before it was told.
        heard: When a message came last, seconds.
        hint: A reason to refuse this session that is not proved to be the sender's.
        sender: Who the sender has proved to be; empty where it was not asked.
        seal: What keeps the session from others, once it is agreed on.
    """

    def __init__(self, target: Target, *, most: int = 1 << 26, keep: bool = False) -> None:
        self._target = target
        self._keep = keep
        self._unseen: npt.NDArray[np.uint8] | None = None
        self._most = most
        self.stage = Stage.NEW
        self.welcome: Welcome | None = None
        self.reason = ""
        self.version = 0
        self.whole = 0
        self.exact = True
        self.state: tuple[int, str] | None = None
        self.heard = 0.0
        self.hint = ""
        #: Whether the sender that has refused this session wants the viewer to try again.
        self.again = False
        self._raw = b""
        self._ended = False
        self._opened = 0.0
        #: Since when the sender has newer pixels, and since when all is wanted again, seconds.
        self._behind_since: float | None = None
        self._again_since: float | None = None
        self.sender = ""
        self.seal: Seal | None = None
        self._member: Member | None = None
        self._prove: Prove | None = None
        self._hello: Hello | None = None
        self._codec: Codec = "raw"
        self._codecs: Sequence[str] = ()
        self._mode: Mode | None = None
        self._last = self._gap = 0
        self._lost: dict[int, float] = {}
        self._early: deque[Numbered] = deque(maxlen=MOST_EARLY)
        self._shared = False
        self._again = self._owes = False
        #: Whether this viewer acknowledges; of an audience one does.
        self.leads = True
        #: Whether one of the audience lacks something that it has to say: see `complaint`.
        self.lacks = False
        self._urgent: list[Message] = []

    # ---- bytes ----

    def encode(self, message: Message) -> bytes:
        """A message of this session as the sender reads it."""
        data = messages.encode(message)
        return self.seal.close(data) if self.seal else data

    def decode(self, data: bytes, *, audience: str = "") -> FromSender:
        """What has come in the sender's name.

        Args:
            data: The message.
            audience: The audience that it was said to; empty for this viewer alone.

        Raises:
            PeerError: The sender has not said this; or it is no message, and the session has ended.
        """
        if audience and (self.welcome is None or self.welcome.audience != audience):
            raise PeerError("a message for an audience that this viewer is not of", audience)
        opens = self._member if audience else self.seal
        opened = opens.open(data) if opens else data
        try:
            message = messages.decode_from_sender(opened)
        except PeerError as error:
            if not self._is_unproved:
                self.goodbye(f"the sender broke the protocol: {error}")
            raise
        if isinstance(message, Challenge):
            self._raw = opened
        return message

    @property
    def _is_unproved(self) -> bool:
        """Whether the sender has not proved yet who it is: anybody can have sent a message."""
        return self._prove is not None and self.seal is None and self.stage is Stage.GREETED

    @property
    def lacks_since(self) -> float | None:
        """Time since which sent pixels or other messages are missing, seconds; None: none are."""
        oldest = next(iter(self._lost.values()), None)
        since = [each for each in (oldest, self._behind_since, self._again_since) if each]
        return min(since, default=None)

    def clock(self, now: float) -> int:
        """Milliseconds since the welcome came: see `messages.Input.at`."""
        return max(0, int((now - self._opened) * 1000))

    def check(self) -> None:
        """End the session if its sender may not be believed any more."""
        if self.stage is Stage.OPEN and self.seal is not None and self._prove is not None:
            try:
                self._prove.check()
            except KjuError as error:
                self.goodbye(str(error))

    # ---- what goes ----

    def hello(
        self, role: Role, *, user: str = "", prove: Prove | None = None,
        codecs: Sequence[str] = CODECS, credit: int = CREDIT, audience: bool = False,
        lossy: bool = False, previous: str = "",
    ) -> None:  # fmt: skip
        """Begin."""
        self.stage, self._prove, self._credit = Stage.GREETED, prove, credit
        self._shared = audience
        key, self._codecs = prove.key if prove else b"", codecs
        self._hello = Hello(
            PROTOCOL, role, list(codecs), credit, user, key, audience, lossy, previous
        )
        self._urgent.append(self._hello)

    @property
    def greeting(self) -> Message:
        """What this session began with."""
        if self._hello is None:
            raise PeerError("nothing has been said yet")
        return self._hello

    def goodbye(self, reason: str = "") -> None:
        """End."""
        if self.stage not in (Stage.NEW, Stage.CLOSED):
            self._urgent.append(Goodbye(reason[:1000]))
        self._end(reason)

    def to_send(self) -> list[Message]:
        """What is to be sent now. An acknowledgement may be lost: there will be another."""
        out, self._urgent = self._urgent, []
        if self._owes and self.stage is Stage.OPEN:
            self._owes = False
            if self.leads:
                at = self.clock(self.heard)
                out.append(Ack(self._last, [*self._lost], self._credit, self._again, at))
            elif self._mode is None or self._lost or self._again:
                self.lacks = True
        return out

    def complaint(self) -> Message:
        """What one of the audience says who lacks something: all is sent again, to all."""
        self.lacks = False
        self._want_all()
        return Ack(0, [], self._credit, True)

    # ---- what comes ----

    def receive(self, message: FromSender, now: float) -> Done | Event | None:
        """Take a message; what became of an input, and events, are the caller's.

        Raises:
            PeerError: It may not come now, or says what cannot be. The session has ended.
        """
        if self.stage is Stage.CLOSED:
            return None
        if self._is_unproved:
            self._unproved(message, now)
            return None
        self.heard = now
        try:
            return self._take(message)
        except (PeerError, FormatError, GeometryError) as error:
            self.goodbye(f"the sender broke the protocol: {error}")
            if isinstance(error, PeerError):
                raise
            raise PeerError(str(error), message) from error

    def _unproved(self, message: FromSender, now: float) -> None:
        """Take a right challenge; keep the reason of anything else as a hint."""
        try:
            if isinstance(message, Challenge):
                self._challenged(message)
                self.heard = now
            elif isinstance(message, Goodbye | Refused):
                self.hint = message.reason or self.hint
            elif isinstance(message, Welcome):
                self.hint = (
                    "the sender lets anybody in and does not prove who it is: leave out who you"
                    " are, or do not believe it"
                )
        except KjuError as error:
            self.hint = str(error)

    def _take(self, message: FromSender) -> Done | Event | None:
        if isinstance(message, Goodbye | Refused):
            self.again = isinstance(message, Refused) and message.again
            self._end(message.reason or "the sender has ended")
        elif self.stage is Stage.OPEN and isinstance(message, Numbered):
            self._numbered(message)
        elif self.stage is Stage.OPEN and isinstance(message, Done | Event):
            return message
        elif self.stage is Stage.OPEN and isinstance(message, Lead):
            self.leads, self._owes = True, self._last > 0
        elif self.stage is Stage.OPEN and isinstance(message, Ticket) and self._member:
            self._member.learn(message.ticket)
        elif self.stage is Stage.GREETED and isinstance(message, Challenge):
            self._challenged(message)
        elif self.stage in (Stage.GREETED, Stage.PROVED) and isinstance(message, Welcome):
            self._welcomed(message)
        elif isinstance(message, Numbered) and self.stage is not Stage.NEW:
            # Else it was said to others, or by nobody knows whom.
            if not self._shared and (self._prove is None or self.seal is not None):
                self._early.append(message)
        else:
            what = type(message).__name__
            raise PeerError(f"{what} may not come in a session that is {self.stage.value}", message)
        return None

    def _challenged(self, message: Challenge) -> None:
        if self._prove is None or self._hello is None:
            raise PeerError("the sender wants a proof of who this is, and none was given to it")
        raw = self._raw or messages.encode(message)
        hello = messages.encode(self._hello)
        proof, self.sender, self.seal = self._prove(hello, message, raw)
        self._urgent.append(Proof(proof))
        self.stage = Stage.PROVED

    def _welcomed(self, message: Welcome) -> None:
        if message.protocol != PROTOCOL:
            raise PeerError(
                f"the sender speaks protocol {message.protocol}, this viewer {PROTOCOL}"
            )
        if message.codec not in self._codecs:
            raise PeerError(f"the sender uses {message.codec}, which this viewer does not know")
        if message.audience and self.seal is not None:
            self._member = Member(message.ticket)
        if message.lossy and JPEG not in self._codecs:
            raise PeerError("the sender wants to send photos, which this viewer does not read")
        self.welcome, self._codec = message, message.codec
        self.stage, self._opened = Stage.OPEN, self.heard
        if self._ended:  # meanwhile, by another thread
            self.stage = Stage.CLOSED
        self.leads, self.lacks = not message.audience, bool(message.audience)
        for early in self._early:
            self._numbered(early)
        self._early.clear()

    def _end(self, reason: str) -> None:
        if self.stage is not Stage.CLOSED:
            self._ended, self.reason = True, reason
            self.stage = Stage.CLOSED

    def _numbered(self, message: Numbered) -> None:
        if isinstance(message, Ping) and message.version > self.version:
            self._behind_since = self._behind_since or self.heard
        if message.serial <= self._last:
            # What was said last is said again: the acknowledgement was lost.
            self._owes = self._owes or message.serial == self._last
            return
        self._lose(range(self._last + 1, message.serial))
        self._last, self._owes = message.serial, True
        if isinstance(message, Mode):
            self._set_mode(message)
        elif isinstance(message, Segment):
            self._segment(message)
        elif isinstance(message, Cursor):
            self._cursor(message)
        elif isinstance(message, State):
            self.state = message.state, message.reason
        if isinstance(message, Cursor | State | Ping) and self.leads:
            self._is_known_lost(message.heard)

    def _is_known_lost(self, heard: int) -> None:
        """The sender knows what was lost up to here, and sends it again."""
        self._lost = {serial: at for serial, at in self._lost.items() if serial > heard}

    def _lose(self, serials: Sequence[int]) -> None:
        """These have not come, or cannot be used; of too many all is wanted again."""
        if not serials:
            return
        self._gap = serials[-1]
        if len(serials) + len(self._lost) > MAX_LOST:
            self._want_all()
        else:
            self._lost.update(dict.fromkeys(serials, self.heard))

    def _want_all(self) -> None:
        self._again, self._lost = True, {}
        self._again_since = self._again_since or self.heard

    def _set_mode(self, message: Mode) -> None:
        if message.width * message.height > self._most:
            raise PeerError(
                f"the sender's screen of {message.width}x{message.height} pixels is over the"
                f" limit of {self._most}"
            )
        if self._mode is not None and message.epoch < self._mode.epoch:
            raise PeerError(f"epoch {message.epoch} comes after {self._mode.epoch}")
        # What comes next builds on nothing that was before.
        self._gap = message.serial - 1
        if self._again:
            self._again, self._lost, self._again_since = False, {}, None
        old, self._mode = self._mode, message
        if old is not None and _form(old) == _form(message):
            return  # said again, for others or because nobody knew that it had come
        self.whole, self.exact = 0, True
        before, self._keep = self._target.pixels if self._keep else None, False
        shape = (message.height, message.width, *[4] * (not message.grey))
        if before is not None and before.shape == shape:
            self._unseen = np.zeros(shape, np.uint8)
            return
        self._unseen = None
        self._target.set_mode(message.width, message.height, fourcc=R8 if message.grey else XR24)

    def _segment(self, message: Segment) -> None:
        if message.since > message.serial:
            raise PeerError(f"segment {message.serial} is since {message.since}")
        self._is_known_lost(message.heard)
        mode = self._mode
        usable = mode is not None and message.epoch == mode.epoch and not self._again
        if mode is None or not usable or 0 < message.since <= self._gap:
            self._lose([message.serial])
            return
        if message.version < self.version:
            raise PeerError(f"version {message.version} comes after {self.version}")
        self._draw(message, mode)
        self.version, self._behind_since = message.version, None
        self.whole = message.whole or self.whole
        self.exact = not isinstance(message, Lossy)
        if self.whole and self._unseen is not None:
            self._show(self._unseen)
            self._unseen = None

    def _show(self, picture: npt.NDArray[np.uint8]) -> None:
        """All of a picture at once."""
        self._target.begin()
        self._target.pixels[...] = picture
        self._target.publish([Rect(0, 0, picture.shape[1], picture.shape[0])])

    def _draw(self, message: Segment, mode: Mode) -> None:
        block = blocks.decompress(message.data, message.size, self._codec)
        pixel = 1 if mode.grey else 4
        rects = [Rect(*each) for each in _wire.check(block, (mode.width, mode.height, pixel))]
        near = self._photos(message, mode) if isinstance(message, Lossy) else []
        pixels = self._target.pixels if self._unseen is None else self._unseen
        form = mode.width, mode.height, pixels.strides[0], pixel
        if self._unseen is None:
            self._target.begin()
        _wire.unpack(block, _whole_rows(pixels), form)
        for (x, y, width, height), photo in near:
            shown = pixels[y : y + height, x : x + width]
            shown[...] = photo.reshape(shown.shape)
        if self._unseen is None:
            self._target.publish([*rects, *(rect for rect, _ in near)])

    def _photos(self, message: Lossy, mode: Mode) -> list[tuple[Rect, npt.NDArray[np.uint8]]]:
        """The photos' pixels.

        Raises:
            PeerError: They were not asked for, leave the picture, are too large, or are no JPEG.
        """
        if self.welcome is None or not self.welcome.lossy:
            raise PeerError("a lossy segment comes in a session that has none")
        rects = [Rect(each.x, each.y, each.width, each.height) for each in message.photos]
        whole = Rect(0, 0, mode.width, mode.height)
        if outside := [rect for rect in rects if not whole.contains(rect)]:
            raise PeerError(f"a photo leaves the picture: {outside[0]}", outside[0])
        if (area := sum(rect.area for rect in rects)) > MAX_PHOTO_PIXELS:
            raise PeerError(f"photos of {area} pixels are over the limit of {MAX_PHOTO_PIXELS}")
        pixel = 1 if mode.grey else 4
        return [
            (rect, photos.decompress(each.data, rect.width, rect.height, pixel))
            for rect, each in zip(rects, message.photos, strict=True)
        ]

    def _cursor(self, message: Cursor) -> None:
        if message.shape is not None:
            size = message.width * message.height * 4
            shape = blocks.decompress(message.shape, size, self._codec) if message.shape else b""
            if shape:
                self._target.set_cursor(
                    shape, message.width, message.height, message.hot_x, message.hot_y
                )
        self._target.move_cursor(message.x, message.y, message.visible)


def _form(mode: Mode) -> tuple[int, int, int, bool]:
    return mode.epoch, mode.width, mode.height, mode.grey


def _whole_rows(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The memory of a picture's rows, what pads them as well, as bytes."""
    rows, stride = pixels.shape[0], pixels.strides[0]
    used = pixels[0].nbytes
    return np.lib.stride_tricks.as_strided(pixels, (stride * (rows - 1) + used,), (1,))
