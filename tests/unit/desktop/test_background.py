"""Work on threads, and its results on the toolkit's thread."""

from __future__ import annotations

import threading
from pathlib import Path

from support.posts import Posts

from kju.desktop.background import Background, release_free_memory
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


def test_free_memory_of_the_allocator_is_given_back():
    def resident() -> int:
        """Return the process's kilobytes: the blocks may be in any of the allocator's arenas."""
        return int(Path("/proc/self/smaps_rollup").read_text().partition("Rss:")[2].split()[0])

    blocks = [bytearray(100_000) for _ in range(400)]
    for block in blocks:
        block[:] = b"x" * len(block)
    kept, full = blocks[-1], resident()
    blocks.clear()
    release_free_memory()
    assert kept
    assert resident() < full - 20_000
