"""One console's pointer: where it is, its buttons and its wheel, and fingers.

Rules:

- A position is a pixel of the console's picture and is converted once, here, to the 32768 steps
  of QEMU's tablets: the middle of the pixel, so that a guest that rounds hits it too.
- Each action is a report of its own: what a guest sees of two in one report depends on the guest.
- Only buttons are sent before the guest has taken what came before: QEMU merges a move with a
  button that waits still, which goes down where the pointer was moved to.
- Buttons and fingers are held as keys are: by clients, and who leaves lets go (`holders`).
- A request that fails half-way releases at once what it would have released.

Source:
    QMP's input-send-event (qapi/ui.json). It is used and not the D-Bus interface because that
    takes no position beyond the size that QEMU drew last, which is none of a guest's whose video
    memory is looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence

from ...errors import GeometryError, UsageError
from ...protocol.marks import last_gesture
from ...protocol.messages import BUTTONS, Action, Button, By, Finger, To, Wheel
from ...surface import Mark
from ..qemu.input import events
from ..qemu.input.events import Event
from ..qemu.input.gauges import Gauge, Unknown
from .holders import Holders
from .pace import Pace

#: Steps of an absolute axis.
STEPS = 1 << 15
_TABLET_BUTTONS = 3
#: What a report takes of a queue, whatever is in it: as much as a plain key.
_REPORT = (0, True)

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
        self.pace = pace
        self._touch_pace = Pace(_unknown)
        self._size = size
        self.absolute = absolute
        self._touched = touched
        self._note = note
        self._buttons = Holders(self._put_buttons, "buttons")
        self._fingers = Holders(self._lift, "fingers")

    @property
    def held(self) -> list[str]:
        """The buttons that are down."""
        return [BUTTONS[number] for number in self._buttons.held]

    async def act(self, client: Hashable, actions: Sequence[Action]) -> Mark | None:
        """Do these for one client, one after the other.

        Returns:
            The screen's mark before the first of the last gesture (`marks.last_gesture`) was sent;
            None if nothing had to be sent.

        Raises:
            GeometryError: A position is outside the picture; nothing was sent.
            UsageError: The guest's pointer takes no positions, or nothing else.
            InputError: The guest takes nothing; what the rest would have released was.
            KjuError: QEMU did not take it; the same.
        """
        async with self.pace.turn:
            await self._settle()
            await self._check(actions)
            await self.pace.begin()
            mark, begin = None, last_gesture(actions)
            for at, action in enumerate(actions):
                try:
                    before = await self._do(client, action)
                except BaseException:
                    await self._break_off(client, actions[at:])
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
        self._note(action)
        if isinstance(action, Wheel):
            # A notch is two reports.
            marks = marks[-2:]
        return marks[0] if marks else None

    async def _do_button(self, client: Hashable, action: Button) -> Mark | None:
        number, down = action.button, action.down
        held = number in self._buttons.by(client)
        felt = self._buttons.alone(client, number) and held is not down
        if down:
            self._buttons.press(client, [number])
        mark = None
        if felt:
            # A USB tablet has three: of the others it makes reports in which nothing changes.
            into_empty = number >= _TABLET_BUTTONS
            mark = await self._report([events.button(BUTTONS[number], down)], into_empty=into_empty)
        if not down:
            self._buttons.release(client, [number])
        self._note(action)
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

    async def _break_off(self, client: Hashable, actions: Sequence[Action]) -> None:
        """Release what the rest of a request would have released."""
        buttons = [a.button for a in actions if isinstance(a, Button) and not a.down]
        fingers = [a.finger for a in actions if isinstance(a, Finger) and a.state == "end"]
        await self._buttons.let_go(client, buttons)
        await self._fingers.let_go(client, fingers)

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

    def _reports(self, action: To | By | Wheel | Finger) -> list[list[Event]]:
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

    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> None:
        """Press or release buttons whether there is room or not: what is held must not stay."""
        for number in numbers:
            await self._send([events.button(BUTTONS[number], down)])

    async def _lift(self, fingers: Sequence[int], down: bool) -> None:
        # Where they were nobody knows any more, so none comes down again.
        for finger in () if down else fingers:
            await self._send([events.touch("end", finger)])

    async def put_all(self, *, down: bool) -> None:
        """Have the guest see what is held as up, or as down again, fingers apart; with the turn."""
        await self._buttons.put_all(down)
        await self._fingers.put_all(down)
        await self.pace.settle()

    def forget(self) -> None:
        """The guest is another one now, in which nothing is down."""
        self._buttons.forget()
        self._fingers.forget()
        self.pace.reset()

    async def leave(self, client: Hashable) -> None:
        """Let go of everything a client holds."""
        async with self.pace.turn:
            await self._buttons.leave(client)
            await self._fingers.leave(client)

    async def settle(self) -> None:
        """Release what clients that have left could not: QEMU may be told again."""
        async with self.pace.turn:
            await self._settle()

    async def _settle(self) -> None:
        await self._buttons.settle()
        await self._fingers.settle()


async def _unknown() -> Gauge:
    return Unknown()


def _notches(count: int, back: str, forth: str) -> list[list[Event]]:
    name = back if count < 0 else forth
    return [[events.button(name, True)], [events.button(name, False)]] * abs(count)
