"""SHELL: an emulator as this machine's child: how it is started, what it said, how it ends.

Rules:

- After `end` it and everything it started are gone, whatever they do.
- What it says of its own end is better than that it has hung up: `last_words` waits for it.
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

#: For it to end after it has said that it will: QEMU writes out its disks first.
QUIT = 30.0
#: For it to end after SIGTERM, when it did not answer.
TERMINATE = 2.0
#: For it to end by itself once it has hung up.
LAST_WORDS = 3.0


class Child:
    """One program that belongs to a machine.

    Args:
        title: What it is called in sentences, such as ``QEMU``.
        claim: The machine's.
        output: Where what it prints goes.
        read: Takes what it prints, and returns what is for the log.
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
        """Start it.

        Args:
            command: The program and its arguments.
            inherit: Descriptors that it gets.
            changes_user: It will be another user's process, and must be guarded.

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
        """Wait for its end, at most so long; returns its status if it has ended."""
        if self._child is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait(self._child)
        return self.status

    def last_lines(self, lines: int = 8) -> list[str]:
        """The last lines that it printed, without control characters."""
        if self._output:
            self._output.drain()
        return logs.tail(self._log, lines)

    async def last_words(self, lines: int = 8) -> tuple[str, list[str]] | None:
        """How it ended and its last lines, if it ends now and has printed anything."""
        status = await self.wait(LAST_WORDS)
        said = self.last_lines(lines)
        if status is None or not said:
            return None
        return f"{self.title} {process.describe(status)}", said

    async def end(self, ask: Callable[[], Awaitable[bool]] | None = None) -> None:
        """End it: ask, insist, kill.

        Args:
            ask: Asks it to quit; returns whether it said that it will.
        """
        child = self._child
        if child is None:
            return
        try:
            if child.returncode is None and ask is not None and await ask():
                await self.wait(QUIT)
            if child.returncode is None:
                child.terminate()
                await self.wait(TERMINATE)
        finally:
            if child.returncode is None:
                log.warning("%s does not end: it is killed", self.title)
                process.kill_group(child)
            await process.wait(child)
            if self._guard:
                process.dismiss(self._guard)
            log.info("%s %s", self.title, process.describe(child.returncode))

    def close(self) -> None:
        """Read its last words, and no more."""
        if self._output:
            self._output.drain()
            self._output.close()
