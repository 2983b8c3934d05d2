"""A host without QEMU whose screen reacts to input as a test tells it to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np

from kju.host.control import Client, Result
from kju.host.requests import check_role
from kju.protocol import messages
from kju.protocol.messages import AnyRequest
from kju.surface.geometry import Rect

from .console_text import console
from .fake_host import FakeHost, FakeMachine


class ActingMachine(FakeMachine):
    """Draws when it receives input, in the host's own thread: before the input is answered.

    `before` and `after` are called with each key request or pointer request that does something:
    what `before` draws is older than the mark of the answer. `refreshed` is called when a client
    wants everything published.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.producer.set_mode(640, 400)
        consoles = [{"width": 640, "height": 400}]
        self.info |= {"kind": "qemu", "state": "running", "consoles": consoles, "clients": []}
        self.absolute = True
        self.log: list[object] = []
        self.before: Callable[[object], None] = lambda request: None
        self.after: Callable[[object], None] = lambda request: None
        self.refreshed: Callable[[], object] = lambda: None
        self.fails: Callable[[object], Exception | None] = lambda request: None

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        check_role(client, request)
        match request:
            case messages.Refresh():
                self.refreshed()
                return Result(messages.Done(version=self.producer.version))
            case messages.Keys() | messages.Point():
                return self._input(request)
            case messages.GetPointer():
                return Result(messages.PointerState(absolute=self.absolute, held=[]))
        return await super().handle(client, request)

    def _input(self, request: messages.Keys | messages.Point) -> Result:
        acts = request.steps if isinstance(request, messages.Keys) else request.actions
        if acts and (error := self.fails(request)):
            raise error
        if acts:
            self.before(request)
        producer = self.producer
        mark = producer.incarnation, producer.mode.epoch, producer.version
        if acts:
            self.log += acts
            self.after(request)
        incarnation, epoch, version = mark
        return Result(messages.Done(version=version, epoch=epoch, incarnation=incarnation))

    def fill(self, rect: tuple[int, int, int, int], value: int) -> None:
        """Draw a rectangle in one colour and publish it."""
        place = Rect(*rect)
        self.producer.draw(place, np.full((place.height, place.width, 4), value, np.uint8))

    def show(self, *lines: str) -> None:
        """Draw lines of a text console and publish them."""
        self.producer.draw(Rect(0, 0, 640, 400), console(lines))


class Later:
    """Draws on threads, some time after the call."""

    def __init__(self) -> None:
        self._timers: list[threading.Timer] = []

    def __call__(self, seconds: float, function: Callable[..., None], *args: object) -> None:
        timer = threading.Timer(seconds, function, args)
        self._timers.append(timer)
        timer.start()

    def join(self) -> None:
        for timer in self._timers:
            timer.join()


@contextlib.contextmanager
def animated(machine: ActingMachine) -> Iterator[None]:
    """Move a box over the screen during a block."""
    ended = threading.Event()

    def move() -> None:
        step = 0
        while not ended.wait(0.005):
            step = (step + 1) % 200
            machine.fill((step, 0, 64, 64), step + 1)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def acting_host(name: str = "acting") -> Iterator[ActingMachine]:
    host = FakeHost(name, ActingMachine)
    try:
        yield host.machine  # type: ignore[misc]  # of the kind that was asked for
    finally:
        host.end()
