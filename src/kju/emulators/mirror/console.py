"""SHELL: the console of a mirror: a `Mirror` draws a remote screen in its surface.

Input is forwarded to the screen's own host, which paces it:

- A request is forwarded as a whole: on a slow link each message costs a round trip.
- The rate at which clients look is stated to the sender; without a client nothing is sent.
- Held buttons and keys are recorded here too, so that a client that disconnects from a mirror
  releases them on the other host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from ...errors import GeometryError
from ...keys import Step
from ...memory import SurfaceProducer
from ...protocol.messages import Keys, Point, Resize
from ...protocol.values import Action, Button, Request
from ...remote.mirror import Mirror
from ...remote.mirror_link import LinkStatus, surface_state
from ...sources.base import OnStatus, Phase, Source, SourceStatus, room_for
from ...surface import Mark
from ...surface.producer import Producer
from ..console import GRACE, Console, ConsoleFacts, SourceRunner
from ..console_surface import ConsoleSurface, OnMode
from ..input.devices import Devices, SharedPointer
from ..input.keyboard import KeyboardLamps, SharedKeyboard
from ..input.pace import Gauge, Pace
from ..supervisor import SingleSource, SourceKind, Supervisor

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ...surface.geometry import Rect


#: Seconds that a new client waits at most for a picture of now, after nobody has looked.
_PICTURE_TIMEOUT = 1.0

#: Sends a request to the other host; returns this surface's mark before that.
Forward = Callable[[Request], Awaitable[Mark]]


class MirrorSource(Source):
    """Publishes the drawings of a mirror and the state of its link: a `Target`."""

    def __init__(self, producer: Producer, on_status: OnStatus | None = None) -> None:
        super().__init__(producer, "mirror", on_status)

    def _begin(self) -> None:
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
        self.producer.set_state(*surface_state(link))

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


class _MirrorKind(SourceKind):
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

    Args:
        index: As in `ConsoleSurface`.
        address: As in `ConsoleSurface`.
        on_mode: As in `ConsoleSurface`.
        mirror: Returns the mirror that draws in this surface; None before it is connected.

    Attributes:
        mirror: The same.
    """

    def __init__(
        self, index: int, address: str, on_mode: OnMode, mirror: Callable[[], Mirror | None]
    ) -> None:
        super().__init__(index, address, on_mode)
        self.mirror = mirror
        self._holds_in_progress = 0

    async def hold(self, client: object, seconds: float) -> int:
        """Publish nothing until `unhold`, or until *seconds* have passed; returns the version.

        Raises:
            KjuError: Another client holds it, or a publication does not end.
        """
        self._holds_in_progress += 1
        try:
            mirror = self.mirror()
            if mirror is not None and not self.is_held:
                await mirror.hold()
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
        mirror = self.mirror()
        if mirror is not None and not self.is_held and not self._holds_in_progress:
            mirror.unhold()


class _MirrorRunner(SourceRunner):
    """States the rate of a mirror's clients to the sender; the source itself always runs.

    Args:
        supervisor: As in `SourceRunner`.
        mirror: Returns the mirror; None before it is connected.
    """

    def __init__(self, supervisor: Supervisor, mirror: Callable[[], Mirror | None]) -> None:
        super().__init__(supervisor, always=True)
        self._mirror = mirror
        self._unviewed: asyncio.TimerHandle | None = None

    @property
    def rate(self) -> float | None:
        """Looks per second of the fastest client; 0 without one."""
        return super().rate if self._clients else 0.0

    async def attach(self, client: object, rate: float | None = None) -> None:
        """Note that *client* views the console; a new one returns when the picture is of now.

        Args:
            client: The client.
            rate: As in `SourceRunner`.
        """
        is_new = client not in self._clients
        await super().attach(client, rate)
        if is_new and (mirror := self._mirror()) is not None:
            await mirror.shown(_PICTURE_TIMEOUT)

    def detach(self, client: object) -> None:
        """Note that *client* does not view the console any more."""
        super().detach(client)
        self.rest_if_unviewed()

    def rest_if_unviewed(self) -> None:
        """Have the sender send nothing, unless a client attaches within `GRACE`."""
        if not self._clients and self._unviewed is None:
            self._unviewed = asyncio.get_running_loop().call_later(GRACE, self._end_unviewed)

    def _end_unviewed(self) -> None:
        self._unviewed = None
        if not self._clients:
            self._rate_changed()

    def _rate_changed(self) -> None:
        super()._rate_changed()
        if (mirror := self._mirror()) is not None:
            mirror.set_rate(self.rate)

    def close(self) -> None:
        """Release everything; the supervisor is closed first."""
        super().close()
        if self._unviewed is not None:
            self._unviewed.cancel()


class MirrorConsole(Console):
    """The only console of a mirror.

    Args:
        surface: Its surface.
        label: The name of the mirrored screen.
        forward: Sends requests to the other host.
    """

    def __init__(self, surface: MirrorSurface, label: str, forward: Forward) -> None:
        async def request_size(width: int, height: int) -> None:
            await forward(Resize(width=width, height=height))

        self._kind = _MirrorKind()
        supervisor = Supervisor(surface, SingleSource(self._kind))
        self._runner = runner = _MirrorRunner(supervisor, surface.mirror)
        devices = mirror_devices(forward)
        super().__init__(ConsoleFacts(label), surface, runner, devices, request_size)

    def rest_if_unviewed(self) -> None:
        """See `_MirrorRunner.rest_if_unviewed`."""
        self._runner.rest_if_unviewed()

    @property
    def source(self) -> MirrorSource | None:
        """The source, which a mirror draws in; None until the console is open."""
        return self._kind.source


class _RemoteGauge(Gauge):
    """The gauge of a device that another host paces."""

    name = "remote"
    #: The steps that one request may have.
    room = 1024

    async def is_empty(self) -> bool:
        """Return True: the other host answers when it has sent everything."""
        return True


class _MirrorPointer(SharedPointer):
    """The pointer of a screen on another host."""

    def __init__(self, forward: Forward, pace: Pace) -> None:
        super().__init__(pace)
        self._forward = forward

    async def absolute(self) -> bool:
        """Return True: the other host refuses positions if its guest does not take them."""
        return True

    async def act(self, client: Hashable, actions: Sequence[Action]) -> Mark | None:
        """Forward these actions; see `SharedPointer.act`."""
        async with self.pace.turn:
            mark = await self._forward(Point(actions=list(actions)))
        for action in actions:
            if isinstance(action, Button):
                hold = self._buttons.press if action.down else self._buttons.release
                hold(client, [action.button])
        return mark

    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> None:
        await self._forward(Point(actions=[Button(number, down) for number in numbers]))

    async def _put_fingers(self, fingers: Sequence[int], down: bool) -> None:
        """Do nothing: a mirror records no fingers."""


def mirror_devices(forward: Forward) -> Devices:
    """Return the keyboard and the pointer of a screen on another host."""

    async def send(steps: Sequence[Step]) -> Mark:
        return await forward(Keys(steps=list(steps)))

    pace = Pace(_remote)
    return Devices(SharedKeyboard(send, pace), _MirrorPointer(forward, pace), KeyboardLamps())


async def _remote() -> Gauge:
    return _RemoteGauge()
