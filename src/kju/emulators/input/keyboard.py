"""One console's keyboard, which several clients share.

- Clients hold keys (`holders`). Pressing a held key again repeats it.
- A key that no client holds is not released. Linux takes the release of a left shift that is up for
  a PS/2 keyboard that was just plugged in, and discards keys until it has set it up.
- Steps of one request are sent without another client's between them, so a request is short.
- A request that is cancelled sends its remaining releases at once.
- No more is sent than the guest's keyboard has room for (`pace`).
- A single step that does not have to wait is sent within the call (`press_at_once`), and the client
  gets its answer before the emulator's. If that refuses, the client's next request fails.
- A guest lights a keyboard's lamps some time after it has read a lock key. So after such a key they
  are read when a change is announced, or after `SETTLE_SECONDS`: the guest may not use its lamps.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from ...acting.holders import Holders
from ...errors import InputError, KjuError, UsageError
from ...keys import LOCKS, Lamps, Step
from ...protocol.values import LONGEST_KEYS, last_chord
from ...surface import Mark
from .pace import Pace

log = logging.getLogger(__name__)

#: Seconds that one request may take if the client sets the pace.
MAX_SECONDS = LONGEST_KEYS / 1000
#: Seconds for a guest to change its lamps after a lock key; Linux under TCG on a busy computer
#: takes 0.03.
SETTLE_SECONDS = 0.5


class Begun(NamedTuple):
    """Steps that have been written to the emulator.

    Attributes:
        mark: The screen's mark before that.
        taken: Done when the emulator has taken them; raises a `KjuError`.
    """

    mark: Mark
    taken: asyncio.Future[None]


#: Sends steps together; returns the screen's mark before that.
Send = Callable[[Sequence[Step]], Awaitable[Mark]]
#: Writes steps before it returns.
Begin = Callable[[Sequence[Step]], Begun]


class SharedKeyboard:
    """One console's keyboard.

    Args:
        send: Presses and releases keys in the guest.
        pace: The pace of the machine's keyboard.
        begin: Does so without waiting, if possible.
    """

    def __init__(self, send: Send, pace: Pace, begin: Begin | None = None) -> None:
        self._send = send
        self._begin = begin
        # For clients that were answered first: the number of the emulator's pending answers, and
        # the error of one of them.
        self._unanswered: dict[Hashable, int] = {}
        self._failures: dict[Hashable, KjuError] = {}
        self.pace = pace
        self._holders = Holders(self._put, "keys")

    @property
    def held(self) -> list[int]:
        """The keys that are down, sorted."""
        return self._holders.held

    @property
    def turns(self) -> tuple[asyncio.Lock]:
        """The lock that is held while keys are sent; all keyboards of a machine share it."""
        return (self.pace.turn,)

    async def press(
        self, client: Hashable, steps: Sequence[Step], interval: float | None = None
    ) -> Mark | None:
        """Send steps for one client.

        Args:
            client: The client.
            steps: Key numbers, each with True for a press and False for a release.
            interval: Seconds between two steps, and before the first; None sends them as fast as
                the guest takes them.

        Returns:
            The screen's mark before the first step of the last chord (`marks.last_chord`) was
            sent; None if nothing had to be sent.

        Raises:
            UsageError: They would take too long; nothing was sent.
            InputError: The guest takes nothing; the remaining releases were sent.
            KjuError: The emulator did not take a step, or one of the client's previous request;
                the remaining releases were sent.
        """
        if interval is not None and len(steps) * interval > MAX_SECONDS:
            raise UsageError(
                f"{len(steps)} keyboard steps, {interval:g} s apart, take longer than the"
                f" {MAX_SECONDS:g} s that a request may: divide them"
            )
        async with self.pace.turn:
            await self._holders.settle()
            if failure := self._failures.pop(client, None):
                await self._holders.lift(client, [key for key, down in steps if not down])
                raise failure
            return await self._send_all(client, steps, interval)

    def can_press_at_once(
        self, client: Hashable, steps: Sequence[Step], interval: float | None
    ) -> bool:
        """Return whether a request would not have to wait: `press_at_once` can do it."""
        return (
            self._begin is not None
            and len(steps) == 1
            and interval is None
            and not self.pace.turn.locked()
            and not self._holders.has_unreleased
            and client not in self._failures
            and self.pace.has_room(steps)
        )

    def press_at_once(self, client: Hashable, step: Step) -> Mark | None:
        """Send one step for one client, without waiting for the emulator's answer.

        Returns:
            As `press`.

        Raises:
            InputError: The emulator would drop it; nothing was sent.
            EmulatorError: The emulator has ended; nothing was sent.
        """
        if self._begin is None or not self._effective(client, [step]):
            self._record(client, step)
            return None
        self.pace.make_room_for_one(step)
        key, down = step
        if down:
            self._holders.press(client, [key])
        try:
            begun = self._begin([step])
        except BaseException:
            self.pace.failed()
            raise
        finally:
            self.pace.sent()
        self._record(client, step)
        self._unanswered[client] = self._unanswered.get(client, 0) + 1
        begun.taken.add_done_callback(functools.partial(self._answered, client, step))
        return begun.mark

    def _record(self, client: Hashable, step: Step) -> None:
        key, down = step
        (self._holders.press if down else self._holders.release)(client, [key])

    def _answered(self, client: Hashable, step: Step, taken: asyncio.Future[None]) -> None:
        """Record the failure of a step that was sent at once, for the client's next request."""
        present = client in self._unanswered
        if present:
            self._unanswered[client] -= 1
            if not self._unanswered[client]:
                del self._unanswered[client]
        if taken.cancelled() or not (error := taken.exception()):
            return
        self.pace.failed()
        key, down = step
        log.warning("key %d was not taken: %s", key, error)
        if not down:
            self._holders.restore(client, [key], present=present)
        if present and isinstance(error, KjuError):
            self._failures[client] = error

    async def _send_all(
        self, client: Hashable, steps: Sequence[Step], interval: float | None
    ) -> Mark | None:
        mark, done, begin = None, 0, last_chord(steps)
        short = begin == 0
        try:
            for batch in await self._batches(steps, interval, short=short):
                await self.pace.pause(interval or 0)
                before = await self._send_some(client, batch, short=short)
                if mark is None or done <= begin:
                    mark = before or mark
                done += len(batch)
        except BaseException:
            await self._holders.lift(client, [key for key, down in steps[done:] if not down])
            raise
        return mark

    async def _batches(
        self, steps: Sequence[Step], interval: float | None, *, short: bool
    ) -> Sequence[Sequence[Step]]:
        if interval is not None or len(steps) == 1:
            return [[step] for step in steps]
        await self.pace.begin(short=short)
        return await self.pace.batches(steps, short=short)

    async def _send_some(
        self, client: Hashable, batch: Sequence[Step], *, short: bool
    ) -> Mark | None:
        effective = self._effective(client, batch)
        if effective:
            into_empty = not short and len(effective) > 1
            await self.pace.make_room(effective, into_empty=into_empty)
        self._holders.press(client, [key for key, down in batch if down])
        mark = await self._send_batch(effective) if effective else None
        last = dict(batch)
        self._holders.release(client, [key for key, down in last.items() if not down])
        return mark

    async def _send_batch(self, steps: Sequence[Step]) -> Mark:
        """Send steps; there is room for them."""
        try:
            return await self._send(steps)
        except BaseException:
            self.pace.failed()
            raise
        finally:
            self.pace.sent()

    def _effective(self, client: Hashable, batch: Sequence[Step]) -> list[Step]:
        """Return the steps that change something in the guest."""
        held = set(self._holders.by(client))
        effective = []
        for key, down in batch:
            if self._holders.alone(client, key) and (down or key in held):
                effective.append((key, down))
            (held.add if down else held.discard)(key)
        return effective

    async def _put(self, keys: Sequence[int], down: bool) -> None:
        """Press or release keys, after a while even without room: none may stay down."""
        for key in keys:
            with contextlib.suppress(InputError):
                await self.pace.make_room([(key, down)])
            await self._send_batch([(key, down)])

    async def put_all(self, *, down: bool) -> None:
        """Release every held key in the guest, or press it again; the turn is held."""
        await self._holders.put_all(down)
        await self.pace.settle()

    def forget(self) -> None:
        """Record that the guest has restarted: no key is down in it."""
        self._holders.forget()
        self.pace.reset()

    async def leave(self, client: Hashable) -> None:
        """Release everything that a client holds."""
        self._failures.pop(client, None)
        self._unanswered.pop(client, None)
        async with self.pace.turn:
            await self._holders.leave(client)

    async def settle(self) -> None:
        """Release what disconnected clients could not release before."""
        async with self.pace.turn:
            await self._holders.settle()


class KeyboardLamps:
    """The lamps of one console's keyboard, as the emulator announces them.

    They are unknown until the first `update`.
    """

    def __init__(self) -> None:
        self.now: Lamps | None = None
        self._settled = asyncio.Event()
        self._settled_at = 0.0

    def update(self, bits: int) -> None:
        """Store the lamps that the emulator announces, as bits (`Lamps.from_bits`)."""
        self.now = Lamps.from_bits(bits)
        self._settled.set()

    def sent(self, steps: Iterable[Step]) -> None:
        """Note keys that have been sent to the guest: its lamps may change next."""
        if self.now is not None and any(down and key in LOCKS for key, down in steps):
            self._settled.clear()
            self._settled_at = asyncio.get_running_loop().time() + SETTLE_SECONDS

    async def read(self) -> Lamps | None:
        """Return the lamps once the guest has had time to change them; None if unknown."""
        left = self._settled_at - asyncio.get_running_loop().time()
        if self.now is not None and left > 0:
            try:
                async with asyncio.timeout(left):
                    await self._settled.wait()
            except TimeoutError:
                self._settled.set()
        return self.now
