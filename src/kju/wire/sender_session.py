"""A sender's session with one viewer.

Rules:

- The sender keeps only numbers about a viewer (versions, bytes in flight) and no pictures. A viewer
  with room in its window gets the newest pixels.
- No more is in flight than the congestion window and the viewer's credit allow.
- A viewer that states a rate gets as many updates (`kju.wire.update_pace`).

| stage      | accepts                                 | next stage                 |
|------------|-----------------------------------------|----------------------------|
| NEW        | SessionHello                            | CHALLENGED, OPEN or CLOSED |
| CHALLENGED | Proof                                   | OPEN or CLOSED             |
| OPEN       | Ack, ViewerInput, KeepAlive, ViewerRate | OPEN                       |
| any        | Goodbye                                 | CLOSED                     |

Any other message breaks the protocol and ends the session.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import FormatError, KjuError, PeerError
from ..protocol.values import Role, may_send_input
from ..surface.geometry import Rect
from . import messages
from .encoder import Encoder
from .greeting import Admit, SenderGreeting, Stage
from .in_flight import InFlight, OutgoingMessages
from .messages import (
    PROTOCOL,
    Ack,
    Challenge,
    FromViewer,
    Goodbye,
    InputDone,
    KeepAlive,
    Lead,
    MachineEvent,
    Numbered,
    Proof,
    RateDone,
    SessionHello,
    SessionRefused,
    SessionWelcome,
    Ticket,
    ViewerInput,
    ViewerRate,
    WireMessage,
)
from .sent_picture import SentPicture
from .sequence import MAX_AGE, InputQueue
from .update_pace import UpdatePace, quiet_time

if TYPE_CHECKING:
    from ..surface.consumer import Consumer
    from .seal import Seal

#: Seconds after a missing acknowledgement of a ping until a viewer gets no events.
_EVENT_SILENCE = 2.0
#: Seconds between two restarts that members of an audience have requested.
RESTART_INTERVAL = 2.0
#: Events that wait to be sent; of more, the oldest are dropped.
MAX_EVENTS = 64
#: The side of the focus around the pointer, pixels.
_FOCUS_SIDE = 160


class SenderSession:
    """A sender's end of one session.

    Args:
        encoder: The encoder of the screen.
        consumer: The same screen.
        admit: Decides about the viewer.
        join: Adds the viewer to an audience. Takes whether the session is sealed; returns the
            audience's name and its ticket.
        ordered: Messages arrive once and in order: none is sent again.

    Attributes:
        stage: The stage of the session.
        reason: The reason of the session's end.
        audience: The viewer gets numbered messages with its audience, not from this session.
        heard_at: The time of the viewer's last message, seconds.
        outgoing: The numbered messages.
        pace: When the viewer gets pixels.
        rate_number: The number of the viewer's last change of its rate.
    """

    def __init__(
        self,
        encoder: Encoder,
        consumer: Consumer,
        admit: Admit,
        join: Callable[[bool], tuple[str, bytes]] = lambda sealed: ("all", b""),
        *,
        ordered: bool = False,
    ) -> None:
        self._join = join
        self._encoder = encoder
        self._greeting = SenderGreeting(admit)
        self.stage = Stage.NEW
        self.reason = ""
        self.audience = False
        self.heard_at = 0.0
        self.outgoing = OutgoingMessages(ordered=ordered)
        self.pace = UpdatePace()
        self.rate_number = 0
        self._viewer = SentPicture(encoder, consumer, self.outgoing.in_flight)
        self._urgent: deque[WireMessage] = deque()
        self._events: deque[MachineEvent] = deque(maxlen=MAX_EVENTS)
        self._inputs = InputQueue()
        self._restarts = _Restarts()

    # ---- the viewer ----

    @property
    def role(self) -> Role:
        """The viewer's role; `view` before it was admitted."""
        return self._greeting.role

    @property
    def user(self) -> str:
        """The authenticated user; empty before that."""
        return self._greeting.user

    @property
    def seal(self) -> Seal | None:
        """The seal of the session's messages; None without authentication."""
        return self._greeting.seal

    @property
    def previous(self) -> str:
        """The id of the viewer's session before this one; empty for none."""
        return self._greeting.hello.previous if self._greeting.hello else ""

    @property
    def has_caught_up(self) -> bool:
        """True if the viewer was sent everything that the encoder has taken."""
        return self._viewer.has_caught_up

    @property
    def generation(self) -> int:
        """The newest step of the encoder, which this viewer shares with others."""
        return self._encoder.generation

    @property
    def quiet_time(self) -> float:
        """Seconds without a message until the viewer is sent a ping."""
        hello = self._greeting.hello
        return quiet_time(self.pace.rate, rare_pings=hello is not None and hello.rare_pings)

    def due(self, now: float) -> float | None:
        """Return the next time at which there may be something to send; None for none.

        Until then there is nothing, unless the screen changes or the viewer sends a message.
        """
        if self.stage is not Stage.OPEN or self.audience:
            return None
        outgoing = self.outgoing
        ping_time = outgoing.ping_time(self.heard_at, self.quiet_time)
        times = (outgoing.due, self.pace.due, ping_time, self._restarts.due, self._encoder.rest_due)
        return min((at for at in times if at is not None and at > now), default=None)

    # ---- bytes ----

    def encode(self, message: WireMessage) -> bytes:
        """Encode and seal a message for the viewer."""
        data = messages.encode(message)
        return self.seal.close(data) if self.seal and not isinstance(message, Challenge) else data

    def decode(self, data: bytes) -> FromViewer:
        """Open and decode a message.

        Raises:
            PeerError: It is not the viewer's; or it is not valid, and the session has ended.
        """
        opened = self.seal.open(data) if self.seal else data
        try:
            message = messages.decode_from_viewer(opened)
        except PeerError as error:
            self.refuse(f"the viewer broke the protocol: {error}")
            raise
        if isinstance(message, SessionHello):
            self._greeting.raw_hello = opened
        return message

    # ---- receiving ----

    def receive(self, message: FromViewer, now: float) -> list[ViewerInput]:
        """Process a message; return the inputs that the caller must carry out, in this order.

        Raises:
            PeerError: The message is not valid at this stage. The session has ended.
        """
        if self.stage is Stage.CLOSED:
            return []
        self.heard_at = now
        is_open = self.stage is Stage.OPEN
        if isinstance(message, Goodbye):
            self._end(message.reason or "the viewer has ended the session")
        elif is_open and isinstance(message, Ack):
            if not self.audience:  # a member's go to the session of the audience
                self._receive_ack(message, now)
        elif is_open and isinstance(message, ViewerInput):
            return self._receive_input(message, now)
        elif is_open and isinstance(message, ViewerRate):
            if message.number > self.rate_number:
                self.rate_number, self.pace.rate = message.number, message.rate
        elif is_open and isinstance(message, KeepAlive):
            pass
        elif self.stage is Stage.NEW and isinstance(message, SessionHello):
            self._receive_hello(message)
        elif self.stage is Stage.CHALLENGED and isinstance(message, Proof):
            self._receive_proof(message)
        else:
            name = type(message).__name__
            self.refuse(f"{name} is not allowed in stage {self.stage.value}")
            raise PeerError(self.reason, message)
        return []

    def _receive_hello(self, hello: SessionHello) -> None:
        try:
            admission = self._greeting.receive_hello(hello, self._encoder.codec)
        except KjuError as error:
            self.refuse(str(error))
            return
        self.outgoing.credit, self.pace.rate = hello.credit, hello.rate
        if admission.challenge is None:
            self._open(hello)
        else:
            self.stage = Stage.CHALLENGED
            self._urgent.append(admission.challenge)

    def _receive_proof(self, message: Proof) -> None:
        try:
            hello = self._greeting.receive_proof(message.proof)
        except KjuError as error:
            self.refuse(str(error))
            return
        self._open(hello)

    def _open(self, hello: SessionHello) -> None:
        self._greeting.accept(hello)
        self.stage, self._inputs.clock_start = Stage.OPEN, self.heard_at
        encoder = self._encoder
        self.audience = hello.audience and not may_send_input(self.role)
        name, ticket = self._join(self.seal is not None) if self.audience else ("", b"")
        self._urgent.append(
            SessionWelcome(
                PROTOCOL,
                encoder.incarnation,
                encoder.codec,
                self.role,
                encoder.tile_side,
                name,
                ticket,
                encoder.is_lossy,
                True,
            )
        )

    def _receive_ack(self, ack: Ack, now: float) -> None:
        outgoing, viewer = self.outgoing, self._viewer
        if ack.serial > outgoing.serial:
            self.refuse(f"the viewer acknowledged {ack.serial}; {outgoing.serial} was sent last")
            raise PeerError(self.reason, ack.serial)
        outgoing.credit = ack.credit
        if ack.lost:
            viewer.losses_known = max(viewer.losses_known, ack.serial)
        if (newest := outgoing.in_flight.get(ack.serial)) is not None:
            # It was sent before the viewer had it, when the viewer's clock showed `timestamp`.
            self._inputs.clock_start = newest.sent.at - ack.timestamp / 1000
        lost = outgoing.acknowledge(ack.serial, set(ack.lost), now)
        for message in lost:
            viewer.lose(message)
        if lost or ack.restart:
            outgoing.record_loss(now)
            viewer.write_off(outgoing.serial)
            self.pace.require()
        if ack.restart:
            viewer.restart()

    # ---- inputs ----

    def _receive_input(self, message: ViewerInput, now: float) -> list[ViewerInput]:
        if not may_send_input(self.role):
            reason = "a view client cannot send input; connect with the role control"
            self._urgent.append(InputDone(message.number, error="RoleError", reason=reason))
            return []
        self.pace.hasten(now)
        try:
            ready = self._inputs.add(message, now)
        except PeerError as error:
            self.refuse(str(error))
            raise
        return [each for each in ready if not self._reject_if_old(each, now)]

    def _reject_if_old(self, message: ViewerInput, now: float) -> bool:
        """Reject an input that is too old; return whether it was."""
        age = self._inputs.age(message, now)
        if age <= MAX_AGE:
            return False
        reason = f"the input arrived {age:.0f} s after it was sent, and was not carried out"
        self.finish_input(InputDone(message.number, error="InputError", reason=reason))
        return True

    def finish_input(self, done: InputDone) -> None:
        """Send the result of an input."""
        if self._inputs.finish(done.number) and self.stage is Stage.OPEN:
            self._urgent.append(done)

    def set_focus(self, x: int, y: int) -> None:
        """Send changes around this point first: the viewer's pointer is there."""
        corner = x - _FOCUS_SIDE // 2, y - _FOCUS_SIDE // 2
        self._viewer.focus = Rect(*corner, _FOCUS_SIDE, _FOCUS_SIDE)

    def confirm_rate(self) -> None:
        """Confirm the last change of the viewer's rate, which the screen follows."""
        version = self.update_now()
        if self.stage is Stage.OPEN and self.rate_number:
            self._urgent.append(RateDone(self.rate_number, version))

    def update_now(self) -> int:
        """Begin an update at once; return the version that the viewer gets, without a change too.

        Of an audience this is the session of the audience.
        """
        with contextlib.suppress(FormatError):  # `next_message` raises it
            self._encoder.source.update(True)
        version = self._viewer.version
        self._viewer.confirm(version)
        self.pace.require(version)
        return version

    # ---- the audience, events, the end ----

    def queue_event(self, event: MachineEvent) -> None:
        """Send an event soon."""
        if self.stage is Stage.OPEN:
            self._events.append(event)

    def queue_ticket(self, ticket: bytes) -> None:
        """Send a member of an audience the next key."""
        if self.stage is Stage.OPEN:
            self._urgent.append(Ticket(ticket))

    def make_leader(self) -> None:
        """Have this member of an audience acknowledge for all."""
        if self.stage is Stage.OPEN:
            self._urgent.append(Lead())

    def request_restart(self) -> None:
        """Send everything again, at most once in `RESTART_INTERVAL`: a member lacks pixels."""
        self._restarts.is_wanted = True

    def check(self) -> None:
        """End the session if the viewer's right to it has ended."""
        if self.stage is Stage.OPEN:
            try:
                self._greeting.check()
            except KjuError as error:
                self.refuse(str(error))

    def refuse(self, reason: str, *, retry: bool = False) -> None:
        """End the session.

        Args:
            reason: The reason, for the viewer.
            retry: A viewer that was not admitted yet should try again at once.
        """
        if self.stage is not Stage.CLOSED:
            reason = reason[:1000]
            last = Goodbye(reason) if self.stage is Stage.OPEN else SessionRefused(reason, retry)
            self._end(reason)
            self._urgent.append(last)

    def _end(self, reason: str) -> None:
        self.stage, self.reason = Stage.CLOSED, reason
        self._urgent.clear()
        self._events.clear()
        self.outgoing.clear()
        self._inputs.clear()

    # ---- sending ----

    def to_send(self, now: float) -> list[WireMessage]:
        """Return the reliable messages to send now: greetings, results of inputs, events."""
        out: list[WireMessage] = [*self._urgent]
        self._urgent.clear()
        # A silent viewer gets no events: reliable messages to it would queue in the transport.
        if self.stage is Stage.OPEN and now < self.heard_at + self.quiet_time + _EVENT_SILENCE:
            out += self._events
            self._events.clear()
        if out:
            self.outgoing.sent_at = now
        return out

    def next_message(self, now: float) -> Numbered | None:
        """Return the next numbered message, which may be lost, if the viewer may get one now.

        Raises:
            FormatError: The screen's memory is not valid.
        """
        if self.stage is not Stage.OPEN or self.audience:
            return None
        if self._restarts.is_due(now):
            self._viewer.restart()
            self.pace.require()
        outgoing = self.outgoing
        max_bytes = outgoing.room(now)
        if max_bytes and (made := self._next_made(now, max_bytes)):
            return outgoing.send(made, now)
        return outgoing.repeat(
            now, self.heard_at, lambda: self._viewer.settled_losses, self.quiet_time
        )

    def _next_made(self, now: float, max_bytes: int) -> InFlight | None:
        """Make the next message; between two updates there is only the screen's state."""
        serial, viewer = self.outgoing.serial + 1, self._viewer
        is_due = self.pace.allows(now)
        self._encoder.source.update(is_due)
        if not is_due:
            return viewer.next_state(serial)
        version = viewer.version
        if self.pace.is_between:
            viewer.begin_update()
        made = viewer.next_message(serial, now, max_bytes)
        self.pace.record(made.message if made else None, version, now)
        if self.pace.rate is not None and viewer.is_update_sent:
            self.pace.finish()
        return made


class _Restarts:
    """The restarts that members of an audience have requested."""

    def __init__(self) -> None:
        self.is_wanted = False
        self._last = float("-inf")

    @property
    def due(self) -> float | None:
        """The time of the next restart; None if none is wanted."""
        return self._last + RESTART_INTERVAL if self.is_wanted else None

    def is_due(self, now: float) -> bool:
        """Return whether to restart now; at most once in `RESTART_INTERVAL`."""
        if self.due is None or now < self.due:
            return False
        self.is_wanted, self._last = False, now
        return True
