"""A second QMP connection to a machine's QEMU, to compare screens with screendumps."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import kju

from .wait import until


def execute(connection: TextIO, command: str, arguments: Mapping[str, object]) -> Any:
    """Run one command on a QMP connection and return its answer."""
    connection.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    connection.flush()
    while True:
        answer = json.loads(connection.readline())
        assert "error" not in answer, answer
        if "return" in answer:
            return answer["return"]


class Monitor:
    """Give `arguments` to the machine that is launched, then `connect`.

    Args:
        folder: Where its socket and pictures are; short, a socket's path has 107 bytes.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "monitor"
        self._picture = folder / "picture.ppm"
        self._link = socket.socket(socket.AF_UNIX)
        self.arguments = ["-qmp", f"unix:{self._path},server=on,wait=off"]

    def connect(self) -> Monitor:
        self._link.settimeout(30)
        self._link.connect(str(self._path))
        self._file = self._link.makefile("rw", encoding="utf-8")
        self._file.readline()  # the greeting
        self.execute("qmp_capabilities")
        return self

    def __enter__(self) -> Monitor:
        return self.connect()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._link.close()

    def execute(self, command: str, **arguments: object) -> Any:
        """Run one command and return its answer."""
        return execute(self._file, command, arguments)

    def screendump(self, **which: object) -> np.ndarray:
        """Return QEMU's own picture of the screen: ``(height, width, 3)``, R G B."""
        self.execute("screendump", filename=str(self._picture), **which)
        data = self._picture.read_bytes()
        magic, width, height, most = data[:64].split(maxsplit=4)[:4]
        assert (magic, most) == (b"P6", b"255")
        # QEMU pads the rows to whole words, which no reader of the format knows.
        row = int(width) * 3 + 3 & ~3
        rows = np.frombuffer(data[len(data) - row * int(height) :], np.uint8)
        return rows.reshape(int(height), row)[:, : int(width) * 3].reshape(int(height), -1, 3)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the guest during the block."""
        self.execute("stop")
        try:
            yield
        finally:
            self.execute("cont")

    def equals(self, screen: kju.Screen, **which: object) -> None:
        """Wait until *screen* equals QEMU's picture of the paused guest."""
        dump = self.screendump(**which)

        def equal() -> bool:
            screen.refresh()
            return np.array_equal(screen.frame(), dump)

        until(equal, "the published picture equals QEMU's screendump")
