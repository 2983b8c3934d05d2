from __future__ import annotations

import logging
import os
import queue
import threading

import numpy as np
import pytest
from support.fake_display import FakeQemu, memfd

from kju.sources.base import Need, Phase
from kju.sources.display1 import messages
from kju.sources.display1.source import (
    MAX_UNSENT,
    Channel,
    Display1Source,
    received_fds,
    socket_pair,
)
from kju.surface import State, surface_size
from kju.surface.producer import Producer

CAPACITY = 1 << 20


def picture(width: int, height: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


class Rig:
    def __init__(self, maps: bool = True) -> None:
        ours, theirs = socket_pair()
        memory = np.zeros(surface_size(CAPACITY), np.uint8)
        self.producer = Producer.format(memory.data, CAPACITY, incarnation=7)
        self.statuses: queue.Queue = queue.Queue()
        self.source = Display1Source(ours, self.producer, self.statuses.put, maps=maps)
        self.qemu = FakeQemu(theirs)

    def status(self, wanted):
        while True:
            status = self.statuses.get(timeout=60)
            if wanted(status):
                return status

    def shows(self, image: np.ndarray) -> bool:
        assert self.source.flush(20)
        pixels = self.producer.pixels
        return pixels.shape == image.shape and bool((pixels[..., :3] == image[..., :3]).all())


@pytest.fixture(params=[True], ids=["maps"])
def rig(request):
    rig = Rig(request.param)
    rig.source.start()
    rig.qemu.authenticate()
    yield rig
    rig.source.stop()
    rig.qemu.sock.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_bytes_are_published(rig):
    image = picture(100, 50, 1)
    assert rig.qemu.ask(rig.qemu.calls.scanout(100, 50, image.tobytes())).kind == 2
    assert rig.shows(image)
    assert rig.status(lambda s: s.name == "display1-copy").reason.startswith("QEMU sends bytes")


def test_shared_memory_is_published(rig):
    image = picture(100, 50, 1)
    fd = memfd(image.tobytes())
    before = descriptors()
    assert rig.qemu.ask(rig.qemu.calls.scanout_map(100, 50), fd).kind == 2
    assert rig.shows(image)
    image[7:9, 50:60] = 3
    os.pwrite(fd, image.tobytes(), 0)
    rig.qemu.ask(rig.qemu.calls.update_map(50, 7, 10, 2))
    assert rig.shows(image)
    assert rig.source.status.name == "display1-map"
    assert rig.source.status.reason == ""
    assert descriptors() == before
    os.close(fd)


def test_large_messages_are_read_whole(rig):
    image = picture(512, 500, 1)
    rig.qemu.ask(rig.qemu.calls.scanout(512, 500, image.tobytes()))
    assert rig.shows(image)


def test_answer_is_sent_before_the_work(rig):
    image = picture(64, 64, 1)
    fd = memfd(image.tobytes())
    rig.qemu.ask(rig.qemu.calls.scanout_map(64, 64), fd)
    working, go_on = threading.Event(), threading.Event()
    rig.source._submit(lambda: (working.set(), go_on.wait(20)))
    assert working.wait(20)
    calls = rig.qemu.calls
    rig.qemu.send(calls.scanout_map(64, 64), fd)
    go_on.set()
    assert rig.qemu.ask(calls.bytes(messages.call("/", messages.PEER, "Ping"))).kind == 2
    os.close(fd)


def test_invalid_messages_are_rejected_logged_and_survived(rig, caplog):
    caplog.set_level(logging.WARNING)
    before = descriptors()
    for _ in range(100):
        assert rig.qemu.ask(rig.qemu.calls.listener("MouseSet", "iii", 1 << 30, 0, 0)).kind == 3
        fd = memfd(b"short")
        rig.qemu.ask(rig.qemu.calls.scanout_map(640, 480), fd)
        os.close(fd)
    image = picture(64, 64, 1)
    rig.qemu.ask(rig.qemu.calls.scanout(64, 64, image.tobytes()))
    assert rig.shows(image)
    assert rig.source.mistakes == 200
    assert len(caplog.records) == 8  # 1, 2, 4, ... 128
    assert descriptors() == before


def test_broken_stream_ends_the_source(rig):
    rig.qemu.send(b"\0" * 64)
    status = rig.status(lambda s: s.phase == Phase.ENDED)
    assert "starts with byte" in status.reason
    assert not rig.source.flush(1)


def test_disconnect_ends_the_source_and_keeps_the_picture(rig):
    image = picture(64, 64, 1)
    rig.qemu.ask(rig.qemu.calls.scanout(64, 64, image.tobytes()))
    rig.qemu.sock.close()
    assert rig.status(lambda s: s.phase == Phase.ENDED).reason == "QEMU has hung up"
    assert (rig.producer.pixels[..., :3] == image[..., :3]).all()


def test_needs_are_reported(rig):
    rig.qemu.ask(rig.qemu.calls.scanout(1000, 400, bytes(1000 * 400 * 4)))
    status = rig.status(lambda s: s.need == Need.LARGER)
    assert status.needed >= 1000 * 400 * 4
    rig.qemu.ask(rig.qemu.calls.scanout(64, 64, bytes(64 * 64 * 4)))
    rig.status(lambda s: s.need == Need.NOTHING)
    rig.qemu.ask(rig.qemu.calls.update((0, 0, 720, 16), bytes(720 * 16 * 4)))
    rig.status(lambda s: s.need == Need.REGISTER)


def test_retarget_publishes_in_the_next_surface(rig):
    image = picture(64, 64, 1)
    rig.qemu.ask(rig.qemu.calls.scanout(64, 64, image.tobytes()))
    memory = np.zeros(surface_size(CAPACITY), np.uint8)
    rig.producer = Producer.format(memory.data, CAPACITY, incarnation=8)
    rig.source.retarget(rig.producer)
    assert rig.shows(image)


def test_paused_machine_is_never_live(rig):
    states = []
    set_state = rig.producer.set_state
    rig.producer.set_state = lambda state, reason="": (states.append(state), set_state(state))
    rig.source.set_paused(True)
    assert rig.source.flush(20)  # its thread may read the socket before its requests
    rig.qemu.ask(rig.qemu.calls.scanout(64, 64, picture(64, 64, 1).tobytes()))
    assert rig.shows(picture(64, 64, 1))
    assert set(states) == {State.PAUSED}
    rig.source.set_paused(False)
    rig.source.flush(20)
    assert states[-1] == State.LIVE


def test_continuous_stream_is_published(rig):
    image = picture(64, 64, 1)
    rig.qemu.ask(rig.qemu.calls.scanout(64, 64, image.tobytes()))
    fd = memfd(bytes(64 * 64 * 4), "virtio-gpu res")
    rig.qemu.ask(rig.qemu.calls.scanout_map(64, 64), fd)
    stop = threading.Event()
    storm = rig.qemu.calls.update_map(0, 0, 64, 64)

    def pour() -> None:
        while not stop.is_set():
            rig.qemu.sock.sendall(storm)

    def drink() -> None:
        try:
            while rig.qemu.sock.recv(65536):
                pass
        except OSError:
            pass

    threads = [threading.Thread(target=pour), threading.Thread(target=drink, daemon=True)]
    for thread in threads:
        thread.start()
    try:
        assert rig.shows(np.zeros((64, 64, 4), np.uint8))
    finally:
        stop.set()
        threads[0].join()
        os.close(fd)


def test_stop_before_start_closes_everything():
    before = descriptors()
    rig = Rig()
    rig.source.stop()
    rig.source.stop()
    rig.qemu.sock.close()
    assert descriptors() == before


def test_stop_while_qemu_does_not_answer():
    before = descriptors()
    rig = Rig()
    rig.source.start()
    rig.source.stop()
    rig.qemu.sock.close()
    assert rig.source.status.phase == Phase.ENDED
    assert descriptors() == before


@pytest.mark.parametrize("answer", [b"REJECTED EXTERNAL\r\n", b"\xff" * 9000, b"OK x\r\nERROR\r\n"])
def test_rejected_authentication_ends_the_source(answer):
    rig = Rig()
    rig.source.start()
    rig.qemu.sock.sendall(answer)
    assert rig.status(lambda s: s.phase == Phase.ENDED).reason
    rig.source.stop()
    rig.qemu.sock.close()


def test_peer_that_does_not_read_its_answers_is_disconnected():
    ours, theirs = socket_pair()
    ours.setblocking(False)
    channel = Channel(ours)
    with pytest.raises(Exception, match="does not read"):
        for _ in range(10000):
            channel.send(bytes(1000))
    assert len(channel._unsent) <= MAX_UNSENT + 1000
    ours.close()
    theirs.close()


def test_descriptors_of_a_message_are_not_inherited(rig, monkeypatch):
    inherited = []

    def note(ancillary):
        fds = received_fds(ancillary)
        inherited.extend(os.get_inheritable(fd) for fd in fds)
        return fds

    monkeypatch.setattr("kju.sources.display1.source.received_fds", note)
    fd = memfd(picture(64, 64, 1).tobytes())
    rig.qemu.ask(rig.qemu.calls.scanout_map(64, 64), fd)
    os.close(fd)
    assert inherited == [False]
