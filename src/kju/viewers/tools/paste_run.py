"""Typing of a paste: in one machine or in several at once, with progress, until it is cancelled.

One thread with an asyncio loop attaches to each machine with a connection of its own and types.
Cancelling ends the request that is under way: the host then releases its keys at once, and the
end of the connection releases whatever is left. So no key stays down, whatever the guest reads.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import KjuError
from .paste import PastePlan, counted

if TYPE_CHECKING:
    import asyncio

    from ...client import aio

# Seconds between two reports of the progress.
_REPORT_SECONDS = 0.05
# Seconds for the host to release the keys of a request that was cancelled, and between two looks.
_RELEASE_SECONDS, _LOOK_SECONDS = 0.5, 0.005
_CLOSE_TIMEOUT = 2.0


class PasteTarget(NamedTuple):
    """The keyboard of one console of a machine."""

    machine: str
    console: int = 0


class PasteResult(NamedTuple):
    """The end of a paste.

    Attributes:
        typed: Characters that each machine has taken, by its target.
        total: Characters of the longest text.
        cancelled: The user has cancelled it.
        errors: The reason of each failure, by its target.
    """

    typed: dict[PasteTarget, int]
    total: int
    cancelled: bool
    errors: dict[PasteTarget, str]

    @property
    def words(self) -> str:
        """The result for a user."""
        fewest = min(self.typed.values(), default=0)
        if self.errors:
            return self._failure
        if self.cancelled:
            return f"typing cancelled after {fewest:,} of {counted(self.total, 'character')}"
        machines = f" in {len(self.typed)} machines" if len(self.typed) > 1 else ""
        return f"typed {counted(self.total, 'character')}{machines}"

    @property
    def _failure(self) -> str:
        target, reason = next(iter(self.errors.items()))
        more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
        done = f"{self.typed.get(target, 0):,} of {counted(self.total, 'character')}"
        stopped = f"typing stopped after {done}: {reason}{more}"
        if len(self.typed) == 1:
            return stopped
        whole = len(self.typed) - len(self.errors)
        others = "" if self.cancelled else f"; typed in {whole} of {len(self.typed)} machines"
        return f"{target.machine}: {stopped}{others}"


class PasteRun:
    """The typing of a text in machines; it begins at once.

    Args:
        plans: The text for each machine, without characters that its layout lacks. All are typed
            in at the same time.
        post: Calls a function on the caller's thread, from any thread.
        on_progress: Called with the characters that every machine has taken which still types.
        on_end: Called once, with the result.
    """

    def __init__(
        self,
        plans: Mapping[PasteTarget, PastePlan],
        post: Callable[[Callable[[], None]], None],
        on_progress: Callable[[int], None],
        on_end: Callable[[PasteResult], None],
    ) -> None:
        self._plans = dict(plans)
        self._post, self._on_progress, self._on_end = post, on_progress, on_end
        self._typed = dict.fromkeys(self._plans, 0)
        self._errors: dict[PasteTarget, str] = {}
        self._reported = 0.0
        self._lock = threading.Lock()
        self._cancelled = False
        self._typing: tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]] | None = None
        self._thread = threading.Thread(target=self._run, name="kju-paste", daemon=True)
        self._thread.start()

    @property
    def total(self) -> int:
        """Characters of the longest text."""
        return max((len(plan.text) for plan in self._plans.values()), default=0)

    def cancel(self) -> None:
        """Stop typing; `on_end` follows when every key is up. A second call does nothing."""
        with self._lock:
            if self._cancelled:
                return
            self._cancelled = True
            if self._typing is not None:
                loop, typing = self._typing
                loop.call_soon_threadsafe(typing.cancel)

    def close(self) -> None:
        """Cancel, and return when the thread has ended, or after two seconds."""
        self.cancel()
        self._thread.join(_CLOSE_TIMEOUT)

    # ---- The thread

    def _run(self) -> None:
        import asyncio  # 70 ms with `kju.aio`, which a window must not wait for at its start

        try:
            asyncio.run(self._type_in_all())
        finally:
            with self._lock:
                self._typing = None
            result = PasteResult(self._typed, self.total, self._cancelled, self._errors)
            self._post(lambda: self._on_end(result))

    async def _type_in_all(self) -> None:
        import asyncio

        # Without `return_exceptions` the first cancelled machine would end the wait for the others.
        typing = asyncio.gather(*map(self._type_in, self._plans), return_exceptions=True)
        with self._lock:
            self._typing = asyncio.get_running_loop(), typing
            if self._cancelled:
                typing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            for result in await typing:
                if isinstance(result, Exception):
                    raise result

    async def _type_in(self, target: PasteTarget) -> None:
        import asyncio

        from ...client import aio

        plan = self._plans[target]
        try:
            async with await aio.attach(target.machine) as machine:
                keyboard = machine.screens[target.console].keyboard
                try:
                    for piece in plan.pieces():
                        await keyboard.type(piece, layout=plan.layout)
                        self._typed[target] += len(piece)
                        self._report()
                except asyncio.CancelledError:
                    await _until_released(machine, target.console)
                    raise
        except IndexError:
            self._errors[target] = f"the machine has no console {target.console}"
        except (KjuError, OSError) as error:
            self._errors[target] = str(error)

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            left = [
                typed
                for target, typed in self._typed.items()
                if target not in self._errors and typed < len(self._plans[target].text)
            ]
            done = min(left, default=self.total)
            self._post(lambda: self._on_progress(done))


async def _until_released(machine: aio.Machine, console: int) -> None:
    """Return when no key is down in the guest, or after `_RELEASE_SECONDS`."""
    import asyncio

    with contextlib.suppress(TimeoutError, KjuError, OSError):
        async with asyncio.timeout(_RELEASE_SECONDS):
            while (await machine.info())["consoles"][console]["keys_held"]:
                await asyncio.sleep(_LOOK_SECONDS)
