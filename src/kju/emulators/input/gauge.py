"""The gauge of an input device: its queue, and whether the guest has emptied it."""

from __future__ import annotations

import abc
import asyncio

#: Seconds between two keys for a device whose queue is unknown: 50 keys a second pressed and
#: released is what the slowest, a USB one, was measured to take.
STEP = 0.010
#: Seconds to wait for a queue to become empty before the caller checks its time limit.
MOMENT = 0.05


class Gauge(abc.ABC):
    """The gauge of one device.

    Attributes:
        name: The device's kind, for messages.
        room: The size of the queue, in the units of `cost`.
        started: Whether the guest reads the device.
        reports: Whether each step is a report, whose end is sent too.
    """

    name = ""
    room = 1
    started = True
    reports = False

    def __init__(self) -> None:
        self._sent = 0.0

    def cost(self, key: int, down: bool) -> int:
        """Return the room that pressing or releasing a key takes."""
        return 1

    def sending(self, count: int) -> None:
        """Note that *count* steps are sent next."""
        self._sent = asyncio.get_running_loop().time()

    async def begin(self) -> None:
        """Prepare for a request's input.

        Raises:
            KjuError: The queue cannot be observed.
        """
        return

    def forget(self) -> None:
        """Discard the count: it may be wrong."""
        return

    @abc.abstractmethod
    async def is_empty(self) -> bool:
        """Return whether the guest has emptied the queue; may wait `MOMENT` for that.

        Raises:
            KjuError: The queue cannot be observed.
        """


class TimedGauge(Gauge):
    """A device whose queue is unknown: it gets a fixed time for each step."""

    name = "unknown"

    async def is_empty(self) -> bool:
        """Wait for the time that one step may take."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._sent + STEP - loop.time()))
        return True


class NotStarted(Gauge):
    """A device that receives the input, but that the guest has not started yet.

    Args:
        kind: The device's.
    """

    started = False

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.name = f"{kind}, not started"

    async def is_empty(self) -> bool:
        """Return False: the guest reads nothing."""
        await asyncio.sleep(MOMENT)
        return False
