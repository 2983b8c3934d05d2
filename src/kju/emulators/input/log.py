"""SHELL: the log of a machine's input: what was sent, and when, for whoever wants it again.

It lies in the machine's folder, which nobody else can read, and goes with it: what is typed may
be a password.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ...keys import Step
from ...protocol.input_log import Input, encode
from ...protocol.messages import Action
from ...store import logs
from ...store.logs import BoundedLog


class InputLog:
    """A log that is being written; as bounded as the others.

    Args:
        path: Of its present file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = BoundedLog(path, note="")
        self._began = time.monotonic()

    def keys(self, console: int, steps: Sequence[Step]) -> None:
        """Note keyboard steps that were sent together."""
        self._log.write(encode(Input(self._now(), console, keys=list(steps))))

    def pointer(self, console: int, action: Action) -> None:
        """Note what was done with the pointer."""
        self._log.write(encode(Input(self._now(), console, pointer=[action])))

    def read(self) -> bytes:
        """All that it holds, as `kju.protocol.input_log` has it."""
        return logs.read(self._path)

    def replace(self, entries: Sequence[Input]) -> None:
        """Go on from these in place of what it holds: later times are after the last one's.

        Raises:
            OSError: There is no room for them.
        """
        self._log.replace(b"".join(map(encode, entries)))
        self._began = time.monotonic() - max((entry.time for entry in entries), default=0.0)

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 4)

    def close(self) -> None:
        """Write no more. A second call does nothing."""
        self._log.close()
