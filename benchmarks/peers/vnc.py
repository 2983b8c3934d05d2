"""Our own VNC client: it does the minimum of work, to be a fair peer.

The server always has one request, as RFC 6143 demands of a client that needs changes at once.

Source:
    RFC 6143 (RFB 3.8); rfbproto.rst of the RFB community for Tight.
"""

from __future__ import annotations

import io
import socket
import struct
import threading
from pathlib import Path
from typing import cast

import numpy as np

from ..monitor import connect
from . import KEYSYM, Place
from .decode import Tight, Zrle

ENCODINGS = {"raw": 0, "tight": 7, "zrle": 16}
DESKTOP_SIZE = -223
#: Base of the compression levels, as in TigerVNC's viewer; without a level QEMU uses 9.
LEVEL = -256
#: 32 bits, depth 24, little-endian, true colour; B G R X in memory, as QEMU keeps it.
PIXELS = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


class Vnc:
    """One connection, one encoding, which may have a level of compression: ``tight-2``.

    Attributes:
        received: Bytes so far.
        last: The last received rectangle: x, y, width, height.
    """

    def __init__(self, place: Place, option: str) -> None:
        self.received = 0
        self.last = (0, 0, 0, 0)
        option, _, level = option.partition("-")
        self._sock = self._connect(place)
        self._sending = threading.Lock()
        self._in = cast("io.BufferedReader", self._sock.makefile("rb", buffering=1 << 20))
        self.size = self._greet()
        self._pixels = np.zeros((self.size[1], self.size[0], 4), np.uint8)
        decoders: dict[str, type[Tight | Zrle]] = {"tight": Tight, "zrle": Zrle}
        self._decoder = decoders[option]() if option in decoders else None
        wanted = [ENCODINGS[option], DESKTOP_SIZE, *([LEVEL + int(level)] if level else [])]
        self._send(struct.pack(">Bx", 0) + b"\0\0" + PIXELS)
        self._send(struct.pack(f">BxH{len(wanted)}i", 2, len(wanted), *wanted))
        self._asked = False
        self.grab()

    def _connect(self, place: Place) -> socket.socket:
        return connect(Path(place["folder"]) / "vnc")

    def wait(self) -> None:
        if not self._asked:
            self._ask(incremental=True)
        self._update()
        self._ask(incremental=True)

    def ask(self) -> None:
        """Request changes, and read one message."""
        self._ask(incremental=True)
        self._update()

    def look(self) -> np.ndarray:
        return self._pixels

    def grab(self) -> np.ndarray:
        """Request everything; the server may answer in parts, or with a new size first."""
        self._ask(incremental=False)
        left = self.size[0] * self.size[1]
        while left > 0:
            area = self._update()
            if area < 0:  # a new size
                self._ask(incremental=False)
                left = self.size[0] * self.size[1]
            left -= max(area, 0)
        self._asked = False
        return self._pixels.copy()

    def key(self, down: bool) -> None:
        self._send(struct.pack(">BBxxI", 4, down, KEYSYM))

    def _greet(self) -> tuple[int, int]:
        self._read(12)
        self._send(b"RFB 003.008\n")
        if 1 not in self._read(self._read(1)[0]):
            raise ConnectionError("the VNC server wants a password")
        self._send(b"\x01")
        if self._read(4) != bytes(4):
            raise ConnectionError("the VNC server refused")
        self._send(b"\x01")  # shared: other clients stay connected
        width, height = struct.unpack(">HH", self._read(4))
        self._read(16)
        self._read(struct.unpack(">I", self._read(4))[0])
        return width, height

    def _ask(self, incremental: bool) -> None:
        self._asked = True
        self._send(struct.pack(">BBHHHH", 3, incremental, 0, 0, *self.size))

    def _update(self) -> int:
        """Read one message; return the number of updated pixels, -1 for a new size."""
        kind = self._read(1)[0]
        if kind == 3:  # clipboard text
            self._read(3)
            self._read(struct.unpack(">I", self._read(4))[0])
            return 0
        if kind != 0:
            return 0  # a bell
        (count,) = struct.unpack(">xH", self._read(3))
        area = 0
        for _ in range(count):
            area = self._rectangle(area)
        return area

    def _rectangle(self, area: int) -> int:
        x, y, width, height, encoding = struct.unpack(">HHHHi", self._read(12))
        if encoding == DESKTOP_SIZE:
            self.size = width, height
            self._pixels = np.zeros((height, width, 4), np.uint8)
            return -1
        self.last = x, y, width, height
        target = self._pixels[y : y + height, x : x + width]
        if encoding == 0:
            self._raw(target)
        elif self._decoder is not None:
            self._decoder.take(self._read, target)
        else:
            raise ConnectionError(f"encoding {encoding} was not asked for")
        return area if area < 0 else area + width * height

    def _raw(self, target: np.ndarray) -> None:
        if target.flags.c_contiguous:
            self._fill(target.data.cast("B"))
        else:
            target[:] = np.frombuffer(self._read(target.size), np.uint8).reshape(target.shape)

    def _fill(self, memory: memoryview) -> None:
        while memory:
            count = self._in.readinto(memory)
            if not count:
                raise EOFError("the VNC server has hung up")
            self.received += count
            memory = memory[count:]

    def _read(self, size: int) -> bytes:
        data = self._in.read(size)
        if len(data) < size:
            raise EOFError("the VNC server has hung up")
        self.received += size
        return data

    def close(self) -> None:
        self._in.close()
        self._sock.close()

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._sock.sendall(data)


open_viewer = Vnc
