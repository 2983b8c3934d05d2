"""Steps: the time between an action and its observation."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

from ..acting.inputs import AnyInput
from ..client.machine import Machine
from ..client.sending import send_one
from ..client.surface import Screen
from ..errors import UsageError, WaitTimeoutError
from ..protocol.stepping import MAX_STEP, MIN_STEP
from ..surface.formats import PixelFormat


class Stepping(Protocol):
    """One way to step. Each machine of an environment uses a copy (`copy.copy`)."""

    @property
    def rate(self) -> float | None:
        """The environment's looks at the screen per second: see `kju.Screen.set_rate`."""

    @property
    def waits(self) -> bool:
        """True if a step takes longer than a copy of the screen."""

    @property
    def needs_processor(self) -> bool:
        """True if a step is wrong for a guest that gets too little of a processor."""

    def prepare(self, machine: Machine, /) -> None:
        """Prepare the machine for a reset."""

    def begin(self, machine: Machine, /) -> None:
        """Prepare the machine for the first step of an episode."""

    def step(self, screen: Screen, inputs: Sequence[AnyInput], /) -> dict[str, Any]:
        """Send inputs and return when the observation is due; return a part of the info."""


class Free:
    """The guest runs on: a step sends the action and takes the screen as it is.

    Args:
        seconds: The shortest time between two steps; 0 for as fast as the program.
        rate: How often the host publishes the screen, as of `kju.Screen.set_rate`. With 0 it takes
            one picture for each step, and does nothing for the environment between two steps; the
            host of a mirror takes none.
    """

    needs_processor = False

    def __init__(self, seconds: float = 0.0, *, rate: float | None = None) -> None:
        if not 0 <= seconds <= MAX_STEP / 1e6:
            raise UsageError(f"a free step lasts 0 to 10 seconds, not {seconds!r:.40}")
        self.rate = rate
        self.waits: bool = seconds > 0
        self._seconds = seconds
        self._due = 0.0

    def prepare(self, machine: Machine) -> None:
        """Do nothing."""

    def begin(self, machine: Machine) -> None:
        """Let the guest run."""
        machine.resume()
        self._due = time.monotonic()

    def step(self, screen: Screen, inputs: Sequence[AnyInput]) -> dict[str, Any]:
        """Send the inputs."""
        for one in inputs:
            send_one(screen.keyboard, screen.pointer, one)
        if self._seconds:
            now = time.monotonic()
            time.sleep(max(0.0, self._due - now))
            self._due = max(self._due, now) + self._seconds
        if self.rate == 0:
            screen.refresh()
        return {}


class Settled:
    """A step ends when the screen has settled after the action: see `kju.Screen.act`.

    The info of a step has ``changed`` and ``settled``.

    Args:
        first: Seconds to wait for a first change.
        still: Seconds without a change that end a step.
        limit: Seconds at which a step ends in any case.
    """

    rate: float | None = None
    waits = True
    needs_processor = False

    def __init__(self, *, first: float = 1.0, still: float = 0.3, limit: float = 5.0) -> None:
        from ..acting.answer import Times

        self._times = Times(first, still, limit).checked()

    def prepare(self, machine: Machine) -> None:
        """Do nothing."""

    def begin(self, machine: Machine) -> None:
        """Let the guest run, and wait until its screen is still."""
        machine.resume()
        self._wait_still(machine.screen)

    def step(self, screen: Screen, inputs: Sequence[AnyInput]) -> dict[str, Any]:
        """Send the inputs, and wait for the guest's answer."""
        if not inputs:
            return {"changed": False, "settled": self._wait_still(screen)}
        pixels: PixelFormat = "bgrx"
        first, still, limit = self._times
        answer = screen.act(list(inputs), first=first, still=still, limit=limit, pixels=pixels)
        return {"changed": answer.changed, "settled": answer.settled}

    def _wait_still(self, screen: Screen) -> bool:
        try:
            screen.wait_stable(self._times.still, timeout=self._times.limit)
        except WaitTimeoutError:
            return False
        return True


class Lockstep:
    """The guest is paused between two steps, and runs for the same time in each: `Screen.step`.

    The time that the program takes to choose an action does not pass in the guest. QEMU counts in
    real time, so equal actions need not give equal frames: see the page on Gymnasium.

    Args:
        seconds: The time of a step.
    """

    rate: float | None = 0.0
    waits = True
    # The time of a step passes in the guest even if another process has its processor.
    needs_processor = True

    def __init__(self, seconds: float = 1 / 20) -> None:
        if not MIN_STEP <= seconds * 1e6 <= MAX_STEP:
            raise UsageError(f"a step lasts 0.001 to 10 seconds, not {seconds!r:.40}")
        self._seconds = seconds

    def prepare(self, machine: Machine) -> None:
        """Pause the guest: a snapshot that is loaded then does not run on."""
        machine.pause()

    def begin(self, machine: Machine) -> None:
        """Pause the guest, and publish its screen."""
        machine.pause()
        machine.screen.refresh()

    def step(self, screen: Screen, inputs: Sequence[AnyInput]) -> dict[str, Any]:
        """Run the guest for the time of a step, with the inputs."""
        screen.step(self._seconds, list(inputs))
        return {}


class UntilChanged(Lockstep):
    """The guest is paused between two steps, and runs in each until its screen changes.

    So a step is one picture of a game, on a busy computer too. The guest runs for `slice_seconds`
    at a time, and the screen is compared while it is paused; a guest that draws twice in that time
    makes two changes in one step.

    The info of a step has ``changed``.

    Args:
        limit: Seconds of the guest at which a step ends in any case.
        slice_seconds: Less than the time between two pictures of the guest.
    """

    def __init__(self, limit: float = 1.0, *, slice_seconds: float = 1 / 50) -> None:
        super().__init__(slice_seconds)
        if not slice_seconds <= limit <= MAX_STEP / 1e6:
            raise UsageError(f"a step lasts {slice_seconds} to 10 seconds, not {limit!r:.40}")
        self._most = math.ceil(limit / slice_seconds)

    def begin(self, machine: Machine) -> None:
        """Run the guest until its screen changes: all episodes begin just after a change."""
        super().begin(machine)
        self.step(machine.screen, [])

    def step(self, screen: Screen, inputs: Sequence[AnyInput]) -> dict[str, Any]:
        """Send the inputs, and run the guest until its screen changes."""
        before = screen.mark
        for number in range(self._most):
            screen.step(self._seconds, [] if number else list(inputs))
            if screen.changes_since(before).rects:
                return {"changed": True}
        return {"changed": False}
