"""SHELL: an emulator as a child process: its start, its output, its end.

- After `end` neither it nor anything that it started runs.
- Its own last output explains its end better than a closed connection: `last_words` waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ...store import logs
from ...store.claims import Claim
from . import spawn as process
from .output import Output

log = logging.getLogger(__name__)

#: Seconds to end after it has agreed to quit: QEMU writes out its disks first.
QUIT_TIMEOUT = 30.0
#: Seconds to end after SIGTERM, if it did not answer.
TERMINATE_TIMEOUT = 2.0
#: Seconds to end by itself after it has closed a connection.
LAST_WORDS_TIMEOUT = 3.0


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
            self._child = process.spawn(command, output=output.theirs.fileno(), inherit=inherit)
        if changes_user:
            self._guard = process.guard(self._child)
        self._claim.record(self._child.pid)

    async def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end, at most *seconds*; return its status if it has ended."""
        if self._child is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait(self._child)
        return self.status

    def last_lines(self, lines: int = 8) -> list[str]:
        """Return the last lines of its output, without control characters."""
        if self._output:
            self._output.drain()
        return logs.tail(self._log, lines)

    async def last_words(self, lines: int = 8) -> tuple[str, list[str]] | None:
        """Return how it ended and its last lines, if it is ending now and has printed any."""
        status = await self.wait(LAST_WORDS_TIMEOUT)
        output = self.last_lines(lines)
        if status is None or not output:
            return None
        return f"{self.title} {process.describe(status)}", output

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
                await self.wait(QUIT_TIMEOUT)
            if child.returncode is None:
                child.terminate()
                await self.wait(TERMINATE_TIMEOUT)
        finally:
            if child.returncode is None:
                log.warning("%s does not end: killing it", self.title)
                process.kill_group(child)
            await process.wait(child)
            if self._guard:
                process.dismiss(self._guard)
            log.info("%s %s", self.title, process.describe(child.returncode))

    def close(self) -> None:
        """Read the rest of its output and close the log."""
        if self._output:
            self._output.drain()
            self._output.close()
