"""SHELL: two network namespaces, and a link with delay, limited rate and loss between them.

Both ends are tun devices. A process of ours carries each packet from one to the other after its
delay. This needs root and iproute2, but no queueing discipline of the kernel (not every kernel has
netem). Packets in flight are lost when the link is cut.

Source:
    tun: the kernel's Documentation/networking/tuntap.rst.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from typing import NamedTuple, Self

from ...errors import KjuError

_TUNSETIFF, _TUN_NO_PI = 0x400454CA, 0x1001
_MTU = 1500
#: Offset of the protocol in an IPv4 header, and its value for UDP: RFC 791, 3.1.
_PROTOCOL, _UDP = 9, b"\x11"


class Shape(NamedTuple):
    """The properties of a link, for each direction.

    Attributes:
        rate: Bits a second.
        delay: Seconds from one end to the other, without queueing.
        loss: Share of packets that are lost.
        queue: Seconds of packets that may be queued; further packets are lost.
        cut: Whether all packets are lost.
        udp: Whether UDP passes; some firewalls let only TCP pass.
    """

    rate: float = 20e6
    delay: float = 0.010
    loss: float = 0.0
    queue: float = 0.25
    cut: bool = False
    udp: bool = True

    @property
    def words(self) -> str:
        """Describe the link for the user."""
        lost = f", {self.loss:.0%} lost" if self.loss else ""
        return f"{self.rate / 1e6:g} Mbit/s, {2e3 * self.delay:g} ms there and back{lost}"


class End(NamedTuple):
    """One end of a link.

    Attributes:
        before: Words before a command that run it there.
        address: Its address on the link.
    """

    before: tuple[str, ...]
    address: str


class SimulatedLink:
    """A link; use it as a context manager.

    Args:
        shape: Its properties.

    Raises:
        KjuError: This process is not allowed to make one.

    Attributes:
        one: One end.
        other: The other.
    """

    def __init__(self, shape: Shape | None = None) -> None:
        self.shape = shape or Shape()
        number = os.getpid() % 250
        self._names = f"kju-{os.getpid()}-a", f"kju-{os.getpid()}-b"
        self.one, self.other = (
            End(("ip", "netns", "exec", name), f"10.199.{number}.{last}")
            for name, last in zip(self._names, (1, 2), strict=True)
        )
        self._carrier: subprocess.Popen[str] | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            with contextlib.ExitStack() as stack:
                self._make(stack)
                self._stack = stack.pop_all()
        except (OSError, subprocess.SubprocessError) as error:
            raise KjuError(f"network namespaces are unavailable: {_reason(error)}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self, stack: contextlib.ExitStack) -> None:
        tuns = []
        for name, end in zip(self._names, (self.one, self.other), strict=True):
            _ip("netns", "add", name)
            stack.callback(_quietly, "netns", "del", name)
            device = f"kju{os.getpid()}"[:13] + name[-1]
            tuns.append(_tun(device))
            stack.callback(os.close, tuns[-1])
            _ip("link", "set", device, "netns", name)
            _ip("-n", name, "addr", "add", f"{end.address}/24", "dev", device)
            for up in ("lo", device):
                _ip("-n", name, "link", "set", up, "up")
        self._carrier = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *map(str, tuns)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, errors="replace", pass_fds=tuns,
        )  # fmt: skip
        stack.callback(self._end)
        self.set(self.shape)

    def _end(self) -> None:
        if self._carrier is not None:
            self._carrier.kill()
            self._carrier.communicate()

    def set(self, shape: Shape) -> tuple[int, int]:
        """Change the link's properties, and return the bytes that each end has sent.

        Raises:
            KjuError: The process that carries the packets has ended.
        """
        self.shape = shape
        carrier = self._carrier
        if carrier is None or carrier.stdin is None or carrier.stdout is None:
            raise KjuError("the link is not open")
        try:
            print(json.dumps(shape), file=carrier.stdin, flush=True)
            one, other = json.loads(carrier.stdout.readline())
        except (OSError, ValueError) as error:
            raise KjuError("the process that carries the link's packets has ended") from error
        return int(one), int(other)

    def sent(self) -> tuple[int, int]:
        """Return the bytes that each end has sent, packet headers included."""
        return self.set(self.shape)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, errors="replace", timeout=20)


def _quietly(*words: str) -> None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        _ip(*words)


def _reason(error: Exception) -> str:
    text = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return text.strip().splitlines()[-1] if text and text.strip() else "permission denied"


def _tun(name: str) -> int:
    """Make a tun device, and return its descriptor; closing that removes the device."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _TUN_NO_PI))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class _Direction:
    """One direction of the link."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.bytes = 0
        self._free = 0.0
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._rng = random.Random(1)  # noqa: S311  the same packets in each run

    def take(self, packet: bytes, now: float, shape: Shape) -> None:
        self.bytes += len(packet)
        if shape.cut or (not shape.udp and packet[_PROTOCOL : _PROTOCOL + 1] == _UDP):
            return
        if self._rng.random() < shape.loss or self._free > now + shape.queue:
            return
        self._free = max(self._free, now) + 8 * len(packet) / shape.rate
        self._waiting.append((self._free + shape.delay, packet))

    def give(self, now: float, shape: Shape) -> float:
        """Deliver the packets that are due, and return the time of the next."""
        while self._waiting and self._waiting[0][0] <= now:
            packet = self._waiting.popleft()[1]
            if not shape.cut:
                with contextlib.suppress(OSError):
                    os.write(self.to, packet)
        return self._waiting[0][0] if self._waiting else now + 1.0


def carry(one: int, other: int) -> None:
    """Carry packets until standard input ends; a line there changes the link's properties."""
    ways = {one: _Direction(other), other: _Direction(one)}
    shape = Shape(cut=True)
    poll = select.epoll()
    for descriptor in (one, other, sys.stdin.fileno()):
        poll.register(descriptor, select.EPOLLIN)
    while True:
        now = time.monotonic()
        due = min(way.give(now, shape) for way in ways.values())
        for ready, _ in poll.poll(max(0.0, due - time.monotonic())):
            if ready in ways:
                _read(ready, ways[ready], shape)
                continue
            line = sys.stdin.readline()
            if not line:
                return
            shape = Shape(*json.loads(line))
            print(json.dumps([way.bytes for way in ways.values()]), flush=True)


def _read(descriptor: int, way: _Direction, shape: Shape) -> None:
    with contextlib.suppress(BlockingIOError):
        for _ in range(64):
            packet = os.read(descriptor, _MTU + 100)
            way.take(packet, time.monotonic(), shape)


if __name__ == "__main__":
    carry(*map(int, sys.argv[1:]))
