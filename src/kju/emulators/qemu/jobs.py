"""SHELL: QEMU's jobs: started, waited for by their events, and dismissed.

- There is no time limit for a job as long as QEMU runs: the snapshot of a gigabyte takes long, and
  blocks QEMU's main loop.
- Every job is dismissed: otherwise QEMU keeps it after its end.

Source:
    qapi/job.json of QEMU.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import Any

from ...errors import QemuError
from .qmp import Qmp

log = logging.getLogger(__name__)

EVENT = "JOB_STATUS_CHANGE"
#: Seconds for the command that starts a job: QEMU answers only when a snapshot is done.
COMMAND_TIMEOUT = 24 * 3600.0


class Jobs:
    """The jobs of one QEMU."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Event] = {}

    def on_event(self, data: dict[str, Any]) -> None:
        """Receive QEMU's event on the status of a job."""
        concluded = self._waiting.get(str(data.get("id")))
        if concluded is not None and data.get("status") in ("concluded", "null"):
            concluded.set()

    async def run(self, qmp: Qmp, command: str, arguments: dict[str, object]) -> None:
        """Run a command that starts a job, and return when the job has succeeded.

        Raises:
            QemuError: It has failed, for QEMU's reason; or the connection has ended.
        """
        job = f"kju-{next(self._numbers)}"
        concluded = self._waiting[job] = asyncio.Event()
        try:
            await qmp.execute(command, {"job-id": job, **arguments}, COMMAND_TIMEOUT)
            await self._until(concluded, qmp, command)
            why = await self._error(qmp, job)
        finally:
            del self._waiting[job]
            with contextlib.suppress(QemuError):
                await qmp.execute("job-dismiss", {"id": job})
        if why:
            raise QemuError(f"QEMU could not do {command}: {why}")

    async def _until(self, concluded: asyncio.Event, qmp: Qmp, command: str) -> None:
        waits: asyncio.Future[Any] = asyncio.ensure_future(concluded.wait())
        try:
            await asyncio.wait({waits, qmp.closed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waits.cancel()
        if not concluded.is_set():
            raise QemuError(f"QEMU ended during {command}: {qmp.closed.result()}")

    async def _error(self, qmp: Qmp, job: str) -> str:
        for found in await qmp.execute("query-jobs"):
            if found.get("id") == job:
                return str(found.get("error") or "")
        return "QEMU does not report its result"
