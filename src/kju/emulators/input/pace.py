"""How fast keys go: as many as the guest's keyboard has room for, and more when it has taken them.

Rules:

- Several steps are sent together only into an empty queue, and only as many as it holds.
- The next ones follow when the guest has also had time to read what it has taken: time in which
  its processors ran (`processors`), unless they rest.
- A single step is never kept waiting by a look at the queue as long as it fits in any case: whether
  the queue is empty is looked at behind it.
- Before the first step, and the first after a reset, it is found out which keyboard the guest uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from ...errors import InputError, KjuError
from ...keys import Step
from ..qemu.input.gauges import Gauge, Unknown
from ..qemu.input.processors import Processors

log = logging.getLogger(__name__)

#: Seconds for the guest to take what was sent. On a computer that was busy with other things
#: guests were seen to stand still for hundreds of milliseconds.
PATIENCE = 5.0
#: The same for a guest that has not taken anything for so long.
IMPATIENCE = 0.1
#: Seconds between two looks: the first are soon, a queue of a guest at work is empty in two.
SOONEST, LATEST = 0.0005, 0.01
#: Seconds from a single step to the look behind it.
BEHIND = 0.01
#: Seconds for which a keyboard is the one it was: a guest starts another when its driver loads.
KNOWN = 1.0
#: Keyboard steps in a second in which the guest's processors ran. What waits for a reader in Linux
#: is dropped at 22 steps (`processors`), so a reader may be kept waiting 14 ms: on a computer with
#: 2 to 20 others at work nothing was lost of six times 10,000 characters in a text field. 1000 in a
#: second of the computer's own time, busy or not, lost 34 to 51 of 2000.
MOST = 1500
#: Seconds after which a keyboard that had not been looked at yet has taken what was sent.
SETTLED = 0.2


class Pace:
    """The pace of a machine's keyboard or pointer, whichever console it is used from.

    Args:
        find: Finds out which one the guest uses now.
        merges: Whether QEMU merges what waits in the queue with what is sent next.
        refusal: Says why QEMU would take nothing now; empty where it would.
        processors: The machine's.

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
        self._gauge: Gauge = Unknown()
        self._known_at = float("-inf")
        self._resets = 0
        self._waiting = 0
        self._last = float("-inf")
        self._sends = 0
        self._alone = False
        self._together = 0
        self._stuck = False
        self._looking: asyncio.Task[None] | None = None

    @property
    def kind(self) -> str:
        """Which one the guest uses, as far as has been asked."""
        return self._gauge.name

    @property
    def reports(self) -> bool:
        """Whether it passes on reports (`Gauge.reports`)."""
        return self._gauge.reports

    async def find(self) -> None:
        """Find out what the guest uses before the first step, which need not wait for that then."""
        with contextlib.suppress(KjuError):
            await self._now()

    async def begin(self) -> None:
        """A request begins."""
        await (await self._now()).begin()

    async def batches(self, steps: Sequence[Step]) -> list[Sequence[Step]]:
        """Steps as they can be sent together."""
        return cut(steps, await self._now())

    async def make_room(self, steps: Sequence[Step], *, into_empty: bool = False) -> None:
        """Return when there is room for these.

        Args:
            steps: What is to be sent together.
            into_empty: Nothing may be left in the queue.

        Raises:
            InputError: The guest takes nothing, or QEMU does not.
            QemuError: QEMU does not say whether it does.
        """
        self._check_refusal()
        if not self._is_known:
            await self._now()
        if self._waiting and (into_empty or not self.has_room(steps)):
            await self._taken()
        if len(steps) > 1:
            await self._read()
        self._take_room(steps)

    def has_room(self, steps: Sequence[Step]) -> bool:
        """Return whether these steps fit into the queue beside those that wait there.

        False as well while it is not known whose queue that is.
        """
        return self._is_known and self._waiting + _cost(steps, self._gauge) <= self._gauge.room

    @property
    def _is_known(self) -> bool:
        """Whether it has been found out what the guest uses since it began."""
        return self._known_at > float("-inf")

    def make_room_for_one(self, step: Step) -> None:
        """Take the room for a single step, which `has_room` has found.

        Raises:
            InputError: QEMU takes nothing.
        """
        self._check_refusal()
        self._take_room([step])

    def _check_refusal(self) -> None:
        if why := self._refusal():
            raise InputError(why)

    def _take_room(self, steps: Sequence[Step]) -> None:
        self._together = len(steps)
        self._gauge.sending(len(steps))
        self._waiting += _cost(steps, self._gauge)
        self._sends += 1
        self._alone = len(steps) == 1

    def sent(self) -> None:
        """What there was room for has been sent."""
        self._last = asyncio.get_running_loop().time()
        if not self._alone:
            self._processors.owe(self._together / MOST)
        soon = self._merges or self._waiting * 2 > self._gauge.room
        if self._alone and soon and self._looking is None:
            self._looking = asyncio.create_task(self._look_behind())

    def failed(self) -> None:
        """It is not known what of it was sent."""
        self._gauge.forget()

    async def pause(self, seconds: float) -> None:
        """Wait until so long after whatever was sent last, whoever sent it."""
        left = self._last + seconds - asyncio.get_running_loop().time()
        if left > 0:  # a sleep of nothing costs a turn of the loop
            await asyncio.sleep(left)

    async def settle(self) -> None:
        """Give the guest a while to take everything; it may be about to stand still."""
        with contextlib.suppress(KjuError, TimeoutError):
            async with asyncio.timeout(SETTLED):
                if self._waiting:
                    await self._taken()

    def reset(self) -> None:
        """The guest begins anew: its keyboard's queue is empty, and not started perhaps."""
        self._gauge.forget()
        self._waiting = 0
        self._resets += 1
        self._known_at = float("-inf")

    async def _now(self) -> Gauge:
        """The gauge for the keyboard that the guest uses now."""
        loop = asyncio.get_running_loop()
        while loop.time() - self._known_at > KNOWN:
            resets = self._resets
            found = await self._find()
            if found.name != self._gauge.name:
                log.info("the guest's input goes to: %s", found.name)
                # A driver that has just given a USB keyboard its address sets it up next, and
                # throws away what is in its queue.
                await (self.pause if self._gauge.started else asyncio.sleep)(SETTLED)
                self._gauge, self._waiting = found, 0
            if not found.started:
                self._waiting = found.room
            if resets == self._resets:
                self._known_at = loop.time()
        return self._gauge

    async def _taken(self) -> None:
        """Return when the guest has taken everything."""
        loop = asyncio.get_running_loop()
        patience = IMPATIENCE if self._stuck else PATIENCE
        deadline, wait = loop.time() + patience, SOONEST
        while self._waiting and not await (await self._now()).taken():
            if loop.time() > deadline:
                self._stuck = True
                self._gauge.forget()
                raise InputError(
                    f"the guest has taken no input for {patience:g} s ({self._gauge.name}): it is"
                    " paused, or nothing in it reads this device yet"
                )
            await asyncio.sleep(wait)
            wait = min(2 * wait, LATEST)
        self._stuck, self._waiting = False, 0

    async def _read(self) -> None:
        """Return when the guest has had time to read what was sent together."""
        loop = asyncio.get_running_loop()
        wait = SOONEST
        while (run := self._processors.have_run()) is False:
            if loop.time() > self._last + PATIENCE:
                return
            await asyncio.sleep(wait)
            wait = min(2 * wait, LATEST / 4)
        if run is None:
            await self.pause(self._together / MOST)

    async def _look_behind(self) -> None:
        """See whether single steps have been taken, so that the next need not wait for that."""
        try:
            # The look is QEMU's work too: it comes when the guest has answered the step.
            await asyncio.sleep(BEHIND)
            sends = self._sends
            with contextlib.suppress(KjuError):
                if await (await self._now()).taken() and sends == self._sends:
                    self._stuck, self._waiting = False, 0
        finally:
            self._looking = None


def cut(steps: Sequence[Step], gauge: Gauge) -> list[Sequence[Step]]:
    """Steps in as few pieces as fit into an empty queue; where it can be, no key is left down."""
    pieces: list[Sequence[Step]] = []
    begin = neat = 0
    down: set[int] = set()
    for at, (key, pressed) in enumerate(steps):
        # A second time where what is left of a neat piece leaves no room either.
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
