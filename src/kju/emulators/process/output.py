"""SHELL: what QEMU prints, into a bounded log.

QEMU prints into a pipe, which the host's event loop drains: given a file it could fill the
disk, and a guest can make it print (``-serial stdio``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from ...memory.descriptor import Descriptor
from ...store.logs import BoundedLog

#: Bytes read in one turn of the loop: as many as a pipe holds.
_CHUNK = 64 << 10
#: Turns of reading after QEMU's end; what it left in the pipe takes one.
_LAST = 16


class Output:
    """QEMU's standard output and error.

    Args:
        path: The log.
        read: Takes what is printed, and returns what is for the log.

    Attributes:
        theirs: The end that QEMU writes to; close it once QEMU has it.
    """

    def __init__(self, path: Path, read: Callable[[bytes], bytes] = lambda data: data) -> None:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        self.theirs = Descriptor(theirs)
        self._ours = Descriptor(ours)
        os.set_blocking(ours, False)
        self._log = BoundedLog(path)
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours, self._readable)

    def _readable(self) -> bool:
        """Read once; returns whether there may be more."""
        try:
            data = os.read(self._ours.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self._log.write(self._read(data))
        if not data:
            self.close()
        return bool(data)

    def drain(self) -> None:
        """Read what is there: QEMU has ended, and its last words are wanted."""
        for _ in range(_LAST):
            if not self._ours or not self._readable():
                return

    def close(self) -> None:
        """Read no more. A second call does nothing."""
        if self._ours:
            self._loop.remove_reader(self._ours.fileno())
            self._ours.close()
            self._log.close()
        self.theirs.close()
