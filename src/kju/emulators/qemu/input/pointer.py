"""The pointer of one of QEMU's consoles: position, buttons, wheel and fingers.

- A position is a pixel of the screen. It is converted only here to the 32768 steps of QEMU's
  tablets: to the middle of the pixel, which is right for guests that round up and for those that
  round down.
- Each action is a report of its own: guests differ in how they treat two in one report.
- Only buttons are sent before the guest has emptied the queue. QEMU merges a move with a button
  that still waits in the queue, and the button would be pressed at the new position.
- A request that fails half-way sends its remaining releases at once.

Source:
    QMP's input-send-event (qapi/ui.json). The D-Bus interface is not used: it takes no position
    beyond the size that QEMU drew last, which is unknown while kju reads the video memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence

from ....errors import GeometryError, UsageError
from ....protocol.values import BUTTONS, Action, Button, By, Finger, To, TurnWheel, last_gesture
from ....surface import Mark
from ...input.devices import SharedPointer
from ...input.pace import Gauge, Pace, TimedGauge
from . import events
from .events import Event

#: Steps of an absolute axis.
STEPS = 1 << 15
_TABLET_BUTTONS = 3
#: The room of any report: that of a plain key.
_REPORT = (0, True)

#: Sends the events of one report; returns the screen's mark before that.
Send = Callable[[Sequence[Event]], Awaitable[Mark]]


def steps_of(pixel: int, size: int) -> int:
    """Return the position of a pixel's middle on an absolute axis.

    A guest that maps the axis to ``size`` pixels, rounding down, gets *pixel* again; so does one
    that maps its first step to the first pixel and its last to the last, and rounds.

    Raises:
        GeometryError: *pixel* is outside the screen.
    """
    if not 0 <= pixel < size:
        raise GeometryError(f"pixel {pixel} is outside of the picture, which has {size}")
    return (2 * pixel + 1) * STEPS // (2 * size)


class QemuPointer(SharedPointer):
    """The pointer of one of QEMU's consoles.

    Args:
        send: Sends the events of one report to QEMU; returns the screen's mark before that.
        pace: The pace of the machine's pointer.
        size: Returns the screen's width and height.
        absolute: Returns whether the guest's pointer takes positions now.
        has_touch: Returns whether the guest has started a touch screen.
        claim_buttons: Lets this pointer get buttons beside a touch screen.
        log: Logs each action that was done.
    """

    def __init__(
        self,
        send: Send,
        pace: Pace,
        size: Callable[[], tuple[int, int]],
        absolute: Callable[[], Awaitable[bool]],
        has_touch: Callable[[], Awaitable[bool]],
        claim_buttons: Callable[[], Awaitable[None]],
        log: Callable[[Action], object] = lambda action: None,
    ) -> None:
        super().__init__(pace)
        self._send = send
        self._touch_pace = Pace(_timed)
        self._size = size
        self._absolute = absolute
        self._has_touch = has_touch
        self._claim_buttons = claim_buttons
        self._log = log

    async def absolute(self) -> bool:
        """Return whether the guest's pointer takes positions now."""
        return await self._absolute()

    async def act(self, client: Hashable, actions: Sequence[Action]) -> Mark | None:
        """Do these actions for one client, in order; see `SharedPointer.act`."""
        async with self.pace.turn:
            await self._settle()
            await self._check(actions)
            await self.pace.begin()
            await self._claim_buttons()
            mark, begin = None, last_gesture(actions)
            for at, action in enumerate(actions):
                try:
                    before = await self._do(client, action)
                except BaseException:
                    await self._release_rest(client, actions[at:])
                    raise
                if mark is None or at <= begin:
                    mark = before or mark
            return mark

    async def _do(self, client: Hashable, action: Action) -> Mark | None:
        if isinstance(action, Button):
            return await self._do_button(client, action)
        if isinstance(action, Finger) and action.state == "begin":
            self._fingers.press(client, [action.finger])
        marks = [
            await self._report(report, into_empty=True, touch=isinstance(action, Finger))
            for report in self._reports(action)
        ]
        if isinstance(action, Finger) and action.state == "end":
            self._fingers.release(client, [action.finger])
        self._log(action)
        if isinstance(action, TurnWheel):
            # A notch is two reports; the mark is that before the last notch.
            marks = marks[-2:]
        return marks[0] if marks else None

    async def _do_button(self, client: Hashable, action: Button) -> Mark | None:
        number, down = action.button, action.down
        held = number in self._buttons.by(client)
        effective = self._buttons.alone(client, number) and held is not down
        if down:
            self._buttons.press(client, [number])
        mark = None
        if effective:
            # A USB tablet has three buttons; QEMU makes reports without a change of the others.
            into_empty = number >= _TABLET_BUTTONS
            mark = await self._report([events.button(BUTTONS[number], down)], into_empty=into_empty)
        if not down:
            self._buttons.release(client, [number])
        self._log(action)
        return mark

    async def _report(
        self, report: Sequence[Event], *, into_empty: bool, touch: bool = False
    ) -> Mark:
        pace = self._touch_pace if touch else self.pace
        await pace.make_room([_REPORT], into_empty=into_empty)
        try:
            return await self._send(report)
        except BaseException:
            pace.failed()
            raise
        finally:
            pace.sent()

    async def _release_rest(self, client: Hashable, actions: Sequence[Action]) -> None:
        """Send the releases in the rest of a request."""
        buttons = [a.button for a in actions if isinstance(a, Button) and not a.down]
        fingers = [a.finger for a in actions if isinstance(a, Finger) and a.state == "end"]
        await self._buttons.lift(client, buttons)
        await self._fingers.lift(client, fingers)

    async def _check(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, To | Finger):
                self._steps(action.x, action.y)
        kinds = {type(action) for action in actions}
        if Finger in kinds and not await self._has_touch():
            raise UsageError(
                "the guest has no touch screen, or no driver for it: give QEMU"
                " -device virtio-multitouch-pci"
            )
        kinds &= {To, By}
        if kinds and (kinds != {To}) is (absolute := await self.absolute()):
            raise UsageError(
                "the guest's pointer takes positions now: give a position"
                if absolute
                else "the guest's pointer takes no positions now: give a distance, or give"
                " the guest a tablet that it has a driver for"
            )

    def _reports(self, action: To | By | TurnWheel | Finger) -> list[list[Event]]:
        if isinstance(action, To):
            x, y = self._steps(action.x, action.y)
            return [[events.axis("abs", "x", x), events.axis("abs", "y", y)]]
        if isinstance(action, By):
            return [[events.axis("rel", "x", action.dx), events.axis("rel", "y", action.dy)]]
        if isinstance(action, TurnWheel):
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
                f"the position {x}, {y} is outside of the screen: it has {width}x{height} pixels"
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

    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> None:
        """Press or release buttons even without room: no button may stay down."""
        for number in numbers:
            await self._send([events.button(BUTTONS[number], down)])
            self._log(Button(number, down))

    async def _put_fingers(self, fingers: Sequence[int], down: bool) -> None:
        for finger in () if down else fingers:
            await self._send([events.touch("end", finger)])
            self._log(Finger(finger, "end"))


async def _timed() -> Gauge:
    return TimedGauge()


def _notches(count: int, back: str, forth: str) -> list[list[Event]]:
    name = back if count < 0 else forth
    return [[events.button(name, True)], [events.button(name, False)]] * abs(count)
