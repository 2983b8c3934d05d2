"""A plain listener on QEMU's D-Bus display: it only stores the received pixels."""

from __future__ import annotations

import asyncio
import mmap
import select
import socket
import threading
from pathlib import Path

import numpy as np

from kju.emulators.qemu.display.dbus import DisplayBus
from kju.sources.display1.listener import Event, Scanout, ScanoutMap, Update
from kju.sources.display1.source import Channel, socket_pair

from ..monitor import Monitor
from . import KEY_NUMBER, Place


class Listener:
    """Reads bytes where QEMU sends bytes (std VGA), maps where it sends maps (virtio-gpu)."""

    def __init__(self, place: Place, option: str) -> None:
        ours, theirs = socket_pair()
        self._channel = Channel(ours)
        # QEMU's call returns only when this end answers.
        serving = threading.Thread(target=self._channel.authenticate)
        serving.start()
        self._bus = asyncio.new_event_loop()
        self._bus.run_until_complete(self._register(Path(place["folder"]), theirs))
        serving.join()
        self._pixels = np.zeros((0, 0, 4), np.uint8)
        self._map: np.ndarray | None = None
        while not self._pixels.size:
            self.wait()

    async def _register(self, folder: Path, theirs: socket.socket) -> None:
        monitor = Monitor(folder / "peer")
        ours, handed = socket.socketpair()
        with handed:
            monitor.command("getfd", handed.fileno(), fdname="bench")
        monitor.command("add_client", protocol="@dbus-display", fdname="bench", tls=False)
        self._display = await DisplayBus.connect(ours)  # QEMU removes the listener with it
        await self._display.register_listener(0, theirs)

    def wait(self) -> None:
        poll = select.poll()
        poll.register(self._channel.sock, select.POLLIN)
        poll.poll()
        while (events := self._channel.receive()) is not None:
            for event in events:
                self._take(event)
        if self._channel.closed:
            raise EOFError("QEMU has hung up")

    def _take(self, event: Event) -> None:
        if isinstance(event, Scanout):
            self._pixels = _picture(event.data, event.height, event.width, event.stride).copy()
        elif isinstance(event, Update):
            rect = event.rect
            self._pixels[rect.y : rect.bottom, rect.x : rect.right] = _picture(
                event.data, rect.height, rect.width, event.stride
            )
        elif isinstance(event, ScanoutMap):
            size = event.offset + event.stride * event.height
            memory = mmap.mmap(event.fd.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ)
            event.fd.close()
            data = memoryview(memory)[event.offset :]
            self._pixels = _picture(data, event.height, event.width, event.stride)

    def key(self, down: bool) -> None:
        self._bus.run_until_complete(self._display.key(0, KEY_NUMBER, down))

    def look(self) -> np.ndarray:
        return self._pixels

    def grab(self) -> np.ndarray:
        """Return its own copy: the interface has no request for a newer one."""
        return self._pixels.copy()


def _picture(data: memoryview, height: int, width: int, stride: int) -> np.ndarray:
    whole = np.frombuffer(data, np.uint8, count=stride * (height - 1) + width * 4)
    return np.lib.stride_tricks.as_strided(whole, (height, width, 4), (stride, 4, 1))


open_viewer = Listener
