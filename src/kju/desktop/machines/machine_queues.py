"""Threads for calls that block, with one queue for each machine.

The calls of one machine run in their order; those of different machines run at the same time. A
machine whose host does not respond delays its own calls only. A thread exists only while a call
waits or runs.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable

#: Most of them wait for a host. A wall of 64 machines can stop all of them at once.
_MAX_THREADS = 64
#: Calls of one machine that wait; more than a user can ask for by hand.
MAX_WAITING = 256

Call = Callable[[], None]


class MachineQueues:
    """Runs calls on threads, in order for each key. Any thread may submit.

    Args:
        name: Prefix of the threads' names.
        most: Threads at the same time.
    """

    def __init__(self, name: str = "kju-action", most: int = _MAX_THREADS) -> None:
        self._name, self._most = name, most
        self._lock = threading.Lock()
        self._calls: dict[Hashable, deque[Call]] = {}
        # Keys with calls that no thread is running.
        self._ready: deque[Hashable] = deque()
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def submit(self, key: Hashable, call: Call) -> bool:
        """Queue a call; return at once. False where it is not accepted: full, or closed.

        Args:
            key: Calls with the same key run one after the other.
            call: It must not raise.
        """
        with self._lock:
            if self._closed:
                return False
            waiting = self._calls.get(key)
            if waiting is None:
                self._calls[key] = deque([call])
                self._ready.append(key)
                self._start_thread()
                return True
            if len(waiting) >= MAX_WAITING:
                return False
            waiting.append(call)
            return True

    def _start_thread(self) -> None:
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._threads.add(thread)
            thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._ready:
                    self._threads.discard(threading.current_thread())
                    return
                key = self._ready.popleft()
                call = self._calls[key].popleft()
            try:
                call()
            finally:
                with self._lock:
                    if self._calls.get(key):
                        self._ready.append(key)
                    else:
                        self._calls.pop(key, None)

    @property
    def threads(self) -> int:
        """Number of threads now."""
        with self._lock:
            return len(self._threads)

    def close(self, timeout: float = 1.0) -> None:
        """Drop the calls that wait, and give those that run some time to end.

        Args:
            timeout: Seconds for all of them together.
        """
        with self._lock:
            self._closed = True
            self._ready.clear()
            for waiting in self._calls.values():
                waiting.clear()
            threads = list(self._threads)
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
