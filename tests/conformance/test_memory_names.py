"""Names of surfaces in POSIX and System V memory: made, shared and removed; addresses."""

import gc
import os

import pytest
from support.surfaces import CAPACITY, SHM, no_notifiers, publish

from kju import memory
from kju.client.surface import Surface
from kju.errors import (
    ConflictError,
    FormatError,
    GeometryError,
    LimitError,
    ProducerGoneError,
    WaitTimeoutError,
)
from kju.memory import SurfaceProducer, sysv


def sysv_rows(number):
    return [row for row in sysv._table() if row[1] == number]


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
