"""How much processors have run: here this process's own thread stands for one."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from wait import until

from kju.errors import QemuError
from kju.host.input.processors import MOST_LOOKED_AT, Processors


class Told:
    """QMP that tells of threads."""

    def __init__(self, *threads: int) -> None:
        self._threads = threads

    async def execute(self, command: str) -> Any:
        assert command == "query-cpus-fast"
        if not self._threads:
            raise QemuError("no")
        return [{"thread-id": thread} for thread in self._threads]


def find(*threads: int) -> Processors:
    processors = Processors()
    asyncio.run(processors.find(Told(*threads), os.getpid()))  # type: ignore[arg-type]
    processors.mark()
    return processors


def test_a_thread_that_runs_has_run_after_a_time() -> None:
    processors = find(threading.get_native_id())
    assert processors.have_run(1000) is False
    until(lambda: processors.have_run(0.01), 10, "10 ms of run time")


def test_one_that_waits_for_a_condition_sleeps_and_one_that_reads_does_not() -> None:
    event, (ours, theirs) = threading.Event(), os.pipe()
    threads = [
        threading.Thread(target=event.wait),
        threading.Thread(target=os.read, args=(ours, 1)),
    ]
    for thread in threads:
        thread.start()
    waiting, reading = (find(thread.native_id or 0) for thread in threads)
    try:
        until(lambda: waiting.have_run(1000), 10, "it waits")
        assert reading.have_run(1000) is False
    finally:
        event.set()
        os.write(theirs, b"x")
        for thread in threads:
            thread.join()
        os.close(ours)
        os.close(theirs)
    # The kernel may still be at it.
    until(lambda: waiting.have_run(0) is None, 5, "nothing is known of one that has ended")


@pytest.mark.parametrize("threads", [(), (1,), (-1,), tuple(range(1, MOST_LOOKED_AT + 2))])
def test_nothing_is_known_of_what_is_no_thread_of_qemus(threads: tuple[int, ...]) -> None:
    assert find(*threads).have_run(0) is None
