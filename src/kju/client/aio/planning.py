"""Dry runs: the command of a launch, without starting anything, for asyncio."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Self, Unpack

from ...errors import MachineGoneError, WaitTimeoutError
from ...protocol.dry_run import DryRun, Planned
from ...protocol.launch_options import LaunchOptions, takes
from ...store.paths import check_name
from .. import requests
from ..link import Timeout, seconds_of
from ..processes import start_host
from ..requests import START, LaunchPlan, client_name
from .link import AsyncLink
from .waiting import run_blocking

if TYPE_CHECKING:
    import subprocess

#: Seconds for a killed host to end. One that waits for a disk that hangs ends when that answers.
_KILL_TIMEOUT = 1.0


class Planner:
    """A host process that answers dry runs; close it.

    The process starts with the first dry run, which takes as long as that of `plan_launch`. Each
    later one takes a few milliseconds. It reads the files, so a disk that hangs blocks nothing but
    this process: after the timeout it is killed, and the next dry run starts another.
    """

    def __init__(self) -> None:
        self._link: AsyncLink | None = None
        self._child: subprocess.Popen[bytes] | None = None

    async def plan(self, request: DryRun, *, timeout: Timeout = START) -> LaunchPlan:
        """Return the command of a launch, and the reasons. One call at a time.

        Args:
            request: See `kju.client.requests.dry_run_of`.
            timeout: Seconds; None for no limit.

        Raises:
            KjuError: The launch would fail with this error.
            WaitTimeoutError: The answer did not arrive in time, because a disk or QEMU hangs.
        """
        seconds = seconds_of(timeout, START)
        if self._link is None or self._link.gone() is not None:
            await self.close()
            self._child, sock = start_host()
            self._link = AsyncLink(sock, request.machine or "a dry run")
        try:
            planned = await self._link.ask(request, Planned, timeout=timeout)
        except WaitTimeoutError:
            await self.close()
            raise WaitTimeoutError(
                f"the dry run took longer than {seconds:g} s: a disk or QEMU does not answer"
            ) from None
        except MachineGoneError as error:
            child = self._child
            await self.close()
            raise requests.host_failed(child.returncode if child else None) from error
        return requests.plan_of(planned)

    async def close(self) -> None:
        """End the process. A second call does nothing."""
        link, self._link = self._link, None
        child, self._child = self._child, None
        if link is not None:
            link.close()
        if child is not None:
            await run_blocking(_kill, child)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a host of dry runs and the programs that it asks; it has nothing to finish."""
    import subprocess

    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_KILL_TIMEOUT)


@takes(LaunchOptions)
async def plan_launch(
    image: str | os.PathLike[str] | None = None, **options: Unpack[LaunchOptions]
) -> LaunchPlan:
    """Return what `launch` would run with these arguments, and start nothing: a dry run.

    No name is taken, and no folder, file or screen is made. QEMU is only asked for its version and
    its devices; at the first time since the computer started, KVM is tried out.

    Args:
        image: A disk, a CD (``.iso``) or a kernel.
        **options: See `kju.LaunchOptions`.

    Raises:
        KjuError: `launch` would fail. Of the errors that QEMU itself reports when it starts, these
            are found: a disk in use or in the wrong format, a forwarded port in use, an unknown
            device, property or processor, and more memory than this computer has.
    """
    if name := options.get("name"):
        check_name(name)
    request = requests.launch_request(image, options)
    async with Planner() as planner:
        return await planner.plan(DryRun(launch=request, client=client_name()[:256]))


async def plan_start(name: str, *, snapshot: str | None = None) -> LaunchPlan:
    """Return what `start` would run for a defined machine, and start nothing: a dry run.

    Args:
        name: The machine's name.
        snapshot: The snapshot that it begins with.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        DefinitionError: Its definition is not valid, or a disk is missing.
        KjuError: `start` would raise this error.
    """
    async with Planner() as planner:
        return await planner.plan(requests.dry_run_of(name, snapshot=snapshot))
