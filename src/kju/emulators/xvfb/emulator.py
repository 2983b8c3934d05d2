"""SHELL: Xvfb as a machine's emulator: a server started for it, or one that is already running.

- A started server is a child process: it does not outlive the host, and its shared memory is
  removed with it, however either ends.
- A server that was already running is only read: kju does not change, end or remove anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ...errors import ConflictError, KjuError, UsageError, XvfbError
from ...extras import install_program
from ...memory.shared import Descriptor
from ...protocol.launch_options import Launch
from ...store.paths import machine_paths
from ...store.running import Claim
from ...surface import State
from ..base import CommandPlan, Emulator, Ended, Ending
from ..child import Child
from ..console import Console
from ..console_surface import ConsoleSurface, surface_address
from ..events import MachineEvents
from ..launch import EmulatorFactory
from ..spawn import describe, descriptor_of, ended
from ..tasks import Tasks
from .arguments import plan
from .console import (
    Framebuffer,
    XvfbConsole,
    display_of,
    find_server,
    framebuffer_of,
    remove_segments_of,
)

log = logging.getLogger(__name__)

#: Seconds for a server to accept clients; it takes a tenth of a second.
_START_TIMEOUT = 30.0

_INSTALL = {
    "debian": "apt install xvfb",
    "ubuntu": "apt install xvfb",
    "fedora": "dnf install xorg-x11-server-Xvfb",
    "rhel": "dnf install xorg-x11-server-Xvfb",
    "arch": "pacman -S xorg-server-xvfb",
    "suse": "zypper install xorg-x11-server-Xvfb",
}


class _PreparedXvfb(NamedTuple):
    """A checked launch of an Xvfb.

    Attributes:
        request: The request.
        path: The program; empty for a running one.
    """

    request: Launch
    path: str

    @property
    def default_name(self) -> str:
        """The name of a machine without a given one."""
        return self.request.emulator

    def dry_run(self, name: str) -> dict[str, Any]:
        """Return the command and its reasons; it is empty for an Xvfb that runs already."""
        planned = plan(self.request.arguments, 3, str(machine_paths(name).folder))
        command = [self.path, *planned.arguments] if self.path else []
        program = {"path": self.path, "arguments": list(planned.user)}
        return {"command": command, "xvfb": program, **planned.info()}


def locate() -> str:
    """Return the Xvfb in PATH.

    Raises:
        XvfbError: Xvfb is missing; the message names the command that installs it.
    """
    path = shutil.which("Xvfb")
    if path is None:
        how = install_program(_INSTALL, "install Xvfb from your distribution")
        raise XvfbError(f"Xvfb is not installed; {how}")
    return path


def _prepare(request: Launch, new_disks: Collection[str]) -> _PreparedXvfb:
    """Check a launch of Xvfb.

    Raises:
        ConflictError: It has options that need a guest, or arguments that contradict kju's.
        XvfbError: Xvfb is missing.
    """
    given = {
        "an image": request.image,
        "memory": request.memory,
        "cpus": request.cpus,
        "a disk bus": request.disk_bus,
        "a QEMU": request.qemu,
        "a snapshot": request.snapshot,
    }
    for name in (name for name, value in given.items() if value):
        raise ConflictError(f"Xvfb has no guest, so {name} cannot be given")
    if request.running:
        if request.arguments:
            raise ConflictError(f"the Xvfb {request.running} runs already: it takes no arguments")
        return _PreparedXvfb(request, "")
    plan(request.arguments, 3, "")
    return _PreparedXvfb(request, locate())


class _XvfbEmulator(Emulator):
    """The common part of both: a process, a display and a screen."""

    kind = "xvfb"

    def __init__(self, claim: Claim, prepared: _PreparedXvfb, events: MachineEvents) -> None:
        super().__init__(events)
        self.plan = CommandPlan()
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
        """Show the screen.

        Raises:
            KjuError: Memory for its surface is missing.
        """
        address = surface_address(self._prepared.request, self._name, 0)
        try:
            surface = ConsoleSurface(0, address, self.events.note_mode)
            self._consoles.append(XvfbConsole(surface, found))
        except (KjuError, OSError):
            found.close()
            raise
        await self._consoles[0].open()
        log.info("shown: process %d, display %s, %s", self._pid, self._display, found.address)

    async def powerdown(self) -> None:
        """Refuse: an X server has no power button.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"an X server has no power button; end it with: kju stop {self._name}")

    async def close(self, state: State, reason: str) -> None:
        """Stop the source and set the last state."""
        await super().close(state, reason)
        self._tasks.cancel()

    def info(self) -> dict[str, Any]:
        """Return the server and its arguments with their reasons."""
        return {
            self.kind: {
                "pid": self._pid,
                "path": self._prepared.path,
                "display": self._display,
                "memory": self._consoles[0].framebuffer.address if self._consoles else "",
                "log": str(self._paths.emulator_log(self.kind)) if self._prepared.path else "",
                "arguments": list(self.plan.user),
            },
            **self.plan.info(),
        }


class _StartedXvfb(_XvfbEmulator):
    """A server started for the machine."""

    def __init__(self, claim: Claim, prepared: _PreparedXvfb, events: MachineEvents) -> None:
        super().__init__(claim, prepared, events)
        self._child = Child("Xvfb", claim, claim.paths.emulator_log(self.kind))

    @property
    def status(self) -> int | None:
        """The exit status, once it has ended."""
        return self._child.status

    async def start(self, ended: Ended) -> None:
        """Start the server, and show its screen once it accepts clients.

        Raises:
            ConflictError: The user's arguments contradict kju's.
            XvfbError: It does not start; the message has its output.
        """
        self._ended = ended
        ours, theirs = (Descriptor(fd) for fd in os.pipe2(os.O_CLOEXEC))
        with ours, theirs:
            self._spawn(theirs.fileno())
            theirs.close()
            self._tasks.begin(self._wait_for_end())
            try:
                async with asyncio.timeout(_START_TIMEOUT):
                    number = await _line(ours.fileno())
            except TimeoutError as error:
                raise XvfbError(
                    f"Xvfb did not start within {_START_TIMEOUT:g} s", self._name
                ) from error
        if not number.isdecimal():
            raise await self.explain(XvfbError("Xvfb sent no display number", self._name))
        self._display = f":{number}"
        found = await asyncio.to_thread(framebuffer_of, self._pid)
        remove_segments_of(self._pid)
        await self._show(found)

    def _spawn(self, displayfd: int) -> None:
        request, path = self._prepared.request, self._prepared.path
        self.plan = plan(request.arguments, displayfd, str(self._paths.folder))
        try:
            self._child.start([path, *self.plan.arguments], inherit=[displayfd])
            self._pid = self._child.pid
        except OSError as error:
            raise XvfbError(f"{path} cannot be started: {error}", self._name) from error

    async def _wait_for_end(self) -> None:
        status = await self._child.wait()
        if status is not None:
            self._ended(Ending(f"Xvfb {describe(status)}", status == 0, status))

    async def explain(self, error: KjuError) -> XvfbError:
        """Return *error*, with Xvfb's own last output if it is ending now."""
        found = await self._child.last_words()
        if found is None:
            return XvfbError(str(error), self._name)
        how, output = found
        return XvfbError(f"{how}: {' '.join(_plain(output))}", self._name)

    async def end(self) -> None:
        """End the server: ask it, then kill it."""
        remove_segments_of(self._pid)  # `start` may not have got that far
        await self._child.end()

    def kill(self) -> None:
        """Kill the server; `end` removes its segments."""
        self._child.kill()

    async def close(self, state: State, reason: str) -> None:
        """Stop the source, set the last state, read the rest of the output."""
        await super().close(state, reason)
        self._child.close()

    def last_lines(self) -> list[str]:
        """Return the last lines of its output, without the server's prefixes."""
        return _plain(self._child.last_lines())


class _RunningXvfb(_XvfbEmulator):
    """A server that was already running."""

    async def start(self, ended: Ended) -> None:
        """Find the server, and show its screen.

        Raises:
            XvfbError: It is not running, or does not share its screen.
            UsageError: The given name cannot be a server's.
        """
        self._ended = ended
        found = await asyncio.to_thread(find_server, self._prepared.request.running)
        self._pid = found.pid
        self._display = display_of(found.pid)
        self._tasks.begin(self._wait_for_end(found.pid))
        await self._show(found.framebuffer)

    async def _wait_for_end(self, pid: int) -> None:
        try:
            with descriptor_of(pid) as descriptor:
                await ended(descriptor)
        except OSError as error:
            log.info("process %d: %s", pid, error)
        self._ended(Ending(f"the shown Xvfb (process {pid}) has ended", False))

    async def end(self) -> None:
        """Do nothing: kju did not start the server."""


def _plain(output: Sequence[str]) -> list[str]:
    """Return a server's output without prefixes, and only the part behind a fatal error."""
    lines = [line.replace("(EE)", " ").strip() for line in output]
    if "Fatal server error:" in lines:
        lines = lines[lines.index("Fatal server error:") + 1 :]
    return [line for line in lines if line]


async def _line(descriptor: int) -> str:
    """Read from a pipe up to a newline or its end."""
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
                continue  # one read took the data of two events
            data += part
            if not part:
                break
    finally:
        loop.remove_reader(descriptor)
    return data.partition(b"\n")[0].decode("ascii", "replace")


def _create(claim: Claim, prepared: _PreparedXvfb, events: MachineEvents) -> _XvfbEmulator:
    return (_StartedXvfb if prepared.path else _RunningXvfb)(claim, prepared, events)


FACTORY = EmulatorFactory(_prepare, _create)
