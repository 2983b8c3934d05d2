"""SHELL: the log of a machine's input, with times, to send it again.

It is in the machine's folder, which other users cannot read, and is removed with it: the input may
be a password.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ...keys import Step
from ...protocol.input_log import Input, encode
from ...protocol.values import Action
from ...store import logs
from ...store.logs import BoundedLog


class InputLog:
    """A log of input, bounded like the others.

    Args:
        path: Its current file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = BoundedLog(path, note="")
        self._began = time.monotonic()

    def keys(self, console: int, steps: Sequence[Step]) -> None:
        """Log keyboard steps that were sent together."""
        self._log.write(encode(Input(self._now(), console, keys=list(steps))))

    def pointer(self, console: int, action: Action) -> None:
        """Log an action of the pointer."""
        self._log.write(encode(Input(self._now(), console, pointer=[action])))

    def read(self) -> bytes:
        """Return its contents, in the format of `kju.protocol.input_log`."""
        return logs.read(self._path)

    def replace(self, entries: Sequence[Input]) -> None:
        """Replace its contents; later times continue from the last entry's.

        Raises:
            OSError: The disk is full.
        """
        self._log.replace(b"".join(map(encode, entries)))
        self._began = time.monotonic() - max((entry.time for entry in entries), default=0.0)

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 4)

    def close(self) -> None:
        """Stop writing. A second call does nothing."""
        self._log.close()
