"""One console's keyboard, which several clients share.

Rules:

- Who holds which key: `holders`. Pressing a key again repeats it.
- What nobody holds is not released: of a left shift that is not down Linux takes that for a PS/2
  keyboard that has just been plugged in, and throws keys away until it has set it up.
- Steps of one request are sent without another client's between them, so a request is short.
- A request that is broken off releases at once what it would have released.
- No more is sent than the guest's keyboard has room for (`pace`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Hashable, Sequence

from ...errors import InputError, UsageError
from ...keys import Step
from ...surface import Mark
from ..messages import LONGEST_KEYS
from .holders import Holders
from .pace import Pace

#: Seconds that one request may take where the client sets the pace.
LONGEST = LONGEST_KEYS / 1000

#: Sends steps together; returns the screen's mark before that.
Send = Callable[[Sequence[Step]], Awaitable[Mark]]


class Keyboard:
    """One console's keyboard.

    Args:
        send: Presses and releases keys in the guest.
        pace: The machine's.
    """

    def __init__(self, send: Send, pace: Pace) -> None:
        self._send = send
        self.pace = pace
        self._holders = Holders(self._put, "keys")

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
        async with self.pace.turn:
            await self._holders.settle()
            return await self._send_all(client, steps, interval)

    async def _send_all(
        self, client: Hashable, steps: Sequence[Step], interval: float | None
    ) -> Mark | None:
        mark, done = None, 0
        try:
            for batch in await self._batches(steps, interval):
                await self.pace.pause(interval or 0)
                mark = await self._send_some(client, batch) or mark
                done += len(batch)
        except BaseException:
            await self._holders.let_go(client, [key for key, down in steps[done:] if not down])
            raise
        return mark

    async def _batches(
        self, steps: Sequence[Step], interval: float | None
    ) -> Sequence[Sequence[Step]]:
        if interval is not None or len(steps) == 1:
            return [[step] for step in steps]
        await self.pace.begin()
        return await self.pace.batches(steps)

    async def _send_some(self, client: Hashable, batch: Sequence[Step]) -> Mark | None:
        felt = self._felt(client, batch)
        if felt:
            await self.pace.make_room(felt, into_empty=len(felt) > 1)
        self._holders.press(client, [key for key, down in batch if down])
        mark = await self._sent(felt) if felt else None
        last = dict(batch)
        self._holders.release(client, [key for key, down in last.items() if not down])
        return mark

    async def _sent(self, steps: Sequence[Step]) -> Mark:
        """Send what there is room for."""
        try:
            return await self._send(steps)
        except BaseException:
            self.pace.failed()
            raise
        finally:
            self.pace.sent()

    def _felt(self, client: Hashable, batch: Sequence[Step]) -> list[Step]:
        """The steps that change something in the guest."""
        held = set(self._holders.by(client))
        felt = []
        for key, down in batch:
            if self._holders.alone(client, key) and (down or key in held):
                felt.append((key, down))
            (held.add if down else held.discard)(key)
        return felt

    async def _put(self, keys: Sequence[int], down: bool) -> None:
        """Press or release keys, in the end also where there is no room: none may stay down."""
        for key in keys:
            with contextlib.suppress(InputError):
                await self.pace.make_room([(key, down)])
            await self._sent([(key, down)])

    async def put_all(self, *, down: bool) -> None:
        """Have the guest see every key that is held as up, or as down again; with the turn."""
        await self._holders.put_all(down)
        await self.pace.settle()

    def forget(self) -> None:
        """The guest is another one now, in which no key is down."""
        self._holders.forget()
        self.pace.reset()

    async def leave(self, client: Hashable) -> None:
        """Let go of everything a client holds."""
        async with self.pace.turn:
            await self._holders.leave(client)

    async def settle(self) -> None:
        """Release what clients that have left could not: QEMU may be told again."""
        async with self.pace.turn:
            await self._holders.settle()
