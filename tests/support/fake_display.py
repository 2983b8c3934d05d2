"""QEMU's side of a display listener, for tests: builds its calls, plays its authentication."""

from __future__ import annotations

import array
import os
import socket

from jeepney import low_level

from kju.sources.display1 import messages
from kju.sources.display1.frames import Received, RejectedMessage, Splitter

XRGB = 0x20020888
RGB565 = 0x10020565


class Calls:
    """Builds what QEMU sends to a listener; serials count up."""

    def __init__(self) -> None:
        self.serial = 0

    def bytes(self, message: object, reply: bool = True) -> bytes:
        self.serial += 1
        if not reply:
            message.header.flags = low_level.MessageFlag.no_reply_expected
        return messages.serialise(message, self.serial)[0]

    def listener(self, member: str, signature: str = "", *body: object, reply=True) -> bytes:
        path, interface = messages.LISTENER_PATH, messages.LISTENER
        return self.bytes(messages.call(path, interface, member, signature, *body), reply)

    def map_listener(self, member: str, signature: str = "", *body: object, reply=True) -> bytes:
        path, interface = messages.LISTENER_PATH, messages.LISTENER_MAP
        return self.bytes(messages.call(path, interface, member, signature, *body), reply)

    def scanout(self, width, height, data, stride=0, code=XRGB) -> bytes:
        stride = stride or width * 4
        return self.listener("Scanout", "uuuuay", width, height, stride, code, bytes(data))

    def update(self, rect, data, stride=0, code=XRGB) -> bytes:
        stride = stride or rect[2] * 4
        return self.listener("Update", "iiiiuuay", *rect, stride, code, bytes(data))

    def scanout_map(self, width, height, stride=0, offset=0, code=XRGB) -> bytes:
        stride = stride or width * 4
        # Descriptor 0 stands for whatever is sent along: the body holds an index only.
        return self.map_listener("ScanoutMap", "huuuuu", 0, offset, width, height, stride, code)

    def update_map(self, *rect: int) -> bytes:
        return self.map_listener("UpdateMap", "iiii", *rect)


class FakeQemu:
    """The server's end of a listener's socket, blocking, one step at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(20)
        self.calls = Calls()
        self.splitter = Splitter()
        self.answers: list[Received | RejectedMessage] = []

    def authenticate(self) -> None:
        assert self._line().startswith(b"\0AUTH EXTERNAL ")
        self.sock.sendall(b"OK 1234deadbeef\r\n")
        assert self._line() == b"NEGOTIATE_UNIX_FD"
        self.sock.sendall(b"AGREE_UNIX_FD\r\n")
        assert self._line() == b"BEGIN"

    def send(self, data: bytes, fd: int | None = None) -> None:
        rights = array.array("i", [] if fd is None else [fd])
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        sent = self.sock.sendmsg([data], control)
        if data[sent:]:
            self.sock.sendall(data[sent:])

    def ask(self, data: bytes, fd: int | None = None) -> Received:
        """Send a call and wait for its answer."""
        serial = self.calls.serial
        self.send(data, fd)
        while True:
            for answer in self.answers:
                if isinstance(answer, Received) and answer.reply_serial == serial:
                    self.answers.remove(answer)
                    return answer
            received = self.sock.recv(65536)
            if not received:
                raise EOFError("the listener has hung up")
            self.answers += self.splitter.receive_data(received)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            byte = self.sock.recv(1)
            if not byte:
                raise EOFError(line)
            line += byte
        return line[:-2]


def memfd(data: bytes, name: str = "displaysurface") -> int:
    """A memory file with *data* in it."""
    fd = os.memfd_create(name)
    os.write(fd, data)
    return fd
