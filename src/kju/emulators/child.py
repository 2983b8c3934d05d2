"""SHELL: an emulator as a child process: its start, its output, its end.

- After `end` neither it nor anything that it started runs.
- Its own last output explains its end better than a closed connection: `last_words` waits for it.
- It writes to a pipe, which the host's event loop copies to a bounded log. With a file it could
  fill the disk, because a guest can make it print (``-serial stdio``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ..memory.shared import Descriptor
from ..store import log_files
from ..store.log_files import BoundedLog
from ..store.running import Claim
from .spawn import describe, dismiss, guard, kill_group, spawn, wait

log = logging.getLogger(__name__)

#: Seconds to end after it has agreed to quit: QEMU writes out its disks first.
_QUIT_TIMEOUT = 30.0
#: Seconds to end after SIGTERM, if it did not answer.
_TERMINATE_TIMEOUT = 2.0
#: Seconds to end by itself after it has closed a connection.
LAST_WORDS_TIMEOUT = 3.0
#: Bytes read in one turn of the loop: the size of a pipe.
_CHUNK = 64 << 10
#: Reads after the emulator's end; the rest in the pipe takes one.
_LAST_READS = 16


class Child:
    """One program that belongs to a machine.

    Args:
        title: Its name in messages, such as ``QEMU``.
        claim: The machine's.
        output: The log of its output.
        read: Takes its output, and returns the part for the log.
    """

    def __init__(
        self,
        title: str,
        claim: Claim,
        output: Path,
        read: Callable[[bytes], bytes] = lambda data: data,
    ) -> None:
        self.title = title
        self._claim = claim
        self._log = output
        self._read = read
        self._child: subprocess.Popen[bytes] | None = None
        self._output: Output | None = None
        self._guard = 0

    @property
    def pid(self) -> int:
        """Its process number; 0 before it has been started."""
        return self._child.pid if self._child else 0

    @property
    def status(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._child.returncode if self._child else None

    def start(
        self, command: Sequence[str], *, inherit: Sequence[int] = (), changes_user: bool = False
    ) -> None:
        """Start the program.

        Args:
            command: The program and its arguments.
            inherit: Descriptors that it inherits.
            changes_user: It will become another user's process, and needs a guard.

        Raises:
            OSError: It cannot be started.
        """
        log.info("starting %s", command)
        self._output = output = Output(self._log, self._read)
        with output.theirs:
            self._child = spawn(command, output=output.theirs.fileno(), inherit=inherit)
        if changes_user:
            self._guard = guard(self._child)
        self._claim.record(self._child.pid)

    async def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end, at most *seconds*; return its status if it has ended."""
        if self._child is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await wait(self._child)
        return self.status

    def last_lines(self, lines: int = 8) -> list[str]:
        """Return the last lines of its output, without control characters."""
        if self._output:
            self._output.drain()
        return log_files.tail(self._log, lines)

    async def last_words(self, lines: int = 8) -> tuple[str, list[str]] | None:
        """Return how it ended and its last lines, if it is ending now and has printed any."""
        status = await self.wait(LAST_WORDS_TIMEOUT)
        output = self.last_lines(lines)
        if status is None or not output:
            return None
        return f"{self.title} {describe(status)}", output

    async def end(self, ask: Callable[[], Awaitable[bool]] | None = None) -> None:
        """End the program: ask it, terminate it, kill it.

        Args:
            ask: Asks it to quit; returns whether it has agreed.
        """
        child = self._child
        if child is None:
            return
        try:
            if child.returncode is None and ask is not None and await ask():
                await self.wait(_QUIT_TIMEOUT)
            if child.returncode is None:
                child.terminate()
                await self.wait(_TERMINATE_TIMEOUT)
        finally:
            if child.returncode is None:
                log.warning("%s does not end: killing it", self.title)
                kill_group(child)
            await wait(child)
            if self._guard:
                dismiss(self._guard)
            log.info("%s %s", self.title, describe(child.returncode))

    def kill(self) -> None:
        """Kill the program and its group; does nothing if it has ended or was not started."""
        if self._child is not None and self._child.returncode is None:
            kill_group(self._child)

    def close(self) -> None:
        """Read the rest of its output and close the log."""
        if self._output:
            self._output.drain()
            self._output.close()


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
