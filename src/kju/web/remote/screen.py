"""SHELL: one screen of another computer for pages: its mirror, its viewers and their input.

All pages share one session with the sender, which sees one viewer. So the keys, buttons and
fingers that a page holds are recorded here: they are released when the page leaves, and a key that
two pages hold is up when both have released it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

import msgspec

from ...acting.holders import Holders
from ...errors import KjuError, UnavailableError
from ...protocol.messages import Keys, Point, Resize
from ...protocol.values import Button, Finger, To
from ...remote.mirror import Mirror
from ...serving.carrier import Carrier, ServedViewer
from ...serving.served_machine import decode_input
from ...serving.served_screen import ServedScreen
from ...surface import State
from ...wire.greeting import Admit
from ...wire.messages import InputDone, MachineEvent
from ...wire.receiver_session import ReceiverSession
from ..pictures import MAX_HEIGHT, MAX_WIDTH
from .mirror_origin import MirrorOrigin, MirrorParts, RemotePlace

#: Inputs in progress at the sender: less than `kju.wire.sequence.MAX_INPUTS`, at which a session
#: ends. Others wait in their order.
MAX_INPUTS = 32

_encode = msgspec.msgpack.Encoder().encode


class FarScreen:
    """A screen that another computer serves, as pages see it.

    Args:
        place: The screen.
        parts: The parts that it shares with others.
        carrier: Carries the messages to pages.
        admit: Decides about viewers.

    Attributes:
        place: The same.
        is_served: The other computer serves it now.
        screen: The served screen.
    """

    def __init__(
        self, place: RemotePlace, parts: MirrorParts, carrier: Carrier, admit: Admit
    ) -> None:
        self.place, self._parts = place, parts
        self.is_served = True
        self._origin = MirrorOrigin(place, parts, "control", on_event=self._pass_on)
        self._input = _Input(self._origin)
        self._jobs: set[asyncio.Task[None]] = set()
        self.screen = ServedScreen(
            carrier, self._origin, admit, self._carry_out, self._on_left, lambda: self._origin.role
        )
        self.screen.open()

    @property
    def name(self) -> str:
        """Its name, at the other computer and here."""
        return self.place.name

    @property
    def state(self) -> Literal["running", "paused", "off"]:
        """The machine's state, as far as it is known: it is known while a page shows the screen."""
        if not self.is_served:
            return "off"
        return "paused" if self._shows_paused else "running"

    @property
    def _shows_paused(self) -> bool:
        try:
            return self._origin.consumer.state[0] is State.PAUSED
        except UnavailableError:
            return False

    def small_origin(self) -> MirrorOrigin:
        """Return another session with the screen, for its small picture."""
        parts, side = self._parts.for_small_pictures(), max(MAX_WIDTH, MAX_HEIGHT)
        return MirrorOrigin(self.place, parts, "view", lossy=True, max_side=side)

    @property
    def memory(self) -> int:
        """The bytes of its picture for pages; 0 while none shows it."""
        return self._origin.memory

    async def input(self, request: Keys | Point | Resize) -> None:
        """Have the sender carry out an input of an action, which holds nothing at its end.

        Raises:
            KjuError: It failed, or no page shows the screen.
        """
        await self._input.send(request)

    def facts(self) -> dict[str, object]:
        """Return the facts for a page, as the action ``info`` does."""
        try:
            mode = self._origin.consumer.mode
        except KjuError:
            size: dict[str, int | None] = {"width": None, "height": None}
        else:
            size = {"width": mode.width, "height": mode.height}
        viewers = [
            {"name": f"viewer {each.sender.user}", "role": each.sender.role}
            for each in self.screen.registry.all()
        ]
        return {"state": self.state, "kind": "remote", "consoles": [size], "viewers": viewers}

    async def close(self, reason: str) -> None:
        """End the sessions of all pages."""
        self.screen.close(reason)
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._origin.closed()

    def _pass_on(self, event: MachineEvent) -> None:
        self.screen.send_event(event.name, event.data)

    async def _carry_out(self, viewer: ServedViewer, body: bytes) -> InputDone:
        request = decode_input(body)
        for action in request.actions if isinstance(request, Point) else ():
            if isinstance(action, To | Finger):
                viewer.sender.set_focus(action.x, action.y)
        version = await self._input.send(request, viewer)
        return InputDone(1, self._origin.consumer.mode.epoch, version)

    def _on_left(self, viewer: ServedViewer) -> None:
        task = asyncio.create_task(self._input.leave(viewer))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)


class _Input:
    """The input of all pages of a screen."""

    def __init__(self, origin: MirrorOrigin) -> None:
        self._origin = origin
        self._keys = Holders(self._put_keys, "keys")
        self._buttons = Holders(self._put_buttons, "buttons")
        self._fingers = Holders(self._lift_fingers, "fingers")
        self._slots = asyncio.Semaphore(MAX_INPUTS)
        #: The session in which what is held went down. Its end releases everything at the sender.
        self._session: ReceiverSession | None = None

    async def send(self, request: Keys | Point | Resize, viewer: ServedViewer | None = None) -> int:
        """Send an input; return the version of the screen here before its effect.

        Raises:
            KjuError: It failed.
        """
        async with self._slots:
            mirror = self._mirror()
            # Without a pause until it is sent, so that inputs keep their order.
            if isinstance(request, Keys):
                request = self._hold_keys(viewer, request)
                if not request.steps:
                    return self._origin.consumer.reader.version
            elif isinstance(request, Point):
                self._hold_pointer(viewer, request)
            return await self._ask(mirror, msgspec.structs.replace(request, console=0))

    async def leave(self, viewer: ServedViewer) -> None:
        """Release everything that a page holds."""
        await self._keys.leave(viewer)
        await self._buttons.leave(viewer)
        await self._fingers.leave(viewer)

    def _mirror(self) -> Mirror:
        mirror = self._origin.mirror
        if mirror.receiver is not self._session:
            self._session = mirror.receiver
            self._keys.forget()
            self._buttons.forget()
            self._fingers.forget()
        return mirror

    def _hold_keys(self, viewer: ServedViewer | None, request: Keys) -> Keys:
        """Record held keys; return the request without the keys that another page holds."""
        steps = [(key, down) for key, down in request.steps if self._keys.alone(viewer, key)]
        for key, down in request.steps:
            (self._keys.press if down else self._keys.release)(viewer, [key])
        return msgspec.structs.replace(request, steps=steps)

    def _hold_pointer(self, viewer: ServedViewer | None, request: Point) -> None:
        """Record held buttons and fingers."""
        for action in request.actions:
            if isinstance(action, Button):
                hold = self._buttons.press if action.down else self._buttons.release
                hold(viewer, [action.button])
            elif isinstance(action, Finger):
                is_end = action.state == "end"
                touch = self._fingers.release if is_end else self._fingers.press
                touch(viewer, [action.finger])

    async def _put_keys(self, keys: Sequence[int], down: bool) -> None:
        await self._put(Keys(steps=[(key, down) for key in keys]))

    async def _put_buttons(self, buttons: Sequence[int], down: bool) -> None:
        await self._put(Point(actions=[Button(each, down) for each in buttons]))

    async def _lift_fingers(self, fingers: Sequence[int], down: bool) -> None:
        await self._put(Point(actions=[Finger(each, "end") for each in fingers]))

    async def _put(self, request: Keys | Point) -> None:
        # Not after the end of the session, which has released everything.
        if self._session is not None and self._origin.session is self._session:
            await self._ask(self._origin.mirror, request)

    async def _ask(self, mirror: Mirror, request: Keys | Point | Resize) -> int:
        ours, _ = await mirror.input(_encode(request))
        return self._origin.surface_version(ours)
