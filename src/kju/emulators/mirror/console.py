"""SHELL: the console of a mirror: a `Mirror` draws a remote screen in its surface."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import GeometryError
from ...memory import SurfaceProducer
from ...remote.mirror import Mirror
from ...remote.mirror_link import LinkStatus
from ...sources.base import OnStatus, Phase, Source, SourceStatus, room_for
from ...surface import State
from ...surface.producer import Producer
from ..console import Console, ConsoleFacts, SourceRunner
from ..console_surface import ConsoleSurface
from ..input.devices import Devices
from ..supervisor import SingleSource, SourceKind, Supervisor

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ...surface.geometry import Rect


class MirrorSource(Source):
    """Publishes the drawings of a mirror and the state of its link: a `Target`."""

    def __init__(self, producer: Producer, on_status: OnStatus | None = None) -> None:
        super().__init__(producer, "mirror", on_status)

    def start(self) -> None:
        """Begin; there is no picture yet."""
        self._set_status(SourceStatus(Phase.RUNNING, "mirror"))

    def stop(self) -> None:
        """End."""
        self._set_status(SourceStatus(Phase.ENDED, "mirror"))

    def retarget(self, producer: Producer) -> None:
        """Fill another surface, beginning with the same picture."""
        old, self.producer = self.producer, producer
        if old.mode.epoch:
            mode = old.mode
            producer.set_mode(
                mode.width, mode.height, fourcc=mode.fourcc, source=old.pixels, stride=mode.stride
            )
        self._set_status(SourceStatus(Phase.RUNNING, "mirror"))

    def set_link(self, link: LinkStatus) -> None:
        """Publish the state of the link, and that of the sender's surface."""
        if link.live:
            states = {State.LIVE, State.PAUSED, State.UNAVAILABLE}
            state = State(link.state) if link.state in states else State.UNAVAILABLE
            reason = link.reason or ("" if state is not State.UNAVAILABLE else "no picture yet")
        else:
            state = State.UNAVAILABLE
            reason = f"stale since {time.strftime('%H:%M:%S')}: {link.reason}"
        self.producer.set_state(state, reason)

    # -- calls of the mirror

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The pixels of the newest mode."""
        return self.producer.pixels

    @property
    def version(self) -> int:
        """The newest published version."""
        return self.producer.version

    def set_mode(self, width: int, height: int, *, fourcc: int) -> int:
        """Publish a new mode with a black picture; returns the version.

        Raises:
            GeometryError: The surface is too small; a larger one has been requested.
        """
        needed = room_for(width, height)
        if needed > self.producer.capacity:
            self._set_status(SourceStatus.too_large("mirror", needed))
            raise GeometryError(f"a mode of {width}x{height} needs a larger surface")
        return self.producer.set_mode(width, height, fourcc=fourcc)

    def begin(self) -> None:
        """Announce that pixels are about to change."""
        self.producer.begin()

    def publish(self, rects: Sequence[Rect], /) -> int:
        """Publish the changed rectangles; returns the version."""
        return self.producer.publish(rects)

    def set_cursor(self, argb: bytes, width: int, height: int, hot_x: int, hot_y: int, /) -> int:
        """Publish the cursor's shape."""
        return self.producer.set_cursor(argb, width, height, hot_x, hot_y)

    def move_cursor(self, x: int, y: int, visible: bool, /) -> int:
        """Publish the cursor's position."""
        return self.producer.move_cursor(x, y, visible)


class MirrorKind(SourceKind):
    """Starts the source of a mirror.

    Attributes:
        source: The source; None before the first start.
    """

    def __init__(self) -> None:
        self.source: MirrorSource | None = None

    async def start(self, producer: SurfaceProducer, on_status: OnStatus, paused: bool) -> Source:
        """Start the source."""
        self.source = MirrorSource(producer, on_status)
        self.source.start()
        return self.source


class MirrorSurface(ConsoleSurface):
    """A surface that is held only between two drawings of the mirror.

    The thread of the mirror writes pixels from the beginning of a drawing to its end. So a hold
    waits until no drawing is in progress, and the mirror begins none until the hold ends.
    """

    _mirror: Mirror | None = None
    _holds_in_progress = 0

    def connect(self, mirror: Mirror) -> None:
        """Use *mirror*, which draws in this surface."""
        self._mirror = mirror

    async def hold(self, client: object, seconds: float) -> int:
        """Publish nothing until `unhold`, or until *seconds* have passed; returns the version.

        Raises:
            KjuError: Another client holds it, or a publication does not end.
        """
        self._holds_in_progress += 1
        try:
            if self._mirror is not None and not self.is_held:
                await self._mirror.hold()
            return await super().hold(client, seconds)
        finally:
            self._holds_in_progress -= 1
            self._resume_drawing()

    def release_hold(self) -> None:
        """Publish again, whichever client holds it."""
        super().release_hold()
        self._resume_drawing()

    def _resume_drawing(self) -> None:
        """Let the mirror draw, unless a client holds the pixels or is about to."""
        if self._mirror is not None and not self.is_held and not self._holds_in_progress:
            self._mirror.unhold()


class MirrorConsole(Console):
    """The only console of a mirror.

    Args:
        address: Where the surface is made, as `SurfaceProducer.create` takes it.
        label: The name of the mirrored screen.
        devices: Its keyboard and pointer.
    """

    def __init__(self, address: str, label: str, devices: Devices) -> None:
        surface, self._kind = MirrorSurface(0, address), MirrorKind()
        runner = SourceRunner(Supervisor(surface, SingleSource(self._kind)), always=True)
        super().__init__(ConsoleFacts(label), surface, runner, devices)
        self._mirror_surface = surface

    @property
    def mirror(self) -> MirrorSource | None:
        """The source; None until the console is open."""
        return self._kind.source

    def connect(self, mirror: Mirror) -> None:
        """Use *mirror*, which draws in this console's surface."""
        self._mirror_surface.connect(mirror)
