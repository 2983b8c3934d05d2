"""Typing into several machines: the same keys everywhere, and none left down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from support.wait import until

from kju.desktop.actions import ActionRunner
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.type_to_all import MAX_TARGETS, TypeToAll, TypingPhase
from kju.errors import InputError, MachineNotFoundError
from kju.keys import NUMBERS

A, B, ESC = NUMBERS["a"], NUMBERS["b"], NUMBERS["esc"]


class Guest:
    """A keyboard that notes its keys; it can fail from a key on."""

    def __init__(self) -> None:
        self.down: set[int] = set()
        self.pressed: list[int] = []
        self.connected = self.closed = False
        self.fails_at: int | None = None
        self.keyboard = self.pointer = self

    def press(self, *keys: int) -> None:
        if self.fails_at in keys:
            raise InputError("the guest does not read its keyboard")
        self.pressed.extend(keys)
        self.down.update(keys)

    def release(self, *keys: int) -> None:
        self.down.difference_update(keys)

    def type(self, text: str, *, layout: str = "us") -> None:
        raise AssertionError("texts have connections of their own")

    def close(self) -> None:
        self.down.clear()  # as a host does
        self.closed = True


class Wall:
    """The machines, and what a window does for the typing."""

    def __init__(self, *names: str) -> None:
        self.guests = {name: Guest() for name in names}
        self.calls: list[Callable[[], None]] = []
        self.typing = TypeToAll(
            ActionRunner(lambda run: None), self.calls.append, lambda: None, self.connect
        )

    def connect(self, name: str) -> Guest:
        if name not in self.guests:
            raise MachineNotFoundError(f"no machine {name!r} is running", name)
        self.guests[name].connected = True
        return self.guests[name]

    def run(self, until_true: Callable[[], object]) -> None:
        def turn() -> object:
            while self.calls:
                self.calls.pop(0)()
            return until_true()

        until(turn)

    def start(self, *names: str) -> None:
        self.typing.start([entry(name) for name in names])
        self.run(lambda: self.typing.state.phase is TypingPhase.ON)

    def end(self) -> None:
        """End the typing; every connection is closed."""
        self.typing.stop()
        connected = [guest for guest in self.guests.values() if guest.connected]
        until(lambda: all(guest.closed for guest in connected), what="every connection is closed")


@pytest.fixture
def make_wall() -> Iterator[Callable[..., Wall]]:
    made: list[Wall] = []
    before = set(threading.enumerate())

    def make(*names: str) -> Wall:
        made.append(Wall(*names))
        return made[-1]

    yield make
    for wall in made:
        wall.end()
    until(lambda: not set(threading.enumerate()) - before, what="no thread is left")


def entry(name: str, state: MachineState = MachineState.RUNNING) -> MachineEntry:
    return MachineEntry(MachineKey("", name), state)


def test_every_machine_gets_every_key(make_wall: Callable[..., Wall]) -> None:
    wall = make_wall("one", "two")
    wall.start("one", "two")
    for number in (A, B, A):
        wall.typing.key(number, True)
        wall.typing.key(number, False)
    until(lambda: all(len(guest.pressed) == 3 for guest in wall.guests.values()))
    assert all(guest.pressed == [A, B, A] for guest in wall.guests.values())
    assert "Keys go to 2 machines (one, two). Esc ends this." in wall.typing.state.words


def test_no_key_counts_before_all_have_connected(make_wall: Callable[..., Wall]) -> None:
    wall = make_wall("one")
    wall.typing.start([entry("one")])
    wall.typing.key(A, True)
    wall.run(lambda: wall.typing.state.phase is TypingPhase.ON)
    wall.typing.key(B, True)
    until(lambda: wall.guests["one"].pressed)
    assert wall.guests["one"].pressed == [B]


def test_escape_ends_it_with_no_key_down(make_wall: Callable[..., Wall]) -> None:
    wall = make_wall("one", "two")
    wall.start("one", "two")
    wall.typing.key(A, True)
    wall.typing.key(B, True)
    until(lambda: all(guest.down == {A, B} for guest in wall.guests.values()))
    wall.typing.key(ESC, True)
    assert not wall.typing.is_on
    until(lambda: all(guest.closed for guest in wall.guests.values()))
    assert not any(guest.down for guest in wall.guests.values())
    assert not any(ESC in guest.pressed for guest in wall.guests.values())


def test_losing_the_focus_releases_every_key(make_wall: Callable[..., Wall]) -> None:
    wall = make_wall("one")
    wall.start("one")
    wall.typing.key(A, True)
    wall.typing.release_all()
    until(lambda: wall.guests["one"].pressed and not wall.guests["one"].down)
    assert wall.typing.is_on


def test_a_machine_that_fails_is_named_and_left_out(make_wall: Callable[..., Wall]) -> None:
    wall = make_wall("bad", "good")
    wall.guests["bad"].fails_at = B
    wall.start("bad", "good")
    wall.typing.key(A, True)
    wall.typing.key(B, True)
    wall.run(lambda: wall.typing.state.failed)
    assert "bad is left out: the guest does not read its keyboard" in wall.typing.state.words
    assert [key.name for key in wall.typing.state.machines] == ["good"]
    until(lambda: wall.guests["bad"].closed)
    wall.typing.key(A, False)
    until(lambda: wall.guests["good"].down == {B})


def test_a_machine_that_cannot_be_reached_is_left_out(make_wall: Callable[..., Wall]) -> None:
    wall = make_wall("good")
    wall.start("gone", "good")
    assert "gone is left out: no machine 'gone' is running" in wall.typing.state.words


@pytest.mark.parametrize("state", [MachineState.OFF, MachineState.UNREACHABLE])
def test_a_machine_that_does_not_run_is_left_out(
    make_wall: Callable[..., Wall], state: MachineState
) -> None:
    wall = make_wall("on")
    wall.typing.start([entry("off", state), entry("on")])
    wall.run(lambda: wall.typing.state.phase is TypingPhase.ON)
    assert [key.name for key, _ in wall.typing.state.failed] == ["off"]


def test_the_number_of_machines_is_bounded(make_wall: Callable[..., Wall]) -> None:
    names = [f"m{number}" for number in range(MAX_TARGETS + 2)]
    wall = make_wall(*names)
    wall.start(*names)
    assert len(wall.typing.state.machines) == MAX_TARGETS
    assert len(wall.typing.state.failed) == 2
    wall.typing.stop()
    until(lambda: sum(guest.closed for guest in wall.guests.values()) == MAX_TARGETS)


def test_a_connection_that_comes_too_late_is_closed(make_wall: Callable[..., Wall]) -> None:
    wall = make_wall("one")
    wall.typing.start([entry("one")])
    until(lambda: wall.calls)
    wall.typing.stop()
    wall.run(lambda: wall.guests["one"].closed)
    assert not wall.typing.is_on


def test_a_repeat_counts_for_a_key_that_is_down(make_wall: Callable[..., Wall]) -> None:
    wall = make_wall("one")
    wall.start("one")
    wall.typing.key(A, True, repeat=True)
    wall.typing.key(B, True)
    until(lambda: wall.guests["one"].pressed == [B])
    wall.typing.key(B, True, repeat=True)
    until(lambda: wall.guests["one"].pressed == [B, B])


def test_a_machine_whose_typing_has_failed_otherwise_is_left_out(
    make_wall: Callable[..., Wall],
) -> None:
    wall = make_wall("one", "two")
    wall.start("one", "two")
    wall.typing.leave_out("one", "the guest\nhas no keyboard")
    wall.typing.leave_out("nobody", "is not known")
    assert [key.name for key in wall.typing.state.machines] == ["two"]
    assert "one is left out: the guest" in wall.typing.state.words
    until(lambda: wall.guests["one"].closed)
