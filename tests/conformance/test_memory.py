"""The differences of each kind of memory: names, last users, limits, and truncated files."""

import asyncio
import gc
import io
import os
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
from support.header import set_field

from kju import memory
from kju.client.aio.surface import Surface as AsyncSurface
from kju.client.surface import Surface
from kju.errors import (
    ConflictError,
    FormatError,
    GeometryError,
    LimitError,
    MemoryLostError,
    ProducerGoneError,
    SupersededError,
    WaitTimeoutError,
)
from kju.memory import SurfaceProducer, sysv
from kju.surface import NOTHING_TAKEN, State
from kju.surface.geometry import Rect

WIDTH, HEIGHT = 128, 96
CAPACITY = WIDTH * HEIGHT * 4
SHM = Path("/dev/shm")


@pytest.fixture
def posix_name():
    name = f"kju-test-{uuid.uuid4().hex}"
    yield name
    (SHM / name).unlink(missing_ok=True)


def publish(address, value=1):
    producer = SurfaceProducer.create(address, capacity=CAPACITY)
    producer.set_mode(WIDTH, HEIGHT, source=np.full((HEIGHT, WIDTH, 4), value, np.uint8))
    return producer


def sysv_rows(number):
    return [row for row in sysv._table() if row[1] == number]


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


# ---- POSIX shared memory


def test_posix_name_is_removed_by_its_last_user(posix_name):
    address, path = f"posix:/{posix_name}", SHM / posix_name
    producer = publish(address)
    one, two = Surface(address), Surface(address)
    one.close()
    assert path.exists()
    producer.close()
    assert path.exists()  # a consumer still has it open
    assert (two.frame(pixels="bgrx") == 1).all()
    view = two.view()
    two.close()
    assert not path.exists()
    assert (view == 1).all()


def test_posix_name_is_removed_by_a_producer_without_consumers(posix_name):
    publish(f"posix:/{posix_name}").close()
    assert not (SHM / posix_name).exists()


def test_unreferenced_surface_is_closed(posix_name):
    path = SHM / posix_name
    producer = publish(f"posix:/{posix_name}", 5)
    consumer = Surface(f"posix:/{posix_name}")
    view = consumer.view()
    other = Surface(f"posix:/{posix_name}")
    del producer
    with pytest.raises(ProducerGoneError, match="died"):
        other.wait()
    del other
    gc.collect()  # the error's traceback and the surface are a reference cycle
    assert path.exists()
    del consumer
    assert not path.exists()
    assert (view == 5).all()


def test_end_of_a_forked_child_removes_nothing(posix_name):
    path = SHM / posix_name
    assert no_notifiers()  # forking with threads gives a warning, and warnings are errors here
    with publish(f"posix:/{posix_name}") as producer:
        pid = os.fork()
        if pid == 0:
            try:
                del producer.memory
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert path.exists()
        with Surface(f"posix:/{posix_name}") as surface, pytest.raises(WaitTimeoutError):
            surface.wait(timeout=0)


def test_posix_name_of_another_object_is_left_alone(posix_name):
    (SHM / posix_name).write_bytes(b"theirs")
    for call in (
        lambda: SurfaceProducer.create(f"posix:/{posix_name}", capacity=CAPACITY),
        lambda: Surface(f"posix:/{posix_name}"),
    ):
        with pytest.raises((ConflictError, FormatError)):
            call()
    memory.sweep()
    assert (SHM / posix_name).read_bytes() == b"theirs"


def test_posix_surface_gets_its_name_once_it_is_complete(posix_name):
    segment = memory.create(f"posix:/{posix_name}", 8192)
    assert os.fstat(segment.fileno()).st_nlink == 0
    segment.close()
    assert not (SHM / posix_name).exists()


def test_sweep_keeps_surfaces_in_use(posix_name):
    address, path = f"posix:/{posix_name}", SHM / posix_name
    producer = publish(address)
    number = publish("sysv:")
    memory.sweep()
    assert path.exists()
    assert sysv_rows(int(number.address.removeprefix("sysv:")))
    surface = Surface(address)
    producer.close()
    memory.sweep()
    assert path.exists()
    surface.close()
    number.close()


@pytest.mark.parametrize("name", ["", "/", "a/b", "/a/b", "..", "/.", "a\0b", "//a"])
def test_invalid_posix_name_is_an_error(name):
    with pytest.raises(ConflictError):
        memory.create(f"posix:{name}", 4096)


# ---- System V


def test_sysv_segment_is_removed_by_its_last_user():
    producer = publish("sysv:", 4)
    number = int(producer.address.removeprefix("sysv:"))
    assert len(sysv_rows(number)) == 1
    surface = Surface(producer.address)
    producer.close()
    del producer
    assert len(sysv_rows(number)) == 1
    view = surface.view()
    surface.close()
    del surface
    assert len(sysv_rows(number)) == 1  # the array keeps it attached
    assert (view == 4).all()
    del view
    assert not sysv_rows(number)
    with pytest.raises(OSError):
        Surface(f"sysv:{number}")


def test_sysv_request_over_the_limit_is_an_error():
    """The real limits, which no size can exceed on many computers."""
    limits = sysv.limits()
    asked = limits["kernel.shmmax"] + 1
    with pytest.raises(LimitError) as caught:
        memory.create("sysv:", asked)
    error = caught.value
    assert (error.limit, error.value, error.asked) == (
        "kernel.shmmax",
        limits["kernel.shmmax"],
        asked,
    )
    for word in (str(asked), str(error.value), "sysctl", "memfd"):
        assert word in str(error)


def small(**limits):
    return lambda name: limits.get(name, 1 << 50)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"shmmax": 65536}, "kernel.shmmax"),
        ({"shmall": 3}, "kernel.shmall"),
        ({"shmmni": 0}, "kernel.shmmni"),
    ],
)
def test_error_names_a_sysv_limit_before_the_system_call(monkeypatch, limits, name):
    monkeypatch.setattr(sysv, "_limit", small(**limits))
    monkeypatch.setattr(sysv, "segment_create", lambda *a: pytest.fail("the system was asked"))
    with pytest.raises(LimitError) as caught:
        SurfaceProducer.create("sysv:", capacity=CAPACITY)
    error = caught.value
    assert error.limit == name
    assert error.value == next(iter(limits.values()))
    assert error.asked > error.value
    assert name in str(error) and "sysctl" in str(error) and "posix:" in str(error)


def test_rejected_sysv_request_leaves_nothing():
    before = sysv._table()
    with pytest.raises((OSError, LimitError, GeometryError)):
        memory.create("sysv:", 1 << 62)
    assert sysv._table() == before


# ---- Addresses


@pytest.mark.parametrize(
    "address",
    [
        "sysv:",
        "sysv:x",
        "sysv:-1",
        "sysv:99999999999",
        "fd:",
        "fd:x",
        "fd:99999999999",
        "memfd:x",
        "posix:",
    ],
)
def test_address_without_a_surface_is_an_error(address):
    with pytest.raises(ConflictError):
        Surface(address)


@pytest.mark.parametrize("address", ["sysv:5", "fd:5"])
def test_invalid_address_is_an_error(address):
    with pytest.raises(ConflictError):
        SurfaceProducer.create(address, capacity=CAPACITY)


def test_surface_opens_by_number_of_a_descriptor():
    with publish("memfd:", 6) as producer:
        number = producer.memory.fileno()
        with Surface(f"fd:{number}") as surface:
            assert (surface.frame(pixels="bgrx") == 6).all()
        os.fstat(number)  # the producer's own is still open


def test_descriptors_are_closed(tmp_path, posix_name):
    def count():
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for address in (tmp_path / "screen", f"posix:/{posix_name}", "sysv:", "memfd:"):
        with publish(address) as producer:
            where = producer.address or f"fd:{producer.memory.fileno()}"
            Surface(where).close()
            for bad in (tmp_path, "posix:/kju-test-none"):
                with pytest.raises((OSError, FormatError)):
                    Surface(bad)
    (tmp_path / "short").write_bytes(b"kju-surf")
    with pytest.raises(FormatError):
        Surface(tmp_path / "short")
    assert count() == before


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


# ---- Threads


def notifiers():
    return [t for t in threading.enumerate() if t.name == "kju-notifier"]


def no_notifiers():
    for thread in notifiers():
        thread.join(10)  # it ends by itself after the last wait
    return not notifiers()


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
