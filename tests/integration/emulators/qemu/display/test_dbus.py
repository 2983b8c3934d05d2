"""The main connection against a fake QEMU in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from jeepney import low_level, wrappers
from support.fake_display import FakeQemu

from kju.emulators.qemu.display.dbus import DisplayBus
from kju.errors import MachineGoneError, PeerError, QemuError, WaitTimeoutError
from kju.sources.display1 import messages
from kju.sources.display1.source import received_fds


class Server(FakeQemu):
    """Answers calls from *answers*: member to (signature, body), or to an error's text."""

    def __init__(self, sock: socket.socket, answers: dict) -> None:
        super().__init__(sock)
        self.known = answers
        self.heard: list = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        try:
            self.authenticate()
            while True:
                data, fds, _, _ = socket.recv_fds(self.sock, 65536, 8)
                if not data:
                    return
                for call in self.splitter.receive_data(data, fds):
                    self.heard.append(call)
                    self._answer(call)
                for fd in fds:
                    os.close(fd)
        except OSError:
            pass

    def _answer(self, call) -> None:
        answer = self.known.get(call.member)
        if isinstance(answer, bytes):
            self.sock.sendall(answer)
        elif isinstance(answer, str):
            self.sock.sendall(messages.error(call.serial, 7, "org.example.No", answer))
        elif answer is not None:
            self.sock.sendall(messages.method_return(call.serial, 7, *answer))


@contextlib.asynccontextmanager
async def connected(
    answers: dict, on_properties: Callable[..., object] = lambda *values: None
) -> AsyncIterator[tuple[DisplayBus, Server]]:
    """Connect to a server with *answers*; wait at the end until it has read everything."""
    ours, theirs = socket.socketpair()
    server = Server(theirs, answers)
    bus = await DisplayBus.connect(ours, on_properties)
    try:
        yield bus, server
    finally:
        bus.close()
        server.thread.join()
        theirs.close()


CONSOLE = {
    "Label": ("s", "VGA"),
    "Head": ("u", 1),
    "Type": ("s", "Graphic"),
    "Width": ("u", 640),
    "Height": ("u", 480),
    "DeviceAddress": ("s", "pci/0000/02.0"),
    "Interfaces": ("as", ["org.qemu.Display1.Keyboard"]),
}


async def test_consoles_are_listed_with_their_properties():
    answers = {"Get": ("v", (("au", [0, 1]),)), "GetAll": ("a{sv}", (CONSOLE,))}

    async with connected(answers) as (bus, _):
        assert await bus.console_ids() == [0, 1]
        console = await bus.console(1)
        assert (console.number, console.head, console.label) == (1, 1, "VGA")
        assert console.device_address == "pci/0000/02.0"
        assert console.interfaces == ("org.qemu.Display1.Keyboard",)


async def test_missing_property_has_a_default():
    async with connected({"GetAll": ("a{sv}", ({"Label": ("s", "x")},))}) as (bus, _):
        console = await bus.console(0)
        assert (console.device_address, console.interfaces) == ("", ())


@pytest.mark.parametrize("value", [("s", "0"), ("ai", [0])])
async def test_property_of_another_type_is_an_error(value):
    async with connected({"Get": ("v", (value,))}) as (bus, _):
        with pytest.raises(PeerError, match="expected 'au'"):
            await bus.console_ids()


async def test_input_is_sent_to_its_console():
    names = ("Press", "Release", "SetUIInfo")

    async with connected(dict.fromkeys(names, ("", ()))) as (bus, server):
        await bus.key(0, 30, True)
        await bus.key(0, 30, False)
        await bus.set_ui_info(0, 800, 600)
        said = [
            (c.path[-1], c.interface.rpartition(".")[2], c.member, c.body) for c in server.heard
        ]
        assert said == [
            ("0", "Keyboard", "Press", (30,)),
            ("0", "Keyboard", "Release", (30,)),
            ("0", "Console", "SetUIInfo", (0, 0, 0, 0, 800, 600)),
        ]


async def test_listeners_socket_is_passed_to_qemu():
    async with connected({"RegisterListener": ("", ())}) as (bus, server):
        ours, theirs = socket.socketpair()
        await bus.register_listener(0, theirs)
        assert theirs.fileno() < 0
        assert len(server.heard[0].fds) == 1
        assert ours.recv(1) == b""  # the server's copy was the last
        ours.close()


async def test_refusal_by_qemu_is_an_error():
    async with connected({"Press": "no such key"}) as (bus, _):
        with pytest.raises(QemuError, match="no such key"):
            await bus.key(0, 30, True)


async def test_concurrent_calls_get_their_own_answers():
    async with connected({"GetAll": ("a{sv}", (CONSOLE,))}) as (bus, _):
        got = await asyncio.gather(*(bus.console(number) for number in range(100)))
        assert [console.number for console in got] == list(range(100))


async def test_call_without_an_answer_times_out():
    async with connected({}) as (bus, _):
        with pytest.raises(WaitTimeoutError):
            await bus.call(messages.console_ids(), timeout=0.01)
        assert not bus.closed.done()


@pytest.mark.parametrize("answer", [b"\0" * 40, b"l\1\0\1" + b"\xff" * 40])
async def test_broken_framing_ends_the_connection_and_every_call(answer):
    async with connected({"Get": answer}) as (bus, _):
        with pytest.raises(MachineGoneError):
            await bus.console_ids()
        assert bus.closed.done()
        with pytest.raises(MachineGoneError):
            await bus.key(0, 1, True)


async def test_invalid_answer_fails_only_its_call():
    bad = messages.method_return(1, 5, "s", ("text",)).replace(b"text\0", b"te\xff\xff\0")

    async with connected({"Get": bad, "Press": ("", ())}) as (bus, _):
        with pytest.raises(PeerError):
            await bus.console_ids()
        await bus.key(0, 1, True)


async def test_disconnect_ends_waiting_calls():
    async with connected({}) as (bus, server):
        call = asyncio.ensure_future(bus.console_ids())
        await asyncio.sleep(0)
        server.sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(MachineGoneError, match="disconnected"):
            await call


async def test_property_signals_are_passed_on():
    emitter = wrappers.DBusAddress(
        messages.console_path(2), bus_name="org.qemu", interface=messages.PROPERTIES
    )
    signal = wrappers.new_signal(
        emitter,
        "PropertiesChanged",
        "sa{sv}as",
        (messages.CONSOLE, {"Width": ("u", 720)}, []),
    )
    assert signal.header.message_type is low_level.MessageType.signal

    seen = asyncio.get_running_loop().create_future()
    async with connected({}, lambda *values: seen.set_result(values)) as (_, server):
        server.sock.sendall(signal.serialise(serial=3))
        path, interface, values = await seen
        assert path.endswith("Console_2")
        assert interface == messages.CONSOLE
        assert values == {"Width": 720}


async def test_calls_from_qemu_are_rejected():
    ping = messages.serialise(messages.call("/", messages.PEER, "Ping"), 9)[0]

    async with connected({"Press": ("", ())}) as (bus, server):
        server.sock.sendall(ping)
        await bus.key(0, 1, True)  # its answer comes behind the ping
        await bus.key(0, 1, True)  # sent after the refusal
        (refusal,) = [heard for heard in server.heard if heard.kind == 3]
        assert refusal.reply_serial == 9


@pytest.mark.parametrize("answer", [b"REJECTED\r\n", b"\xff" * 9000, b""])
async def test_rejected_authentication_closes_the_socket(answer):
    ours, theirs = socket.socketpair()
    theirs.sendall(answer) if answer else theirs.close()
    with pytest.raises(PeerError):
        await DisplayBus.connect(ours)
    assert ours.fileno() < 0
    theirs.close()


async def test_silent_qemu_times_out():
    ours, theirs = socket.socketpair()
    with pytest.raises(WaitTimeoutError):
        await DisplayBus.connect(ours, timeout=0.01)
    assert ours.fileno() < 0
    theirs.close()


async def test_descriptors_from_qemu_are_not_inherited(monkeypatch):
    inherited = []

    def note(ancillary):
        fds = received_fds(ancillary)
        inherited.extend(os.get_inheritable(fd) for fd in fds)
        return fds

    monkeypatch.setattr("kju.emulators.qemu.display.dbus.received_fds", note)
    ping = messages.serialise(messages.call("/", messages.PEER, "Ping"), 9)[0]

    async with connected({"Press": ("", ())}) as (bus, server):
        socket.send_fds(server.sock, [ping], [0])
        await bus.key(0, 1, True)  # its answer comes behind the ping
        assert inherited == [False]
