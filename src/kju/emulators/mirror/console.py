"""SHELL: the surface of a mirror: what an inlet keeps equal to a screen elsewhere."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import GeometryError
from ...memory import SurfaceProducer
from ...remote.link_status import LinkStatus
from ...remote.mirror import Mirror
from ...sources.base import Need, Phase, Report, Source, Status, room_for
from ...surface import State
from ...surface.producer import Producer
from ..console import Console
from ..input.devices import Devices
from ..qemu import dbus

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ...surface.geometry import Rect

log = logging.getLogger(__name__)


class MirrorSource(Source):
    """Takes what an inlet draws, and says how fresh that is: `kju.wire.picture.Target`."""

    def __init__(self, producer: Producer, report: Report | None = None) -> None:
        super().__init__(producer, "mirror", report)
        self._live = State.UNAVAILABLE

    def start(self) -> None:
        """Nothing has come yet."""
        self._tell(Status(Phase.RUNNING, "mirror"))

    def stop(self) -> None:
        """Take nothing more."""
        self._tell(Status(Phase.ENDED, "mirror"))

    def retarget(self, producer: Producer) -> None:
        """Another surface, with the same picture."""
        old, self.producer = self.producer, producer
        if old.mode.epoch:
            mode = old.mode
            producer.set_mode(
                mode.width, mode.height, fourcc=mode.fourcc, source=old.pixels, stride=mode.stride
            )
        self._tell(Status(Phase.RUNNING, "mirror"))

    def say(self, said: LinkStatus) -> None:
        """The link is up or down, or the sender's own surface has another state."""
        if said.live:
            states = {State.LIVE, State.PAUSED, State.UNAVAILABLE}
            state = State(said.state) if said.state in states else State.UNAVAILABLE
            reason = said.reason or ("" if state is not State.UNAVAILABLE else "no picture yet")
        else:
            state = State.UNAVAILABLE
            reason = f"stale since {time.strftime('%H:%M:%S')}: {said.reason}"
        self.producer.set_state(state, reason)

    # ---- what an inlet does to it ----

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The pixels of the mode that was set last."""
        return self.producer.pixels

    @property
    def version(self) -> int:
        """Of what has been published."""
        return self.producer.version

    def set_mode(self, width: int, height: int, *, fourcc: int) -> int:
        """A black picture of this form.

        Raises:
            GeometryError: There is no room for it, yet: a larger surface has been asked for.
        """
        needed = room_for(width, height)
        if needed > self.producer.capacity:
            self._tell(Status(Phase.RUNNING, "mirror", need=Need.LARGER, needed=needed))
            raise GeometryError(f"a mode of {width}x{height} needs a larger surface")
        return self.producer.set_mode(width, height, fourcc=fourcc)

    def begin(self) -> None:
        """Pixels are about to change."""
        self.producer.begin()

    def publish(self, rects: Sequence[Rect], /) -> int:
        """They have changed in these rectangles."""
        return self.producer.publish(rects)

    def set_cursor(self, argb: bytes, width: int, height: int, hot_x: int, hot_y: int, /) -> int:
        """The cursor's shape."""
        return self.producer.set_cursor(argb, width, height, hot_x, hot_y)

    def move_cursor(self, x: int, y: int, visible: bool, /) -> int:
        """Where the cursor is."""
        return self.producer.move_cursor(x, y, visible)


class MirrorConsole(Console):
    """The one console of a mirror."""

    def __init__(self, address: str, label: str, devices: Devices) -> None:
        facts = dbus.Console(0, label, 0, "Graphic", 0, 0, "", ())
        super().__init__(0, facts, address, self._make_mirror, devices)
        self.mirror: MirrorSource | None = None
        #: What draws, once it is there.
        self.inlet: Mirror | None = None
        self._asking = 0

    async def hold(self, client: object, seconds: float) -> int:
        """Publish nothing until `unhold`, or until *seconds* have passed.

        Pixels of a mirror change from the begin of a drawing to its end, so this waits until
        nothing is drawn.

        Raises:
            KjuError: Another client has it, or a publication would not end.
        """
        self._asking += 1
        try:
            if self.inlet is not None and self._held is None:
                await self.inlet.hold()
            return await super().hold(client, seconds)
        finally:
            self._asking -= 1
            self._draw_on()

    def _let_go(self) -> None:
        super()._let_go()
        self._draw_on()

    def _draw_on(self) -> None:
        """Draw again, unless somebody holds the pixels or is about to."""
        if self.inlet is not None and self._held is None and not self._asking:
            self.inlet.unhold()

    async def _make_mirror(self, producer: SurfaceProducer, report: Report, paused: bool) -> Source:
        await asyncio.sleep(0)
        self.mirror = MirrorSource(producer, report)
        self.mirror.start()
        return self.mirror

    def release(self) -> None:
        """Let the pixels change, whichever client holds them still."""
        self._let_go()
