"""One console's keyboard, which several clients share.

Rules:

- Who holds which key: `holders`. Pressing a key again repeats it.
- What nobody holds is not released: of a left shift that is not down Linux takes that for a PS/2
  keyboard that has just been plugged in, and throws keys away until it has set it up.
- Steps of one request are sent without another client's between them, so a request is short.
- A request that is broken off releases at once what it would have released.
- No more is sent than the guest's keyboard has room for (`pace`).
- A single step that has to wait for nothing is sent within the call (`press_at_once`), and the
  client is answered before QEMU is. If QEMU refuses it then, the client's next request fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import NamedTuple

from ...errors import InputError, KjuError, UsageError
from ...keys import Step
from ...protocol.marks import last_chord
from ...protocol.messages import LONGEST_KEYS
from ...surface import Mark
from .holders import Holders
from .pace import Pace

log = logging.getLogger(__name__)

#: Seconds that one request may take where the client sets the pace.
LONGEST = LONGEST_KEYS / 1000


class Begun(NamedTuple):
    """Steps that have been written to QEMU.

    Attributes:
        mark: The screen's mark before that.
        taken: Done when QEMU has taken them; raises a `KjuError`.
    """

    mark: Mark
    taken: asyncio.Future[None]


#: Sends steps together; returns the screen's mark before that.
Send = Callable[[Sequence[Step]], Awaitable[Mark]]
#: Writes steps before it returns.
Begin = Callable[[Sequence[Step]], Begun]


class Keyboard:
    """One console's keyboard.

    Args:
        send: Presses and releases keys in the guest.
        pace: The machine's.
        begin: Does so without waiting, where that is possible.
    """

    def __init__(self, send: Send, pace: Pace, begin: Begin | None = None) -> None:
        self._send = send
        self._begin = begin
        # Of clients that were answered before QEMU answered: how many answers are still to come,
        # and the error that one of them was.
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
        """What is held while something is sent; all keyboards of a machine share it."""
        return (self.pace.turn,)

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
            The screen's mark before the first step of the last chord (`marks.last_chord`) was
            sent; None if nothing had to be sent.

        Raises:
            UsageError: They would take too long; nothing was sent.
            InputError: The guest takes nothing; of the rest the releases were sent.
            KjuError: QEMU did not take a step, or one of the client's previous request; of the
                rest the releases were sent.
        """
        if interval is not None and len(steps) * interval > LONGEST:
            raise UsageError(
                f"{len(steps)} keyboard steps, {interval:g} s apart, take longer than the"
                f" {LONGEST:g} s that a request may: divide them"
            )
        async with self.pace.turn:
            await self._holders.settle()
            if failure := self._failures.pop(client, None):
                await self._holders.let_go(client, [key for key, down in steps if not down])
                raise failure
            return await self._send_all(client, steps, interval)

    def can_press_at_once(
        self, client: Hashable, steps: Sequence[Step], interval: float | None
    ) -> bool:
        """Whether a request would wait for nothing: `press_at_once` does it."""
        return (
            self._begin is not None
            and len(steps) == 1
            and interval is None
            and not self.pace.turn.locked()
            and not self._holders.left
            and client not in self._failures
            and self.pace.has_room(steps)
        )

    def press_at_once(self, client: Hashable, step: Step) -> Mark | None:
        """Send one step for one client, and do not wait for QEMU's answer.

        Returns:
            As `press`.

        Raises:
            InputError: QEMU would drop it; nothing was sent.
            QemuError: QEMU has hung up; nothing was sent.
        """
        if self._begin is None or not self._felt(client, [step]):
            self._note(client, step)
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
        self._note(client, step)
        self._unanswered[client] = self._unanswered.get(client, 0) + 1
        begun.taken.add_done_callback(functools.partial(self._answered, client, step))
        return begun.mark

    def _note(self, client: Hashable, step: Step) -> None:
        key, down = step
        (self._holders.press if down else self._holders.release)(client, [key])

    def _answered(self, client: Hashable, step: Step, taken: asyncio.Future[None]) -> None:
        """Note the failure of a step that was sent at once, for the client's next request."""
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
        try:
            for batch in await self._batches(steps, interval):
                await self.pace.pause(interval or 0)
                before = await self._send_some(client, batch)
                if mark is None or done <= begin:
                    mark = before or mark
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
        self._failures.pop(client, None)
        self._unanswered.pop(client, None)
        async with self.pace.turn:
            await self._holders.leave(client)

    async def settle(self) -> None:
        """Release what clients that have left could not: QEMU may be told again."""
        async with self.pace.turn:
            await self._holders.settle()
