"""An event loop with a pretended clock, and pretended processes in it.

Time passes only when nothing is left to do, and then at once. A *process* is a context: a task that
is created in it belongs to it, with all of its callbacks. The callbacks of a stopped process wait
until it continues, in their order, as after SIGSTOP; those of an ended process never run.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")
_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class Process:
    """A pretended process.

    Args:
        parent: It stops and ends with this one.
    """

    def __init__(self, parent: Process | None = None) -> None:
        self.context = Context()
        self.context.run(_PROCESS.set, self)
        self._parent = parent
        self._stopped = False
        self._ended = False

    @property
    def top(self) -> Process:
        """The process that has no parent."""
        return self if self._parent is None else self._parent.top

    @property
    def stopped(self) -> bool:
        return self._stopped or (self._parent is not None and self._parent.stopped)

    @property
    def ended(self) -> bool:
        return self._ended or (self._parent is not None and self._parent.ended)

    @property
    def runs(self) -> bool:
        return not self.stopped and not self.ended

    def stop(self) -> None:
        self._stopped = True

    def go_on(self) -> None:
        self._stopped = False

    def end(self) -> None:
        self._ended = True


class _Call(asyncio.TimerHandle):
    """A callback, at once or later, and its process."""

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: PretendedLoop,
        context: Context | None,
    ) -> None:
        context = copy_context() if context is None else context
        super().__init__(when, callback, args, loop, context)
        self.process = context.get(_PROCESS)


class PretendedLoop(asyncio.AbstractEventLoop):
    """The loop. `run` returns the result of a coroutine, or raises the first error of any task."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call]] = []
        self._serial = 0
        # A task that only an ended process refers to would be collected, and warn of it.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._errors: list[BaseException] = []
        self._closing = False
        #: The callbacks of stopped processes, in their order; those of ended processes, which run
        #: only when the loop closes, so that no task is destroyed while it waits.
        self._held: dict[Process, list[_Call]] = {}
        self._never: list[_Call] = []

    # ---- What asyncio uses

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # of coroutines only
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard, context=_OUTSIDE)
        return task

    def call_soon(  # type: ignore[override]  # its types name TypeVarTuples
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        call = _Call(self._now, callback, args, self, context)
        self._ready.append(call)
        return call

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        call = _Call(when, callback, args, self, context)
        self._serial += 1
        heapq.heappush(self._timers, (when, self._serial, call))
        return call

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run a function of a thread at once: it takes no pretended time."""
        done = self.create_future()
        done.set_result(func(*args))
        return done

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(context["message"])
        self._errors.append(error)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave a cancelled timer where it is; it is skipped."""

    # ---- What the simulation uses

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, and cancel all that is left then."""
        # Part of asyncio for those who write a loop.
        asyncio.events._set_running_loop(self)
        try:
            task = self.create_task(main, context=Context())
            self._until(task.done)
            self._closing = True
            self._ready.extend(self._never)
            for held in self._held.values():
                self._ready.extend(held)
            while left := [task for task in self._tasks if not task.done()]:
                for each in left:
                    each.cancel()
                self._until(lambda: not self._ready)
            return task.result()
        finally:
            asyncio.events._set_running_loop(None)

    def begin(self, process: Process, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task in a process."""
        return process.context.run(lambda: self.create_task(work, context=process.context.copy()))

    def outside(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Call a function after *delay* seconds, in no process."""
        self.call_later(delay, callback, *args, context=_OUTSIDE)

    def resume(self, process: Process) -> None:
        """Continue a stopped process."""
        process.go_on()
        self._ready.extend(self._held.pop(process.top, ()))

    def _until(self, done: Callable[[], bool]) -> None:
        ready, timers = self._ready, self._timers
        while not done():
            while not ready:
                if not timers:
                    raise RuntimeError("every task waits for ever")
                when, _, call = heapq.heappop(timers)
                if not call.cancelled():
                    self._now = max(self._now, when)
                    ready.append(call)
            call = ready.popleft()
            if call.cancelled():
                continue
            process = call.process
            if process is None or process.runs or self._closing:
                call._run()
            elif process.ended:
                self._never.append(call)
            else:
                self._held.setdefault(process.top, []).append(call)
            if self._errors and not self._closing:
                raise self._errors[0]


_OUTSIDE = Context()
