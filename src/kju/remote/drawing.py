"""SHELL: draws a mirror's messages in their order: pixels in a thread, the rest in the event loop.

The sender decides how much there is to draw, so drawing must not block the event loop. Messages
after a drawing one wait until it is finished.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple

from ..wire.messages import FromSender, ModeUpdate, Segment, SessionWelcome
from ..wire.receiver_session import ReceiverSession

#: Messages that wait for a drawing one. Of more, numbered messages are dropped, as a network drops
#: them; a sender that keeps to its credit has fewer in flight.
MAX_WAITING = 256
#: The messages that change pixels. A welcome is followed by the ones that have overtaken it.
_DRAWING_MESSAGES = (ModeUpdate, Segment, SessionWelcome)


class DrawingJob(NamedTuple):
    """The drawing of one message.

    Attributes:
        receiver: The session that draws; the thread may change it meanwhile.
        draw: Draws; called in the thread.
        finish: Called in the event loop with the error of `draw`, or None.
    """

    receiver: ReceiverSession
    draw: Callable[[], object]
    finish: Callable[[BaseException | None], None]


class DrawingQueue:
    """The messages of a mirror that wait.

    Args:
        begin: Makes the job of a drawing message.
        process: Processes another message in the event loop.
        threads: Draws; by default a thread of this queue's own.

    Attributes:
        receiver: The session of the job in the thread; None without a job.
        is_closed: Drawing messages are processed in the loop, which ignores them.
    """

    def __init__(
        self,
        begin: Callable[[FromSender], DrawingJob],
        process: Callable[[FromSender], None],
        threads: Executor | None = None,
    ) -> None:
        self._begin, self._process = begin, process
        self._loop = asyncio.get_running_loop()
        self._own_thread = None if threads else ThreadPoolExecutor(1, "kju-drawing")
        self._threads = threads or self._own_thread
        self._waiting: deque[FromSender] = deque()
        self._is_held = False
        self._in_thread: asyncio.Future[object] | None = None
        self.receiver: ReceiverSession | None = None
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, message: FromSender) -> bool:
        """Process a message after those before it; return False if too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(message)
        self._process_waiting()
        return True

    def clear(self) -> None:
        """Drop the messages that wait."""
        self._waiting.clear()

    def close(self) -> None:
        """Draw no more after the present job."""
        self.is_closed = True
        if self._own_thread is not None:
            self._own_thread.shutdown(wait=False)

    async def idle(self) -> None:
        """Return when the thread has finished its job."""
        if self._in_thread is not None:
            await asyncio.wait([self._in_thread])

    async def hold(self) -> None:
        """Draw nothing until `unhold`; return when nothing is being drawn."""
        self._is_held = True
        await self.idle()

    def unhold(self) -> None:
        """Continue to draw. No effect if drawing is not held."""
        self._is_held = False
        self._process_waiting()

    def _process_waiting(self) -> None:
        """Process messages in the loop, up to the next one for the thread."""
        while self._waiting and self._in_thread is None:
            draws = isinstance(self._waiting[0], _DRAWING_MESSAGES) and not self.is_closed
            if draws and self._is_held:
                return
            message = self._waiting.popleft()
            if draws:
                self._start(self._begin(message))
            else:
                self._process(message)

    def _start(self, job: DrawingJob) -> None:
        self.receiver = job.receiver
        self._in_thread = self._loop.run_in_executor(self._threads, job.draw)
        self._in_thread.add_done_callback(lambda future: self._finish(job, future))

    def _finish(self, job: DrawingJob, future: asyncio.Future[object]) -> None:
        self.receiver = self._in_thread = None
        job.finish(future.exception())
        self._process_waiting()
