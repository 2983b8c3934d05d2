"""SHELL: Xvfb as a machine's emulator: one that is started for it, or one that runs already.

Rules:

- A started server is a child like QEMU: it does not outlive the host, and what it shares goes
  with it, however either ends.
- One that runs already is only looked at: nothing of it is changed, ended or removed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Any

from ...errors import KjuError, UsageError, XvfbError
from ...memory.descriptor import Descriptor
from ...store.running import Claim
from ...surface import State
from ..base import Emulator, Ended, Ending
from ..console import Console
from ..launch import surface_address
from ..process import spawn as process
from ..process.child import Child
from ..qemu.arguments import Plan
from ..tasks import Tasks
from . import arguments as xvfb_arguments
from . import framebuffer
from .console import XvfbConsole
from .framebuffer import Framebuffer
from .launch import Prepared

log = logging.getLogger(__name__)

#: Until a server says that programs may come; it takes a tenth of a second.
GREETING = 30.0


class Xvfb(Emulator):
    """What both kinds have: a process, a display and a screen."""

    kind = "xvfb"

    def __init__(self, claim: Claim, prepared: Prepared) -> None:
        super().__init__()
        self.plan = Plan((), (), ())
        self._name = claim.name
        self._paths = claim.paths
        self._prepared = prepared
        self._ended: Ended = lambda ending: None
        self._display = ""
        self._pid = 0
        self._consoles: list[XvfbConsole] = []
        self._tasks = Tasks()

    @property
    def consoles(self) -> Sequence[Console]:
        """The one screen."""
        return self._consoles

    async def _show(self, found: Framebuffer) -> None:
        """Begin with the screen.

        Raises:
            KjuError: There is no memory for its surface.
        """
        address = surface_address(self._prepared.request, self._name)(0)
        try:
            self._consoles.append(XvfbConsole(address, found))
        except (KjuError, OSError):
            found.close()
            raise
        await self._consoles[0].open()
        log.info("shown: process %d, display %s, %s", self._pid, self._display, found.address)

    async def powerdown(self) -> None:
        """There is no power button.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"an X server has no power button; end it with: kju stop {self._name}")

    async def close(self, state: State, reason: str) -> None:
        """Stop the source and say the last word."""
        await super().close(state, reason)
        self._tasks.cancel()

    def info(self) -> dict[str, Any]:
        """The server, what it was started with, and why."""
        return {
            "xvfb": {
                "pid": self._pid,
                "path": self._prepared.path,
                "display": self._display,
                "memory": self._consoles[0].framebuffer.address if self._consoles else "",
                "log": str(self._paths.xvfb_log) if self._prepared.path else "",
                "arguments": list(self.plan.user),
            },
            "appended": [
                {"arguments": list(part.arguments), "reason": part.reason}
                for part in self.plan.appended
            ],
            "notes": list(self.plan.notes),
        }


class StartedXvfb(Xvfb):
    """A server of the machine's own."""

    def __init__(self, claim: Claim, prepared: Prepared) -> None:
        super().__init__(claim, prepared)
        self._child = Child("Xvfb", claim, claim.paths.xvfb_log)

    @property
    def status(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._child.status

    async def start(self, ended: Ended) -> None:
        """Start it, and show its screen once it serves its display.

        Raises:
            ConflictError: The user's arguments contradict kju's.
            XvfbError: It does not start; its own words are in it.
        """
        self._ended = ended
        ours, theirs = (Descriptor(fd) for fd in os.pipe2(os.O_CLOEXEC))
        with ours, theirs:
            self._spawn(theirs.fileno())
            theirs.close()
            self._tasks.begin(self._watch())
            try:
                async with asyncio.timeout(GREETING):
                    number = await _line(ours.fileno())
            except TimeoutError as error:
                raise XvfbError(f"Xvfb did not begin in {GREETING:g} s", self._name) from error
        if not number.isdecimal():
            raise await self.explain(XvfbError("Xvfb named no display", self._name))
        self._display = f":{number}"
        found = await asyncio.to_thread(framebuffer.of_process, self._pid)
        framebuffer.remove_segments_with(self._pid)
        await self._show(found)

    def _spawn(self, displayfd: int) -> None:
        request, path = self._prepared.request, self._prepared.path
        self.plan = xvfb_arguments.plan(request.arguments, displayfd, str(self._paths.folder))
        try:
            self._child.start([path, *self.plan.arguments], inherit=[displayfd])
            self._pid = self._child.pid
        except OSError as error:
            raise XvfbError(f"{path} cannot be started: {error}", self._name) from error

    async def _watch(self) -> None:
        status = await self._child.wait()
        if status is not None:
            self._ended(Ending(f"Xvfb {process.describe(status)}", status == 0, status))

    async def explain(self, error: KjuError) -> XvfbError:
        """Make of *error* what Xvfb itself says of its end, if it ends now."""
        found = await self._child.last_words()
        if found is None:
            return XvfbError(str(error), self._name)
        how, said = found
        return XvfbError(f"{how}: {' '.join(_plain(said))}", self._name)

    async def end(self) -> None:
        """End it: tell it to, and kill it if it does not."""
        framebuffer.remove_segments_with(self._pid)  # `start` may not have come that far
        await self._child.end()

    async def close(self, state: State, reason: str) -> None:
        """Stop the source, say the last word, read the server's."""
        await super().close(state, reason)
        self._child.close()

    def last_lines(self) -> list[str]:
        """What it printed last, without the server's decoration."""
        return _plain(self._child.last_lines())


class RunningXvfb(Xvfb):
    """A server that somebody else runs."""

    async def start(self, ended: Ended) -> None:
        """Find it, and show its screen.

        Raises:
            XvfbError: There is none, or it does not share its screen.
            UsageError: What was named cannot be one.
        """
        self._ended = ended
        found = await asyncio.to_thread(framebuffer.find, self._prepared.request.running)
        self._pid = found.pid
        self._display = framebuffer.display_of(found.pid)
        self._tasks.begin(self._watch(found.pid))
        await self._show(found.framebuffer)

    async def _watch(self, pid: int) -> None:
        try:
            with process.descriptor_of(pid) as descriptor:
                await process.ended(descriptor)
        except OSError as error:
            log.info("process %d: %s", pid, error)
        self._ended(Ending(f"the Xvfb that was shown (process {pid}) has ended", False))

    async def end(self) -> None:
        """It is not ours to end."""


def _plain(said: Sequence[str]) -> list[str]:
    """What a server says of its end: behind its "fatal error", where it had one."""
    words = [line.replace("(EE)", " ").strip() for line in said]
    if "Fatal server error:" in words:
        words = words[words.index("Fatal server error:") + 1 :]
    return [word for word in words if word]


async def _line(descriptor: int) -> str:
    """What comes through a pipe before a newline, or before its end."""
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    data, ready = b"", asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        while b"\n" not in data:
            await ready.wait()
            ready.clear()
            try:
                part = os.read(descriptor, 64)
            except BlockingIOError:
                continue  # said twice, and read at once
            data += part
            if not part:
                break
    finally:
        loop.remove_reader(descriptor)
    return data.partition(b"\n")[0].decode("ascii", "replace")
