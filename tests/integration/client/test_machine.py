"""The client against a host without QEMU: one suite for threads and asyncio."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.fake_host import FakeHost, fake_host
from support.wait import until

import kju
import kju.aio
from kju.client.aio.link import AsyncLink
from kju.client.link import Link
from kju.client.targets import running_names
from kju.errors import (
    ClosedError,
    ConflictError,
    GeometryError,
    MachineError,
    MachineGoneError,
    MachineNotFoundError,
    PeerError,
    ProducerGoneError,
    RoleError,
    UsageError,
    WaitTimeoutError,
)
from kju.host.control import MAX_REQUESTS
from kju.memory import SurfaceProducer
from kju.protocol import messages
from kju.protocol.framing import ClientSide, HostSide, pack
from kju.protocol.launch_options import Launch
from kju.store.running import connect
from kju.surface import State

pytestmark = pytest.mark.usefixtures("runtime_folder")


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[FakeHost]:
    with fake_host() as running:
        yield running


class Api:
    """`kju` or `kju.aio` behind one call that returns finished results."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.loop = asyncio.new_event_loop() if module is kju.aio else None

    def __call__(self, result: Any) -> Any:
        if self.loop is None:
            return result
        assert inspect.isawaitable(result)
        return self.loop.run_until_complete(result)


@pytest.fixture(params=["kju", "kju.aio"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    made = Api(kju if request.param == "kju" else kju.aio)
    if made.loop is None:
        yield made
        return

    async def in_loop() -> None:
        """Run a constructor that needs the running loop."""

    made.loop.run_until_complete(in_loop())
    yield made
    made.loop.close()


def call(api: Api, function: Any, *args: Any, **named: Any) -> Any:
    """Call a function that may need a running loop."""
    if api.loop is None:
        return function(*args, **named)

    async def inside() -> Any:
        result = function(*args, **named)
        return await result if inspect.isawaitable(result) else result

    return api.loop.run_until_complete(inside())


def test_attach_reads_pixels_and_types(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    assert (machine.name, machine.role, machine.owned) == ("fake", "control", False)
    assert len(machine.screens) == 1
    host.machine.producer.pixels[:] = 7
    host.machine.producer.publish([(0, 0, 64, 48)])
    assert np.all(call(api, machine.screen.frame, pixels="bgrx") == 7)
    assert call(api, machine.info) == {"name": "fake"}
    call(api, machine.keyboard.chord, "ctrl-c")
    call(api, machine.keyboard.type, "A")
    call(api, machine.keyboard.press, "f1", 28)
    call(api, machine.keyboard.release, "f1")
    assert host.machine.steps == [
        (29, True), (46, True), (46, False), (29, False),
        (42, True), (30, True), (30, False), (42, False),
        (59, True), (28, True), (59, False),
    ]  # fmt: skip
    call(api, machine.close)
    until(lambda: host.machine.gone)
    with pytest.raises(ClosedError):
        call(api, machine.info)


def test_invalid_typing_sends_no_key(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    for work in (
        lambda: machine.keyboard.type("abc→"),
        lambda: machine.keyboard.chord("ctrl-c", "nokey"),
        lambda: machine.keyboard.press("a", "nokey"),
        lambda: machine.keyboard.press("a", 300),
    ):
        with pytest.raises(UsageError):
            call(api, work)
    call(api, machine.info)
    assert host.machine.steps == []
    call(api, machine.close)


def test_long_text_is_typed_whole_and_in_order(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    text = "kju " * 500
    call(api, machine.keyboard.type, text, interval=0)
    downs = [key for key, down in host.machine.steps if down]
    assert len(downs) == len(text)
    assert downs[:4] == [37, 36, 22, 57]
    call(api, machine.close)


def test_view_role_reads_and_cannot_control(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake", "view")
    for work in (lambda: machine.keyboard.press("a"), machine.powerdown, machine.stop):
        with pytest.raises(RoleError):
            call(api, work)
    call(api, machine.screen.frame)
    call(api, machine.close)
    with pytest.raises(UsageError, match="role"):
        call(api, api.module.attach, "fake", "admin")


def test_unknown_machine_is_an_error(api: Api) -> None:
    with pytest.raises(
        MachineNotFoundError, match="start it: kju run --detach --name nobody IMAGE"
    ):
        call(api, api.module.attach, "nobody")
    with pytest.raises(UsageError):
        call(api, api.module.attach, "../etc")
    assert running_names() == []


def test_unexpected_error_in_the_host_is_answered(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    with pytest.raises(kju.KjuError, match="its log has the details"):
        call(api, machine._link.ask, messages.Refresh(console=15), messages.Done)
    call(api, machine.info)
    call(api, machine.close)


def test_end_of_a_machine_has_its_reason(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    screen = machine.screen
    host.say(messages.Ended(reason="QEMU was killed by SIGKILL", status=-9, log=["oh", "no"]))
    host.end()
    assert call(api, machine.wait_ended, timeout=60)
    assert "SIGKILL" in machine.end_reason
    assert "oh | no" in machine.end_reason
    with pytest.raises(MachineGoneError, match="SIGKILL"):
        call(api, machine.info)
    with pytest.raises(ProducerGoneError, match="SIGKILL"):
        call(api, screen.wait, timeout=60)
    call(api, machine.stop)
    call(api, machine.close)


def test_loss_of_the_host_is_noticed(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    screen = machine.screen
    host.loop.call_soon_threadsafe(lambda: [c.close("test") for c in host.server.clients])
    with pytest.raises(ProducerGoneError, match="closed the connection"):
        call(api, screen.wait, timeout=60)
    call(api, machine.close)


def test_larger_surface_is_followed(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    screen = machine.screen
    old = host.machine.producer
    host.machine.producer = new = SurfaceProducer.create("memfd:fake", capacity=1 << 22)
    new.set_mode(640, 480)
    old.close(State.SUPERSEDED)
    assert call(api, screen.frame).shape == (480, 640, 3)
    change = call(api, screen.wait, kju.Mark(0, 0, 0), timeout=60)
    assert change.everything
    call(api, machine.close)


def test_late_answer_is_dropped(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    with pytest.raises(WaitTimeoutError):
        call(api, machine._link.call, messages.Refresh(), 0.05)
    host.machine.block.set()
    call(api, machine.info)
    call(api, machine.close)


def test_descriptors_are_not_leaked(api: Api, host: FakeHost) -> None:
    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    call(api, call(api, api.module.attach, "fake").close)
    until(lambda: all(c.closed for c in host.server.clients))
    before = opened()
    for _ in range(20):
        machine = call(api, api.module.attach, "fake")
        call(api, machine.screen.frame)
        call(api, machine.close)
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


def test_long_text_is_split_between_chords(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    call(api, machine.keyboard.type, "aB" * 100, interval=10)
    assert all(steps * interval <= 250 for steps, interval in host.machine.requests)
    assert sum(steps for steps, _ in host.machine.requests) == 600
    assert {steps % 6 for steps, _ in host.machine.requests} <= {0, 2, 4}
    host.machine.requests.clear()
    call(api, machine.keyboard.chord, "ctrl-alt-f2", "a", interval=100)
    assert host.machine.requests == [(6, 100), (2, 100)]
    call(api, machine.close)


@pytest.mark.parametrize("interval", [0, 1, 10, 100])
def test_shift_is_held_only_within_a_request(api: Api, host: FakeHost, interval: int) -> None:
    machine = call(api, api.module.attach, "fake")
    call(api, machine.keyboard.type, "HELLO " * 20, interval=interval)
    assert sum(steps for steps, _ in host.machine.requests) == len(host.machine.steps)
    at, down = 0, set()
    for steps, _ in host.machine.requests:
        for key, pressed in host.machine.steps[at : at + steps]:
            (down.add if pressed else down.remove)(key)
        assert down == set()
        at += steps
    presses = [key for key, pressed in host.machine.steps if pressed]
    letters = [35, 18, 38, 38, 24, 57]
    assert [key for key in presses if key != 42] == letters * 20
    assert presses.count(42) == 100 if interval == 100 else presses.count(42) < 50
    call(api, machine.close)


def test_layout_is_chosen_by_name(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    call(api, machine.keyboard.type, "z\u00e9@", layout="de")
    assert [key for key, down in host.machine.steps if down] == [21, 13, 18, 184, 16]
    with pytest.raises(UsageError, match="klingon"):
        call(api, machine.keyboard.type, "a", layout="klingon")
    call(api, machine.close)


def test_invalid_request_is_not_sent(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    for work in (
        lambda: machine.keyboard.chord("ctrl-c", interval=10_000),
        lambda: machine.keyboard.type("a", interval=-1),
        lambda: type(machine.keyboard)(machine._link, 99).press("a"),
    ):
        with pytest.raises(UsageError):
            call(api, work)
    call(api, machine.info)
    call(api, machine.close)


def test_request_that_timed_out_is_cancelled_at_the_host(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    with pytest.raises(WaitTimeoutError):
        call(api, machine._link.call, messages.Refresh(), 0.02)
    call(api, machine.info)
    until(lambda: host.machine.waiting == 0)
    call(api, machine.info)
    assert not machine._link._side._open
    call(api, machine.close)


async def test_queued_requests_are_cancelled_too(host: FakeHost) -> None:
    async with await kju.aio.attach("fake") as machine:
        tasks = [asyncio.create_task(machine.screen.refresh()) for _ in range(MAX_REQUESTS + 9)]
        while host.machine.waiting < MAX_REQUESTS:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await machine.info()
        while host.machine.waiting or machine._link._side._open:
            await asyncio.sleep(0)


def test_error_names_a_machine_that_does_not_end(
    api: Api, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kju.client.machine.END", 0.01)
    monkeypatch.setattr("kju.client.aio.machine.END", 0.01)
    machine = call(api, api.module.attach, "fake")
    with pytest.raises(MachineError, match="has not ended") as caught:
        call(api, machine.stop)
    assert caught.value.name == "fake"
    call(api, machine.close)


def test_protocol_error_is_reported_to_the_client(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    machine._link._sock.send(pack(messages.Hello(), 2))
    with pytest.raises(PeerError, match="sent Hello twice"):
        call(api, machine.info)
    assert "sent Hello twice" in machine.end_reason
    call(api, machine.close)


def test_rejected_client_gets_the_reason(
    api: Api, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kju.host.control.MAX_CLIENTS", 0)
    with pytest.raises(PeerError, match="0 clients already"):
        call(api, api.module.attach, "fake")


def test_boot_command_types_holds_and_waits(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    began = time.monotonic()
    call(api, machine.keyboard.boot_command, "<esc><wait50ms>aB<leftCtrlOn>c<leftAltOn><f1>")
    assert time.monotonic() - began >= 0.05
    assert host.machine.steps == [
        (1, True), (1, False),
        (30, True), (30, False), (42, True), (48, True), (48, False), (42, False),
        (29, True), (46, True), (46, False), (56, True), (59, True), (59, False),
        (56, False), (29, False),  # keys held at the end
    ]  # fmt: skip
    host.machine.steps.clear()
    for wrong in ("a<entr>", "a→"):
        with pytest.raises(UsageError):
            call(api, machine.keyboard.boot_command, wrong)
    call(api, machine.info)
    assert host.machine.steps == []
    call(api, machine.close)


async def test_cancelled_boot_command_releases_its_keys(host: FakeHost) -> None:
    async with await kju.aio.attach("fake") as machine:
        work = asyncio.create_task(machine.keyboard.boot_command("<leftShiftOn><wait1h>"))
        while not host.machine.steps:
            await asyncio.sleep(0.001)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert host.machine.steps == [(42, True), (42, False)]


def test_caps_lock_inverts_shift_for_letters(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    host.machine.lit = ["num", "caps"]
    lamps = call(api, machine.keyboard.lamps)
    assert lamps == (False, True, True)
    call(api, machine.keyboard.type, "aB1!")
    assert host.machine.steps == [
        (42, True), (30, True), (30, False), (42, False),  # "a" with shift
        (48, True), (48, False), (2, True), (2, False),  # "B" and "1" without
        (42, True), (2, True), (2, False), (42, False),  # "!" as usual
    ]  # fmt: skip
    host.machine.steps.clear()
    call(api, machine.keyboard.type, "\u00e9", layout="fr")
    lock = [(58, True), (58, False)]
    assert host.machine.steps == [*lock, (3, True), (3, False), *lock]
    host.machine.lit = None
    host.machine.steps.clear()
    call(api, machine.keyboard.type, "a")
    assert host.machine.steps == [(30, True), (30, False)]
    call(api, machine.close)


@pytest.mark.parametrize(
    ("text", "interval"), [("é\n", 10), ("é\n", None), ("é\n", 60), ("é" * 31 + "\n", None)]
)
def test_mark_is_from_before_the_last_character_when_caps_lock_is_toggled(
    api: Api, host: FakeHost, text: str, interval: int | None
) -> None:
    """In X11 a French keyboard cannot type é while caps lock is on."""
    enter, caps_lock = 0x1C, 0x3A
    machine = call(api, api.module.attach, "fake")
    host.machine.lit = ["caps"]
    mark = call(api, machine.keyboard.type, text, layout="fr", interval=interval)
    assert mark.version == host.machine.steps.index((enter, True))
    toggle = [(caps_lock, True), (caps_lock, False)]
    assert host.machine.steps[:2] == host.machine.steps[-2:] == toggle
    call(api, machine.close)


def test_caps_lock_inverts_shift_for_digits_of_some_layouts(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    host.machine.lit = ["caps"]
    call(api, machine.keyboard.type, "1", layout="bepo")
    assert host.machine.steps == [(2, True), (2, False)], "shift is inverted"
    call(api, machine.close)


@pytest.mark.parametrize(
    ("command", "before"),
    [
        ("<leftCtrlOn>c<leftCtrlOff>", 1),
        ("<leftCtrlOn>c", 1),
        ("x<leftCtrlOn><enter>", 3),
        ("<leftCtrlOn><leftAltOn><leftAltOff><leftCtrlOff>", 1),
        ("a<leftCtrlOn><leftCtrlOff>b<wait10ms>", 4),
        ("<leftCtrlOff>", 0),
    ],
)
def test_releases_do_not_move_the_mark_of_a_boot_command(
    api: Api, host: FakeHost, command: str, before: int
) -> None:
    machine = call(api, api.module.attach, "fake")
    mark = call(api, machine.keyboard.boot_command, command)
    assert (mark.version, mark.incarnation) == (before, 1)
    call(api, machine.close)


@pytest.mark.parametrize("area", [(4, 6, 8, 10), kju.Rect(4, 6, 8, 10), [4, 6, 8, 10]])
def test_area_may_be_a_tuple(api: Api, host: FakeHost, area: Any, tmp_path: Path) -> None:
    machine = call(api, api.module.attach, "fake")
    pixels = host.machine.producer.pixels
    pixels[:] = np.arange(pixels.size, dtype=np.uint64).reshape(pixels.shape) % 251
    mark = machine.screen.mark
    host.machine.producer.publish([(0, 0, 64, 48)])
    wanted = np.asarray(call(api, machine.screen.frame, pixels="bgrx"))[6:16, 4:12]
    assert np.array_equal(call(api, machine.screen.frame, area, pixels="bgrx"), wanted)
    assert np.array_equal(machine.screen.view(area), wanted)
    assert np.array_equal(call(api, machine.screen.frame, area, cursor=True, pixels="bgrx"), wanted)
    call(api, machine.screen.screenshot, tmp_path / "part.png", area)
    with Image.open(tmp_path / "part.png") as picture:
        assert picture.size == (8, 10)
    assert call(api, machine.screen.after, mark, region=area, timeout=60).rects
    consistent = call(api, machine.screen.frame, area, consistent=True, pixels="bgrx")
    assert np.array_equal(consistent, wanted)
    for wrong in ((1, 2, 3), "abcd", (0, 0, 1.5, 2)):
        for copy in (machine.screen.frame, machine.screen.view):
            with pytest.raises(GeometryError, match="x, y, width, height"):
                call(api, copy, wrong)
    with pytest.raises(GeometryError, match="leaves the 64x48 surface"):
        machine.screen.view((60, 0, 8, 8))
    call(api, machine.close)


def test_machine_has_one_default_timeout(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    screen = machine.screens[0]
    assert machine.default_timeout == screen.default_timeout == 30
    machine.default_timeout = 0.05
    assert screen.default_timeout == 0.05
    for wait in (
        screen.wait,
        screen.wait_change,
        lambda: screen.after(screen.mark),
        lambda: screen.wait_colour("red"),
        machine.wait_ended,
        screen.refresh,  # the host does not answer this request
    ):
        with pytest.raises(WaitTimeoutError):
            call(api, wait)
    machine.default_timeout = None
    host.machine.block.set()
    assert call(api, screen.refresh) == host.machine.producer.version
    with pytest.raises(UsageError, match="0 or more seconds"):
        machine.default_timeout = -1
    call(api, machine.close)


@pytest.mark.parametrize("timeout", [None, float("inf")])
def test_wait_without_a_limit_ends_with_the_change(
    api: Api, host: FakeHost, timeout: float | None
) -> None:
    machine = call(api, api.module.attach, "fake")
    mark = machine.screen.mark
    producer = host.machine.producer
    timer = threading.Timer(0.05, lambda: producer.publish([(0, 0, 8, 8)]))
    timer.start()
    assert call(api, machine.screen.wait, mark, timeout=timeout).mark.version > mark.version
    timer.join()
    call(api, machine.close)


def test_negative_timeout_is_an_error(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    for wait in (machine.screen.wait, machine.screen.wait_stable, machine.wait_ended):
        seconds = (1.0,) if wait == machine.screen.wait_stable else ()
        with pytest.raises(UsageError, match="timeout must be 0 or more seconds"):
            call(api, wait, *seconds, timeout=-1)
    call(api, machine.close)


def test_machine_is_alive_until_its_end(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    assert machine.is_alive and machine.end_reason is None
    host.end()
    assert "its host closed the connection" in call(api, machine.wait_ended, timeout=60)
    assert not machine.is_alive
    assert "its host closed the connection" in machine.end_reason
    call(api, machine.close)


def test_screen_has_its_keyboard_and_pointer(api: Api, host: FakeHost) -> None:
    machine = call(api, api.module.attach, "fake")
    screen = machine.screens[0]
    call(api, screen.keyboard.chord, "a")
    assert [down for _, down in host.machine.steps] == [True, False]
    call(api, screen.pointer.click, 3, 4)
    call(api, machine.close)


def test_machines_lists_running_and_defined_ones(
    api: Api, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    file = call(api, api.module.define, "web", disk="1M", memory="64M")
    copy = call(api, api.module.clone, "web", "copy")
    assert api.module.machines() == [
        kju.ListedMachine("copy", False, copy),
        kju.ListedMachine("fake", True, None),
        kju.ListedMachine("web", False, file),
    ]
    assert api.module.definition("copy").base == "web"
    assert api.module.definition("web").memory == "64M"
    with pytest.raises(ConflictError, match="copy"):
        call(api, api.module.remove, "web")
    assert call(api, api.module.remove, "copy") == []
    call(api, api.module.remove, "web")
    assert [machine.name for machine in api.module.machines()] == ["fake"]
    with pytest.raises(MachineNotFoundError):
        api.module.definition("web")
