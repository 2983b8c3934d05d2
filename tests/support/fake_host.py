"""A host without QEMU: the real control socket, and a machine that answers from memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator

from kju.errors import UsageError
from kju.host.control import Client, ControlServer, Result
from kju.host.requests import check_role
from kju.memory import SurfaceProducer
from kju.protocol import messages
from kju.protocol.messages import AnyRequest
from kju.protocol.values import Message, last_chord
from kju.store import running


class FakeMachine:
    """Answers requests; `producer` is its one screen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.claim = running.claim(name)
        self.producer = SurfaceProducer.create("memfd:fake", capacity=1 << 20)
        self.producer.set_mode(64, 48)
        self.steps: list[tuple[int, bool]] = []
        self.gone: list[str] = []
        self.block = threading.Event()
        self.holds = 0
        self.requests: list[tuple[int, int]] = []
        self.waiting = 0
        self.lit: list[str] | None = None
        self.info: dict[str, object] = {"name": name}
        self.rates: list[float | None] = []

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        check_role(client, request)
        match request:
            case messages.Hello(role=role):
                return Result(
                    messages.Welcome(
                        machine=self.name,
                        role=role,
                        pid=os.getpid(),
                        consoles=1,
                        folder=str(self.claim.paths.folder),
                    )
                )
            case messages.GetInfo():
                return Result(messages.Info(info=self.info))
            case messages.SetRate(rate=rate):
                self.rates.append(rate)
            case messages.GetSurface(console=0):
                self.rates.append(request.rate)
                memory = self.producer.memory
                reply = messages.SurfaceHandle(descriptors=1, console=0, size=memory.size)
                return Result(reply, (memory.fileno(),))
            case messages.GetSurface():
                raise UsageError(f"there is no console {request.console}")
            case messages.Keys(steps=steps, interval=interval):
                # The version of its mark counts the steps before the last chord.
                before = len(self.steps) + last_chord(steps)
                self.requests.append((len(steps), interval))
                self.steps += steps
                return Result(messages.Done(version=before, incarnation=1))
            case messages.GetLamps():
                return Result(messages.LampsState(lit=self.lit))
            case messages.Refresh(console=15):
                raise RuntimeError("a mistake")
            case messages.Refresh():
                self.waiting += 1
                try:
                    while not self.block.is_set():
                        await asyncio.sleep(0.001)
                finally:
                    self.waiting -= 1
            case messages.HoldPublishing():
                self.holds += 1
        return Result(messages.Done(version=self.producer.version))

    def handle_at_once(self, client: Client, request: AnyRequest) -> Result | None:
        return None

    def release_client(self, client: Client) -> None:
        self.gone.append(client.side.client)


class FakeHost:
    """Runs a `FakeMachine` in a thread."""

    def __init__(self, name: str, kind: type[FakeMachine] = FakeMachine) -> None:
        self.machine = kind(name)
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self) -> None:
        self.server = ControlServer(self.machine.claim.paths.control, self.machine)
        self._end = asyncio.Event()
        self._ready.set()
        await self._end.wait()
        await self.server.close("the test is over")

    def say(self, message: Message) -> None:
        self.loop.call_soon_threadsafe(self.server.broadcast, message)

    def end(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        self.machine.producer.close()
        self.machine.claim.release()


@contextlib.contextmanager
def fake_host(name: str = "fake") -> Iterator[FakeHost]:
    host = FakeHost(name)
    try:
        yield host
    finally:
        host.machine.block.set()
        host.end()
