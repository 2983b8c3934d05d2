"""QMP for measurements: keys are sent at once, and only a few commands wait for their answer.

kju itself uses `qemu.qmp`. This module takes the time and writes the line without an event loop
between.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any


def connect(path: str | Path, seconds: float = 20) -> socket.socket:
    """Connect to a socket that QEMU will create."""
    end = time.monotonic() + seconds
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return sock


class Monitor:
    """One QMP connection. QEMU serves one at a time on each socket."""

    def __init__(self, path: str | Path) -> None:
        self._sock = connect(path)
        self._lines = self._sock.makefile("rb")
        self._unanswered = 0
        self._read()  # the greeting
        self.command("qmp_capabilities")

    def command(self, name: str, _fd: int | None = None, **arguments: object) -> Any:
        """Run a command; return its result."""
        self._settle()
        self._send(name, arguments, _fd)
        return self._answer()

    def key(self, qcode: str, down: bool) -> int:
        """Press or release a key without waiting for the answer; return the time of sending."""
        self._settle()
        event = {
            "type": "key",
            "data": {"down": down, "key": {"type": "qcode", "data": qcode}},
        }
        at = time.monotonic_ns()
        self._send("input-send-event", {"events": [event]})
        self._unanswered += 1
        return at

    def close(self) -> None:
        self._lines.close()
        self._sock.close()

    def _settle(self) -> None:
        while self._unanswered:
            self._answer()
            self._unanswered -= 1

    def _send(self, name: str, arguments: dict[str, Any], fd: int | None = None) -> None:
        data = json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n"
        if fd is None:
            self._sock.sendall(data)
        else:
            socket.send_fds(self._sock, [data], [fd])

    def _answer(self) -> Any:
        while "return" not in (message := self._read()):
            if "error" in message:
                raise RuntimeError(f"QEMU refused: {message['error']}")
        return message["return"]

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise EOFError("QEMU has hung up")
        return dict(json.loads(line))


class Line:
    """The guest's first serial line: the output and the commands of `paint`."""

    def __init__(self, path: str | Path) -> None:
        self._sock = connect(path)
        self._lines = self._sock.makefile("rb")

    def until(self, words: str, seconds: float = 90) -> str:
        """Read until a line of the guest contains these words; return the line."""
        self._sock.settimeout(seconds)
        while True:
            line = self._lines.readline().decode(errors="replace").strip()
            if words in line:
                return line

    def tell(self, command: str, answer: str = "frame") -> str:
        """Send the guest a command and wait for its answer."""
        self._sock.sendall(command.encode() + b"\n")
        return self.until(answer)

    def frame(self) -> int:
        """Return the number of frames that the guest has drawn."""
        return int(self.tell("go").rpartition(" ")[2])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._lines.close()
        self._sock.close()
