"""A record of a machine without QEMU: a real surface, and a host in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fake_host import FakeHost, fake_host
from support.wait import until

import kju
from kju.emulators.input.devices import InputLog
from kju.errors import UsageError, WaitTimeoutError
from kju.keys import parse_chord, steps
from kju.protocol.messages import Ended
from kju.protocol.values import Button, To
from kju.report import Record, recording, save
from kju.report.film import compressed
from kju.surface.geometry import Rect

PATIENCE = 30.0


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[FakeHost]:
    with fake_host() as host:
        host.machine.block.set()
        yield host


@pytest.fixture
def machine(host: FakeHost) -> Iterator[kju.Machine]:
    with kju.attach("fake") as machine:
        yield machine


def fill(host: FakeHost, value: int) -> None:
    host.machine.producer.draw(Rect(0, 0, 64, 48), np.full((48, 64, 4), value, np.uint8))


def pictures(record: Record) -> int:
    return len(record._screen.film.pictures)


def test_change_is_recorded_as_a_picture(host: FakeHost, machine: kju.Machine) -> None:
    with Record(machine, rate=1000) as record:
        for value in (50, 100, 150):
            before = pictures(record)
            fill(host, value)
            until(lambda before=before: pictures(record) > before)
    assert len({picture.png for picture in record.story().pictures}) == len(record.story().pictures)


def test_storm_of_changes_is_recorded_in_few_pictures_and_its_last(
    host: FakeHost, machine: kju.Machine
) -> None:
    with Record(machine, rate=0.1) as record:
        until(lambda: pictures(record))
        for value in range(1, 201):
            fill(host, value)
    shown = record.story().pictures
    assert len(shown) <= 3
    assert shown[-1].png == compressed(np.full((48, 64, 4), 200, np.uint8))


def test_memory_of_a_record_is_bounded(host: FakeHost, machine: kju.Machine) -> None:
    noise = np.random.default_rng(1)
    with Record(machine, rate=10_000, most=5, most_bytes=40_000) as record:
        for _ in range(40):
            pixels = noise.integers(0, 255, (48, 64, 4), np.uint8)
            seen = record._screen.film._seen
            host.machine.producer.draw(Rect(0, 0, 64, 48), pixels)
            until(lambda seen=seen: record._screen.film._seen != seen)
        assert pictures(record) <= 5
        assert record._screen.film.bytes <= 40_000
    assert sum(picture.left_out for picture in record.story().pictures) >= 20


def test_waits_are_recorded_with_result_and_picture(host: FakeHost, machine: kju.Machine) -> None:
    with Record(machine, rate=0.01) as record:  # without waits it takes one picture
        until(lambda: pictures(record))
        fill(host, 0)
        machine.screen.wait_colour("black", timeout=PATIENCE)
        with pytest.raises(WaitTimeoutError):
            machine.screen.wait_colour("red", (1, 2, 3, 4), timeout=0)
        with pytest.raises(ZeroDivisionError):
            machine.screen.wait_for(lambda frame: 1 / 0, timeout=PATIENCE)
        fill(host, 255)
        machine.screen.wait_colour("white", timeout=PATIENCE)
        fill(host, 7)
    machine.screen.wait_colour("#070707", timeout=PATIENCE)  # after the record
    story = record.story()
    assert [event.kind for event in story.events] == ["found", "missed", "broken", "found"]
    assert "3x4 at 1,2" in story.events[1].answer
    assert "division" in story.events[2].answer
    found = story.events[3]
    shown = [picture for picture in story.pictures if picture.time <= found.ended][-1]
    assert shown.png == compressed(np.full((48, 64, 4), 255, np.uint8))


async def test_waits_of_asyncio_are_recorded_too(host: FakeHost) -> None:
    async with await kju.aio.attach("fake") as machine:
        with recording(machine) as record:
            await machine.screen.wait_colour("black", timeout=PATIENCE)
    assert [event.kind for event in record.story().events] == ["found"]


def test_input_is_recorded_with_its_times(host: FakeHost, machine: kju.Machine) -> None:
    log = InputLog(machine._paths.input_log)
    log.keys(0, steps([parse_chord("ctrl-c")]))
    with recording(machine) as record:
        log.keys(0, steps([parse_chord("x")]))
        for action in (To(9, 8), Button(0, True), Button(0, False)):
            log.pointer(0, action)
    log.keys(0, steps([parse_chord("f1")]))
    log.close()
    story = record.story()
    assert [event.words for event in story.events] == ["x", "left button at 9, 8"]
    assert all(0 <= event.time <= story.seconds for event in story.events)
    assert len(record.inputs) == 4


def test_input_is_not_recorded_for_a_view_client(host: FakeHost) -> None:
    with kju.attach("fake", "view") as machine:
        log = InputLog(machine._paths.input_log)
        with recording(machine) as record:
            log.keys(0, steps([parse_chord("x")]))
        log.close()
    assert [event.words for event in record.story().events] == [
        "input is not recorded: this client has the view role"
    ]
    assert record.inputs == []


def test_invalid_lines_of_the_input_log_are_left_out(machine: kju.Machine) -> None:
    with recording(machine) as record:
        machine._paths.input_log.write_bytes(
            b'{"time": "x"}\n\xff\n{"time":1.0,"keys":[[30,true]]}\n'
        )
    assert [entry.keys for entry in record.inputs] == [[(30, True)]]


def test_failing_block_is_recorded_with_its_error(machine: kju.Machine, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    with pytest.raises(WaitTimeoutError), recording(machine, target, title="<b>") as record:
        record.note("now")
        machine.screen.wait_colour("red", timeout=0)
    text = target.read_text()
    assert "&lt;b&gt;" in text and "ScreenTimeoutError: " in text and ">now<" in text
    assert record.failure is not None and record.failure.png.startswith(b"\x89PNG")
    record.fail("later")
    assert record.failure.words != "later"


def test_record_can_be_saved_while_it_runs(
    host: FakeHost, machine: kju.Machine, tmp_path: Path
) -> None:
    with recording(machine) as record:
        record.save(tmp_path / "one.html")
        fill(host, 9)
        save(tmp_path / "two.html", [record, record], title="twice", verdict="passed")
    assert (tmp_path / "one.html").stat().st_size < (tmp_path / "two.html").stat().st_size


def test_end_of_the_machine_is_recorded(host: FakeHost, machine: kju.Machine) -> None:
    with recording(machine) as record:
        host.say(Ended(reason="it was switched off"))
        host.end()
        until(lambda: record.story().events)
    assert "it was switched off" in record.story().events[0].words
    assert record.story().pictures  # its pictures until then


def test_record_of_a_missing_console_is_an_error(machine: kju.Machine) -> None:
    with pytest.raises((UsageError, IndexError)):
        recording(machine, console=3)


def test_record_leaves_no_thread(machine: kju.Machine) -> None:
    with recording(machine) as record:
        pass
    record.close()
    assert machine.screen._witnesses == ()
    assert not [thread for thread in threading.enumerate() if thread.name == "kju record"]
