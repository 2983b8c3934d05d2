"""A viewer's session: keeps a surface equal to a screen elsewhere.

Rules:

- A message that arrives after a newer one is dropped: it was already reported as lost.
- A segment that builds on a lost one is dropped, and reported as lost too.
- An invalid message ends the session.
- Within a session the screen's version never decreases.
- In an authenticated session, messages before the sender's proof do not end the session: anybody
  can have sent them. A refusal or a wrong challenge is kept as a hint, and the right challenge may
  still arrive.

| stage           | accepts                                             | next stage   |
|-----------------|-----------------------------------------------------|--------------|
| NEW             | (`start` sends the hello)                           | GREETED      |
| GREETED         | Challenge                                           | PROVED       |
| GREETED, PROVED | SessionWelcome, SessionRefused                      | OPEN, CLOSED |
| OPEN            | numbered, InputDone, MachineEvent, RateDone, Lead,  | OPEN         |
|                 | Ticket                                              |              |
| any             | Goodbye                                             | CLOSED       |

Any other message breaks the protocol and ends the session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import FormatError, GeometryError, KjuError, PeerError
from ..protocol.values import Role
from . import messages
from .codecs import offered
from .greeting import Prove, Stage, ViewerGreeting
from .messages import (
    PROTOCOL,
    Ack,
    Challenge,
    CursorUpdate,
    FromSender,
    Goodbye,
    InputDone,
    Lead,
    MachineEvent,
    ModeUpdate,
    Numbered,
    Ping,
    RateDone,
    Segment,
    SessionHello,
    SessionRefused,
    SessionWelcome,
    StateUpdate,
    Ticket,
    WireMessage,
)
from .received_picture import DrawTarget, ReceivedPicture
from .sequence import AckState

if TYPE_CHECKING:
    from .seal import Seal

#: The bytes that may be in flight to a viewer: the most by which it can be behind.
CREDIT = 1 << 20
#: Messages that have overtaken the welcome and wait for it: as many as a sender sends before its
#: first acknowledgement.
MAX_EARLY = 16
#: The messages that the session's owner handles.
ForCaller = InputDone | MachineEvent | RateDone


class ReceiverSession:
    """A viewer's end of one session.

    Args:
        target: The surface to draw on.
        max_pixels: The most pixels of a screen.
        keep: The target shows the picture of an earlier session. Keep it, if the form is the same,
            until all of the new picture was received.

    Attributes:
        stage: The stage of the session.
        reason: The reason of the session's end.
        picture: The picture of this session.
        state: The sender's state and its reason; None before they were received.
        heard_at: The time of the last message, seconds.
        retry: The sender has refused this session; the viewer should try again at once.
        leads: This viewer acknowledges; of an audience, one does.
        is_restart_request_due: This member of an audience lacks pixels: send `restart_request`.
        ack_state: The acknowledgement state.
    """

    def __init__(
        self, target: DrawTarget, *, max_pixels: int = 1 << 26, keep: bool = False
    ) -> None:
        self.picture = ReceivedPicture(target, max_pixels=max_pixels, keep=keep)
        self.stage = Stage.NEW
        self.reason = ""
        self.state: tuple[int, str] | None = None
        self.heard_at = 0.0
        self.retry = False
        self.leads = True
        self.is_restart_request_due = False
        self.ack_state = AckState()
        self._greeting: ViewerGreeting | None = None
        self._opened_at = 0.0
        self._urgent: list[WireMessage] = []
        #: Messages that have overtaken the welcome.
        self._early: deque[Numbered] = deque(maxlen=MAX_EARLY)
        self._has_ended = False

    # ---- the greeting ----

    @property
    def welcome(self) -> SessionWelcome | None:
        """The sender's welcome, once it was received."""
        return self._greeting.welcome if self._greeting else None

    @property
    def sender(self) -> str:
        """The name that the sender has proved; empty without authentication."""
        return self._greeting.sender if self._greeting else ""

    @property
    def seal(self) -> Seal | None:
        """The seal of the session's messages; None without authentication."""
        return self._greeting.seal if self._greeting else None

    @property
    def hint(self) -> str:
        """An unauthenticated reason of a refusal; empty for none."""
        return self._greeting.hint if self._greeting else ""

    @property
    def hello(self) -> SessionHello:
        """The first message of this session.

        Raises:
            PeerError: The session has not started.
        """
        if self._greeting is None:
            raise PeerError("the session has not started")
        return self._greeting.hello

    def clock(self, now: float) -> int:
        """Return the milliseconds since the welcome: see `messages.ViewerInput.timestamp`."""
        return max(0, int((now - self._opened_at) * 1000))

    def check(self) -> None:
        """End the session if its sender is no longer trusted."""
        if self.stage is Stage.OPEN and self._greeting is not None:
            try:
                self._greeting.check()
            except KjuError as error:
                self.goodbye(str(error))

    # ---- bytes ----

    def encode(self, message: WireMessage) -> bytes:
        """Encode and seal a message for the sender."""
        data = messages.encode(message)
        return self.seal.close(data) if self.seal else data

    def decode(self, data: bytes, *, audience: str = "") -> FromSender:
        """Open and decode a message.

        Args:
            data: The message.
            audience: The audience that it was sent to; empty for this viewer alone.

        Raises:
            PeerError: It is not the sender's; or it is not valid, and the session has ended.
        """
        opens = self.seal
        if audience:
            if self.welcome is None or self.welcome.audience != audience:
                raise PeerError("a message for an audience of other viewers", audience)
            opens = self._greeting.member if self._greeting else None  # type: ignore[assignment]
        opened = opens.open(data) if opens else data
        try:
            message = messages.decode_from_sender(opened)
        except PeerError as error:
            if not self._is_unproved:
                self.goodbye(f"the sender broke the protocol: {error}")
            raise
        if isinstance(message, Challenge) and self._greeting is not None:
            self._greeting.raw_challenge = opened
        return message

    @property
    def _is_unproved(self) -> bool:
        """True if anybody may send in the sender's name: its proof is still missing."""
        greeting = self._greeting
        return self.stage is Stage.GREETED and greeting is not None and greeting.is_sender_unproved

    # ---- sending ----

    def start(
        self, role: Role, *, user: str = "", prove: Prove | None = None,
        codecs: Sequence[str] | None = None, credit: int = CREDIT, audience: bool = False,
        lossy: bool = False, previous: str = "", rate: float | None = None, max_side: int = 0,
    ) -> None:  # fmt: skip
        """Begin the session: queue the hello. See `messages.SessionHello`."""
        names = offered() if codecs is None else codecs
        hello = SessionHello(
            PROTOCOL, role, list(names), credit, user, prove.key if prove else b"",
            audience, lossy, previous, rate, True, max_side,
        )  # fmt: skip
        self._greeting = ViewerGreeting(hello, prove)
        self.stage = Stage.GREETED
        self._urgent.append(hello)

    def goodbye(self, reason: str = "") -> None:
        """End the session, and queue the last message."""
        if self.stage not in (Stage.NEW, Stage.CLOSED):
            self._urgent.append(Goodbye(reason[:1000]))
        self._end(reason)

    def to_send(self) -> list[WireMessage]:
        """Return the messages to send now.

        An `Ack` asks for lost segments again. Each lists all losses that the sender has not
        confirmed, so a lost `Ack` does no harm. Of an audience only the leader acknowledges; the
        owner of another member's session sends `restart_request` when it is due.
        """
        out, self._urgent = self._urgent, []
        state = self.ack_state
        if state.is_ack_due and self.stage is Stage.OPEN:
            state.is_ack_due = False
            if self.leads:
                at, credit = self.clock(self.heard_at), self.hello.credit
                out.append(Ack(state.last, state.lost, credit, state.wants_restart, at))
            elif self.picture.mode is None or state.lost or state.wants_restart:
                self.is_restart_request_due = True
        return out

    def restart_request(self) -> WireMessage:
        """Return the message with which a member of an audience requests a restart."""
        self.is_restart_request_due = False
        self.ack_state.want_restart(self.heard_at)
        return Ack(0, [], self.hello.credit, True)

    # ---- receiving ----

    def receive(self, message: FromSender, now: float) -> ForCaller | None:
        """Process a message; return results of inputs and rates, and events, for the caller.

        Raises:
            PeerError: The message is not valid at this stage. The session has ended.
        """
        if self.stage is Stage.CLOSED:
            return None
        if self._is_unproved:
            self._receive_unproved(message, now)
            return None
        self.heard_at = now
        try:
            return self._receive(message)
        except (PeerError, FormatError, GeometryError) as error:
            self.goodbye(f"the sender broke the protocol: {error}")
            if isinstance(error, PeerError):
                raise
            raise PeerError(str(error), message) from error

    def _receive_unproved(self, message: FromSender, now: float) -> None:
        """Process a right challenge; keep anything else as a hint."""
        greeting = self._greeting
        if greeting is None:
            return
        try:
            if isinstance(message, Challenge):
                self._receive_challenge(message)
                self.heard_at = now
            elif isinstance(message, Goodbye | SessionRefused):
                greeting.hint = message.reason or greeting.hint
            elif isinstance(message, SessionWelcome):
                greeting.hint = "this sender is not authenticated: omit --user to connect anyway"
        except KjuError as error:
            greeting.hint = str(error)

    def _receive(self, message: FromSender) -> ForCaller | None:
        is_open, greeting = self.stage is Stage.OPEN, self._greeting
        if isinstance(message, Goodbye | SessionRefused):
            self.retry = isinstance(message, SessionRefused) and message.retry
            self._end(message.reason or "the sender has ended the session")
        elif is_open and isinstance(message, Numbered):
            self._receive_numbered(message)
        elif is_open and isinstance(message, ForCaller):
            return message
        elif is_open and isinstance(message, Lead):
            self.leads, self.ack_state.is_ack_due = True, self.ack_state.last > 0
        elif is_open and isinstance(message, Ticket) and greeting and greeting.member:
            greeting.member.learn(message.ticket)
        elif self.stage is Stage.GREETED and isinstance(message, Challenge):
            self._receive_challenge(message)
        elif self.stage in (Stage.GREETED, Stage.PROVED) and isinstance(message, SessionWelcome):
            self._receive_welcome(message)
        elif isinstance(message, Numbered) and self.stage is not Stage.NEW and greeting:
            # Messages for an audience, and unauthenticated ones, are not kept for the welcome.
            if not greeting.hello.audience and not greeting.is_sender_unproved:
                self._early.append(message)
        else:
            name = type(message).__name__
            raise PeerError(f"{name} is not allowed in stage {self.stage.value}", message)
        return None

    def _receive_challenge(self, message: Challenge) -> None:
        if self._greeting is not None:
            self._urgent.append(self._greeting.receive_challenge(message))
            self.stage = Stage.PROVED

    def _receive_welcome(self, message: SessionWelcome) -> None:
        if self._greeting is not None:
            self._greeting.receive_welcome(message)
        self.picture.codec, self.picture.accepts_photos = message.codec, message.lossy
        self.stage, self._opened_at = Stage.OPEN, self.heard_at
        if self._has_ended:
            # Another thread has ended the session after `receive` looked at the stage.
            self.stage = Stage.CLOSED
        self.leads, self.is_restart_request_due = not message.audience, bool(message.audience)
        for early in self._early:
            self._receive_numbered(early)
        self._early.clear()

    def _end(self, reason: str) -> None:
        if self.stage is not Stage.CLOSED:
            self._has_ended, self.reason = True, reason
            self.stage = Stage.CLOSED

    def _receive_numbered(self, message: Numbered) -> None:
        if isinstance(message, Ping) and message.version > self.picture.version:
            self.ack_state.fall_behind(self.heard_at)
        if not self.ack_state.receive(message.serial, self.heard_at):
            return
        if isinstance(message, ModeUpdate):
            self.picture.set_mode(message)
            self.ack_state.restart(message.serial)
        elif isinstance(message, Segment):
            self._receive_segment(message)
        elif isinstance(message, CursorUpdate):
            self.picture.set_cursor(message)
        elif isinstance(message, StateUpdate):
            self.state = message.state, message.reason
        if isinstance(message, CursorUpdate | StateUpdate | Ping) and self.leads:
            self.ack_state.confirm(message.acknowledged)

    def _receive_segment(self, message: Segment) -> None:
        if message.depends_on > message.serial:
            raise PeerError(f"segment {message.serial} builds on the later {message.depends_on}")
        self.ack_state.confirm(message.acknowledged)
        mode = self.picture.mode
        is_current = mode is not None and message.epoch == mode.epoch
        if mode is None or not is_current or not self.ack_state.can_use(message.depends_on):
            self.ack_state.lose([message.serial], self.heard_at)
            return
        self.picture.draw(message, mode)
        self.ack_state.catch_up()
