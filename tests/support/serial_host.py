"""A host without QEMU that has the real serial port."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from kju.emulators.qemu.serial import Serial
from kju.host.control import Client, Result
from kju.protocol import messages
from kju.protocol.messages import AnyRequest

from .fake_host import FakeHost, FakeMachine


class SerialMachine(FakeMachine):
    """A machine with a serial port.

    Attributes:
        guest: The guest's end.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.block.set()
        self.guest, self._ours = socket.socketpair()
        self._port: Serial | None = None
        self._sent: list[socket.socket] = []

    def close_serial(self) -> None:
        """Close the port; called in the host's thread."""
        if self._port is not None:
            self._port.close()
        for each in (self.guest, self._ours, *self._sent):
            each.close()

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        if isinstance(request, messages.GetSerial):
            self._port = self._port or Serial(self._ours)
            theirs = self._port.view(client, writes=False)  # type: ignore[arg-type]
            self._sent.append(theirs)
            return Result(messages.SerialHandle(descriptors=1, writable=False), (theirs.fileno(),))
        return await super().handle(client, request)


@contextlib.contextmanager
def serial_host(name: str, kind: type[SerialMachine] = SerialMachine) -> Iterator[Any]:
    """Run such a machine in a thread; yield its host."""
    host = FakeHost(name, kind)
    try:
        yield host
    finally:
        host.loop.call_soon_threadsafe(host.machine.close_serial)  # type: ignore[attr-defined]
        host.end()
