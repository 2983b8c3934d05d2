"""SHELL: the keeper's end of the process that serves a node's machines (`sender`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys

import msgspec

from ...client.processes import child_environment
from ..placement import Instance
from .sender import RunningMachines, SenderSetup

log = logging.getLogger(__name__)

#: Seconds until the process is started again after its end, at first and at most.
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0
#: Seconds for the process to end after the end of its input.
_END = 5.0


class NodeSender:
    """Has the machines of a node served, from the first one on.

    A failure of the process ends no machine: another one is started.

    Args:
        setup: The node, and the network.
    """

    def __init__(self, setup: SenderSetup) -> None:
        self._setup = setup
        self._running: RunningMachines = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def show(self, instance: Instance) -> None:
        """Serve a machine."""
        self._running[instance.name] = instance.generation
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def hide(self, instance: Instance) -> None:
        """Serve a machine no more. No effect if it is not served."""
        if self._running.get(instance.name) == instance.generation:
            del self._running[instance.name]
            self._changed.set()

    async def close(self) -> None:
        """End the process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            since = loop.time()
            try:
                await self._run_process()
            except OSError as error:
                log.warning("the machines of %s are not served: %s", self._setup.node, error)
            pause = FIRST_PAUSE if loop.time() - since > MAX_PAUSE else min(2 * pause, MAX_PAUSE)
            await asyncio.sleep(pause)

    async def _run_process(self) -> None:
        """Run the process until it ends by itself.

        Raises:
            OSError: It could not be started.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "kju.fleet.network.sender",
            stdin=asyncio.subprocess.PIPE, env=child_environment(),
        )  # fmt: skip
        stdin = process.stdin
        if stdin is None:
            raise OSError("the sender has no input")
        telling = asyncio.create_task(self._tell(stdin))
        try:
            status = await process.wait()
            log.warning("the sender of %s has ended with %d", self._setup.node, status)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            stdin.close()
            with contextlib.suppress(ProcessLookupError):
                try:
                    async with asyncio.timeout(_END):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()

    async def _tell(self, stdin: asyncio.StreamWriter) -> None:
        stdin.write(msgspec.json.encode(self._setup) + b"\n")
        with contextlib.suppress(ConnectionError):
            while True:
                self._changed.clear()
                stdin.write(msgspec.json.encode(self._running) + b"\n")
                await stdin.drain()
                await self._changed.wait()
