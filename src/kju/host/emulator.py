"""SHELL: QEMU as this machine's child: how it is started, what it said, how it ends.

Rules:

- After `end` QEMU and everything it started are gone, whatever they do.
- What QEMU says of its own end is better than that it has hung up: `explain` waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

from ..errors import KjuError, QemuError
from . import logs, process
from .arguments import Plan
from .launch import Prepared
from .output import Output
from .probe import Accelerator
from .runtime import Claim

log = logging.getLogger(__name__)

#: For QEMU to end after it has said that it will: it writes out its disks first.
QUIT = 30.0
#: For QEMU to end after SIGTERM, when it did not answer.
TERMINATE = 2.0
#: For QEMU to end by itself once it has hung up.
LAST_WORDS = 1.0


class Emulator:
    """One QEMU.

    Attributes:
        plan: The whole command line, once it has been started.
    """

    def __init__(self, claim: Claim, prepared: Prepared) -> None:
        self.plan = Plan((), (), ())
        self._claim = claim
        self._prepared = prepared
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

    def start(self, accelerator: Accelerator) -> socket.socket:
        """Start it; returns our end of its QMP connection.

        Raises:
            ConflictError: The user's arguments contradict kju's.
            QemuError: It cannot be started.
        """
        name = self._claim.name
        ours, theirs = socket.socketpair()
        with theirs:
            self.plan = self._prepared.plan(name, theirs.fileno(), accelerator)
            command = [self._prepared.qemu.path, *self.plan.arguments]
            log.info("starting %s", command)
            try:
                self._output = output = Output(self._claim.paths.qemu_log)
                with output.theirs:
                    self._child = process.spawn(
                        command, output=output.theirs.fileno(), inherit=[theirs.fileno()]
                    )
            except OSError as error:
                ours.close()
                raise QemuError(f"{command[0]} cannot be started: {error}", name) from error
        if self.plan.changes_user:
            self._guard = process.guard(self._child)
        self._claim.record(self._child.pid)
        return ours

    async def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end, at most so long; returns its status if it has ended."""
        if self._child is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait(self._child)
        return self.status

    def last_lines(self) -> list[str]:
        """What it printed last, without control characters."""
        if self._output:
            self._output.drain()
        return logs.tail(self._claim.paths.qemu_log)

    async def explain(self, error: KjuError) -> QemuError:
        """Make of *error* what QEMU itself says of its end, if it ends now."""
        status = await self.wait(LAST_WORDS)
        said = self.last_lines()
        if status is None or not said:
            return QemuError(str(error), self._claim.name)
        # QEMU begins its messages with the path or the name it was started by.
        path = self._prepared.qemu.path
        what = said[-1].removeprefix(f"{path}: ").removeprefix(f"{Path(path).name}: ")
        before = f" (before that: {' | '.join(said[:-1])})" if said[:-1] else ""
        return QemuError(f"QEMU {process.describe(status)}: {what}{before}", self._claim.name)

    async def end(self, ask: Callable[[], Awaitable[bool]]) -> None:
        """End it: ask, insist, kill.

        Args:
            ask: Asks it to quit; returns whether it said that it will.
        """
        child = self._child
        if child is None:
            return
        try:
            if child.returncode is None and await ask():
                await self.wait(QUIT)
            if child.returncode is None:
                child.terminate()
                await self.wait(TERMINATE)
        finally:
            if child.returncode is None:
                log.warning("QEMU does not end: it is killed")
                process.kill_group(child)
            await process.wait(child)
            if self._guard:
                process.dismiss(self._guard)
            log.info("QEMU %s", process.describe(child.returncode))

    def close(self) -> None:
        """Read its last words, and no more."""
        if self._output:
            self._output.drain()
            self._output.close()
