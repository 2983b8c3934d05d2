"""Input is sent in order without waits; only positions are replaced by newer ones."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wait import until

from kju.errors import InputError, MachineGoneError, QemuError, UsageError
from kju.viewers.input.sender import (
    MoveDistance,
    MoveTo,
    Repeat,
    Sender,
    SetButton,
    SetKey,
    Turn,
    merged,
)


class Machine:
    """Keyboard and pointer that record their input, and can be slow or fail."""

    def __init__(self) -> None:
        self.got: list[tuple[object, ...]] = []
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()
        self.error: Exception | None = None
        self.absolute = True

    def is_absolute(self):
        return self.absolute

    def _take(self, *what: object) -> None:
        self.entered.set()
        assert self.go.wait(10)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.got.append(what)

    def press(self, what):
        self._take("press", what)

    def release(self, what):
        self._take("release", what)

    def move(self, x, y):
        self._take("move", x, y)

    def move_by(self, dx, dy):
        self._take("by", dx, dy)

    def wheel(self, vertical, horizontal=0):
        self._take("wheel", vertical, horizontal)


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def told():
    return []


@pytest.fixture
def sender(machine, told):
    sender = Sender(machine, machine, told.append, told.append)
    yield sender
    machine.go.set()
    sender.close()


def test_a_slow_host_gets_the_newest_position_and_every_key(machine, sender):
    machine.go.clear()
    sender.send(MoveTo(0, 0))
    assert machine.entered.wait(10)
    for x in range(1000):
        sender.send(MoveTo(x, 7))
    sender.send(SetButton("left", True))
    for x in range(1000):
        sender.send(MoveTo(x, 9))
    for number in range(1, 40):
        sender.send(SetKey(number, True))
        sender.send(SetKey(number, False))
    sender.send(MoveDistance(1, 2))
    sender.send(MoveDistance(3, 4))
    machine.go.set()
    sender.close()
    keys = [(verb, n) for n in range(1, 40) for verb in ("press", "release")]
    assert machine.got == [
        ("move", 0, 0), ("move", 999, 7), ("press", "left"), ("move", 999, 9), *keys, ("by", 4, 6),
    ]  # fmt: skip


def test_a_slow_host_gets_no_repeats_that_come_after_the_key_is_up(machine, sender):
    sender.send(SetKey(5, True))
    until(lambda: machine.got == [("press", 5)])
    machine.go.clear()
    machine.entered.clear()
    sender.send(Repeat(5))
    assert machine.entered.wait(10)
    for _ in range(100):
        sender.send(Repeat(5))
    sender.send(SetKey(5, False))
    machine.go.set()
    sender.close()
    assert machine.got == [("press", 5)] * 3 + [("release", 5)]


inputs = st.one_of(
    st.builds(SetKey, st.integers(1, 9), st.booleans()),
    st.builds(MoveTo, st.integers(0, 9), st.integers(0, 9)),
    st.builds(MoveDistance, st.integers(-9, 9), st.integers(-9, 9)),
    st.builds(Turn, st.integers(-2, 2), st.just(0)),
    st.builds(SetButton, st.just("left"), st.booleans()),
)


@given(st.lists(inputs))
def test_merging_keeps_every_key_and_the_last_position(items):
    kept = []
    for item in items:
        together = merged(kept[-1], item) if kept else None
        if together is None:
            kept.append(item)
        else:
            kept[-1] = together
    lossless = (SetKey, SetButton, Turn)
    assert [i for i in kept if isinstance(i, lossless)] == [
        i for i in items if isinstance(i, lossless)
    ]
    for axis in ("dx", "dy"):
        distances = [sum(getattr(i, axis, 0) for i in some) for some in (kept, items)]
        assert distances[0] == distances[1]


def test_rejected_position_refreshes_the_kind_of_pointer(machine, sender, told):
    machine.error, machine.absolute = UsageError("the pointer is relative"), False
    sender.send(MoveTo(1, 1))
    until(lambda: told == [False])


def test_error_is_reported_and_the_next_key_is_sent(machine, sender, told):
    machine.error = QemuError("QEMU did not take it", "x")
    sender.send(SetKey(1, True))
    sender.send(SetKey(1, False))
    sender.close()
    assert told == ["QEMU did not take it"]
    assert machine.got == [("release", 1)]


def test_input_for_an_ended_machine_is_dropped(machine, sender, told):
    machine.go.clear()
    machine.error = MachineGoneError("gone", "x")
    sender.send(SetKey(1, True))
    assert machine.entered.wait(10)
    sender.send(SetKey(2, True))
    machine.go.set()
    sender.close()
    sender.send(SetKey(3, True))
    assert machine.got == []
    assert told == []


def test_guest_that_reads_no_pointer_is_not_reported(machine, sender, told):
    machine.error = InputError("nothing in the guest reads its pointer")
    sender.send(MoveTo(1, 1))
    until(lambda: machine.error is None)
    machine.error = InputError("nothing in the guest reads its keyboard")
    sender.send(SetKey(1, True))
    sender.close()
    assert told == ["nothing in the guest reads its keyboard"]
