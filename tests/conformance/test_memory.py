"""What is special to each kind of memory: names, last users, limits, and files that are cut."""

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


def test_a_file_still_holds_the_last_frame(tmp_path):
    path = tmp_path / "screen"
    publish(path, 9).close()
    with Surface(path) as surface:
        assert (surface.frame(pixels="bgrx") == 9).all()
        assert surface.state == (State.CLOSED, None)
    assert list(tmp_path.iterdir()) == [path]  # and nothing else was left


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "screen"
    segment = memory.create(path, 8192)
    assert not path.exists()
    segment.close()  # a surface that was never finished
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_producer_left_goes_with_the_next(tmp_path):
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
def test_what_is_there_is_not_overwritten(tmp_path, content):
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(ConflictError, match="nothing was overwritten"):
        SurfaceProducer.create(path, capacity=CAPACITY)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_or_pipe_is_not_a_surface(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises((FormatError, OSError)):
            Surface(path)
    with pytest.raises(ConflictError):
        SurfaceProducer.create(tmp_path / "pipe", capacity=CAPACITY)


def test_no_such_file_or_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        Surface(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        SurfaceProducer.create(tmp_path / "no" / "where", capacity=CAPACITY)


def test_a_file_is_private(tmp_path):
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
    """What a call returns, once it is there."""
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("form", [Surface, AsyncSurface])
def test_what_happens_to_a_file_is_raised(tmp_path, loss, form):
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
    # The process lives, arrays can be read, and what was copied is what it was.
    assert view.shape == (HEIGHT, WIDTH, 4) and int(view.max()) in (0, 9)
    assert (frame == 9).all()
    surface.close()
    producer.memory.close()


def test_the_producers_own_file_cut(tmp_path):
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


def test_no_space_is_said_before_a_page_is_touched(monkeypatch, tmp_path):
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


def test_really_no_space_in_shared_memory(posix_name):
    """More than the machine has: refused, and nothing is left."""
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


def test_posix_goes_with_its_last_user(posix_name):
    address, path = f"posix:/{posix_name}", SHM / posix_name
    producer = publish(address)
    one, two = Surface(address), Surface(address)
    one.close()
    assert path.exists()
    producer.close()
    assert path.exists()  # somebody still looks
    assert (two.frame(pixels="bgrx") == 1).all()
    view = two.view()
    two.close()
    assert not path.exists()
    assert (view == 1).all()


def test_posix_goes_with_its_producer_when_nobody_looks(posix_name):
    publish(f"posix:/{posix_name}").close()
    assert not (SHM / posix_name).exists()


def test_what_nobody_refers_to_is_as_good_as_closed(posix_name):
    path = SHM / posix_name
    producer = publish(f"posix:/{posix_name}", 5)
    consumer = Surface(f"posix:/{posix_name}")
    view = consumer.view()
    other = Surface(f"posix:/{posix_name}")
    del producer
    with pytest.raises(ProducerGoneError, match="died"):
        other.wait()
    del other
    gc.collect()  # the error's traceback refers to it in a circle
    assert path.exists()
    del consumer
    assert not path.exists()
    assert (view == 5).all()


def test_a_forked_child_takes_nothing_with_it(posix_name):
    path = SHM / posix_name
    assert no_notifiers()  # forking beside threads is warned of, and a warning is an error
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


def test_posix_of_another_is_left_alone(posix_name):
    (SHM / posix_name).write_bytes(b"theirs")
    for call in (
        lambda: SurfaceProducer.create(f"posix:/{posix_name}", capacity=CAPACITY),
        lambda: Surface(f"posix:/{posix_name}"),
    ):
        with pytest.raises((ConflictError, FormatError)):
            call()
    memory.sweep()
    assert (SHM / posix_name).read_bytes() == b"theirs"


def test_posix_without_a_name_until_whole(posix_name):
    before = set(SHM.iterdir())
    segment = memory.create(f"posix:/{posix_name}", 8192)
    assert set(SHM.iterdir()) == before
    segment.close()
    assert set(SHM.iterdir()) == before


def test_sweep_spares_what_is_used(posix_name):
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
def test_posix_names(name):
    with pytest.raises(ConflictError):
        memory.create(f"posix:{name}", 4096)


# ---- System V


def test_sysv_goes_with_its_last_user():
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
    assert len(sysv_rows(number)) == 1  # the array still does
    assert (view == 4).all()
    del view
    assert not sysv_rows(number)
    with pytest.raises(OSError):
        Surface(f"sysv:{number}")


def test_sysv_is_asked_for_more_than_there_can_be():
    """The real limit, which leaves no size that a request could exceed on many machines."""
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
def test_sysv_limits_are_named_before_the_system_is_asked(monkeypatch, limits, name):
    monkeypatch.setattr(sysv, "_limit", small(**limits))
    monkeypatch.setattr(sysv, "segment_create", lambda *a: pytest.fail("the system was asked"))
    with pytest.raises(LimitError) as caught:
        SurfaceProducer.create("sysv:", capacity=CAPACITY)
    error = caught.value
    assert error.limit == name
    assert error.value == next(iter(limits.values()))
    assert error.asked > error.value
    assert name in str(error) and "sysctl" in str(error) and "posix:" in str(error)


def test_sysv_request_that_the_system_refuses_leaves_nothing():
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
def test_addresses_that_lead_nowhere(address):
    with pytest.raises(ConflictError):
        Surface(address)


@pytest.mark.parametrize("address", ["sysv:5", "fd:5"])
def test_addresses_that_cannot_be_made(address):
    with pytest.raises(ConflictError):
        SurfaceProducer.create(address, capacity=CAPACITY)


def test_a_descriptor_by_number():
    with publish("memfd:", 6) as producer:
        number = producer.memory.fileno()
        with Surface(f"fd:{number}") as surface:
            assert (surface.frame(pixels="bgrx") == 6).all()
        os.fstat(number)  # still the producer's own


def test_descriptors_are_given_back(tmp_path, posix_name):
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


def test_a_hostile_file_is_refused_with_what_was_found(tmp_path):
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
        thread.join(10)  # ends by itself once nobody waits
    return not notifiers()


async def test_one_thread_per_surface_however_many_wait():
    assert no_notifiers()  # of the tests before

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


def test_threads_wait_without_helpers():
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
