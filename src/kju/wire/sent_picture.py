"""The state of one viewer's picture at the sender: which parts it lacks.

Rules:

- A viewer that has caught up with the encoder gets the steps that all viewers get. One that is
  behind (it was slow, has lost a segment, or is new) gets whole tiles until it has caught up.
- After a loss, segments that were sent later and build on the lost one count as lost too.
- An update (`kju.wire.update_pace`) has the newest content of each tile, not each change since the
  last one. It ends when each tile that was behind at its beginning has been sent once: others may
  change all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..surface.formats import R8
from . import codecs
from .encoder import Encoder
from .in_flight import NOT_SENT, InFlight
from .messages import MAX_CURSOR, CursorUpdate, LossySegment, ModeUpdate, Segment, StateUpdate
from .steps import Step

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..surface.consumer import Consumer
    from ..surface.geometry import Rect

#: The most steps since its last update that a viewer gets one by one. With more, which a faster
#: viewer got, it gets whole tiles.
_MAX_REPLAYED = 8


class SentPicture:
    """The picture, state and cursor that one viewer has.

    Args:
        encoder: The encoder of the screen.
        consumer: The same screen.
        in_flight: The messages that are not acknowledged, by serial number, in order.

    Attributes:
        focus: The area that the user looks at.
        losses_known: All losses up to this serial number are known.
    """

    def __init__(
        self, encoder: Encoder, consumer: Consumer, in_flight: dict[int, InFlight]
    ) -> None:
        self._encoder = encoder
        self._consumer = consumer
        self._in_flight = in_flight
        self.focus: Rect | None = None
        self.losses_known = 0
        #: Segments before this serial number may not be built on.
        self._usable_from = 1
        self._epoch = 0
        self._generation = 0
        #: The generation at which the viewer has each tile; None if it has caught up.
        self._tile_generations: npt.NDArray[np.int64] | None = None
        #: The viewer was sent all changes up to this version; 0 for none. Empty segments are sent
        #: until it has reached the other one.
        self._complete_version, self._wanted_version = 0, 1
        #: The generation of the encoder at the beginning of the present update.
        self._update_generation = 0
        self._state: tuple[int, str] | None = None
        self._cursor_version: int | None = None
        self._cursor_shape: bytes | None = None

    @property
    def has_caught_up(self) -> bool:
        """True if the viewer was sent everything that the encoder has taken."""
        return self._tile_generations is None and self._generation == self._encoder.generation

    @property
    def settled_losses(self) -> int:
        """`losses_known`, if the viewer has all pixels that were sent; else 0."""
        pixels = any(
            isinstance(each.message, ModeUpdate | Segment) for each in self._in_flight.values()
        )
        return self.losses_known if self.has_caught_up and not pixels else 0

    @property
    def version(self) -> int:
        """The screen's version."""
        return self._consumer.reader.version

    def confirm(self, version: int) -> None:
        """Tell the viewer soon that it has all changes up to a version, if nothing changes too."""
        self._wanted_version = max(1, version)

    # ---- updates ----

    def begin_update(self) -> None:
        """Begin an update of a viewer that does not get each change."""
        newest = self._update_generation = self._encoder.generation
        if self._tile_generations is None and newest > self._generation + _MAX_REPLAYED:
            self._fall_behind()

    @property
    def is_update_sent(self) -> bool:
        """True for a viewer that is behind, once every tile of its update has been sent."""
        generations = self._tile_generations
        if generations is None:
            return False
        return not (self._is_behind(generations) & (generations < self._update_generation)).any()

    def _is_behind(self, generations: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self._encoder.changed_at > generations

    # ---- losses ----

    def restart(self) -> None:
        """Send everything again, from the mode on."""
        self._epoch, self._state, self._complete_version = 0, None, 0
        self._cursor_version, self._cursor_shape = None, None

    def lose(self, lost: InFlight) -> None:
        """Record that a message was lost."""
        if isinstance(lost.message, ModeUpdate):
            self._epoch = 0
        elif isinstance(lost.message, StateUpdate):
            self._state = None
        elif isinstance(lost.message, CursorUpdate):
            self._cursor_version, self._cursor_shape = None, None
        elif lost.tiles is not None:
            self._forget_tiles(lost.tiles)

    def write_off(self, serial: int) -> None:
        """Count messages in flight up to a serial number as lost if they build on others."""
        self._complete_version = 0
        for sent in self._in_flight.values():
            if sent.is_step and sent.tiles is not None:
                self._forget_tiles(sent.tiles)
                sent.tiles = None
        self._usable_from = serial + 1

    def _forget_tiles(self, tiles: npt.NDArray[np.intp]) -> None:
        """Mark tiles that may have any content at the viewer."""
        generations = self._fall_behind()
        if len(tiles) and int(tiles.max()) < len(generations):
            generations[tiles] = 0

    def _fall_behind(self) -> npt.NDArray[np.int64]:
        """Track each tile from now on, and return their generations."""
        if self._tile_generations is None:
            count = len(self._encoder.changed_at)
            self._tile_generations = np.full(count, self._generation, np.int64)
        return self._tile_generations

    # ---- the next message ----

    def next_message(self, serial: int, now: float, max_bytes: int) -> InFlight | None:
        """Make the next message that the viewer needs.

        Args:
            serial: Its serial number.
            now: Seconds.
            max_bytes: The wanted limit of its bytes.

        Raises:
            FormatError: The screen's memory is not valid.
        """
        encoder, version = self._encoder, self.version
        has_changes = encoder.has_changes(now)
        if encoder.mode.epoch and self._epoch != encoder.mode.epoch:
            return self._make_mode(serial)
        if made := self.next_state(serial) or self._make_cursor(serial):
            return made
        if not self._epoch:
            return None
        made = self._make_segment(serial, now, max_bytes, has_changes=has_changes)
        if made is None and self._complete_version < self._wanted_version:
            return self._make_empty(serial, version)
        return made

    def _make_mode(self, serial: int) -> InFlight:
        encoder = self._encoder
        mode = encoder.mode
        self._epoch, self._usable_from, self._complete_version = mode.epoch, serial, 0
        self._generation, self._tile_generations = encoder.born, None
        if encoder.generation != encoder.born:
            # The kept steps would first show old content; whole tiles show the newest.
            self._fall_behind()
        return InFlight(
            NOT_SENT,
            ModeUpdate(
                serial, mode.epoch, mode.width, mode.height, mode.fourcc == R8,
                *encoder.source.screen_size(),
            ),
        )  # fmt: skip

    def next_state(self, serial: int) -> InFlight | None:
        """Make a message of the screen's state, if the viewer has another one."""
        code, reason = self._consumer.state
        if (int(code), reason) == self._state:
            return None
        self._state = int(code), reason
        return InFlight(NOT_SENT, StateUpdate(serial, int(code), reason, self.settled_losses))

    def _make_cursor(self, serial: int) -> InFlight | None:
        version = self._consumer.reader.cursor_version
        if self._cursor_version == version:
            return None
        cursor = self._consumer.cursor()
        self._cursor_version = version
        shape = cursor.shape.tobytes()
        data: bytes | None = None
        if shape != self._cursor_shape:
            data = codecs.compress(shape, self._encoder.codec)
            self._cursor_shape = shape
            if len(data) > MAX_CURSOR:
                data = b""
        height, width = cursor.shape.shape[:2]
        return InFlight(
            NOT_SENT,
            CursorUpdate(serial, cursor.visible, cursor.x, cursor.y, cursor.hot_x, cursor.hot_y,
                   width, height, data, self.settled_losses),
        )  # fmt: skip

    def _make_segment(
        self, serial: int, now: float, max_bytes: int, *, has_changes: bool
    ) -> InFlight | None:
        encoder = self._encoder
        if self._tile_generations is not None:
            behind = np.flatnonzero(self._is_behind(self._tile_generations))
            if len(behind):
                return self._make_repair(serial, behind, now, max_bytes)
            self._generation, self._tile_generations = encoder.generation, None
        step = encoder.step_after(self._generation)
        if step is None and self._generation != encoder.generation:
            self._fall_behind()
            return self._make_segment(serial, now, max_bytes, has_changes=has_changes)
        if step is None and has_changes:
            step = encoder.advance(now, self.focus, max_bytes)
        if step is None:
            return None
        self._generation = step.generation
        made = self._segment(serial, self._builds_on(serial), step)
        return InFlight(NOT_SENT, made, step.tiles, is_step=True)

    def _segment(self, serial: int, depends_on: int, step: Step) -> Segment:
        self._complete_version = step.complete_version or self._complete_version
        fields = serial, depends_on, self._epoch, step.version, step.complete_version, *step.block
        if step.exact:
            return Segment(*fields, self.losses_known)
        return LossySegment(*fields, self.losses_known, list(step.photos))

    def _builds_on(self, serial: int) -> int:
        """Return the first segment or mode in flight that a segment builds on, or its own number.

        In `Segment.depends_on`, 0 stands for a segment that can be used whatever was lost.
        """
        for before, sent in self._in_flight.items():
            if before >= self._usable_from and isinstance(sent.message, ModeUpdate | Segment):
                return before
        return serial

    def _make_empty(self, serial: int, version: int) -> InFlight:
        """Make a segment without pixels: the viewer has everything up to a version."""
        encoder, no_tiles = self._encoder, np.zeros(0, np.intp)
        version = max(1, version, encoder.version, self._wanted_version)
        step = Step(0, version, version, no_tiles, encoder.empty_block, exact=encoder.is_exact)
        return InFlight(NOT_SENT, self._segment(serial, self._builds_on(serial), step), no_tiles)

    def _make_repair(
        self, serial: int, behind: npt.NDArray[np.intp], now: float, max_bytes: int
    ) -> InFlight:
        encoder, generations = self._encoder, self._fall_behind()
        due = behind[generations[behind] < self._update_generation]
        tiles = due if len(due) else behind
        step = encoder.repair(tiles, max_bytes, generations[tiles] == encoder.born, now)
        generations[step.tiles] = encoder.generation
        is_last = len(step.tiles) == len(behind)
        if not is_last:
            # The viewer may have anything in the tiles that are left.
            step = step._replace(complete_version=0, exact=not encoder.is_lossy)
        # The last repair makes a claim about the whole picture, so it needs all the others. Each of
        # the others can be used whatever was lost.
        depends_on = self._builds_on(serial) if is_last else 0
        made = self._segment(serial, depends_on, step)
        return InFlight(NOT_SENT, made, step.tiles, is_step=is_last)
