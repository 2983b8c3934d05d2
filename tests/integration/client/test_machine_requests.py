"""Requests to a host: many at once, cancelled, late; hostile hosts and clients."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import threading
from pathlib import Path

import pytest
from support.fake_host import FakeHost
from support.halves import Api
from support.wait import until, until_async

import kju
import kju.aio
from kju.client.aio.link import AsyncLink
from kju.client.link import Link
from kju.errors import (
    ClosedError,
    MachineError,
    MachineGoneError,
    PeerError,
    WaitTimeoutError,
)
from kju.host.control import MAX_REQUESTS
from kju.protocol import messages
from kju.protocol.framing import ClientSide, HostSide, pack
from kju.protocol.launch_options import Launch
from kju.store.running import connect

pytestmark = pytest.mark.usefixtures("runtime_folder")


def test_late_answer_is_dropped(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    with pytest.raises(WaitTimeoutError):
        api(machine._link.call, messages.Refresh(), 0.05)
    host.machine.block.set()
    api(machine.info)
    api(machine.close)


def test_descriptors_are_not_leaked(api: Api, host: FakeHost) -> None:
    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    api(api(api.module.attach, "fake").close)
    until(lambda: all(c.closed for c in host.server.clients))
    before = opened()
    for _ in range(20):
        machine = api(api.module.attach, "fake")
        api(machine.screen.frame)
        api(machine.close)
    until(lambda: all(c.closed for c in host.server.clients))
    assert opened() <= before


async def test_asyncio_requests_can_be_cancelled(host: FakeHost) -> None:
    machine = await kju.aio.attach("fake")
    task = asyncio.create_task(machine.screen.refresh())
    await machine.info()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    host.machine.block.set()
    for _ in range(3):
        await machine.info()
    await machine.close()


def test_requests_of_threads_do_not_wait_for_each_other(host: FakeHost) -> None:
    machine = kju.attach("fake")
    slow = threading.Thread(target=machine.screen.refresh)
    slow.start()
    done: list[int] = []

    def ask() -> None:
        for _ in range(50):
            assert machine.info()["name"] == "fake"
        done.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(done) == 4
    assert slow.is_alive()
    host.machine.block.set()
    slow.join(5)
    assert not slow.is_alive()
    machine.close()


def test_close_ends_waiting_requests(host: FakeHost) -> None:
    machine = kju.attach("fake")
    caught: list[BaseException] = []
    screen = machine.screen

    def ask() -> None:
        try:
            screen.refresh()
        except ClosedError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: machine._link._reading)
    machine.close()
    thread.join(5)
    assert caught


def test_consistent_frames_hold_the_producer(host: FakeHost) -> None:
    machine = kju.attach("fake")
    with machine.screen._origin.hold():
        assert host.machine.holds == 1
    machine.close()
    watcher = kju.attach("fake", "view")
    assert watcher.screen._origin.hold() is None
    watcher.close()


def test_garbage_ends_only_its_connection(host: FakeHost) -> None:
    machine = kju.attach("fake")
    rng = random.Random(1)
    hello = pack(messages.Hello(role="control"))
    for number in range(200):
        sock = connect(host.machine.claim.paths, "fake")
        with sock:
            sock.settimeout(5)
            data = rng.randbytes(rng.randrange(1, 200))
            try:
                sock.sendall((hello if number % 2 else b"") + data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert machine.info()["name"] == "fake"
    until(lambda: sum(not c.closed for c in host.server.clients) == 1)
    machine.close()


def test_client_that_does_not_read_is_disconnected(host: FakeHost) -> None:
    sock = connect(host.machine.claim.paths, "fake")
    with sock:
        sock.settimeout(10)
        frame = pack(messages.Hello(role="control"))
        try:
            sock.sendall(frame)
            for _ in range(2000):
                sock.sendall(pack(messages.GetInfo()) * 100)
        except OSError:
            pass
        until(lambda: all(c.closed for c in host.server.clients))


def test_descriptors_from_a_client_are_closed(host: FakeHost) -> None:
    machine = kju.attach("fake")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with connect(host.machine.claim.paths, "fake") as sock:
            socket.send_fds(sock, [pack(messages.Hello())], [0, 0, 0])
            sock.settimeout(5)
            sock.recv(4096)
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    machine.close()


def test_invalid_reply_of_a_host_is_an_error(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    link = Link(ours, "bad")
    with theirs:
        socket.send_fds(theirs, [b"\x0d\0\0\0" + b"\1" + bytes(7) + b"hello"], [0])
        with pytest.raises(MachineGoneError, match="no valid reply"):
            link.ask(messages.Hello(), messages.Welcome)
    link.close()


def test_two_hundred_concurrent_requests_of_threads_are_answered(host: FakeHost) -> None:
    machine = kju.attach("fake")
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda: done.append(machine.screen.refresh())) for _ in range(200)
    ]
    for thread in threads:
        thread.start()
    until(lambda: host.machine.waiting >= 16)
    host.machine.block.set()
    for thread in threads:
        thread.join(20)
    assert len(done) == 200
    machine.close()


async def test_two_hundred_concurrent_requests_of_asyncio_are_answered(host: FakeHost) -> None:
    async with await kju.aio.attach("fake") as machine:
        refreshing = [asyncio.create_task(machine.screen.refresh()) for _ in range(200)]
        while host.machine.waiting < 16:
            await asyncio.sleep(0)
        host.machine.block.set()
        assert len(await asyncio.gather(*refreshing)) == 200
        chords = [machine.keyboard.chord("a") for _ in range(200)]
        await asyncio.gather(*chords)
    assert len(host.machine.steps) == 400


def test_requests_over_the_hosts_limit_are_queued_and_answered(host: FakeHost) -> None:
    with connect(host.machine.claim.paths, "fake") as sock:
        sock.settimeout(10)
        requests = b"".join(pack(messages.Refresh(), number) for number in range(2, 1002))
        sock.sendall(pack(messages.Hello(), 1) + requests)
        until(lambda: host.machine.waiting == MAX_REQUESTS)
        host.machine.block.set()
        side = ClientSide()
        side._open = set(range(1, 1002))
        answered = 0
        while answered < 1001:
            answered += len(side.receive_data(sock.recv(65536)))


def test_disconnect_is_noticed_with_requests_in_the_queue(host: FakeHost) -> None:
    with connect(host.machine.claim.paths, "fake") as sock:
        requests = b"".join(pack(messages.Refresh(), number) for number in range(2, 502))
        sock.sendall(pack(messages.Hello(client="many"), 1) + requests)
        until(lambda: host.machine.waiting == MAX_REQUESTS)
    until(lambda: host.machine.gone == ["many"])
    until(lambda: host.machine.waiting == 0)


async def test_request_of_a_cancelled_task_gets_its_own_answer(host: FakeHost) -> None:
    async def ask(machine: kju.aio.Machine) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            _, (descriptor,) = await machine._link.call(messages.GetSurface())
            os.close(descriptor)

    async with await kju.aio.attach("fake") as machine:
        task = asyncio.create_task(ask(machine))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_descriptors_that_arrive_at_the_timeout_are_closed() -> None:
    ours, theirs = socket.socketpair()
    link = AsyncLink(ours, "late")
    before = len(os.listdir("/proc/self/fd"))
    call = asyncio.create_task(link.call(messages.GetSurface(), 0.01))
    await asyncio.sleep(0)
    reply = messages.SurfaceHandle(descriptors=1, console=0, size=1)
    socket.send_fds(theirs, [pack(reply, 1)], [0])
    # The answer and the timeout are ready at the loop's next turn.
    late = link._loop.time() + 0.02
    while link._loop.time() < late:
        pass
    with pytest.raises(WaitTimeoutError):
        await call
    assert len(os.listdir("/proc/self/fd")) == before
    link.close()
    theirs.close()


async def test_partly_sent_request_is_finished_although_its_call_is_cancelled() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    link = AsyncLink(ours, "slow")
    large = Launch(arguments=["x" * 100_000] * 8)
    first = asyncio.create_task(link.call(large))
    await asyncio.sleep(0)
    first.cancel()
    second = asyncio.create_task(link.call(messages.GetInfo()))
    third = asyncio.create_task(link.call(messages.GetInfo()))
    side, got = HostSide(launch=True), []
    while len(got) < 4:
        got += side.receive_data(await link._loop.sock_recv(theirs, 65536))
    assert got[0].request == large
    kinds = [type(request) for _, request in got[1:]]
    assert kinds == [messages.Cancel, messages.GetInfo, messages.GetInfo]
    link.close()
    for task in (second, third):
        with pytest.raises(ClosedError):
            await task
    theirs.close()


def test_request_that_timed_out_is_cancelled_at_the_host(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    with pytest.raises(WaitTimeoutError):
        api(machine._link.call, messages.Refresh(), 0.02)
    api(machine.info)
    until(lambda: host.machine.waiting == 0)
    api(machine.info)
    assert not machine._link._side._open
    api(machine.close)


async def test_queued_requests_are_cancelled_too(host: FakeHost) -> None:
    async with await kju.aio.attach("fake") as machine:
        tasks = [asyncio.create_task(machine.screen.refresh()) for _ in range(MAX_REQUESTS + 9)]
        while host.machine.waiting < MAX_REQUESTS:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await machine.info()
        open_requests = machine._link._side._open
        await until_async(lambda: not host.machine.waiting and not open_requests, "no request")


def test_error_names_a_machine_that_does_not_end(
    api: Api, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kju.client.machine.END", 0.01)
    monkeypatch.setattr("kju.client.aio.machine.END", 0.01)
    machine = api(api.module.attach, "fake")
    with pytest.raises(MachineError, match="has not ended") as caught:
        api(machine.stop)
    assert caught.value.name == "fake"
    api(machine.close)


def test_protocol_error_is_reported_to_the_client(api: Api, host: FakeHost) -> None:
    machine = api(api.module.attach, "fake")
    machine._link._sock.send(pack(messages.Hello(), 2))
    with pytest.raises(PeerError, match="sent Hello twice"):
        api(machine.info)
    assert "sent Hello twice" in machine.end_reason
    api(machine.close)


def test_rejected_client_gets_the_reason(
    api: Api, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kju.host.control.MAX_CLIENTS", 0)
    with pytest.raises(PeerError, match="0 clients already"):
        api(api.module.attach, "fake")
