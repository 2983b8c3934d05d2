"""The differences of each kind of memory: names, last users, limits, and truncated files."""

import asyncio
import io
import os
import threading

import numpy as np
import pytest
from support.header import set_field
from support.surfaces import CAPACITY, HEIGHT, SHM, WIDTH, no_notifiers, notifiers, publish

from kju import memory
from kju.client.aio.surface import Surface as AsyncSurface
from kju.client.surface import Surface
from kju.errors import (
    ConflictError,
    FormatError,
    LimitError,
    MemoryLostError,
    ProducerGoneError,
    SupersededError,
    WaitTimeoutError,
)
from kju.memory import SurfaceProducer
from kju.surface import NOTHING_TAKEN, State
from kju.surface.geometry import Rect

# ---- Files


def test_file_keeps_the_last_frame(tmp_path):
    path = tmp_path / "screen"
    publish(path, 9).close()
    with Surface(path) as surface:
        assert (surface.frame(pixels="bgrx") == 9).all()
        assert surface.state == (State.CLOSED, None)
    assert list(tmp_path.iterdir()) == [path]  # and no other file


def test_file_gets_its_name_once_it_is_complete(tmp_path):
    path = tmp_path / "screen"
    segment = memory.create(path, 8192)
    assert not path.exists()
    segment.close()  # an incomplete surface
    assert list(tmp_path.iterdir()) == []


def test_next_producer_removes_the_file_of_a_killed_one(tmp_path):
    path = tmp_path / "screen[1]"
    publish(path).close()
    ours, alive = tmp_path / ".screen[1].123.0123abcd", tmp_path / ".screen[1].124.0123abcd"
    ours.write_bytes(path.read_bytes())
    theirs = {tmp_path / ".screen[1].mine": b"kju-surf", tmp_path / ".screen[1].1.12345678": b"x"}
    for other, content in theirs.items():
        other.write_bytes(content)
    with publish(alive):
        publish(path).close()
        assert {p.name for p in tmp_path.iterdir()} == {p.name for p in (path, alive, *theirs)}


@pytest.mark.parametrize("content", [b"", b"text", b"kju-sur", b"\0" * 5000])
def test_existing_file_is_not_overwritten(tmp_path, content):
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(ConflictError, match="nothing was overwritten"):
        SurfaceProducer.create(path, capacity=CAPACITY)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_directory_and_pipe_are_errors(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises((FormatError, OSError)):
            Surface(path)
    with pytest.raises(ConflictError):
        SurfaceProducer.create(tmp_path / "pipe", capacity=CAPACITY)


def test_missing_file_or_directory_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Surface(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        SurfaceProducer.create(tmp_path / "no" / "where", capacity=CAPACITY)


def test_file_is_private(tmp_path):
    with publish(tmp_path / "screen"):
        assert (tmp_path / "screen").stat().st_mode & 0o777 == 0o600


def cut_to(path, size):
    os.truncate(path, size)


LOSSES = {
    "cut to nothing": (lambda p: cut_to(p, 0), MemoryLostError),
    "cut to its header": (lambda p: cut_to(p, 4096), MemoryLostError),
    "cut by one byte": (lambda p: cut_to(p, p.stat().st_size - 1), MemoryLostError),
    "removed": (lambda p: p.unlink(), ProducerGoneError),
    "replaced": (lambda p: (p.parent / "other").rename(p), SupersededError),
    "replaced by a link": (lambda p: (p.parent / "link").replace(p), SupersededError),
}


def finished(result):
    """Return the result of a call of either half of the API."""
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("form", [Surface, AsyncSurface])
def test_loss_of_a_file_is_raised_by_every_call(tmp_path, loss, form):
    path = tmp_path / "screen"
    (tmp_path / "other").write_bytes(b"x" * 100000)
    (tmp_path / "link").symlink_to(tmp_path / "other")
    producer = publish(path, 9)
    surface = form(path)
    view, frame, mark = surface.view(), finished(surface.frame(pixels="bgrx")), surface.mark
    happen, error = LOSSES[loss]

    def wait(since):
        if form is Surface:
            return surface.wait(since, timeout=30)
        return asyncio.run(surface.wait(since, timeout=30))

    errors = []

    def waiting():
        try:
            wait(mark)
        except Exception as caught:
            errors.append(caught)

    thread = threading.Thread(target=waiting)
    thread.start()
    happen(path)
    calls = {
        "frame": surface.frame,
        "exact": lambda: surface.frame(consistent=True, pixels="bgrx"),
        "cursor": lambda: surface.frame(cursor=True, pixels="bgrx"),
        "changes": surface.changes_since,
        "wait": lambda: wait(NOTHING_TAKEN),
        "screenshot": lambda: surface.screenshot(io.BytesIO()),
        "view": surface.view,
        "mode": lambda: surface.mode,
        "state": lambda: surface.state,
    }
    for name, call in calls.items():
        with pytest.raises(error):
            pytest.fail(f"{name} returned {finished(call())}")
    thread.join(30)
    assert [type(e) for e in errors] == [error]
    # The process survives, arrays can be read, and copies are unchanged.
    assert view.shape == (HEIGHT, WIDTH, 4) and int(view.max()) in (0, 9)
    assert (frame == 9).all()
    surface.close()
    producer.memory.close()


def test_truncation_of_the_producers_file_is_an_error(tmp_path):
    producer = publish(tmp_path / "screen")
    os.truncate(tmp_path / "screen", 0)
    frame = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for call in (
        lambda: producer.draw(Rect(0, 0, 1, 1), b"abcd"),
        lambda: producer.compare(frame),
        lambda: producer.publish(Rect(0, 0, 1, 1)),
        lambda: producer.publish_range(0, 4),
    ):
        with pytest.raises(MemoryLostError):
            call()
    producer.memory.close()


def test_missing_space_is_reported_before_memory_is_touched(monkeypatch, tmp_path):
    import errno

    def full(number, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    producer = publish(tmp_path / "screen", 3)
    before = (tmp_path / "screen").read_bytes()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(LimitError, match="free") as caught:
        producer.set_mode(WIDTH, HEIGHT)
    assert caught.value.limit.startswith("free space")
    assert caught.value.asked >= CAPACITY
    assert (tmp_path / "screen").read_bytes() == before
    with pytest.raises(LimitError):
        SurfaceProducer.create(tmp_path / "second", capacity=CAPACITY)
    assert not (tmp_path / "second").exists()
    producer.close()


def test_surface_larger_than_shared_memory_is_an_error(posix_name):
    """Ask for more than the computer has: an error, and no file is left."""
    status = os.statvfs(SHM)
    capacity = min(status.f_bavail * status.f_frsize + (1 << 30), 1 << 40)
    producer = SurfaceProducer.create(f"posix:/{posix_name}", capacity=capacity)
    with pytest.raises(LimitError) as caught:
        producer.memory.reserve(producer.memory.size)
    assert caught.value.value < caught.value.asked
    assert producer.mode.epoch == 0
    producer.close()
    assert not (SHM / posix_name).exists()


# ---- Any bytes in a file


def test_hostile_file_is_a_format_error_with_the_found_value(tmp_path):
    path = tmp_path / "screen"
    publish(path).close()
    whole = path.read_bytes()
    for name, value in (("magic", 1), ("size", len(whole) + 1), ("tile_side", 31), ("features", 4)):
        bad = bytearray(whole)
        set_field(bad, name, value)
        path.write_bytes(bad)
        with pytest.raises(FormatError, match=r"found .* expected"):
            Surface(path)


async def test_waits_of_a_surface_share_one_thread():
    assert no_notifiers()  # of earlier tests

    producers = [publish("memfd:") for _ in range(2)]
    surfaces = [AsyncSurface(f"fd:{p.memory.fileno()}") for p in producers]
    waits = [asyncio.create_task(s.wait(timeout=30)) for s in surfaces for _ in range(100)]
    await asyncio.sleep(0)  # every task is now at its wait
    assert len(notifiers()) == 2
    for producer in producers:
        producer.draw(Rect(0, 0, 1, 1), b"abcd")
    changes = await asyncio.gather(*waits)
    assert all(c.rects == [Rect(0, 0, 32, 32)] for c in changes)
    cancelled = asyncio.create_task(surfaces[0].wait())
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    with pytest.raises(WaitTimeoutError):
        await surfaces[0].wait(timeout=0.001)
    for one in (*surfaces, *producers):
        one.close()
    assert no_notifiers()


def test_wait_in_a_thread_starts_no_other():
    assert no_notifiers()
    with publish("memfd:") as producer, Surface(f"fd:{producer.memory.fileno()}") as surface:
        mark = surface.mark
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(surface.wait(mark, timeout=30)))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        assert not notifiers()
        producer.draw(Rect(0, 0, 1, 1), b"abcd")
        for thread in threads:
            thread.join(30)
        assert len(found) == 20
