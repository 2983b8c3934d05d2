"""The run time of processors; a thread of this process stands for one."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest
from support.wait import until

from kju.emulators.qemu.input.machine_input import MAX_PROCESSORS, TICK, GuestProcessors
from kju.errors import QemuError


class Told:
    """QMP that answers with threads."""

    def __init__(self, *threads: int) -> None:
        self._threads = threads

    async def execute(self, command: str) -> Any:
        assert command == "query-cpus-fast"
        if not self._threads:
            raise QemuError("no")
        return [{"thread-id": thread} for thread in self._threads]


def find(*threads: int, owed: float = 0) -> GuestProcessors:
    processors = GuestProcessors()
    asyncio.run(processors.find(Told(*threads), os.getpid()))  # type: ignore[arg-type]
    processors.charge(owed)
    return processors


def test_running_thread_catches_up() -> None:
    assert find(threading.get_native_id(), owed=1000).caught_up() is False
    processors = find(threading.get_native_id(), owed=0.01)
    assert processors.caught_up() is False
    until(processors.caught_up, "10 ms of run time")


def test_excess_run_time_counts_for_the_next_charge_and_a_deficit_stays() -> None:
    processors, end = find(threading.get_native_id()), time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
    processors.charge(TICK / 2e9)
    assert processors.caught_up() is True
    processors.charge(1000)
    processors.charge(0)
    assert processors.caught_up() is False


def test_thread_that_waits_is_idle_and_thread_that_reads_is_not() -> None:
    event, (ours, theirs) = threading.Event(), os.pipe()
    threads = [
        threading.Thread(target=event.wait),
        threading.Thread(target=os.read, args=(ours, 1)),
    ]
    for thread in threads:
        thread.start()
    waiting, reading = (find(thread.native_id or 0, owed=1000) for thread in threads)
    try:
        until(waiting.caught_up, "it waits")
        assert reading.caught_up() is False
    finally:
        event.set()
        os.write(theirs, b"x")
        for thread in threads:
            thread.join()
        os.close(ours)
        os.close(theirs)
    # The kernel may still be ending the thread.
    until(lambda: waiting.caught_up() is None, "the run time of an ended thread is unknown")


@pytest.mark.parametrize("threads", [(), (1,), (-1,), tuple(range(1, MAX_PROCESSORS + 2))])
def test_run_time_of_other_threads_is_unknown(threads: tuple[int, ...]) -> None:
    assert find(*threads).caught_up() is None
