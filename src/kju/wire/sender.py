"""One viewer, as the side with the screen sees it.

Rules:

- Of a viewer there are numbers only: where it stands, and what is under way to it. A picture that
  it has not taken is nowhere kept; when it can take something it gets the newest.
- No more is under way than its window and its own credit allow.
- Where something was lost, what was sent behind it and builds on it counts as lost as well:
  the viewer does not use it. The tiles come anew, whole.
- That the last message was lost nobody would tell. It is sent again when its acknowledgement is
  late, and, where much is lost, before that; a few times, each time later than the last.

| state      | may come     | leads to                          |
|------------|--------------|-----------------------------------|
| NEW        | Hello        | CHALLENGED, OPEN or CLOSED        |
| CHALLENGED | Proof        | OPEN or CLOSED                    |
| OPEN       | Ack, Input   | OPEN                              |
| any        | Goodbye      | CLOSED                            |

Anything else is a broken protocol, and ends the session.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import KjuError, PeerError
from ..formats import R8
from ..geometry import Rect
from . import blocks, messages
from .encoder import AROUND_PHOTO, Encoder, Step
from .inputs import Inputs
from .messages import (
    MAX_CURSOR,
    PROTOCOL,
    Ack,
    Challenge,
    Cursor,
    Done,
    Event,
    FromViewer,
    Goodbye,
    Hello,
    Input,
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
    Welcome,
)
from .window import Sent, Window

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..consumer import Consumer
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
    """

    role: Role
    challenge: Challenge | None = None
    prove: Callable[[bytes], bool] | None = None
    seal: Seal | None = None


#: Decides about a viewer.
#:
#: Raises:
#:     KjuError: It is not let in; the words are told to it.
Admit = Callable[[Hello], Admission]


@dataclass
class UnderWay:
    """A message that has not been acknowledged."""

    sent: Sent
    message: Numbered
    tiles: npt.NDArray[np.intp] | None = None
    step: bool = False
    late: bool = False


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
        focus: What it looks at.
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
        self._consumer = consumer
        self._admit = admit
        self._admission: Admission | None = None
        self._hello: Hello | None = None
        self.stage = Stage.NEW
        self.role: Role = "view"
        self.user = ""
        self.reason = ""
        self.focus: Rect | None = None
        self.audience = False
        self.seal: Seal | None = None
        self._wanted, self._repainted = False, float("-inf")
        self.window = Window()
        self._credit = 1
        self._urgent: deque[Message] = deque()
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._inputs = Inputs()
        self._serial = 0
        self._since, self._heard_of = 1, 0
        self._version = 0
        self._under_way: dict[int, UnderWay] = {}
        self._heard = self._said = 0.0
        self._dues: list[float] = []
        self._echoes = False
        self._lost_at, self._doubted = float("-inf"), True
        self._epoch = 0
        self._generation = 0
        self._has: npt.NDArray[np.int64] | None = None
        self._complete = False
        self._state: tuple[int, str] | None = None
        self._cursor: int | None = None
        self._shape: object = None

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
            return messages.decode_from_viewer(opened)
        except PeerError as error:
            self.refuse(f"the viewer broke the protocol: {error}")
            raise

    @property
    def heard(self) -> float:
        """When the viewer said something last, seconds."""
        return self._heard

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
            self._admission = self._admit(hello)
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
            self.refuse(f"the proof of user {who!r} is wrong: the password or key is another")

    def _open(self) -> None:
        if self._admission is None or self._hello is None:
            return
        self.role, self.user = self._admission.role, self._hello.user
        self.stage = Stage.OPEN
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
            return self._inputs.take(message, now)
        except PeerError as error:
            self.refuse(str(error))
            raise

    def look_at(self, x: int, y: int) -> None:
        """The viewer has just pointed there: what changes around it goes first."""
        self.focus = Rect(x - NEAR // 2, y - NEAR // 2, NEAR, NEAR)

    def done(self, done: Done) -> None:
        """An input has been done, or has failed."""
        if self._inputs.done(done.number) and self.stage is Stage.OPEN:
            self._urgent.append(done)

    def happened(self, event: Event) -> None:
        """Tell the viewer of an event, soon."""
        if self.stage is Stage.OPEN:
            self._events.append(event)

    def refuse(self, reason: str) -> None:
        """End the session and say why."""
        if self.stage is not Stage.CLOSED:
            reason = reason[:1000]
            goodbye = Goodbye(reason) if self.stage is Stage.OPEN else Refused(reason)
            self._end(reason)
            self._urgent.append(goodbye)

    def _end(self, reason: str) -> None:
        self.stage, self.reason = Stage.CLOSED, reason
        self._urgent.clear()
        self._events.clear()
        self._under_way.clear()
        self._inputs.clear()
        self._dues.clear()
        self._has = None

    # ---- what was lost ----

    def _acknowledged(self, ack: Ack, now: float) -> None:
        if ack.serial > self._serial:
            self.refuse(f"the viewer has acknowledged {ack.serial}; {self._serial} was sent")
            raise PeerError(self.reason, ack.serial)
        self._credit = ack.credit
        lost = set(ack.lost)
        if lost:
            self._heard_of = max(self._heard_of, ack.serial)
        any_lost = False
        for serial in [s for s in self._under_way if s <= ack.serial]:
            under_way = self._under_way.pop(serial)
            timed = serial == ack.serial and self._is_timed(under_way)
            self.window.acknowledge(under_way.sent, now, lost=serial in lost, timed=timed)
            # What was written off already has been counted.
            if serial in lost and not (under_way.step and under_way.tiles is None):
                any_lost = True
                self._is_lost(under_way)
        if not self._under_way:
            self._dues.clear()
        if any_lost or ack.again:
            self._lost_at = now
            self._write_off()
            self._complete = False
        if ack.again:
            self._begin_again()

    def _is_timed(self, acknowledged: UnderWay) -> bool:
        """Whether its time is a round trip: where it was late, it may have come the second time.

        When two in a row are late the link has become longer.
        """
        timed = self._doubted or not acknowledged.late
        self._doubted = acknowledged.late
        return timed

    def _begin_again(self) -> None:
        """From the mode on."""
        self._epoch, self._state, self._cursor, self._shape = 0, None, None, None
        self._complete = False

    def want_all(self) -> None:
        """One of the audience lacks something: send all again, if that was not done just now."""
        self._wanted = True

    def lead(self) -> None:
        """Have this one of the audience acknowledge for it."""
        if self.stage is Stage.OPEN:
            self._urgent.append(Lead())

    def _is_lost(self, under_way: UnderWay) -> None:
        if isinstance(under_way.message, Mode):
            self._epoch = 0
        elif isinstance(under_way.message, State):
            self._state = None
        elif isinstance(under_way.message, Cursor):
            self._cursor, self._shape = None, None
        elif under_way.tiles is not None:
            self._forget(under_way.tiles)

    def _write_off(self) -> None:
        """Whatever builds on what was lost is lost."""
        for under_way in self._under_way.values():
            if under_way.step and under_way.tiles is not None:
                self._forget(under_way.tiles)
                under_way.tiles = None
        self._since = self._serial + 1

    def _forget(self, tiles: npt.NDArray[np.intp]) -> None:
        """The viewer may show anything there."""
        has = self._behind()
        if len(tiles) and int(tiles.max()) < len(has):
            has[tiles] = 0

    def _behind(self) -> npt.NDArray[np.int64]:
        """At which generation the viewer has each tile; it is not in step any more."""
        if self._has is None:
            self._has = np.full(len(self._encoder.stamps), self._generation, np.int64)
        return self._has

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
            self._begin_again()
        allowed = min(self._credit, self.window.size(now))
        if self.window.in_flight and self.window.in_flight >= allowed:
            return self._again(now) or self._ask(now)
        most = max(2048, allowed - self.window.in_flight)
        made = self._make(now, min(most, messages.MAX_MESSAGE - 200))
        return self._send(made, now) if made else self._again(now) or self._ask(now)

    @property
    def is_level(self) -> bool:
        """Whether the viewer has been sent everything that the encoder has taken."""
        return self._has is None and self._generation == self._encoder.generation

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
            return self._send(UnderWay(_NOTHING, self._ping()), now)
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
        return self._send(UnderWay(_NOTHING, self._ping()), now)

    def _ping(self) -> Ping:
        return Ping(self._serial + 1, self._version)

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

    def _make(self, now: float, most: int) -> UnderWay | None:
        serial, encoder = self._serial + 1, self._encoder
        dirty = encoder.look(now)
        if encoder.mode.epoch and self._epoch != encoder.mode.epoch:
            return self._make_mode(serial)
        if made := self._make_state(serial) or self._make_cursor(serial):
            return made
        if not self._epoch:
            return None
        return self._make_segment(serial, now, most, dirty=dirty)

    def _make_mode(self, serial: int) -> UnderWay:
        encoder = self._encoder
        mode = encoder.mode
        self._epoch, self._since, self._complete = mode.epoch, serial, False
        self._generation, self._has = encoder.born, None
        if encoder.generation != encoder.born:
            self._behind()  # steps that are kept would show it what was, not what is
        return UnderWay(
            _NOTHING, Mode(serial, mode.epoch, mode.width, mode.height, mode.fourcc == R8)
        )

    def _make_state(self, serial: int) -> UnderWay | None:
        code, reason = self._consumer.state
        if (int(code), reason) == self._state:
            return None
        self._state = int(code), reason
        return UnderWay(_NOTHING, State(serial, int(code), reason))

    def _make_cursor(self, serial: int) -> UnderWay | None:
        version = self._consumer.reader.cursor_version
        if self._cursor == version:
            return None
        seen = self._consumer.cursor()
        self._cursor = version
        shape = seen.shape.tobytes()
        told: bytes | None = None
        if shape != self._shape:
            told = blocks.compress(shape, self._encoder.codec)
            self._shape = shape
            if len(told) > MAX_CURSOR:
                told = b""
        height, width = seen.shape.shape[:2]
        return UnderWay(
            _NOTHING,
            Cursor(serial, seen.visible, seen.x, seen.y, seen.hot_x, seen.hot_y,
                   width, height, told),
        )  # fmt: skip

    def _make_segment(self, serial: int, now: float, most: int, *, dirty: bool) -> UnderWay | None:
        encoder = self._encoder
        if self._has is not None:
            behind = np.flatnonzero(encoder.stamps > self._has)
            if len(behind):
                return self._make_repair(serial, behind, most)
            self._generation, self._has = encoder.generation, None
        step = encoder.step_after(self._generation)
        if step is None and self._generation != encoder.generation:
            self._behind()
            return self._make_segment(serial, now, most, dirty=dirty)
        if step is None and dirty:
            step = encoder.advance(now, self.focus, most)
        if step is None:
            return None if self._complete else self._make_nothing(serial)
        self._generation = step.generation
        self._complete = self._complete or step.whole > 0
        made = self._segment(serial, self._builds_on(serial), step)
        return UnderWay(_NOTHING, made, step.tiles, step=True)

    def _segment(self, serial: int, since: int, step: Step) -> Segment:
        fields = serial, since, self._epoch, step.version, step.whole, *step.block, self._heard_of
        return Segment(*fields) if step.exact else Lossy(*fields, list(step.photos))

    def _builds_on(self, serial: int) -> int:
        """The first that may be lost of what this builds on: no ping, state or cursor."""
        for before, under_way in self._under_way.items():
            if before >= self._since and isinstance(under_way.message, Mode | Segment):
                return before
        return serial

    def _make_nothing(self, serial: int) -> UnderWay:
        """That the viewer has everything already: the picture is as it began."""
        self._complete = True
        encoder, nothing = self._encoder, np.zeros(0, np.intp)
        version = max(1, self._consumer.reader.version, encoder.version)
        step = Step(0, version, version, nothing, encoder.nothing, exact=encoder.exact)
        return UnderWay(_NOTHING, self._segment(serial, self._builds_on(serial), step), nothing)

    def _make_repair(self, serial: int, behind: npt.NDArray[np.intp], most: int) -> UnderWay:
        encoder = self._encoder
        step = encoder.repair(behind, most, self._behind()[behind] == encoder.born)
        self._behind()[step.tiles] = encoder.generation
        last = len(step.tiles) == len(behind)
        if not last:
            # What the viewer has of the others may be anything.
            step = step._replace(whole=0, exact=not encoder.lossy)
        self._complete = self._complete or step.whole > 0
        # What the last one says of the whole picture is true if those before it have come.
        since = self._builds_on(serial) if last else 0
        return UnderWay(_NOTHING, self._segment(serial, since, step), step.tiles, step=last)


_NOTHING = Sent(0, 0.0, 0, 0.0, False)
