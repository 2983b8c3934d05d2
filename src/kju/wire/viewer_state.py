"""What of a screen a viewer has been sent: what it lacks, and what it lacks again.

Rules:

- It is in step with the encoder, and gets the steps that all get; or it is not (it was slow, has
  lost something, or is new), and gets whole tiles until it is.
- Where something was lost, what was sent behind it and builds on it counts as lost as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..surface.formats import R8
from . import blocks
from .congestion import Sent
from .encoder import Encoder, Step
from .messages import MAX_CURSOR, Cursor, Lossy, Mode, Numbered, Segment, State

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..surface.consumer import Consumer
    from ..surface.geometry import Rect

NOT_SENT = Sent(0, 0.0, 0, 0.0, False)


@dataclass
class UnderWay:
    """A message that has not been acknowledged."""

    sent: Sent
    message: Numbered
    tiles: npt.NDArray[np.intp] | None = None
    step: bool = False
    late: bool = False


class ScreenSent:
    """What one viewer has.

    Args:
        encoder: Of the screen.
        consumer: The same screen.
        under_way: What was sent and not acknowledged, by serial number, in order.

    Attributes:
        focus: What the viewer looks at.
        heard_of: It is known what was lost up to this serial number.
    """

    def __init__(
        self, encoder: Encoder, consumer: Consumer, under_way: dict[int, UnderWay]
    ) -> None:
        self._encoder = encoder
        self._consumer = consumer
        self._under_way = under_way
        self.focus: Rect | None = None
        self.heard_of = 0
        self._since = 1
        self._epoch = 0
        self._generation = 0
        self._has: npt.NDArray[np.int64] | None = None
        self._complete = False
        self._state: tuple[int, str] | None = None
        self._cursor: int | None = None
        self._shape: object = None

    @property
    def is_level(self) -> bool:
        """Whether the viewer has been sent everything that the encoder has taken."""
        return self._has is None and self._generation == self._encoder.generation

    @property
    def heard_if_settled(self) -> int:
        """`heard_of`, if the viewer has all pixels that were sent; 0 while it may lack some."""
        pixels = any(isinstance(each.message, Mode | Segment) for each in self._under_way.values())
        return self.heard_of if self.is_level and not pixels else 0

    # ---- what it lacks again ----

    def begin_again(self) -> None:
        """From the mode on."""
        self._epoch, self._state, self._cursor, self._shape = 0, None, None, None
        self._complete = False

    def lost(self, under_way: UnderWay) -> None:
        """This has not come."""
        if isinstance(under_way.message, Mode):
            self._epoch = 0
        elif isinstance(under_way.message, State):
            self._state = None
        elif isinstance(under_way.message, Cursor):
            self._cursor, self._shape = None, None
        elif under_way.tiles is not None:
            self._forget(under_way.tiles)

    def write_off(self, serial: int) -> None:
        """Whatever builds on what was lost, up to this serial number, is lost."""
        self._complete = False
        for under_way in self._under_way.values():
            if under_way.step and under_way.tiles is not None:
                self._forget(under_way.tiles)
                under_way.tiles = None
        self._since = serial + 1

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

    # ---- what it lacks ----

    def next_message(self, serial: int, now: float, most: int) -> UnderWay | None:
        """The next thing that the viewer lacks.

        Args:
            serial: Of the message.
            now: Seconds.
            most: Bytes.

        Raises:
            FormatError: The screen's memory says what cannot be.
        """
        encoder = self._encoder
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
            NOT_SENT, Mode(serial, mode.epoch, mode.width, mode.height, mode.fourcc == R8)
        )

    def _make_state(self, serial: int) -> UnderWay | None:
        code, reason = self._consumer.state
        if (int(code), reason) == self._state:
            return None
        self._state = int(code), reason
        return UnderWay(NOT_SENT, State(serial, int(code), reason, self.heard_if_settled))

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
            NOT_SENT,
            Cursor(serial, seen.visible, seen.x, seen.y, seen.hot_x, seen.hot_y,
                   width, height, told, self.heard_if_settled),
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
        return UnderWay(NOT_SENT, made, step.tiles, step=True)

    def _segment(self, serial: int, since: int, step: Step) -> Segment:
        fields = serial, since, self._epoch, step.version, step.whole, *step.block, self.heard_of
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
        return UnderWay(NOT_SENT, self._segment(serial, self._builds_on(serial), step), nothing)

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
        return UnderWay(NOT_SENT, self._segment(serial, since, step), step.tiles, step=last)
