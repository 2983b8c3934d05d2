"""One console's pointer: where it is, its buttons and its wheel, and fingers.

Rules:

- A position is a pixel of the console's picture and is converted once, here, to the 32768 steps
  of QEMU's tablets: the middle of the pixel, so that a guest that rounds hits it too.
- Each action is a report of its own: what a guest sees of two in one report depends on the guest.
- Only buttons are sent before the guest has taken what came before: QEMU merges a move with a
  button that waits still, which goes down where the pointer was moved to.
- Buttons are held as keys are: by clients, and who leaves lets go.

Source:
    QMP's input-send-event (qapi/ui.json). It is used and not the D-Bus interface because that
    takes no position beyond the size that QEMU drew last, which is none of a guest's whose video
    memory is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence

from ...errors import GeometryError, KjuError, UsageError
from ...surface import Mark
from ..messages import Action, Button, By, Finger, To, Wheel
from . import events
from .events import Event
from .gauges import Gauge, Unknown
from .holders import Holders
from .pace import Pace

log = logging.getLogger(__name__)

#: Steps of an absolute axis.
STEPS = 1 << 15
#: What a report takes of a queue, whatever is in it: as much as a plain key.
_REPORT = (0, True)
#: As QEMU names buttons.
BUTTONS = ("left", "middle", "right", "side", "extra")

#: Sends the events of one report; returns the screen's mark before that.
Send = Callable[[Sequence[Event]], Awaitable[Mark]]


def steps_of(pixel: int, size: int) -> int:
    """Where the middle of a pixel lies on an absolute axis.

    A guest that maps the axis to ``size`` pixels, rounding down, gets *pixel* again; so does one
    that maps its first step to the first pixel and its last to the last, and rounds.

    Raises:
        GeometryError: There is no such pixel.
    """
    if not 0 <= pixel < size:
        raise GeometryError(f"there is no pixel {pixel}: the picture has {size}")
    return (2 * pixel + 1) * STEPS // (2 * size)


class Pointer:
    """One console's pointer.

    Args:
        send: Sends the events of one report to QEMU.
        pace: The machine's.
        size: The picture's width and height now.
        absolute: Whether the guest's pointer takes positions now.
        touched: Whether the guest has a touch screen that it has started.
        note: Told what has been done.
    """

    def __init__(
        self,
        send: Send,
        pace: Pace,
        size: Callable[[], tuple[int, int]],
        absolute: Callable[[], Awaitable[bool]],
        touched: Callable[[], Awaitable[bool]],
        note: Callable[[Action], object] = lambda action: None,
    ) -> None:
        self._send = send
        self._pace = pace
        self._fingers = Pace(_unknown)
        self._size = size
        self.absolute = absolute
        self._touched = touched
        self._note = note
        self._holders = Holders()

    @property
    def held(self) -> list[str]:
        """The buttons that are down."""
        return [BUTTONS[number] for number in self._holders.held]

    async def act(self, client: Hashable, actions: Sequence[Action]) -> Mark | None:
        """Do these for one client, one after the other.

        Returns:
            The screen's mark before the last of them was sent; None if none had to be.

        Raises:
            GeometryError: A position is outside the picture; nothing was sent.
            UsageError: The guest's pointer takes no positions, or nothing else.
            KjuError: QEMU did not take it.
        """
        async with self._pace.turn:
            await self._check(actions)
            await self._pace.begin()
            mark = None
            for action in actions:
                pace = self._fingers if isinstance(action, Finger) else self._pace
                for report in self._reports(client, action):
                    await pace.make_room([_REPORT], into_empty=not _is_never_merged(action))
                    mark = await self._send(report)
                    pace.sent()
                self._note(action)
            return mark

    async def _check(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, To | Finger):
                self._steps(action.x, action.y)
        kinds = {type(action) for action in actions}
        if Finger in kinds and not await self._touched():
            raise UsageError(
                "the guest has no touch screen, or no driver for it: give QEMU"
                " -device virtio-multitouch-pci"
            )
        kinds &= {To, By}
        if kinds and (kinds != {To}) is (absolute := await self.absolute()):
            raise UsageError(
                "the guest's pointer takes positions now: say where it goes"
                if absolute
                else "the guest's pointer takes no positions now: say how far it goes, or give"
                " the guest a tablet that it has a driver for"
            )

    def _reports(self, client: Hashable, action: Action) -> list[list[Event]]:
        if isinstance(action, Button):
            before = self._holders.held
            change = self._holders.press if action.down else self._holders.release
            change(client, [action.button])
            if self._holders.held == before:
                return []
            return [[events.button(BUTTONS[action.button], action.down)]]
        if isinstance(action, To):
            x, y = self._steps(action.x, action.y)
            return [[events.axis("abs", "x", x), events.axis("abs", "y", y)]]
        if isinstance(action, By):
            return [[events.axis("rel", "x", action.dx), events.axis("rel", "y", action.dy)]]
        if isinstance(action, Wheel):
            return _notches(action.vertical, "wheel-up", "wheel-down") + _notches(
                action.horizontal, "wheel-left", "wheel-right"
            )
        return [self._touch(action)]

    def _steps(self, x: int, y: int) -> tuple[int, int]:
        width, height = self._size()
        try:
            return steps_of(x, width), steps_of(y, height)
        except GeometryError:
            raise GeometryError(
                f"the pointer cannot go to {x}, {y}: the screen has {width}x{height} pixels"
            ) from None

    def _touch(self, action: Finger) -> list[Event]:
        if action.state == "end":
            return [events.touch("end", action.finger)]
        x, y = self._steps(action.x, action.y)
        return [
            events.touch("begin" if action.state == "begin" else "update", action.finger),
            events.touch("data", action.finger, "x", x),
            events.touch("data", action.finger, "y", y),
        ]

    async def put(self, *, down: bool) -> None:
        """Have the guest see everything that clients hold down as up, or as down again."""
        async with self._pace.turn:
            for name in self.held:
                await self._send([events.button(name, down)])

    def forget(self) -> None:
        """The guest is another one now, in which no button is down."""
        self._holders = Holders()
        self._pace.reset()

    async def leave(self, client: Hashable) -> None:
        """Let go of everything a client holds. Errors are logged: there is nobody to tell."""
        async with self._pace.turn:
            for button in self._holders.by(client):
                try:
                    for report in self._reports(client, Button(button, False)):
                        await self._send(report)
                except KjuError as error:
                    log.warning("button %s could not be released: %s", BUTTONS[button], error)


def _is_never_merged(action: Action) -> bool:
    # A USB tablet has three buttons: of the others QEMU makes reports in which nothing changes.
    return isinstance(action, Button) and action.button < 3


async def _unknown() -> Gauge:
    return Unknown()


def _notches(count: int, back: str, forth: str) -> list[list[Event]]:
    name = back if count < 0 else forth
    return [[events.button(name, True)], [events.button(name, False)]] * abs(count)
