"""Producers and consumers as processes: equal at the end, and kills of either."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from support.wait import until

import kju
from kju import memory
from kju.client.surface import Surface
from kju.memory import SurfaceProducer, sysv

SHM = Path("/dev/shm")
#: Seconds, less than the 30 of a wait: a missed death is noticed only after that.
MISSED = 20


def test_every_consumer_ends_equal(actor, address):
    """The producer draws as fast as it can, and changes modes during copies."""
    producer = actor("produce", address, 7, 1500)
    where = producer.hear()["ready"]
    mirrors = [actor("mirror", where, form) for form in ("sync", "sync", "async")]
    for mirror in mirrors:
        assert mirror.hear()["ready"]
    producer.go()
    made = producer.hear()
    for mirror in mirrors:
        held = mirror.hear()
        assert held["error"] == "ProducerGoneError" and "closed" in held["text"]
        assert held["result"] == made["result"]
        assert held["looks"] > 1


def test_stopped_consumer_does_not_delay_the_producer_and_ends_equal(actor, tmp_path):
    """A consumer that was stopped all the time takes the newest pixels."""
    producer = actor("produce", tmp_path / "screen", 3, 1000)
    where = producer.hear()["ready"]
    mirror = actor("mirror", where, "sync")
    assert mirror.hear()["ready"]
    mirror.process.send_signal(signal.SIGSTOP)
    producer.go()
    made = producer.hear()
    mirror.process.send_signal(signal.SIGCONT)
    held = mirror.hear()
    assert held["result"] == made["result"]


@pytest.mark.parametrize("who", ["killed", "stopped and killed", "exits"])
def test_death_of_the_producer_ends_every_wait(actor, address, who):
    producer = actor("publish_and_stay", address, 5)
    where = producer.hear()["ready"]
    waiting = [actor("wait_for_the_end", where, 5) for _ in range(3)]
    for one in waiting:
        assert one.hear()["ready"]
    if who == "stopped and killed":
        producer.process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    if who == "exits":
        producer.kill(signal.SIGTERM)  # without closing its surface
    else:
        producer.kill()
    for one in waiting:
        assert one.hear()["ends"] == ["ProducerGoneError"] * 5
    assert time.monotonic() - begun < MISSED
    for one in waiting:
        assert one.end() == 0


def test_last_frame_of_a_killed_producer_can_be_read(actor, tmp_path):
    path = tmp_path / "screen"
    producer = actor("publish_and_stay", path, 77)
    producer.hear()
    producer.kill()
    with Surface(path) as surface:
        assert (surface.frame(consistent=True, pixels="bgrx") == 77).all()
        surface.screenshot(tmp_path / "last.png")
    memory.sweep()
    assert path.exists()  # named files stay
    with SurfaceProducer.create(path, capacity=4096) as again:  # and a new producer may reuse them
        assert again.mode.epoch == 0


def remains(address):
    """Return the files and segments that a dead surface left."""
    if address.startswith("posix:"):
        path = SHM / address.removeprefix("posix:/")
        return [path] if path.exists() else []
    if address.startswith("sysv:"):
        number = int(address.removeprefix("sysv:"))
        return [row for row in sysv._table() if row[1] == number]
    return []


def swept(address):
    """Sweep; return whether nothing is left. The sweep of another process may still be at work."""
    memory.sweep()
    return not remains(address)


def names_left(address):
    """Return the names in shared memory that begin with the one of *address*."""
    name = address.removeprefix("posix:/")
    return [p.name for p in SHM.iterdir() if p.name.startswith(name)] if name != address else []


def test_sweep_removes_the_surface_of_killed_processes(actor, address):
    for _ in range(5):
        producer = actor("publish_and_stay", address, 1)
        where = producer.hear()["ready"]
        consumers = [actor("hold", where) for _ in range(2)]
        for consumer in consumers:
            assert consumer.hear()["ready"]
        for one in (producer, *consumers):
            one.kill()
        until(partial(swept, where), "the surface is removed")
    assert not names_left(address)


def test_kill_of_consumers_leaves_the_surface(actor, address):
    producer = actor("publish_and_stay", address, 1)
    where = producer.hear()["ready"]
    consumers = [actor("hold", where) for _ in range(4)]
    for consumer in consumers:
        assert consumer.hear()["ready"]
        consumer.kill()
    memory.sweep()
    last = actor("hold", where)  # the surface still exists
    assert last.hear()["ready"]
    last.go()
    assert last.hear()["value"] == 1
    assert last.end() == 0
    producer.go()
    assert producer.end() == 0
    assert not remains(where)


def test_kill_during_the_creation_leaves_nothing(actor, address, tmp_path):
    """Kill at every step from no surface to a published picture."""
    for delay in range(12):
        one = actor("produce", address, 1, 10**6)
        if delay < 6:
            deadline = time.monotonic() + 30
            while "python" not in os.readlink(f"/proc/{one.pid}/exe"):
                assert time.monotonic() < deadline
            time.sleep(0.02 * delay)  # the delay chooses the step
            one.kill()
        else:
            where = one.hear()["ready"]
            one.go()
            one.kill()
            until(partial(swept, where), "the surface is removed")
    memory.sweep()
    assert not names_left(address)
    assert {p.name for p in tmp_path.iterdir()} <= {"screen"}


def test_hundred_random_kills_leave_nothing(actor, address, tmp_path):
    """Every reader gets an error, and the next command removes what was left."""
    result = actor("kill_producers", address, 100, 1).hear()
    assert result["left"] == []
    assert result["gone"] == result["looked"]
    assert result["looked"] > 10 or address in ("sysv:", "memfd:")
    assert result["descriptors"] == []
    SurfaceProducer.create(address, capacity=4096).close()
    assert {p.name for p in tmp_path.iterdir()} <= {"screen"}


def test_copies_are_exact_under_sixty_full_frames_a_second(actor):
    producer = actor("full_frames", "memfd:", 150)
    where = producer.hear()["ready"]
    consumer = actor("exact", where, 50)
    assert consumer.hear()["ready"]
    producer.go()
    version = producer.hear()["version"]
    result = consumer.hear()
    assert version > 140
    assert result["copies"] >= 50 and result["wrong"] == 0
    assert result["versions"] > 10


def test_surface_on_a_full_disk_is_a_limit_error(actor, tmp_path):
    """The child has a mount namespace with a file system of four megabytes."""
    script = tmp_path / "full.py"
    script.write_text(
        "import os, sys\n"
        "import numpy as np\n"
        "from kju.errors import LimitError\n"
        "from kju.client.surface import Surface\n"
        "from kju.memory import SurfaceProducer\n"
        "where = sys.argv[1]\n"
        "producer = SurfaceProducer.create(where + '/screen', capacity=64 << 20, max_side=4096)\n"
        "producer.set_mode(64, 64, source=np.full((64, 64, 4), 9, np.uint8))\n"
        "try:\n"
        "    producer.set_mode(2048, 2048)\n"
        "except LimitError as error:\n"
        "    assert error.value < error.asked, error\n"
        "else:\n"
        "    raise SystemExit('there was space')\n"
        "assert (Surface(where + '/screen').frame() == 9).all()\n"
        "producer.set_mode(32, 32)\n"
        "producer.close()\n"
        "print('refused')\n"
    )
    where = tmp_path / "small"
    where.mkdir()
    unshare = shutil.which("unshare")
    mount = f"mount -t tmpfs -o size=4m none {where}"
    allowed = unshare and subprocess.run(
        [unshare, "-m", "sh", "-c", mount], capture_output=True, check=False
    )
    if not allowed or allowed.returncode:
        pytest.skip("this user cannot mount file systems")
    command = shlex.join([sys.executable, str(script), str(where)])
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", f"{mount} && exec {command}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(kju.__file__).parents[1])},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
