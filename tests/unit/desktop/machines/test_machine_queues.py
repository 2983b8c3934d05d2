"""`MachineQueues`: calls in order for one machine, at the same time for several."""

from __future__ import annotations

import threading

from support.wait import until

from kju.desktop.machines.machine_queues import MAX_WAITING, MachineQueues


def test_calls_of_one_machine_run_in_their_order() -> None:
    queues = MachineQueues()
    done: list[int] = []
    for number in range(50):
        assert queues.submit("web", lambda number=number: done.append(number))
    until(lambda: len(done) == 50)
    assert done == list(range(50))


def test_a_call_that_waits_delays_no_other_machine() -> None:
    queues, release, done = MachineQueues(), threading.Event(), list[str]()
    queues.submit("stuck", release.wait)
    queues.submit("stuck", lambda: done.append("stuck"))
    for number in range(63):
        queues.submit(number, lambda: done.append("other"))
    until(lambda: len(done) == 63)
    assert "stuck" not in done
    release.set()
    until(lambda: "stuck" in done)


def test_no_thread_is_left_when_nothing_waits() -> None:
    queues, done = MachineQueues(), list[int]()
    for number in range(20):
        queues.submit(number, lambda: done.append(1))
    until(lambda: len(done) == 20 and queues.threads == 0)


def test_threads_are_bounded_and_every_call_runs() -> None:
    queues, release, done = MachineQueues(most=3), threading.Event(), list[int]()
    for number in range(10):
        queues.submit(number, lambda: (release.wait(), done.append(1)))
    assert queues.threads == 3
    release.set()
    until(lambda: len(done) == 10)


def test_a_full_queue_refuses_a_call() -> None:
    queues, release = MachineQueues(), threading.Event()
    running = threading.Event()
    queues.submit("web", lambda: (running.set(), release.wait()))
    assert running.wait(30)
    accepted = [queues.submit("web", lambda: None) for _ in range(MAX_WAITING + 1)]
    assert accepted == [True] * MAX_WAITING + [False]
    release.set()


def test_close_drops_what_waits_and_refuses_more() -> None:
    queues, release, done = MachineQueues(), threading.Event(), list[int]()
    running = threading.Event()
    queues.submit("web", lambda: (running.set(), release.wait()))
    queues.submit("web", lambda: done.append(1))
    assert running.wait(30)
    queues.close(timeout=0)
    release.set()
    until(lambda: queues.threads == 0)
    assert not done
    assert not queues.submit("web", lambda: done.append(1))
