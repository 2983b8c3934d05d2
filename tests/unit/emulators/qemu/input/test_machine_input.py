"""The run time of processors; a thread of this process stands for one."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.wait import until

from kju.emulators.qemu.input.machine_input import (
    MAX_PROCESSORS,
    TICK,
    WAIT_MEMORY,
    GuestProcessors,
    _Processor,
)
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


class Files:
    """The files of a thread that is running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "syscall").write_text("running\n")
        self.schedule(0, 0, 0)

    def schedule(self, run: float, waited: float, slices: int) -> None:
        text = f"{round(run * 1e6)} {round(waited * 1e6)} {slices}\n"
        (self.folder / "schedstat").write_text(text)


def test_excess_run_time_counts_for_the_next_charge_and_a_deficit_stays(tmp_path: Path) -> None:
    files = Files(tmp_path)
    processor = _Processor(tmp_path)
    files.schedule(100, 0, 1)
    processor.charge(TICK // 2)
    assert processor.has_run()
    processor.charge(1_000_000_000)
    processor.charge(0)
    assert not processor.has_run()


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


def test_wait_for_the_computer_is_added_to_the_run_time(tmp_path: Path) -> None:
    files = Files(tmp_path)
    processor = _Processor(tmp_path)
    processor.charge(10_000_000)
    files.schedule(9, 0, 3)
    assert not processor.has_run()
    # Two waits, of 20 ms each: a program that was charged for one comes so much later.
    files.schedule(12, 40, 5)
    assert not processor.has_run()
    files.schedule(29, 40, 9)
    assert not processor.has_run()
    files.schedule(30, 40, 9)
    assert processor.has_run()


def test_wait_for_the_computer_is_forgotten_after_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, now = Files(tmp_path), 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    processor = _Processor(tmp_path)
    files.schedule(1, 500, 2)
    processor.charge(1_000_000)
    files.schedule(2, 500, 3)
    assert not processor.has_run()
    now = WAIT_MEMORY * 1.1
    assert processor.has_run()


@pytest.mark.parametrize(("state", "sleeps"), [("S", True), ("R", False)])
def test_processor_that_was_woken_does_not_sleep(tmp_path: Path, state: str, sleeps: bool) -> None:
    Files(tmp_path)
    # It waits for a condition, and has not been run since it was woken.
    (tmp_path / "syscall").write_text("202 0x7f00 0x189 0x0 0x0 0x0 0xffffffff 0x1 0x2\n")
    (tmp_path / "stat").write_text(f"7 (CPU 0/TCG) {state} 1 2 3\n")
    processor = _Processor(tmp_path)
    processor.charge(1_000_000)
    assert processor.has_run() is sleeps


@pytest.mark.parametrize("threads", [(), (1,), (-1,), tuple(range(1, MAX_PROCESSORS + 2))])
def test_run_time_of_other_threads_is_unknown(threads: tuple[int, ...]) -> None:
    assert find(*threads).caught_up() is None
