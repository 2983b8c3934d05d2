"""The events and the serial port in a record: the real port, and a host in a thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.serial_host import SerialMachine, serial_host
from support.wait import until

import kju
from kju.protocol.messages import Happened
from kju.report import Record, recording, streams

pytestmark = pytest.mark.usefixtures("runtime_folder")


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[Any]:
    with serial_host("fake", SerialMachine) as host:
        yield host


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


def test_what_arrives_in_two_parts_is_recorded_as_one(host: Any) -> None:
    euro = "\N{EURO SIGN}".encode()
    with kju.attach("fake") as machine, recording(machine) as record:
        host.machine.guest.sendall(b"5 " + euro[:2])
        until(lambda: "5" in serial(record))
        host.machine.guest.sendall(euro[2:] + b" and\x1b[1;3")
        until(lambda: "and" in serial(record))
        host.machine.guest.sendall(b"1m more")
        until(lambda: "more" in serial(record))
    assert serial(record).split("\n") == ["5 ", "\N{EURO SIGN} and", " more"]


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
