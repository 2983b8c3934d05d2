"""SHELL: the output of an emulator, into a bounded log.

It writes to a pipe, which the host's event loop reads. With a file it could fill the disk, because
a guest can make it print (``-serial stdio``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from ...memory.shared import Descriptor
from ...store.logs import BoundedLog

#: Bytes read in one turn of the loop: the size of a pipe.
_CHUNK = 64 << 10
#: Reads after the emulator's end; the rest in the pipe takes one.
_LAST_READS = 16


class Output:
    """The standard output and error of an emulator.

    Args:
        path: The log.
        read: Takes the output, and returns the part for the log.

    Attributes:
        theirs: The end that the emulator writes to; close it once that has it.
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
        """Read once; return whether there may be more."""
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
        """Read the rest of the output of an emulator that has ended."""
        for _ in range(_LAST_READS):
            if not self._ours or not self._readable():
                return

    def close(self) -> None:
        """Stop reading. A second call does nothing."""
        if self._ours:
            self._loop.remove_reader(self._ours.fileno())
            self._ours.close()
            self._log.close()
        self.theirs.close()
