"""Who holds which key. Several clients share one keyboard per console.

Rules:

- A key goes down in the guest when the first client presses it and comes up when the last
  one lets go; a client that leaves lets go of everything. Pressing a key again repeats it.
- What nobody holds is not released: of a left shift that is not down Linux takes that for a PS/2
  keyboard that has just been plugged in, and throws keys away until it has set it up.
- A key that QEMU did not release is held still, by its client; of one that has left it is
  released before anything else is pressed.
- Steps of one request are sent without another client's between them, so a request is short.
- A request that is broken off releases at once what it would have released.
- No more is sent than the guest's keyboard has room for (`pace`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence

from ...errors import KjuError, UsageError
from ...keys import Step
from ...surface import Mark
from ..messages import LONGEST_KEYS
from .holders import Holders
from .pace import Pace

log = logging.getLogger(__name__)

#: Seconds that one request may take where the client sets the pace.
LONGEST = LONGEST_KEYS / 1000

#: Sends steps, together if there are several; returns the screen's mark before that.
Send = Callable[[Sequence[Step]], Awaitable[Mark]]


class _Left:
    """Stands for the clients that left keys down."""


_LEFT = _Left()


class Keyboard:
    """One console's keyboard.

    Args:
        send: Presses and releases keys in the guest.
        pace: The machine's.
    """

    def __init__(self, send: Send, pace: Pace) -> None:
        self._send = send
        self._pace = pace
        self._holders = Holders()

    @property
    def held(self) -> list[int]:
        """The keys that are down, sorted."""
        return self._holders.held

    async def press(
        self, client: Hashable, steps: Sequence[Step], interval: float | None = None
    ) -> Mark | None:
        """Send steps for one client.

        Args:
            client: For whom.
            steps: Which keys, and whether each goes down.
            interval: Seconds from one to the next, whatever came before the first; None sends
                them as fast as the guest takes them.

        Returns:
            The screen's mark before the last of them was sent; None if none had to be.

        Raises:
            UsageError: They would take too long; nothing was sent.
            InputError: The guest takes nothing; of the rest the releases were sent.
            KjuError: QEMU did not take a step; of the rest the releases were sent.
        """
        if interval is not None and len(steps) * interval > LONGEST:
            raise UsageError(
                f"{len(steps)} keyboard steps, {interval:g} s apart, take longer than the"
                f" {LONGEST:g} s that a request may: divide them"
            )
        async with self._pace.turn:
            await self._release(_LEFT)
            return await self._send_all(client, steps, interval)

    async def _send_all(
        self, client: Hashable, steps: Sequence[Step], interval: float | None
    ) -> Mark | None:
        mark, done = None, 0
        try:
            for batch in await self._batches(steps, interval):
                await self._pace.pause(interval or 0)
                mark = await self._send_some(client, batch) or mark
                done += len(batch)
        except BaseException:
            await self._break_off(client, steps[done:])
            raise
        return mark

    async def _batches(
        self, steps: Sequence[Step], interval: float | None
    ) -> Sequence[Sequence[Step]]:
        if interval is not None or len(steps) == 1:
            return [[step] for step in steps]
        await self._pace.begin()
        return await self._pace.batches(steps)

    async def _send_some(self, client: Hashable, batch: Sequence[Step]) -> Mark | None:
        felt = self._felt(client, batch)
        if felt:
            await self._pace.make_room(felt, into_empty=len(felt) > 1)
        # Noted before it is sent: a step that fails half-way is released, not forgotten.
        self._holders.press(client, [key for key, down in batch if down])
        mark = await self._send(felt) if felt else None
        self._pace.sent()
        # And after it: who could not let go holds it still.
        last = dict(batch)
        self._holders.release(client, [key for key, down in last.items() if not down])
        return mark

    def _felt(self, client: Hashable, batch: Sequence[Step]) -> list[Step]:
        """The steps that change something in the guest."""
        held = set(self._holders.by(client))
        felt = []
        for key, down in batch:
            if self._holders.alone(client, key) and (down or key in held):
                felt.append((key, down))
            (held.add if down else held.discard)(key)
        return felt

    async def _break_off(self, client: Hashable, steps: Sequence[Step]) -> None:
        """Release what the rest of a request would have released."""
        held = self._holders.by(client)
        for key in {key: None for key, down in steps if not down and key in held}:
            await self._try_to_release(client, key)

    async def _try_to_release(self, client: Hashable, key: int) -> bool:
        try:
            if self._holders.alone(client, key):
                await self._send([(key, False)])
        except KjuError as error:
            log.warning("key %d could not be released: %s", key, error)
            return False
        self._holders.release(client, [key])
        return True

    async def _release(self, client: Hashable) -> list[int]:
        """Let go of everything a client holds; return what stayed down."""
        return [k for k in self._holders.by(client) if not await self._try_to_release(client, k)]

    async def leave(self, client: Hashable) -> None:
        """Let go of everything a client holds. Errors are logged: there is nobody to tell."""
        async with self._pace.turn:
            stayed = await self._release(client)
            self._holders.press(_LEFT, stayed)
            self._holders.release(client, stayed)

    async def put(self, *, down: bool) -> None:
        """Have the guest see everything that clients hold down as up, or as down again."""
        async with self._pace.turn:
            for key in self._holders.held:
                await self._pace.make_room([(key, down)])
                await self._send([(key, down)])
                self._pace.sent()
            await self._pace.settle()

    def forget(self) -> None:
        """The guest is another one now, in which no key is down."""
        self._holders = Holders()
        self._pace.reset()

    async def settle(self) -> None:
        """Release what clients that have left could not: QEMU may be told again."""
        async with self._pace.turn:
            await self._release(_LEFT)
