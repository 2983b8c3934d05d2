"""Hosts without QEMU for environments: a guest with a box that the arrow keys move."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kju.errors import InputError, UsageError
from kju.host.control import Client, Result
from kju.keys import number
from kju.protocol import messages
from kju.protocol.messages import AnyRequest
from kju.protocol.snapshots import ChangeSnapshot, SavedSnapshot, SnapshotList
from kju.protocol.stepping import StepGuest
from kju.surface import State

from .acting_host import ActingMachine
from .fake_host import FakeHost

LEFT, RIGHT = number("left"), number("right")
WIDTH, HEIGHT, SIDE = 128, 96, 32


class GymMachine(ActingMachine):
    """A box of a tile; each press moves it by a tile, and each step while a key is down.

    Attributes:
        place: The tile of the box, from the left.
        down: The keys that are down.
        paused: Whether the guest is paused.
        paused_at_load: Whether it was when a snapshot was loaded last.
        loads: The snapshots that were loaded.
        steps_run: The times of the steps, in microseconds.
        steps_with_keys: The numbers of the steps in which keys were pressed or released.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.place = 0
        self.down: list[int] = []
        self.paused = self.paused_at_load = False
        self.loads: list[str] = []
        self.steps_run: list[int] = []
        self.steps_with_keys: list[int] = []
        self.show_mode(WIDTH, HEIGHT)

    def show_mode(self, width: int, height: int) -> None:
        """Set a mode, and draw the box."""
        self.producer.set_mode(width, height)
        self._draw(self.place)

    def _draw(self, place: int) -> None:
        self.fill((self.place * SIDE, 0, SIDE, SIDE), 0)
        self.place = place % (WIDTH // SIDE)
        self.fill((self.place * SIDE, 0, SIDE, SIDE), 200)

    def no_picture(self, reason: str) -> None:
        """Take the picture away."""
        self.producer.set_state(State.UNAVAILABLE, reason)

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        match request:
            case messages.Power(how=how):
                self.paused = how == "pause"
            case messages.Keys(steps=steps):
                if self.paused and steps:
                    raise InputError("the machine is paused and takes no input: resume it")
                result = await super().handle(client, request)
                self._press(steps)
                return result
            case StepGuest():
                if request.keys or request.releases:
                    self.steps_with_keys.append(len(self.steps_run))
                self._press(request.keys, moves=False)
                self._move()
                self._press(request.releases, moves=False)
                self.paused = True
                self.steps_run.append(request.microseconds)
            case ChangeSnapshot(how="load", tag="clean"):
                self.loads.append("clean")
                self.paused_at_load = self.paused
                self.down = []
                self._draw(0)
                return Result(SnapshotList(snapshots=[SavedSnapshot(tag="clean")]))
            case ChangeSnapshot(tag=tag):
                raise UsageError(f"no snapshot is named {tag!r}; the snapshots are: clean")
            case _:
                return await super().handle(client, request)
        return Result(messages.Done(version=self.producer.version))

    def _press(self, steps: list[tuple[int, bool]], *, moves: bool = True) -> None:
        for key, down in steps:
            if down and key not in self.down:
                self.down.append(key)
                if moves:
                    self._move()
            elif not down and key in self.down:
                self.down.remove(key)

    def _move(self) -> None:
        if way := (RIGHT in self.down) - (LEFT in self.down):
            self._draw(self.place + way)


@contextlib.contextmanager
def gym_host(name: str) -> Iterator[GymMachine]:
    """Run such a machine in a thread."""
    host = FakeHost(name, GymMachine)
    try:
        yield host.machine  # type: ignore[misc]  # of the kind that was asked for
    finally:
        host.end()
