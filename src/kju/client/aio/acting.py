"""Send input to a screen and return the guest's answer, for asyncio.

`kju.acting` has the inputs, and the rules by which an answer begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

from ...errors import UnavailableError
from ...surface.formats import PixelFormat
from ...surface.geometry import Area
from .. import looks
from ..consumer.frame import Frame, converted
from .input_devices import Keyboard, Pointer
from .waiting import run_blocking
from .waits import Waits

if TYPE_CHECKING:
    from ...acting import Answer, AnyInput

#: Defaults of `Acting.act`, in seconds: for a first change, without a change, and for the whole
#: answer. A text cursor of Linux's console blinks every 0.2 s, that of VGA text every 0.27 s.
FIRST, STILL, LIMIT = 1.0, 0.3, 5.0


class ActOptions(TypedDict, total=False):
    """The options of `Acting.act`."""

    first: float
    still: float
    limit: float
    region: Area | None
    ignore: Iterable[Area]
    pixels: PixelFormat


class Acting(Waits):
    """A surface that takes input."""

    if TYPE_CHECKING:

        @property
        def keyboard(self) -> Keyboard:
            """The keyboard of this console."""

        @property
        def pointer(self) -> Pointer:
            """The pointer of this console."""

    async def act(
        self,
        *inputs: AnyInput | Sequence[AnyInput],
        first: float = FIRST,
        still: float = STILL,
        limit: float = LIMIT,
        region: Area | None = None,
        ignore: Iterable[Area] = (),
        pixels: PixelFormat = "rgb",
    ) -> Answer[Frame]:
        r"""Send inputs, and return the guest's answer when the screen has settled.

        Only changes after the input count: the wait begins at the mark of the first input. A
        blinking text cursor does not count, as for `wait_stable`. A guest that does nothing is not
        an error: `changed` is False.

        Args:
            inputs: Values of `kju.acting`, such as ``Chord("ctrl-l")``, ``Type("ls\n")`` and
                ``Click(10, 20)``, or lists of them. They are checked before any is sent.
            first: Seconds after the last input to wait for a first change.
            still: Seconds without a change that end the answer.
            limit: Seconds after the last input at which the answer ends in any case.
            region: Area in pixels in which the answer is expected; the whole screen by default.
            ignore: Rectangles that may change at any time, such as a clock.
            pixels: Order of the channels of the frame, as for `kju.Surface.frame`.

        Returns:
            The answer, with a frame of the whole screen.

        Raises:
            UsageError: An input or an option is not valid; nothing was sent.
            GeometryError: A point is outside of the screen; nothing was sent.
            InputError: The guest does not read its input.
            ScreenTimeoutError: The screen has no picture at the limit, or no such region.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        # A program that only looks needs no keys, and imports nothing of this.
        from ...acting.answer import Answer, Answering, Times
        from ...acting.inputs import as_inputs, check_points, words_of
        from .sending import send

        wanted = as_inputs(inputs)
        times = Times(first, still, limit).checked()
        await self._refresh()
        before = await run_blocking(_frame_before, self)
        check_points(wanted, self.mode.width, self.mode.height)
        answering = Answering(words_of(wanted), times, ignore, before)
        mark = await send(self.keyboard, self.pointer, wanted, answering.begin, self.mark)
        # No refresh: it would take QEMU's time, and so the guest's, just when it is to answer. The
        # host looks for the answer by itself.
        found = await self._wait(answering, region, times.limit, mark, refreshes=False)
        frame = converted(found.frame, pixels)  # type: ignore[arg-type]  # the wait got a frame
        return Answer(found.changed, found.settled, found.seconds, found.rects, frame, found.mark)


def _frame_before(surface: Waits) -> Frame | None:
    """Return the newest picture, or None."""
    try:
        return looks.newest_frame(surface)
    except UnavailableError:
        return None
