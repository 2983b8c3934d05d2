"""The pace of input: as much as the device's queue has room for, and more when it is empty.

- A `Gauge` knows one kind of device: the size of its queue, and whether the guest has emptied it.
- Several steps are sent together only into an empty queue, and only as many as it holds.
- A program that reads the keyboard has a queue too, which cannot be observed. At most `MAX_UNREAD`
  steps are sent until the guest has had time to read them: its processors have slept, or have run
  long enough (`Processors`).
- A single step or chord that fits in any case does not wait for a check of the queue: that is done
  after it. A check takes QEMU's time, and so the guest's, just when it is to answer.
- Before the first step, and the first after a reset, the device that the guest uses is determined.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from ...errors import InputError, KjuError
from ...keys import Step

log = logging.getLogger(__name__)

#: Seconds between two steps for a device whose queue is unknown. The slowest keyboard, a USB one,
#: was measured to take 50 keys a second, pressed and released.
STEP = 0.010
#: Seconds to wait for a queue to become empty before the caller checks its time limit.
MOMENT = 0.05
#: Seconds for the guest to empty the queue. On a busy computer guests were seen to stand still
#: for hundreds of milliseconds.
TAKE_TIMEOUT = 5.0
#: The same for a guest that has exceeded that before.
STUCK_TIMEOUT = 0.1
#: Seconds between two checks of the queue, growing: a guest at work empties it in two.
_MIN_WAIT, MAX_WAIT = 0.0005, 0.01
#: Seconds from a single step to the check after it.
_CHECK_DELAY = 0.01
#: Seconds between two determinations of the device: a guest starts another when a driver loads.
_FIND_INTERVAL = 1.0
#: The same before a single step or chord for the machine's only device: if another one has been
#: plugged in since, it has room for that, too.
_FIND_INTERVAL_ALONE = 10.0
#: Keyboard steps in a second of the processors' run time. Linux drops the steps for a reader when
#: 22 wait, so a reader may be 14 ms late: with 2 to 20 other programs running nothing was lost of
#: six times 10,000 characters in a text field. 1000 in a second of real time lost 34 to 51 of 2000.
STEPS_PER_SECOND = 1500
#: Steps for which every reader has room. Linux keeps 64 events for each, and a step has three.
MAX_UNREAD = 20
#: Seconds after which a device that was not observed before has taken everything.
SETTLE_TIME = 0.2


class Gauge(abc.ABC):
    """The gauge of one device.

    Attributes:
        name: The device's kind, for messages.
        room: The size of the queue, in the units of `cost`.
        started: Whether the guest reads the device.
        alone: Whether the machine has no other device to which its input might go.
        reports: Whether each step is a report, whose end is sent too.
    """

    name = ""
    room = 1
    started = True
    alone = False
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


class Processors:
    """The guest's processors: unknown here, so they are taken to run all the time."""

    def charge(self, seconds: float) -> None:
        """Require each to run for *seconds* from now on, and for the rest of earlier charges."""

    def caught_up(self) -> bool | None:
        """Return whether each has run as long as charged, or sleeps; None if unknown."""
        return None


class _Batch(NamedTuple):
    """The steps that were sent last.

    Attributes:
        size: Their number.
        checks_after: Check after them whether they have been taken.
    """

    size: int
    checks_after: bool


class Pace:
    """The pace of a machine's keyboard or pointer, whichever console it is used from.

    Args:
        find: Returns the gauge of the device that the guest uses now.
        merges: Whether the emulator merges input in the queue with the next.
        refusal: Returns why the emulator would drop input now; empty if it would not.
        processors: The guest's.

    Attributes:
        turn: Held while the steps of one request are sent.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[Gauge]],
        *,
        merges: bool = False,
        refusal: Callable[[], str] = str,
        processors: Processors | None = None,
    ) -> None:
        self._merges = merges
        self._refusal = refusal
        self._processors = processors or Processors()
        self.turn = asyncio.Lock()
        self._find = find
        self._gauge: Gauge = TimedGauge()
        self._found_at = float("-inf")
        self._resets = 0
        self._waiting = 0
        self._last = float("-inf")
        self._sends = 0
        self._batch = _Batch(0, checks_after=False)
        self._unread = 0
        self._stuck = False
        self._check: asyncio.Task[None] | None = None

    @property
    def kind(self) -> str:
        """The device that the guest uses, as far as determined."""
        return self._gauge.name

    @property
    def reports(self) -> bool:
        """True if each step is a report (`Gauge.reports`)."""
        return self._gauge.reports

    async def find(self) -> None:
        """Determine the device in advance, so that the first step does not wait for it."""
        with contextlib.suppress(KjuError):
            await self._now()

    async def begin(self, *, short: bool = False) -> None:
        """Prepare for a request's input.

        Args:
            short: It is a single step or chord.
        """
        await (await self._now(short=short)).begin()

    async def batches(self, steps: Sequence[Step], *, short: bool = False) -> list[Sequence[Step]]:
        """Divide steps into batches that can be sent together; *short* as of `begin`."""
        return cut(steps, await self._now(short=short))

    async def make_room(self, steps: Sequence[Step], *, into_empty: bool = False) -> None:
        """Return when there is room for these steps, and take it.

        Args:
            steps: The steps that are sent together.
            into_empty: Wait until the queue is empty.

        Raises:
            InputError: The guest, or the emulator, takes nothing.
            KjuError: The queue cannot be observed.
        """
        self._check_refusal()
        if not self._is_known:
            await self._now()
        if self._waiting and (into_empty or not self.has_room(steps)):
            await self._wait_until_empty()
        if len(steps) > 1 and self._unread + len(steps) > MAX_UNREAD:
            # An empty queue shows that the kernel has read the keys, not that a program has.
            await self._wait_for_readers()
        self._take_room(steps, checks_after=len(steps) == 1 or not into_empty)

    def has_room(self, steps: Sequence[Step]) -> bool:
        """Return whether these steps fit into the queue; False while the device is unknown."""
        return self._is_known and self._waiting + _cost(steps, self._gauge) <= self._gauge.room

    @property
    def _is_known(self) -> bool:
        """True if the device was determined since the guest's last reset."""
        return self._found_at > float("-inf")

    def make_room_for_one(self, step: Step) -> None:
        """Take the room for a single step; `has_room` is true.

        Raises:
            InputError: The emulator takes nothing.
        """
        self._check_refusal()
        self._take_room([step], checks_after=True)

    def _check_refusal(self) -> None:
        if why := self._refusal():
            raise InputError(why)

    def _take_room(self, steps: Sequence[Step], *, checks_after: bool) -> None:
        self._batch = _Batch(len(steps), checks_after)
        self._unread += len(steps)
        self._gauge.sending(len(steps))
        self._waiting += _cost(steps, self._gauge)
        self._sends += 1

    def sent(self) -> None:
        """Note that the steps have been sent."""
        self._last = asyncio.get_running_loop().time()
        # A single step does not wait for readers, so it is not charged: nobody types faster than
        # programs read.
        if self._batch.size > 1:
            self._processors.charge(self._batch.size / STEPS_PER_SECOND)
        soon = self._merges or self._waiting * 2 > self._gauge.room
        if self._batch.checks_after and soon and self._check is None:
            self._check = asyncio.create_task(self._check_after())

    def failed(self) -> None:
        """Note that an unknown part of the steps was sent."""
        self._gauge.forget()

    async def pause(self, seconds: float) -> None:
        """Wait until *seconds* after the last input of any client."""
        left = self._last + seconds - asyncio.get_running_loop().time()
        if left > 0:  # a sleep of 0 would cost a turn of the loop
            await asyncio.sleep(left)

    async def settle(self) -> None:
        """Give the guest `SETTLE_TIME` to take everything; it may be paused next."""
        with contextlib.suppress(KjuError, TimeoutError):
            async with asyncio.timeout(SETTLE_TIME):
                if self._waiting:
                    await self._wait_until_empty()

    def reset(self) -> None:
        """Note that the guest restarts: the queue is empty, and the device may be off."""
        self._gauge.forget()
        self._waiting = self._unread = 0
        self._resets += 1
        self._found_at = float("-inf")

    async def _now(self, *, short: bool = False) -> Gauge:
        """Return the gauge of the device that the guest uses now; *short* as of `begin`."""
        loop = asyncio.get_running_loop()
        interval = _FIND_INTERVAL_ALONE if short and self._gauge.alone else _FIND_INTERVAL
        while loop.time() - self._found_at > interval:
            resets = self._resets
            found = await self._find()
            if found.name != self._gauge.name:
                log.info("the guest reads its input from: %s", found.name)
                # A driver that has just given a USB keyboard its address sets it up next, and
                # discards its queue.
                await (self.pause if self._gauge.started else asyncio.sleep)(SETTLE_TIME)
                self._gauge, self._waiting = found, 0
            if not found.started:
                self._waiting = found.room  # nothing reads it: treat it as full
            if resets == self._resets:
                # With a reset meanwhile, the device was found before it: find it again.
                self._found_at = loop.time()
        return self._gauge

    async def _wait_until_empty(self) -> None:
        """Return when the guest has emptied the queue."""
        loop = asyncio.get_running_loop()
        timeout = STUCK_TIMEOUT if self._stuck else TAKE_TIMEOUT
        deadline, wait = loop.time() + timeout, _MIN_WAIT
        # Determine the device each time: a driver that loads meanwhile takes over the input, and
        # the queue of the device before it never becomes empty.
        while self._waiting and not await (await self._now()).is_empty():
            if loop.time() > deadline:
                self._stuck = True
                self._gauge.forget()
                raise InputError(
                    f"the guest has taken no input for {timeout:g} s ({self._gauge.name}): it is"
                    " paused, or nothing in it reads this device yet"
                )
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_WAIT)
        self._stuck, self._waiting = False, 0

    async def _wait_for_readers(self) -> None:
        """Return when the guest's programs have had time to read the keys sent."""
        loop = asyncio.get_running_loop()
        wait = _MIN_WAIT
        while (run := self._processors.caught_up()) is False:
            if loop.time() > self._last + TAKE_TIMEOUT:
                break  # a paused or starved guest: its queue decides whether it takes more
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_WAIT / 4)
        if run is None:
            await self.pause(self._unread / STEPS_PER_SECOND)
        self._unread = 0

    async def _check_after(self) -> None:
        """Check whether these steps have been taken, so that the next need not wait for that."""
        try:
            # The check takes QEMU's time too: it is made after the guest has reacted to the step.
            await asyncio.sleep(_CHECK_DELAY)
            sends = self._sends
            with contextlib.suppress(KjuError):
                # A step sent during the check may be in the queue: then the result does not count.
                if await (await self._now()).is_empty() and sends == self._sends:
                    self._stuck, self._waiting = False, 0
        finally:
            self._check = None


def cut(steps: Sequence[Step], gauge: Gauge) -> list[Sequence[Step]]:
    """Divide steps into few pieces that fit into an empty queue, if possible with no key held."""
    pieces: list[Sequence[Step]] = []
    begin = neat = 0
    down: set[int] = set()
    for at, (key, pressed) in enumerate(steps):
        # Twice if the rest of a piece without held keys leaves no room either.
        while at > begin and _cost(steps[begin : at + 1], gauge) > gauge.room:
            end = neat if neat > begin else at
            pieces.append(steps[begin:end])
            begin = end
        (down.add if pressed else down.discard)(key)
        if not down:
            neat = at + 1
    return [*pieces, steps[begin:]] if begin < len(steps) else pieces


def _cost(steps: Sequence[Step], gauge: Gauge) -> int:
    return sum(gauge.cost(*step) for step in steps)
