"""The guest's time stamp counter, as this machine's CLOCK_MONOTONIC.

An emulated guest reads the processor's own counter plus a constant. The guest writes readings to
a port that QEMU passes to a socket at once. The reading with the shortest delay limits the error of
the constant to the time of one write and one read, 10 to 20 us. So a stamp is at most that much
late, and "store to seen" at most that much too small.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import NamedTuple

import numpy as np

from .monitor import Line

READINGS = 150
_SIZE = 9


class Anchor(NamedTuple):
    """One reading, and the time at which it was taken."""

    ticks: int
    nanoseconds: int


class Clock:
    """Interpolates stamps between anchors; take one before and one after a batch."""

    def __init__(self, sock: socket.socket, line: Line) -> None:
        self._sock = sock
        self._line = line
        self._anchors: list[Anchor] = []

    def anchor(self) -> None:
        """Take an anchor, in about half a second."""
        self._line._sock.sendall(b"clock %d\n" % READINGS)
        ticks, arrived = _readings(self._sock, READINGS)
        self._line.until("clock")
        slope, _ = np.polyfit(ticks - ticks[0], arrived - arrived[0], 1)
        late = (arrived - arrived[0]) - slope * (ticks - ticks[0])
        best = int(np.argmin(late))
        self._anchors.append(Anchor(int(ticks[best]), int(arrived[best])))

    def nanoseconds(self, ticks: int) -> int:
        """Return the time of a stamp between the last two anchors."""
        first, last = self._anchors[-2:]
        slope = (last.nanoseconds - first.nanoseconds) / (last.ticks - first.ticks)
        return first.nanoseconds + round((ticks - first.ticks) * slope)


def _readings(sock: socket.socket, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ticks and arrival times of the marks before them; spin, since a sleep ends late."""
    sock.setblocking(False)
    ticks: list[int] = []
    arrived: list[int] = []
    data, at = b"", 0
    end = time.monotonic() + 30
    while len(ticks) < count:
        try:
            piece = sock.recv(_SIZE - len(data))
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError("the guest did not send its clock") from None
            continue
        if not data:
            at = time.monotonic_ns()
        data += piece
        if len(data) == _SIZE:
            ticks.append(struct.unpack("<Q", data[1:])[0])
            arrived.append(at)
            data = b""
    return np.array(ticks, np.int64), np.array(arrived, np.int64)
