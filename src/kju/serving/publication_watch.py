"""SHELL: reports the publications of one surface to an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from ..client.aio.waiting import SeenSurface
from ..surface._core import WAIT_CAP_MS, Reader

#: Milliseconds between two reports of the cursor, which moves more often than viewers show it.
_CURSOR_INTERVAL = 20


class PublicationWatch:
    """A thread that sleeps until a surface has other pixels, another state or another cursor.

    It lasts until `stop`: to start a thread takes longer than to encode a typed letter.
    Publications that follow each other faster than the loop runs are reported once.

    Args:
        reader: The surface. Its memory stays valid as long as the thread uses it.
        report: Called in the present event loop after a publication.
    """

    def __init__(self, reader: Reader, report: Callable[[], object]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._has_stopped = False
        self._is_due = False
        # Read here: what is published from now on is reported.
        arguments = reader, _seen(reader)
        threading.Thread(
            target=self._run, args=arguments, name="kju-publications", daemon=True
        ).start()

    def stop(self) -> None:
        """Report nothing more. The thread ends within half a second."""
        self._has_stopped = True

    def _run(self, reader: Reader, seen: SeenSurface) -> None:
        while not self._has_stopped:
            reader.wait(seen.version, seen.cursor, seen.state, WAIT_CAP_MS)
            if (newest := _seen(reader)) == seen:
                continue
            is_cursor = newest == seen._replace(cursor=newest.cursor)
            seen = newest
            # A report that waits in the loop is about this publication too.
            if not self._is_due:
                self._is_due = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return  # the loop has closed
            if is_cursor:
                reader.wait(seen.version, -1, seen.state, _CURSOR_INTERVAL)

    def _deliver(self) -> None:
        # First, so that a publication during the report is reported again.
        self._is_due = False
        if not self._has_stopped:
            self._report()


def _seen(reader: Reader) -> SeenSurface:
    return SeenSurface(reader, reader.version, reader.state_code, reader.cursor_version)
