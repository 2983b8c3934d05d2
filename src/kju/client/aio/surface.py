"""Surfaces and the screens of machines, for asyncio.

Pixels never pass through the host: a `Screen` is a `Surface` on memory that the host has sent.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Sequence
from typing import IO, TYPE_CHECKING, Self

from ...memory import SharedMemory, open_fd
from ...protocol.messages import Done, GetSurface, Refresh, SetRate, SurfaceHandle
from ...surface import NOTHING_TAKEN, Change, Mark
from ...surface.formats import PixelFormat
from ...surface.geometry import Area
from ..consumer.base import SurfaceBase, touches
from ..consumer.following import Following
from ..consumer.frame import Frame, write_picture
from ..consumer.origin import MachineOrigin
from ..input_requests import mark_of
from ..link import (
    DEFAULT_TIMEOUT,
    Timeout,
    deadline_of,
    only_descriptor,
    seconds_of,
    seconds_to,
)
from ..requests import check_rate, resize_request
from .input_devices import Keyboard, Pointer
from .link import AsyncLink
from .locators import Locating
from .waiting import connection, run_blocking
from .waits import Waits

if TYPE_CHECKING:
    from ...acting import AnyInput


class Surface(Waits):
    """One surface, opened read-only: see `SurfaceBase`."""

    __doc__ = SurfaceBase.__doc__

    async def frame(
        self,
        rect: Area | None = None,
        *,
        pixels: PixelFormat = "rgb",
        consistent: bool = False,
        cursor: bool = False,
    ) -> Frame:
        """Copy the published pixels, each tile in its newest version.

        A host publishes a change as soon as QEMU reports it; `Screen.refresh` waits for that.

        Args:
            rect: Area in pixels, origin top left; the whole surface by default.
            pixels: Order of the channels: ``rgb``, ``rgba``, ``bgrx`` (as in memory) or ``grey``.
            consistent: Copy exactly one published version. The copy is repeated until the
                producer did not write meanwhile, for at most a second; then the producer is
                paused, if it can be.
            cursor: Draw the guest's cursor into the copy.

        Returns:
            Shape ``(height, width, 3)`` for ``rgb``, 4 channels for ``rgba`` and ``bgrx``,
            ``(height, width)`` for ``grey`` and for one-byte surfaces. C-contiguous; the array
            owns its memory.

        Raises:
            GeometryError: *rect* is not inside the surface.
            UnavailableError: There is no picture; the message is the producer's reason.
            InconsistentError: The producer never stopped writing.
            MemoryLostError: The file of the surface was truncated.
            ClosedError: This process has closed the surface.
        """
        if consistent:
            return await run_blocking(
                self._copy_frame, rect, pixels=pixels, consistent=True, cursor=cursor
            )
        # This takes at most a few milliseconds.
        return self._copy_frame(rect, pixels=pixels, cursor=cursor)

    async def screenshot(
        self,
        path: str | os.PathLike[str] | IO[bytes],
        rect: Area | None = None,
        *,
        consistent: bool = False,
        cursor: bool = False,
    ) -> Frame:
        """Write the pixels to a picture file, and return the frame that was written.

        Args:
            path: The file's path, or an open binary file. The extension chooses one of Pillow's
                formats; PNG without an extension and for an open file.
            rect: Area in pixels; the whole surface by default.
            consistent: As for `frame`.
            cursor: Draw the guest's cursor into the picture.

        Returns:
            The RGB frame.

        Raises:
            FileError: The file can't be written; an old file is unchanged.
            UsageError: Pillow cannot write this format.
            UnavailableError: There is no picture.
        """
        frame = await self.frame(rect, consistent=consistent, cursor=cursor)
        await run_blocking(write_picture, path, frame)
        return frame

    async def wait(
        self, since: Mark | None = None, *, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> Change:
        """Sleep until pixels change; the event loop runs meanwhile.

        Args:
            since: The mark of the newest change that has been taken; by default, now.
            timeout: Seconds; None for no limit. The default is `default_timeout`.

        Returns:
            The changes since the mark.

        Raises:
            WaitTimeoutError: No pixels changed.
            ProducerGoneError: The producer closed the surface or died. This is noticed within a
                second.
            MemoryLostError: The file of the surface was truncated.
        """
        mark = self.mark if since is None else since
        return await self._next_change(mark, seconds_of(timeout, self.default_timeout))

    async def changes(
        self, since: Mark = NOTHING_TAKEN, *, timeout: Timeout = None
    ) -> AsyncIterator[Change]:
        """Yield changes without end: first the whole surface, then the damage since the last.

        A slow consumer gets fewer and larger changes, never a queue of old ones.

        Args:
            since: The mark to start at; by default the whole surface is a change.
            timeout: Seconds between two changes; None, the default, for no limit: a guest whose
                screen does not change is not an error.

        Raises:
            WaitTimeoutError: No pixels changed for *timeout* seconds.
            ProducerGoneError: The producer closed the surface or died.
            MemoryLostError: The file of the surface was truncated.
        """
        while True:
            change = await self.wait(since, timeout=timeout)
            yield change
            since = change.mark

    async def after(
        self, mark: Mark, *, region: Area | None = None, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> Change:
        """Wait for the first published change after an input.

        The guest's reaction is recognised by its pixels only. A blinking cursor changes pixels
        too, so give the region in which the reaction is expected.

        Args:
            mark: The mark that the input returned, or any other.
            region: Area in pixels; a change elsewhere does not count. The whole screen by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.

        Returns:
            The changes since the mark or, if those were outside the region, since a later mark.

        Raises:
            As `wait`.
        """
        deadline = deadline_of(seconds_of(timeout, self.default_timeout))
        while True:
            change = await self.wait(mark, timeout=seconds_to(deadline))
            if touches(change, region):
                return change
            mark = change.mark

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Screen(Locating, Following, Surface):
    """The screen of one console: a `Surface` that follows the machine.

    When a larger surface replaces this one, the screen continues there. When the machine ends,
    waits raise `ProducerGoneError` with the reason.

    Attributes:
        console: The console's index.
    """

    def __init__(self, link: AsyncLink, console: int, segment: SharedMemory) -> None:
        """Use `kju.Machine.screens`."""
        connect = functools.partial(connection, link)
        super().__init__(MachineOrigin(link, console, segment, connect))
        self.console = console
        self._link = link

    @property
    def keyboard(self) -> Keyboard:
        """The keyboard of this console."""
        return Keyboard(self._link, self.console)

    @property
    def pointer(self) -> Pointer:
        """The pointer of this console."""
        return Pointer(self._link, self.console)

    async def frame(
        self,
        rect: Area | None = None,
        *,
        pixels: PixelFormat = "rgb",
        consistent: bool = False,
        cursor: bool = False,
        sync: bool = False,
    ) -> Frame:
        """Copy the pixels as they are now, no older than this call.

        In a linear mode, with the control role, the pixels are read from the guest's own video
        memory. Otherwise they are the published ones, each tile in its newest version.

        Args:
            rect: Area in pixels, origin top left; the whole screen by default.
            pixels: Order of the channels: ``rgb``, ``rgba``, ``bgrx`` (as in memory) or ``grey``.
            consistent: Copy exactly one published version: see `kju.Surface.frame`.
            cursor: Draw the guest's cursor into the copy.
            sync: Let the host read the guest's mode first, which takes a millisecond. Without it
                the geometry may be 250 ms old.

        Returns:
            Shape ``(height, width, 3)`` for ``rgb``, 4 channels for ``rgba`` and ``bgrx``,
            ``(height, width)`` for ``grey``. C-contiguous; the array owns its memory.

        Raises:
            GeometryError: *rect* leaves the surface.
            UnavailableError: There is no picture; the message is the reason.
            InconsistentError: The producer never stopped writing.
            MachineGoneError: The machine has ended, and the call needs the host.
            ClosedError: This process has closed the screen.
        """
        if sync:
            await self.refresh()
        if consistent:
            return await super().frame(rect, pixels=pixels, consistent=True, cursor=cursor)
        if not sync and self._must_publish():
            await self._publish()
        return self._copy_frame(rect, pixels=pixels, cursor=cursor)

    async def step(self, seconds: float, *inputs: AnyInput | Sequence[AnyInput]) -> Mark:
        """Resume the paused guest, send inputs, let it run for a time, and pause it.

        The host does it in one request. A running guest is paused at the end, too. The screen shows
        the paused guest when this returns, also without a viewer (`set_rate` of 0). Processors run
        in real time, so two equal steps need not end at the same instruction.

        Args:
            seconds: The time for which the guest runs, 0.001 to 10.
            inputs: As of `act`, without pauses: keys, then the pointer, then keys.

        Returns:
            The mark of the screen of the paused guest.

        Raises:
            UsageError: An input or the time is not valid, or the machine has no guest; the guest is
                as before.
            GeometryError: A point is outside of the screen; nothing was sent.
            InputError: The guest does not read its input; it is paused.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        from ...acting.inputs import check_points
        from ..input_requests import as_steps, step_request

        wanted = as_steps(inputs)
        check_points(wanted, self.mode.width, self.mode.height)
        request = step_request(self.console, seconds, wanted)
        return mark_of(await self._link.ask(request, Done, seconds))

    async def resize(self, width: int, height: int) -> Mark:
        """Ask the guest for a size of this screen. Needs the control role.

        The guest decides: it may round the size, take it later or ignore it. `mode` has its answer.
        The host passes on at most four sizes a second, the newest of all clients, and the last one
        always.

        Args:
            width: Pixels, at least 32.
            height: Pixels, at least 32.

        Returns:
            The screen's mark before the size was passed on; the guest reacts after it.

        Raises:
            UsageError: This display cannot be resized (only virtio-vga and virtio-gpu can), or the
                size is out of range.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        request = resize_request(self.console, width, height)
        return mark_of(await self._link.ask(request, Done))

    async def refresh(self) -> int:
        """Have the host publish all that QEMU has reported so far.

        Returns:
            The version that holds it.

        Raises:
            MachineGoneError: The machine has ended.
        """
        return (await self._link.ask(Refresh(console=self.console, sync=True), Done)).version

    async def set_rate(self, rate: float | None) -> None:
        """State how often this program looks at the screen; the host does no more work than that.

        The highest rate of all viewers of a console decides how often its pixels are published.
        The rate is valid for the connection: for all screens of this console that this machine
        object has opened.

        Args:
            rate: Looks per second. 2 suits a thumbnail: the host compares twice a second, and
                registers no listener for a display with shared video memory. 0 ends the viewing:
                nothing is published for this program. None, the rate at first, is the host's own
                pace: about 40 a second in an eighth of a core at most. A rate above 40 may take
                more of a core.

        Raises:
            UsageError: *rate* is negative or above 1000.
            MachineGoneError: The machine has ended.
        """
        await self._link.ask(SetRate(console=self.console, rate=check_rate(rate)), Done)

    async def _refresh(self) -> None:
        await self.refresh()

    async def _publish(self) -> None:
        await self._link.ask(Refresh(console=self.console, sync=False), Done)


async def open_screen(link: AsyncLink, console: int, rate: float | None = None) -> Screen:
    """Open the screen of a console.

    Args:
        link: The connection to its host.
        console: Its index.
        rate: As of `Screen.set_rate`.

    Raises:
        UsageError: The machine has no such console.
        MachineGoneError: The machine has ended.
    """
    answer = await link.call(GetSurface(console=console, rate=check_rate(rate)))
    return Screen(link, console, open_fd(only_descriptor(answer, SurfaceHandle)))
