"""SHELL: one console of a machine: a screen of the guest, and the devices that drive it.

A `Console` has four parts. `ConsoleSurface` owns the published pixels. `Supervisor` keeps one
source running, which a `SourcePolicy` chooses. `SourceRunner` decides when it runs. `Devices` are
the keyboard and the pointer. An emulator makes the parts; the host's requests use the console.

Rules of `SourceRunner`:

- A client views a console from `attach` to `detach`. Consumers of a surface with a name are not
  known, so such a console is always viewed.
- A client may state the rate at which it looks. The highest rate of all clients is that of the
  source; a client without one takes the source's own pace.
- The console rests `GRACE` after the last client has detached, so that the next one finds a
  running source.
- At rest nothing runs: no source, no reading of registers. A refresh then takes one picture and
  ends without the grace, so that a client that only takes pictures costs nothing between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from ..errors import UnavailableError, UsageError
from ..memory import SurfaceProducer
from ..protocol.values import fastest
from ..surface import Mark, State
from ..surface.formats import fourcc_name
from .console_surface import ConsoleSurface
from .input.devices import Devices
from .resizing import RequestSize, ResizeRequests
from .supervisor import Supervisor, SupervisorState
from .tasks import Tasks

log = logging.getLogger(__name__)

#: Seconds from the last client's detaching to the rest.
GRACE = 1.0
#: Looks per second: a client's lower rate counts as this one. A client may send any number, and its
#: inverse must be a time.
LEAST_RATE = 0.001
#: Looks per second of a client that takes one picture: no listener is registered for it.
ONE_LOOK = 1.0
#: Seconds that a rest waits for a source that is being replaced; a listener is registered in 30 ms.
_REPLACEMENT_TIMEOUT = 1.0


class ConsoleFacts(NamedTuple):
    """The constant facts of one console.

    Attributes:
        label: The emulator's name for it.
        device_address: The guest's device, for example ``pci/0000/02.0``; empty if none.
        no_vram: Why the guest's own pixels cannot be read; empty if they can.
        no_resize: Why the guest cannot be asked for a size; empty if it can.
    """

    label: str
    device_address: str = ""
    no_vram: str = ""
    no_resize: str = ""


class HandedOver(NamedTuple):
    """The lasting parts of a console whose emulator is replaced.

    Attributes:
        surface: Its published pixels.
        viewers: The clients that view it, each with its rate.
    """

    surface: ConsoleSurface
    viewers: dict[object, float | None]


class Console:
    """One console of a machine.

    Args:
        facts: Its constant facts.
        surface: Its published pixels.
        runner: Runs its source.
        devices: Its keyboard and pointer.
        request_size: Asks its guest for a size.
    """

    def __init__(
        self,
        facts: ConsoleFacts,
        surface: ConsoleSurface,
        runner: SourceRunner,
        devices: Devices,
        request_size: RequestSize | None = None,
    ) -> None:
        self.facts = facts
        self.surface = surface
        self.runner = runner
        self.devices = devices
        self._resizing = ResizeRequests(request_size) if request_size is not None else None
        # Clients with the rate 0: they ask for a larger surface or the live window without viewing.
        self._not_viewing: set[object] = set()

    @property
    def index(self) -> int:
        """The console, as clients count: graphic consoles in the emulator's order, from 0."""
        return self.surface.index

    @property
    def producer(self) -> SurfaceProducer:
        """The producer of the current surface."""
        return self.surface.producer

    @property
    def mark(self) -> Mark:
        """The mark of the newest published version."""
        return self.surface.mark

    async def open(self) -> None:
        """Start the source if the console is always viewed.

        Raises:
            KjuError: The source cannot be started.
        """
        await self.runner.open()

    async def attach(self, client: object, rate: float | None = None) -> None:
        """Note that *client* views the console; returns when there is a picture, or soon.

        Args:
            client: The client.
            rate: Looks per second; 0 ends the viewing; None leaves the client's rate as it is,
                which is at first the source's own pace.

        Raises:
            KjuError: The source cannot be started.
        """
        if rate == 0:
            self._end_viewing(client)
        elif rate is not None or client not in self._not_viewing:
            self._not_viewing.discard(client)
            await self.runner.attach(client, rate)

    async def set_rate(self, client: object, rate: float | None) -> None:
        """Note how often *client* looks.

        Args:
            client: The client.
            rate: Looks per second; 0 ends the viewing; None for the source's own pace.

        Raises:
            KjuError: The source cannot be started.
        """
        if rate == 0:
            self._end_viewing(client)
        else:
            self._not_viewing.discard(client)
            self.runner.set_rate(client, rate)
            await self.runner.attach(client)

    def _end_viewing(self, client: object) -> None:
        self._not_viewing.add(client)
        if self.runner.viewing(client) is not None:
            self.surface.unhold(client)
            self.runner.detach(client)

    def detach(self, client: object) -> None:
        """Note that *client* does not view the console any more, and end its hold."""
        self._not_viewing.discard(client)
        self.surface.unhold(client)
        self.runner.detach(client)

    async def refresh(self, *, sync: bool) -> int:
        """Publish everything that the emulator has sent so far; returns the version.

        Without a viewer the source runs for this picture only.

        Args:
            sync: Read the guest's mode first, where the emulator does not announce it.

        Raises:
            KjuError: The source cannot be started.
        """
        async with self.runner.running_once() as started:
            # A source that has been started for this picture is that of the mode just read.
            if sync and not started:
                await self.runner.read_mode()
            await self.runner.supervisor.flush()
        return self.producer.version

    async def resize(self, width: int, height: int) -> Mark:
        """Ask the guest for a size; returns the mark of the screen before that.

        Raises:
            UsageError: This display cannot be resized; the message has the reason.
            KjuError: The emulator did not take the size.
        """
        if self._resizing is None:
            raise UsageError(f"this display cannot be resized: {self.facts.no_resize}")
        mark = self.mark
        await self._resizing.request(width, height)
        return mark

    def set_paused(self, paused: bool) -> None:
        """Publish that the guest's CPUs are paused, or run again."""
        self.runner.supervisor.set_paused(paused)

    def hand_over(self) -> HandedOver:
        """Stop the source for ever; return the surface and its viewers, for another console."""
        viewers = self.runner.viewers
        surface = self.runner.supervisor.hand_over()
        self.runner.close()
        return HandedOver(surface, viewers)

    def stop(self, state: State, reason: str) -> None:
        """Stop the source, publish the final state and release everything."""
        self.runner.supervisor.close(state, reason)
        self.runner.close()

    def info(self) -> dict[str, Any]:
        """Return the facts and the state of this console, for people and programs."""
        mode, status = self.producer.mode, self.runner.supervisor.status
        return {
            "index": self.index,
            "label": self.facts.label,
            "device": self.facts.device_address,
            "width": mode.width,
            "height": mode.height,
            "stride": mode.stride,
            "fourcc": fourcc_name(mode.fourcc) if mode.epoch else "",
            "epoch": mode.epoch,
            "version": self.producer.version,
            "incarnation": self.producer.incarnation,
            "address": self.producer.address,
            "rate": self.runner.rate,
            "source": status.name,
            "reason": status.reason or self.runner.reason,
            "no_vram": self.facts.no_vram,
            "no_resize": self.facts.no_resize,
            **self.devices.info(),
        }


class SourceRunner:
    """Starts a console's source for its first client and stops it after the last one.

    Args:
        supervisor: The console's.
        always: Whether the source runs without a client too.
    """

    def __init__(self, supervisor: Supervisor, *, always: bool = False) -> None:
        self.supervisor = supervisor
        self._always = always or supervisor.surface.has_name
        #: Looks per second; None for the source's own pace.
        self._clients: dict[object, float | None] = {}
        if supervisor.surface.has_name:
            self._clients[self] = None  # consumers that the host does not know
        self._grace: asyncio.TimerHandle | None = None
        # Held while a source is chosen, started or stopped.
        self._changing = asyncio.Lock()
        self._tasks = Tasks()

    async def open(self) -> None:
        """Start the source if the console is always viewed.

        Raises:
            KjuError: The source cannot be started.
        """
        if self._is_viewed:
            await self._wake()
        else:
            await self.supervisor.rest()

    @property
    def _is_viewed(self) -> bool:
        return self._always or bool(self._clients)

    @property
    def rate(self) -> float | None:
        """Looks per second of the source's fastest client; None for the source's own pace."""
        return fastest(self._clients.values())

    @property
    def viewers(self) -> dict[object, float | None]:
        """The clients that view the console, each with its rate."""
        return {client: rate for client, rate in self._clients.items() if client is not self}

    def viewing(self, client: object) -> dict[str, float | None] | None:
        """Return the rate of a client, ready for JSON; None if it does not view the console."""
        return {"rate": self._clients[client]} if client in self._clients else None

    async def attach(self, client: object, rate: float | None = None) -> None:
        """Note that *client* views the console; returns when there is a picture, or soon.

        Args:
            client: The client.
            rate: Looks per second, above 0; None leaves the client's rate as it is.

        Raises:
            KjuError: The source cannot be started.
        """
        if rate is not None or client not in self._clients:
            self.set_rate(client, rate)
        self._cancel_rest()
        await self._wake()

    def set_rate(self, client: object, rate: float | None) -> None:
        """Note how often a client looks that views the console, or attaches next."""
        self._clients[client] = None if rate is None else max(rate, LEAST_RATE)
        self._rate_changed()

    def _rate_changed(self) -> None:
        self.supervisor.set_rate(self.rate)

    @contextlib.asynccontextmanager
    async def running_once(self) -> AsyncIterator[bool]:
        """Run the source during this block, if nobody views the console.

        Yields:
            True if a source was started for the block.
        """
        if self._is_viewed or self._grace is not None:
            yield False
            return
        asker, was_running = object(), self.supervisor.source is not None
        try:
            await self.attach(asker, ONE_LOOK)
            yield not was_running and self.supervisor.source is not None
        finally:
            self._clients.pop(asker, None)
            if not self._is_viewed and self._grace is None:
                self._rest()
            else:
                self._rate_changed()

    def detach(self, client: object) -> None:
        """Note that *client* does not view the console any more."""
        if client in self._clients:
            del self._clients[client]
            if self._clients:
                self._rate_changed()
        if not self._is_viewed and self._grace is None:
            self._grace = asyncio.get_running_loop().call_later(GRACE, self._end_grace)

    def _end_grace(self) -> None:
        self._grace = None
        if not self._is_viewed:
            self._rest()

    def _cancel_rest(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    async def _wake(self) -> None:
        """Start what runs while the console is viewed; it may run already."""
        async with self._changing:
            await self.supervisor.start()

    def _rest(self) -> None:
        """Begin to stop what runs."""
        self._tasks.begin(self._stop_source())

    async def _stop_source(self) -> None:
        """Stop the source, unless a client has attached; its last picture stays published."""
        async with self._changing:
            await self.supervisor.settle(_REPLACEMENT_TIMEOUT)
            if self._is_viewed:
                return
            if self.supervisor.state is SupervisorState.RUNNING:
                index = self.supervisor.surface.index
                log.info("console %d: no client views it: stopping its source", index)
            await self.supervisor.rest()

    def note_input(self) -> None:
        """Note that a client has sent the guest an input."""
        if self.supervisor.source is not None:
            self.supervisor.source.note_input()

    def expect_mode(self) -> None:
        """Note an event after which the guest may have another mode."""

    def distrust(self) -> None:
        """Note that the published picture may be wrong, its mode included. Check it soon."""
        self.expect_mode()

    async def read_mode(self) -> None:
        """Read the guest's mode now, where the emulator does not announce it."""

    def live_memory(self) -> int:
        """Return a read-only descriptor of the memory that the guest draws in.

        Raises:
            UnavailableError: This console has none.
        """
        raise UnavailableError(f"console {self.supervisor.surface.index} has no live window")

    @property
    def reason(self) -> str:
        """The reason for a slower source, if the source itself does not know it."""
        return ""

    def close(self) -> None:
        """Release everything; the supervisor is closed first."""
        self._cancel_rest()
        self._tasks.cancel()
