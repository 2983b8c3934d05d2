"""A QEMU that misbehaves, as a program: speaks QMP and D-Bus as far as its host needs.

``KJU_FAKE`` says how it misbehaves: NAME at the greeting, NAME@COMMAND in place of the answer to
a QMP command, NAME@ready once a listener stands, NAME@bus and NAME@listener on those connections.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import threading

DEEP = b"[" * 200_000 + b"]" * 200_000 + b"\n"
#: Longer than a host takes, and longer than it passes on.
HUGE = b'{"return": "' + b"x" * (65 << 20)
LONG = b'{"return": "' + b"x" * (12 << 20) + b'", "id": %s}\n'

#: What is sent, by name.
WORDS = {
    "garbage": b"\xff\x00\x80 this is no JSON\n",
    "deep": DEEP,
    "huge": HUGE,
    "long": LONG,
    "list": b"[1, 2, 3]\n",
    "unhashable": b'{"return": {}, "id": [1]}\n',
    "error": b'{"error": "no map"}\n',
    "odd": b'{"event": ["STOP"], "data": 5}\n{"event": "SHUTDOWN", "data": []}\n{"event": 7}\n',
    "refuse": b'{"error": {"class": "GenericError", "desc": "no room"}, "id": %s}\n',
    "wrong": b'{"return": [1], "id": %s}\n',
    "end": b"",
    "noise": bytes(range(256)) * 4096,
    "well": b"",
}


def main() -> None:
    arguments = " ".join(sys.argv[1:])
    if arguments == "--version":
        print("QEMU emulator version 10.0.2")
    elif arguments == "-display help":
        print("dbus\nnone")
    else:
        found = re.search(r"socket,id=kju-qmp,fd=(\d+)", arguments)
        assert found
        Fake(socket.socket(fileno=int(found[1])), os.environ["KJU_FAKE"]).serve()


class Fake:
    def __init__(self, qmp: socket.socket, wish: str) -> None:
        self.qmp = qmp
        name, _, self.when = wish.partition("@")
        self.word = WORDS[name]
        self.passed: list[int] = []

    def serve(self) -> None:
        if not self.when:
            self.misbehave(self.qmp)
        version = {"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": ""}
        self.say({"QMP": {"version": version, "capabilities": []}})
        buffer = b""
        while True:
            data, fds, _, _ = socket.recv_fds(self.qmp, 65536, 4)
            if not data:
                return
            self.passed += fds
            *lines, buffer = (buffer + data).split(b"\n")
            # qemu.qmp ends a command with a carriage return and a newline, or neither.
            if buffer and self.whole(buffer):
                lines, buffer = [*lines, buffer], b""
            for line in lines:
                if line.strip():
                    self.answer(json.loads(line))

    @staticmethod
    def whole(text: bytes) -> bool:
        try:
            json.loads(text)
        except ValueError:
            return False
        return True

    def say(self, message: object) -> None:
        # A connection that the other thread has ended takes nothing more: that is no crash.
        with contextlib.suppress(BrokenPipeError):
            self.qmp.sendall(json.dumps(message).encode() + b"\n")

    def answer(self, command: dict) -> None:
        name, number = command["execute"], command.get("id")
        if self.when == name:
            self.misbehave(self.qmp, number)
            return
        result: object = {"running": True} if name == "query-status" else {}
        if name == "query-block":
            image = {"filename": "/no/such/disk", "snapshots": []}
            result = [{"inserted": {"node-name": "d", "drv": "qcow2", "image": image}}]
        if name == "add_client":
            bus = socket.socket(fileno=self.passed.pop(0))
            threading.Thread(target=self.serve_bus, args=(bus,), daemon=True).start()
        self.say({"return": result, "id": number})
        if name == "snapshot-save":
            job = {"id": command["arguments"]["job-id"], "status": "concluded"}
            self.say({"event": "JOB_STATUS_CHANGE", "data": job})
        if name == "quit":
            sys.exit(0)

    def misbehave(self, sock: socket.socket, number: object = None) -> None:
        if not self.word:
            sock.shutdown(socket.SHUT_RDWR)
        else:
            named = b"%s" in self.word
            sock.sendall(self.word % json.dumps(number).encode() if named else self.word)

    def serve_bus(self, sock: socket.socket) -> None:
        from fake_display import FakeQemu

        from kju.sources.display1 import messages

        peer = FakeQemu(sock)
        sock.settimeout(None)
        if self.when == "bus":
            self.when = ""
            self.misbehave(sock)
            return
        peer.authenticate()
        properties = {
            "Label": ("s", "x" * 10_000), "Head": ("u", 0), "Type": ("s", "Graphic"),
            "Width": ("u", 64), "Height": ("u", 48), "DeviceAddress": ("s", ""),
            "Interfaces": ("as", []),
        }  # fmt: skip
        answers = {
            "Get": ("v", (("au", list(range(1000 if self.when == "many" else 1))),)),
            "GetAll": ("a{sv}", (properties,)),
        }
        while True:
            data, fds, _, _ = socket.recv_fds(sock, 65536, 8)
            if not data:
                return
            for call in peer.splitter.receive_data(data, list(fds)):
                answer = answers.get(call.member, ("", ()))
                sock.sendall(messages.method_return(call.serial, 7, *answer))
                if call.member == "RegisterListener":
                    listener = socket.socket(fileno=fds.pop(0))
                    threading.Thread(target=self.draw, args=(listener,), daemon=True).start()

    def draw(self, sock: socket.socket) -> None:
        from fake_display import FakeQemu

        peer = FakeQemu(sock)
        peer.authenticate()
        if self.when == "listener":
            self.when = ""
            self.misbehave(sock)
            return
        peer.ask(peer.calls.scanout(64, 48, bytes(64 * 48 * 4)))
        if self.when == "ready":
            self.when = ""
            self.misbehave(self.qmp)
        sock.settimeout(None)
        sock.recv(1)


if __name__ == "__main__":
    main()
