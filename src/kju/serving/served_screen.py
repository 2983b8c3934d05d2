"""SHELL: one screen on the network: a session for each of its viewers, whatever carries them.

Rules:

- Everything runs in the event loop; only the wait for the screen's changes is a thread's.
- Nothing is polled for pixels: a viewer is served when the screen changes, when a message of it
  arrives, and at the time that its session names (`SenderSession.due`).
- A viewer that is not admitted costs nothing after the answer. At most `MAX_GREETING` viewers at a
  time are in their greeting.
- A viewer is removed if it breaks the protocol, is silent, or loses its token or its right (its
  user was removed or has another role, or its certificate has expired).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ..errors import KjuError, PeerError
from ..escaping import without_folders
from ..protocol.values import Role, granted
from ..wire import messages
from ..wire.greeting import Admission, Admit, Stage
from ..wire.messages import InputDone, MachineEvent, ViewerInput
from ..wire.sender_session import SenderSession
from ..wire.update_pace import FIRST_LOOK_RATE
from . import served_viewers as limits
from .audience import Audience
from .carrier import Carrier, ServedViewer
from .served_viewers import Delivery, ScreenRate, ViewerRegistry
from .shared_screen import ScreenOrigin, SharedScreen

log = logging.getLogger(__name__)

#: Seconds between two checks of timeouts and rights. All screens check at the same times, so that
#: a computer that serves dozens wakes once.
TICK = 1.0
#: Seconds until the next attempt when a carrier has no room or a check has not finished.
_RETRY = 0.02

#: Carries out the body of an input of a viewer.
#:
#: Raises:
#:     KjuError: It failed.
CarryOut = Callable[[ServedViewer, bytes], Awaitable[InputDone]]


class _Policy(NamedTuple):
    """Decisions about the viewers of a screen.

    Attributes:
        admit: Decides about a viewer.
        carry_out: Carries out the inputs of a viewer.
        on_left: Called when a viewer was removed.
        most_role: Returns the most that viewers of the open screen may do.
    """

    admit: Admit
    carry_out: CarryOut
    on_left: Callable[[ServedViewer], object]
    most_role: Callable[[], Role]


class ServedScreen:
    """One screen on the network.

    Args:
        carrier: Carries the messages.
        origin: The screen.
        admit: See `_Policy.admit`.
        carry_out: See `_Policy.carry_out`.
        on_left: See `_Policy.on_left`.
        most_role: See `_Policy.most_role`.

    Attributes:
        registry: The viewers.
        delivery: The messages to them.
    """

    def __init__(
        self,
        carrier: Carrier,
        origin: ScreenOrigin,
        admit: Admit,
        carry_out: CarryOut,
        on_left: Callable[[ServedViewer], object] = lambda viewer: None,
        most_role: Callable[[], Role] = lambda: "control",
    ) -> None:
        self._carrier = carrier
        self.name = name = carrier.name
        self._screen = SharedScreen(origin, name)
        self._policy = _Policy(admit, carry_out, on_left, most_role)
        self.registry = ViewerRegistry(name)
        self._rate = ScreenRate(self._screen, self.registry.rate, self._confirm_rate)
        self.delivery = Delivery(carrier)
        self._audience: Audience | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to serve."""
        self._carrier.open(self._on_data, self._on_left)

    def close(self, reason: str) -> None:
        """End all sessions with a reason, and serve no more."""
        self._end_all(reason)
        self._carrier.close()
        if self._timer:
            self._timer.cancel()
        for job in self._jobs:
            job.cancel()
        self._close_screen()

    def _close_screen(self) -> None:
        self._rate.close()
        self._screen.close()
        self._audience = None

    def send_event(self, name: str, data: bytes) -> None:
        """Send an event to every viewer."""
        now = self._loop.time()
        for viewer in self.registry.all():
            viewer.sender.queue_event(MachineEvent(name, data))
            self.delivery.send_reliable(viewer, now)
        self._on_change()

    # ---- messages from viewers ----

    def _on_data(self, number: str, data: bytes) -> None:
        viewer = self.registry.get(number)
        try:
            message = viewer.sender.decode(data) if viewer else messages.decode_from_viewer(data)
        except PeerError as error:
            self._on_invalid(viewer, number, data, error)
            return
        if isinstance(message, messages.SessionHello):
            if not viewer and number not in self.registry.starting:
                self._on_hello(number, message, data)
        elif viewer:
            self._receive(viewer, message)

    def _on_invalid(
        self, viewer: ServedViewer | None, number: str, data: bytes, error: PeerError
    ) -> None:
        """Drop a message: anybody on the same network can send one in a viewer's name."""
        log.info("%s: viewer %s: a message was dropped: %s", self.name, number[:8], error)
        if viewer is None:
            return
        if viewer.sender.stage is Stage.CLOSED:
            self._serve(viewer, self._loop.time())
        elif viewer.sender.stage is Stage.CHALLENGED:
            with contextlib.suppress(PeerError):
                message = messages.decode_from_viewer(data)
                if isinstance(message, messages.Goodbye):
                    text = f"{self.name}: a viewer (not authenticated) ended: {message.reason}"
                    self.delivery.notices.report(text)

    def _receive(self, viewer: ServedViewer, message: messages.FromViewer) -> None:
        now, before = self._loop.time(), viewer.sender.stage
        try:
            inputs = viewer.sender.receive(message, now)
        except PeerError as error:
            log.info("%s: viewer %s: %s", self.name, viewer.id[:8], error)
            inputs = []
        for each in inputs:
            self._start(self._carry_out(viewer, each))
        if before is not Stage.OPEN and viewer.sender.stage is Stage.OPEN:
            self._on_open(viewer)
        if viewer.sender.audience and viewer.sender.stage is Stage.OPEN:
            self._receive_from_member(viewer, message, now)
        if isinstance(message, messages.ViewerRate) and viewer.sender.stage is Stage.OPEN:
            self._rate.confirm(viewer)
            self._pace_audience()
        self._serve_and_share(viewer, now)

    async def _carry_out(self, viewer: ServedViewer, message: ViewerInput) -> None:
        number = message.number
        try:
            done = await self._policy.carry_out(viewer, message.body)
            done = InputDone(number, done.epoch, done.version, done.error, done.reason)
        except KjuError as error:
            reason = without_folders(str(error))[:1000]
            done = InputDone(number, error=type(error).__name__, reason=reason)
        viewer.sender.finish_input(done)
        self._serve(viewer, self._loop.time())

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    # ---- new viewers ----

    def _on_hello(self, number: str, hello: messages.SessionHello, raw: bytes) -> None:
        """Admit, challenge or refuse a new viewer."""
        starting = self.registry.starting
        if len(starting) >= limits.MAX_GREETING:
            if self._carrier.is_ordered:  # else the viewer repeats its hello
                reason = f"too many viewers connect to {self.name} at the same time"
                self.delivery.refuse(number, reason, retry=True)
            return
        if not self.registry.has_room(hello):
            self.delivery.refuse(number, f"{self.name} has no room for another viewer")
            return
        try:
            admission = self._policy.admit(hello, raw)
        except KjuError as error:
            self.delivery.refuse(number, str(error))
            return
        starting[number] = FIRST_LOOK_RATE if hello.rate == 0 else hello.rate
        self._start(self._begin(number, hello, admission))

    async def _begin(self, number: str, hello: messages.SessionHello, admission: Admission) -> None:
        """Begin a session."""
        try:
            # First, so that the viewer's first picture is no older than its session.
            await self._rate.match()
            await self._screen.open(self._on_change)
            self._follow_replacement()
            picture = self._screen.picture(0 if hello.audience else hello.max_side)
        except KjuError as error:
            # The viewer is not authenticated yet, and the error may name files of this computer.
            self.delivery.notices.report(f"{self.name} cannot be opened: {error}")
            self.delivery.refuse(number, f"{self.name} is unavailable: see the sender's log")
            return
        finally:
            has_left = number not in self.registry.starting
            self.registry.starting.pop(number, None)
        self._screen.use()
        if self._timer is None:
            self._check_again()
        if has_left:
            self._rate.follow()
            return
        role = granted(self._policy.most_role(), admission.role)
        if hello.max_side:
            role = "view"  # its pixels are not those of the screen
        admission = admission._replace(role=role)
        greeting = self.registry.greeting()
        if len(greeting) >= limits.MAX_GREETING:
            # End a random one. If it were the oldest, a flood would leave nobody time for a proof.
            reason = f"too many viewers connect to {self.name} at the same time"
            self._end(secrets.choice(greeting), reason, retry=True)
        sender = SenderSession(
            picture.encoders.for_viewer(hello),
            picture.consumer,
            lambda hello, raw: admission,
            lambda sealed: self._open_audience().join(sealed),
            ordered=self._carrier.is_ordered,
        )
        address = self._carrier.to_viewer(number)
        viewer = self.registry.add(number, address, sender, self._loop.time())
        self._receive(viewer, hello)

    def _on_open(self, viewer: ServedViewer) -> None:
        """Apply the limits of users to a session that has opened."""
        self._end_previous(viewer)
        user = viewer.sender.user
        if viewer.sender.audience:
            if reason := self.registry.member_limit(user):
                self._end(viewer, reason)
                return
            self.registry.make_member(viewer)
            self._pace_audience()
            if self._audience is not None:
                self._audience.queue_ticket(viewer)
        elif surplus := self.registry.surplus_of(user):
            most = limits.MAX_VIEWERS_PER_USER
            self._end(surplus, f"{user} has more than {most} mirrors of {self.name}")

    def _end_previous(self, viewer: ServedViewer) -> None:
        """End the viewer's session before this one, so that its late inputs are not carried out."""
        old = self.registry.get(viewer.sender.previous)
        if old is not None and old is not viewer and old.sender.user == viewer.sender.user:
            self._end(old, "its viewer has begun another session")

    # ---- the end of sessions ----

    def _end_all(self, reason: str) -> None:
        self._audience = None
        for viewer in self.registry.all():
            self._end(viewer, reason)

    def _end(self, viewer: ServedViewer, reason: str, *, retry: bool = False) -> None:
        """End a session: see `SenderSession.refuse`."""
        viewer.sender.refuse(reason, retry=retry)
        self._remove(viewer)

    def _remove(self, viewer: ServedViewer) -> None:
        """Send a viewer its last messages, and remove it."""
        now = self._loop.time()
        self.delivery.send_reliable(viewer, now)
        is_member = self.registry.remove(viewer)
        self.delivery.end(viewer)
        if self.registry.all():  # else it is closed soon, or one reconnects
            self._pace_audience()
            self._rate.follow()
        if (audience := self._audience) is not None and is_member:
            audience.change_key(self.registry.members.values(), now)
            if viewer is audience.leader:
                self._change_leader(audience)
        self._policy.on_left(viewer)

    def _on_left(self, number: str) -> None:
        viewer = self.registry.get(number)
        self.registry.starting.pop(number, None)  # `_begin` begins no session then
        if viewer is not None:
            log.info("%s: viewer %s has disconnected", self.name, viewer.id[:8])
            self._remove(viewer)

    # ---- the audience ----

    def _open_audience(self) -> Audience:
        if self._audience is None:
            picture = self._screen.picture()
            self._audience = Audience(
                self._carrier, picture.encoders, picture.consumer, self._loop.time()
            )
        return self._audience

    def _receive_from_member(
        self, member: ServedViewer, message: messages.FromViewer, now: float
    ) -> None:
        audience = self._open_audience()
        if audience.leader is None:
            audience.set_leader(member, now)
        if not isinstance(message, messages.Ack):
            return
        try:
            audience.receive(member, message, now)
        except PeerError as error:
            member.sender.refuse(str(error))
        else:
            self._serve_and_share(audience, now)

    def _change_leader(self, audience: Audience) -> None:
        """Choose another leader, or end an audience without members."""
        members = self.registry.members
        if not members:
            self._audience = None
            return
        leader = audience.best_leader(members.values())
        now = self._loop.time()
        audience.set_leader(leader, now)
        self.delivery.send_reliable(leader, now)

    # ---- rates ----

    def _pace_audience(self) -> None:
        """Send the audience updates at the rate of its fastest member."""
        if (audience := self._audience) is not None:
            audience.sender.pace.rate = self.registry.member_rate()
            self._serve_at(audience, self._loop.time())

    def _confirm_rate(self, viewer: ServedViewer) -> None:
        """Confirm a viewer's new rate, at which the screen is published."""
        viewer.sender.confirm_rate()
        if viewer.sender.audience and self._audience is not None:
            self._audience.sender.update_now()
        self._serve_all(self._loop.time())

    # ---- serving ----

    def _on_change(self) -> None:
        self._follow_replacement()
        self._serve_all(self._loop.time())

    def _follow_replacement(self) -> None:
        """End all sessions if another surface has replaced the present one."""
        if self._screen.follow_replacement():
            self._end_all("the surface of the screen was replaced: connect again")

    def _serve_all(self, now: float) -> None:
        for viewer in [*self.registry.viewers.values(), *filter(None, [self._audience])]:
            self._serve(viewer, now)

    def _serve(self, viewer: ServedViewer, now: float) -> None:
        """Send a viewer everything that it may get now."""
        sender, look_rate = viewer.sender, viewer.sender.pace.look_rate
        self.delivery.send_reliable(viewer, now)
        self.delivery.send_numbered(viewer, now)
        if sender.stage is Stage.CLOSED:
            self._remove(viewer)
            return
        if sender.pace.look_rate != look_rate:
            self._rate.follow()  # one that does not look has got its first picture
        if not self._carrier.has_room(viewer.address):
            self._serve_at(viewer, now + _RETRY)
        if (due := sender.due(now)) is not None:
            self._serve_at(viewer, due)

    def _serve_at(self, viewer: ServedViewer, due: float) -> None:
        """Serve a viewer at this time at the latest."""
        if viewer.timer is not None:
            if viewer.timer.when() <= due:
                return
            viewer.timer.cancel()
        viewer.timer = self._loop.call_at(due, self._serve_due, viewer)

    def _serve_due(self, viewer: ServedViewer) -> None:
        viewer.timer = None
        if viewer is self._audience or self.registry.get(viewer.id) is viewer:
            self._serve_and_share(viewer, self._loop.time())

    def _serve_and_share(self, viewer: ServedViewer, now: float) -> None:
        """Serve a viewer; if it got a new step of the shared encoder, the others get it too."""
        generation = viewer.sender.generation
        self._serve(viewer, now)
        if viewer.sender.generation != generation:
            self._serve_all(now)

    # ---- checks ----

    def _check_again(self, seconds: float = 0.0) -> None:
        """Check after some seconds; by default at the next time of all screens."""
        now = self._loop.time()
        at = now + seconds if seconds else (now // TICK + 1) * TICK
        self._timer = self._loop.call_at(at, self._check)

    def _check(self) -> None:
        now, viewers = self._loop.time(), self.registry
        has_viewers = bool(viewers.viewers or viewers.members or viewers.starting)
        if self._screen.is_unused(now, has_viewers=has_viewers):
            self._timer = None
            self._close_screen()
            return
        for viewer in list(viewers.viewers.values()):
            is_open = viewer.sender.stage is Stage.OPEN
            if not is_open and now > viewer.since + limits.GREETING_TIMEOUT:
                self._end(viewer, f"no proof was received in {limits.GREETING_TIMEOUT:g} s")
            elif viewers.is_timed_out(viewer, now):
                self._end(viewer, "no message from this viewer for too long")
        self._check_some(now)
        self._check_audience(now)
        has_more = viewers.has_unchecked or (self._audience and self._audience.is_changing_key)
        self._check_again(_RETRY if has_more else 0.0)

    def _check_some(self, now: float) -> None:
        """End sessions whose right has ended, and those of silent members of the audience."""
        for viewer in self.registry.next_to_check(now):
            if viewer.id in self.registry.members and self.registry.is_timed_out(viewer, now):
                self._end(viewer, "no message from this viewer for too long")
                continue
            viewer.sender.check()
            if viewer.sender.stage is Stage.CLOSED:
                self._remove(viewer)

    def _check_audience(self, now: float) -> None:
        audience = self._audience
        if audience is None:
            return
        for member in audience.use_next_key(self.registry.members.values(), now):
            self.delivery.send_reliable(member, now)
        if audience.is_stuck(now):
            audience.demote_leader(now)
            self._change_leader(audience)
