"""The events and the serial port in a record: the real port, and a host in a thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_host import FakeHost, FakeMachine
from support.wait import until

import kju
from kju.emulators.qemu.serial import Serial
from kju.host.control import Client, Result
from kju.protocol import messages
from kju.protocol.messages import AnyRequest, Happened
from kju.report import Record, recording, streams

pytestmark = pytest.mark.usefixtures("runtime_folder")


class SerialMachine(FakeMachine):
    """A machine with a serial port; the test holds the guest's end."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.block.set()
        self.guest, self._ours = socket.socketpair()
        self.port: Serial | None = None
        self.sent: list[socket.socket] = []

    def close_serial(self) -> None:
        """Close the port; called in the host's thread."""
        if self.port is not None:
            self.port.close()
        for each in (self.guest, self._ours, *self.sent):
            each.close()

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        if isinstance(request, messages.GetSerial):
            self.port = self.port or Serial(self._ours)
            theirs = self.port.view(client, writes=False)  # type: ignore[arg-type]
            self.sent.append(theirs)
            return Result(messages.SerialHandle(descriptors=1, writable=False), (theirs.fileno(),))
        return await super().handle(client, request)


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[Any]:
    host = FakeHost("fake", SerialMachine)
    try:
        yield host
    finally:
        host.loop.call_soon_threadsafe(host.machine.close_serial)  # type: ignore[attr-defined]
        host.end()


def serial(record: Record) -> str:
    return "\n".join(event.words for event in record.story().events if event.kind == "serial")


def test_output_of_the_serial_port_is_recorded_without_escapes(host: Any) -> None:
    host.machine.guest.sendall(b"old\r\n")
    with kju.attach("fake") as machine:
        before = machine.serial()
        before.settimeout(30)
        assert before.recv(100) == b"old\r\n", "the port has it"
        with recording(machine) as record:
            host.machine.guest.sendall(b"\x1b[1;32mkju\x1b[0m login: \xff\r\n\x1b]0;title\x07# ")
            until(lambda: "#" in serial(record), "the output is recorded")
        before.close()
    assert serial(record).replace("\n", "|") == "kju login: \ufffd|# "


def test_a_flood_on_the_serial_port_is_bounded(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_MAX_SERIAL", 3000)
    with kju.attach("fake") as machine, recording(machine) as record:
        for number in range(100):
            host.machine.guest.sendall(f"line {number} ".encode() + b"x" * 90 + b"\n")
            until(lambda number=number: f"line {number} " in serial(record))
        assert len(serial(record)) <= 3000
    assert "bytes of the serial port are not kept" in record.story().forgotten


def test_events_of_the_machine_are_recorded(host: Any) -> None:
    with kju.attach("fake") as machine, recording(machine) as record:
        event = {
            "sequence": 1,
            "time": time.time(),
            "event": "panicked",
            "data": {"action": "none"},
        }
        host.say(Happened(**event))
        until(lambda: [e for e in record.story().events if e.kind == "event"])
    (found,) = [event for event in record.story().events if event.kind == "event"]
    assert found.words == 'panicked {"action": "none"}'
    assert 0 <= found.time <= record.story().seconds


def test_a_machine_without_a_serial_port_is_recorded(host: Any) -> None:
    host.machine.guest.close()
    with kju.attach("fake") as machine, recording(machine) as record:
        pass
    assert not serial(record)


def test_escapes_of_the_serial_port_do_not_displace_its_text(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_MAX_SERIAL", 3000)
    with kju.attach("fake") as machine, recording(machine) as record:
        for number in range(100):
            host.machine.guest.sendall(b"\x1b[1;32m\x1b[0m\r\n" * 20 + b"line %d.\r\n" % number)
            until(lambda number=number: f"line {number}." in serial(record))
    assert "line 0." in serial(record)
    assert not record.story().forgotten
