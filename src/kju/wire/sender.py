"""One viewer, as the side with the screen sees it.

Rules:

- Of a viewer there are numbers only: where it stands, and what is under way to it. A picture that
  it has not taken is nowhere kept; when it can take something it gets the newest.
- No more is under way than its window and its own credit allow.
- That the last message was lost nobody would tell. It is sent again when its acknowledgement is
  late, and, where much is lost, before that; a few times, each time later than the last.

| state      | may come     | leads to                          |
|------------|--------------|-----------------------------------|
| NEW        | Hello        | CHALLENGED, OPEN or CLOSED        |
| CHALLENGED | Proof        | OPEN or CLOSED                    |
| OPEN       | Ack, Input, Here | OPEN                          |
| any        | Goodbye      | CLOSED                            |

Anything else is a broken protocol, and ends the session.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..errors import KjuError, PeerError
from ..surface.geometry import Rect
from . import messages
from .congestion import Window
from .encoder import AROUND_PHOTO, Encoder
from .inputs import MAX_AGE, Inputs
from .messages import (
    PROTOCOL,
    Ack,
    Challenge,
    Cursor,
    Done,
    Event,
    FromViewer,
    Goodbye,
    Hello,
    Here,
    Input,
    Lead,
    Lossy,
    Message,
    Numbered,
    Ping,
    Proof,
    Refused,
    Role,
    Segment,
    Ticket,
    Welcome,
)
from .screen_sent import NOT_SENT, ScreenSent, UnderWay

if TYPE_CHECKING:
    from ..surface.consumer import Consumer
    from .seal import Seal

#: Seconds without a sign of the viewer while something is under way, or since anything was
#: sent, until it is asked for one.
QUIET = 1.0
#: Seconds without a sign after which a viewer is told of no events: it says something every second.
SILENT = 3.0
#: Seconds between two times that all is sent again because one of an audience asked for it.
REPAINT = 2.0
#: Times that a message is sent again before it is left to the silence of `QUIET`: with a tenth of
#: all packets lost one in a thousand is.
MOST_AGAIN = 3
#: Bytes of a message that is sent again as it was; whether a longer one has come is asked.
SMALL = 1_000
#: Seconds after a message was lost in which the last message is said twice, and until the second
#: time: with 1 % lost, somebody who types loses one in 25 s; later than this is felt.
LOSSY, ECHO = 60.0, 0.015
#: Events that have not been sent; of more the oldest are dropped.
MOST_EVENTS = 64
#: Bytes that a message has around its data, about.
AROUND = 40
#: Side of the square around where somebody has just pointed that goes first, pixels.
NEAR = 160


class Stage(enum.Enum):
    """Where a session stands."""

    NEW = "new"
    CHALLENGED = "challenged"
    OPEN = "open"
    CLOSED = "closed"


class Admission(NamedTuple):
    """What becomes of a `Hello`.

    Attributes:
        role: What the viewer may do.
        challenge: To be answered first; None where nothing needs to be proved.
        prove: Whether a proof is right, or an error whose words are told to the viewer; only
            asked where there is a challenge.
        seal: Of all that is said after the challenge.
        check: Raises a KjuError, whose words are told to the viewer, once the viewer may not have
            this session any more: it is called while the session lives.
    """

    role: Role
    challenge: Challenge | None = None
    prove: Callable[[bytes], bool] | None = None
    seal: Seal | None = None
    check: Callable[[], None] | None = None


#: Decides about a viewer: is given its hello, and the same as the bytes that came.
#:
#: Raises:
#:     KjuError: It is not let in; the words are told to it.
Admit = Callable[[Hello, bytes], Admission]


class Sender:
    """One viewer's session.

    Args:
        encoder: Of the screen.
        consumer: The same screen.
        admit: Decides who is let in.
        join: Names the audience that this one becomes one of, and gives its ticket where the
            session is sealed.

    Attributes:
        stage: Where the session stands.
        role: What the viewer may do, once it is let in.
        user: Who it is, once that is proved.
        reason: Why the session has ended.
        audience: Whether what has serial numbers comes to it with an audience's, not from here.
        seal: What keeps the session from others, once it is agreed on.
    """

    def __init__(
        self,
        encoder: Encoder,
        consumer: Consumer,
        admit: Admit,
        join: Callable[[bool], tuple[str, bytes]] = lambda sealed: ("all", b""),
    ) -> None:
        self._join = join
        self._encoder = encoder
        self._admit = admit
        self._admission: Admission | None = None
        self._hello: Hello | None = None
        self._raw = b""
        self.stage = Stage.NEW
        self.role: Role = "view"
        self.user = ""
        self.reason = ""
        self.audience = False
        self.seal: Seal | None = None
        self._wanted, self._repainted = False, float("-inf")
        self.window = Window()
        self._credit = 1
        self._urgent: deque[Message] = deque()
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._inputs = Inputs()
        self._serial = 0
        self._version = 0
        self._under_way: dict[int, UnderWay] = {}
        self._screen = ScreenSent(encoder, consumer, self._under_way)
        self._heard = self._said = 0.0
        #: When the viewer took its welcome, or before that: what it sends counts time from there.
        self._origin = 0.0
        self._dues: list[float] = []
        self._echoes = False
        self._lost_at, self._doubted = float("-inf"), True

    # ---- bytes ----

    def encode(self, message: Message) -> bytes:
        """A message of this session as the viewer reads it."""
        data = messages.encode(message)
        return self.seal.close(data) if self.seal and not isinstance(message, Challenge) else data

    def decode(self, data: bytes) -> FromViewer:
        """What has come in this session's name.

        Raises:
            PeerError: The viewer has not said this; or it is no message, and the session has ended.
        """
        opened = self.seal.open(data) if self.seal else data
        try:
            message = messages.decode_from_viewer(opened)
        except PeerError as error:
            self.refuse(f"the viewer broke the protocol: {error}")
            raise
        if isinstance(message, Hello):
            self._raw = opened
        return message

    @property
    def heard(self) -> float:
        """When the viewer said something last, seconds."""
        return self._heard

    @property
    def previous(self) -> str:
        """The id of the viewer's last session, as its hello says."""
        return self._hello.previous if self._hello else ""

    @property
    def serial(self) -> int:
        """Of the last message that was sent."""
        return self._serial

    # ---- what comes ----

    def receive(self, message: FromViewer, now: float) -> list[Input]:
        """Take a message; inputs are the caller's to do, in this order.

        Raises:
            PeerError: It may not come now. The session has ended.
        """
        if self.stage is Stage.CLOSED:
            return []
        self._heard = now
        if isinstance(message, Goodbye):
            self._end(message.reason or "the viewer has gone")
        elif self.stage is Stage.OPEN and isinstance(message, Ack):
            if not self.audience:  # else it is the whole audience's sender that hears it
                self._acknowledged(message, now)
        elif self.stage is Stage.OPEN and isinstance(message, Input):
            return self._input(message, now)
        elif self.stage is Stage.OPEN and isinstance(message, Here):
            pass
        elif self.stage is Stage.NEW and isinstance(message, Hello):
            self._greeted(message)
        elif self.stage is Stage.CHALLENGED and isinstance(message, Proof):
            self._proved(message)
        else:
            what = type(message).__name__
            self.refuse(f"{what} may not come in a session that is {self.stage.value}")
            raise PeerError(self.reason, message)
        return []

    def _greeted(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            self.refuse(
                f"this sender speaks protocol {PROTOCOL}, the viewer {hello.protocol}: they are"
                " of different versions of kju"
            )
            return
        if self._encoder.codec not in hello.codecs:
            self.refuse(f"the viewer reads {', '.join(hello.codecs)}: not {self._encoder.codec}")
            return
        try:
            self._admission = self._admit(hello, self._raw or messages.encode(hello))
        except KjuError as error:
            self.refuse(str(error))
            return
        self._hello, self._credit, self.seal = hello, hello.credit, self._admission.seal
        if self._admission.challenge is None:
            self._open()
        else:
            self.stage = Stage.CHALLENGED
            self._urgent.append(self._admission.challenge)

    def _proved(self, message: Proof) -> None:
        admission = self._admission
        if admission is None or admission.prove is None:
            return
        try:
            right = admission.prove(message.proof)
        except KjuError as error:
            self.refuse(str(error))
            return
        if right:
            self._open()
        else:
            who = self._hello.user if self._hello else ""
            self.refuse(f"the proof of user {who!r} is wrong")

    def _open(self) -> None:
        if self._admission is None or self._hello is None:
            return
        self.role, self.user = self._admission.role, self._hello.user
        self.stage, self._origin = Stage.OPEN, self._heard
        encoder = self._encoder
        self.audience = self._hello.audience and self.role == "view"
        joined = self._join(self.seal is not None) if self.audience else ("", b"")
        self._urgent.append(
            Welcome(
                PROTOCOL,
                encoder.incarnation,
                encoder.codec,
                self.role,
                encoder.tile_side,
                *joined,
                encoder.lossy,
            )
        )

    def _input(self, message: Input, now: float) -> list[Input]:
        if self.role != "control":
            self._urgent.append(
                Done(message.number, error="RoleError",
                     reason="a view client may not send input; connect with the role control")
            )  # fmt: skip
            return []
        try:
            wanted = self._inputs.take(message, now)
        except PeerError as error:
            self.refuse(str(error))
            raise
        return [each for each in wanted if not self._is_too_old(each, now)]

    def _is_too_old(self, wanted: Input, now: float) -> bool:
        """Whether an input must not be carried out any more; the viewer is told."""
        age = now - self._origin - wanted.at / 1000
        if age <= MAX_AGE:
            return False
        reason = f"it came {age:.0f} s after it was sent, and was not carried out"
        self.done(Done(wanted.number, error="InputError", reason=reason))
        return True

    def look_at(self, x: int, y: int) -> None:
        """The viewer has just pointed there: what changes around it goes first."""
        self._screen.focus = Rect(x - NEAR // 2, y - NEAR // 2, NEAR, NEAR)

    def done(self, done: Done) -> None:
        """An input has been done, or has failed."""
        if self._inputs.done(done.number) and self.stage is Stage.OPEN:
            self._urgent.append(done)

    def happened(self, event: Event) -> None:
        """Tell the viewer of an event, soon."""
        if self.stage is Stage.OPEN:
            self._events.append(event)

    def new_ticket(self, ticket: bytes) -> None:
        """Tell one of the audience the key that follows."""
        if self.stage is Stage.OPEN:
            self._urgent.append(Ticket(ticket))

    def check(self) -> None:
        """End the session if its viewer may not have it any more, and say why."""
        if self.stage is Stage.OPEN and self._admission is not None and self._admission.check:
            try:
                self._admission.check()
            except KjuError as error:
                self.refuse(str(error))

    def refuse(self, reason: str, *, again: bool = False) -> None:
        """End the session and say why.

        Args:
            reason: Why.
            again: Whether a viewer that is not let in yet should try again at once.
        """
        if self.stage is not Stage.CLOSED:
            reason = reason[:1000]
            goodbye = Goodbye(reason) if self.stage is Stage.OPEN else Refused(reason, again)
            self._end(reason)
            self._urgent.append(goodbye)

    def _end(self, reason: str) -> None:
        self.stage, self.reason = Stage.CLOSED, reason
        self._urgent.clear()
        self._events.clear()
        self._under_way.clear()
        self._inputs.clear()
        self._dues.clear()

    # ---- what was lost ----

    def _acknowledged(self, ack: Ack, now: float) -> None:
        if ack.serial > self._serial:
            self.refuse(f"the viewer has acknowledged {ack.serial}; {self._serial} was sent")
            raise PeerError(self.reason, ack.serial)
        self._credit = ack.credit
        lost = set(ack.lost)
        if lost:
            self._screen.heard_of = max(self._screen.heard_of, ack.serial)
        any_lost = False
        for serial in [s for s in self._under_way if s <= ack.serial]:
            under_way = self._under_way.pop(serial)
            if serial == ack.serial:
                # The viewer had this when its clock said `at`: it was sent before that.
                self._origin = under_way.sent.at - ack.at / 1000
            timed = serial == ack.serial and self._is_timed(under_way)
            self.window.acknowledge(under_way.sent, now, lost=serial in lost, timed=timed)
            # What was written off already has been counted.
            if serial in lost and not (under_way.step and under_way.tiles is None):
                any_lost = True
                self._screen.lost(under_way)
        if not self._under_way:
            self._dues.clear()
        if any_lost or ack.again:
            self._lost_at = now
            self._screen.write_off(self._serial)
        if ack.again:
            self._screen.begin_again()

    def _is_timed(self, acknowledged: UnderWay) -> bool:
        """Whether its time is a round trip: where it was late, it may have come the second time.

        When two in a row are late the link has become longer.
        """
        timed = self._doubted or not acknowledged.late
        self._doubted = acknowledged.late
        return timed

    def want_all(self) -> None:
        """One of the audience lacks something: send all again, if that was not done just now."""
        self._wanted = True

    def lead(self) -> None:
        """Have this one of the audience acknowledge for it."""
        if self.stage is Stage.OPEN:
            self._urgent.append(Lead())

    # ---- what goes ----

    def to_send(self, now: float) -> list[Message]:
        """What must arrive: greetings, what became of inputs, events."""
        out: list[Message] = [*self._urgent]
        self._urgent.clear()
        # What must arrive waits for whoever reads it: not for one that says nothing.
        if self.stage is Stage.OPEN and now - self._heard < SILENT:
            out += self._events
            self._events.clear()
        if out:
            self._said = now
        return out

    def next_message(self, now: float) -> Numbered | None:
        """What may be lost: the next thing that the viewer lacks, if it may get more now.

        Raises:
            FormatError: The screen's memory says what cannot be.
        """
        if self.stage is not Stage.OPEN or self.audience:
            return None
        if self._wanted and now >= self._repainted + REPAINT:
            self._wanted, self._repainted = False, now
            self._screen.begin_again()
        allowed = min(self._credit, self.window.size(now))
        if self.window.in_flight and self.window.in_flight >= allowed:
            return self._again(now) or self._ask(now)
        most = max(2048, allowed - self.window.in_flight)
        most = min(most, messages.MAX_MESSAGE - 200)
        made = self._screen.next_message(self._serial + 1, now, most)
        return self._send(made, now) if made else self._again(now) or self._ask(now)

    @property
    def is_level(self) -> bool:
        """Whether the viewer has been sent everything that the encoder has taken."""
        return self._screen.is_level

    @property
    def due(self) -> float | None:
        """When `next_message` has something even if nothing changes, before it has been silent."""
        return self._dues[0] if self._dues else None

    def is_under_way(self, serial: int) -> bool:
        """Whether this message was sent and not acknowledged."""
        return serial in self._under_way

    def _again(self, now: float) -> Numbered | None:
        """The last message once more, where nothing was heard of it for too long."""
        last = self._under_way.get(self._serial)
        if last is None or not self._dues or now < self._dues[0]:
            return None
        if last.sent.size > SMALL:
            return self._send(UnderWay(NOT_SENT, self._ping()), now)
        if self._echoes:
            self._echoes = False
        else:
            self._lost_at, last.late = now, True
        self._dues, self._said = [due for due in self._dues if due > now], now
        return last.message

    def _ask(self, now: float) -> Numbered | None:
        """A ping, where nothing has been heard or said for long."""
        if now - max(self._said, self._heard) < QUIET:
            return None
        last = self._under_way.get(self._serial)
        if last is not None and isinstance(last.message, Ping):
            # One that never answers must not make a list of questions.
            self._said = now
            return last.message
        return self._send(UnderWay(NOT_SENT, self._ping()), now)

    def _ping(self) -> Ping:
        return Ping(self._serial + 1, self._version, self._screen.heard_if_settled)

    def _send(self, made: UnderWay, now: float) -> Numbered:
        message = made.message
        self._serial = message.serial
        size = AROUND
        if isinstance(message, Segment):
            self._version = message.version
            size += len(message.data)
            if isinstance(message, Lossy):
                size += sum(len(photo.data) + AROUND_PHOTO for photo in message.photos)
        elif isinstance(message, Cursor) and message.shape:
            size += len(message.shape)
        made.sent = self.window.send(size, now)
        self._under_way[message.serial] = made
        self._said = now
        patience = self.window.patience
        self._dues = [now + patience * (2**n - 1) for n in range(1, MOST_AGAIN + 1)]
        lossy = now < self._lost_at + LOSSY
        self._echoes = lossy and patience > ECHO and made.sent.size <= SMALL
        if self._echoes:
            self._dues.insert(0, now + ECHO)
        return message
