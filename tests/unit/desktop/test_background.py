"""Work on threads, and its results on the toolkit's thread."""

from __future__ import annotations

import threading

from support.posts import Posts

from kju.desktop.background import Background
from kju.errors import UsageError


def test_result_arrives_on_the_toolkits_thread():
    posts, threads = Posts(), []
    background = Background(posts.post)
    background.run(
        lambda: threads.append(threading.current_thread().name) or 5,
        lambda result: threads.append((threading.current_thread(), result)),
    )
    posts.until(lambda: len(threads) == 2)
    background.close(10)
    assert threads == ["kju-work", (threading.current_thread(), 5)]


def test_failure_arrives_as_its_reason():
    posts, reasons = Posts(), []

    def fail() -> None:
        raise UsageError("it is taken")

    background = Background(posts.post)
    background.run(fail, lambda result: reasons.append("done"), reasons.append)
    posts.until(lambda: reasons)
    background.close(10)
    assert reasons == ["it is taken"]


def test_work_that_blocks_leaves_a_thread_for_other_work():
    posts, block, done = Posts(), threading.Event(), []
    background = Background(posts.post)
    background.run(block.wait)
    background.run(lambda: None, done.append)
    posts.until(lambda: done)
    block.set()
    background.close(10)
    assert not [t for t in threading.enumerate() if t.name == "kju-work"]


def test_nothing_runs_after_the_close():
    ran = []
    background = Background(Posts().post)
    background.close()
    background.run(lambda: ran.append("late"))
    assert not background._threads and not ran
