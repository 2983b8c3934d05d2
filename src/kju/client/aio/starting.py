"""A host that is being started, and the machine in it, for asyncio."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVar

from ...errors import KjuError, MachineGoneError, WaitTimeoutError
from ...protocol.forks import Begin
from ...protocol.launch_options import Detach, Launch
from ...protocol.messages import Done, Stop, Welcome
from ...protocol.values import Request
from .. import requests
from ..processes import HostProcess, start_host
from ..requests import END, START, check_reply
from .link import AsyncLink
from .surface import Screen, open_screen
from .waiting import Screens, reap


class StartedMachine(Protocol):
    """A machine, as the code that starts it sees it."""

    async def stop(self) -> None:
        """End the machine."""

    async def close(self) -> None:
        """Release the machine."""


MachineT = TypeVar("MachineT", bound=StartedMachine)
#: Makes a machine of its connection, its screens, and its host's process if it is owned.
MakeMachine: TypeAlias = Callable[[AsyncLink, Screens[Screen], HostProcess | None], MachineT]


class Starting:
    """A host that was sent its `Launch`, and starts. Several can start at the same time.

    Args:
        request: The launch.
        start: Starts the host's process.

    Attributes:
        request: The launch.

    Raises:
        LimitError: This process can open no more files.
    """

    def __init__(
        self,
        request: Launch,
        *,
        start: Callable[[], tuple[HostProcess, socket.socket]] = start_host,
    ) -> None:
        self.request = request
        self._detaching = False
        self._child, sock = start()
        self._link = AsyncLink(sock, request.machine)
        try:
            self._number = self._link.begin(request)
        except BaseException:
            # Without a request it has started nothing.
            self._link.close()
            self._child.kill()
            self._child.wait()
            raise

    async def finish(self, make: MakeMachine[MachineT]) -> MachineT:
        """Return the machine once it runs; a spare fork begins.

        If this is interrupted or cancelled, the machine ends. It continues only if it is returned.

        Raises:
            KjuError: It did not start; nothing is left of it.
        """
        link, request = self._link, self.request
        try:
            # The copy of a disk and the load of a snapshot take as long as they are large.
            reply, _ = await link.finish(self._number, None if request.snapshot else START)
            link.welcome = check_reply(reply, Welcome)
            link.name = link.welcome.machine
            screens = await Screens.of(link, open_screen)
            if request.spare:
                await link.ask(Begin(), Done)
            if request.detach:
                self._detaching = True
                await link.ask(Detach(), Done)
                # The process that we started has passed the machine to a child of its own.
                await reap(self._child, END)
        except BaseException as error:
            if self._detaching:
                # It may have been detached, and no longer end with the connection.
                with contextlib.suppress(KjuError):
                    link.begin(Stop(how="quit"))
                await link.wait_ended(END)
            elif isinstance(error, KjuError) and not isinstance(error, WaitTimeoutError):
                # The host closes the connection last: the name is free again then.
                await link.wait_ended(END)
            await self.close()
            if isinstance(error, MachineGoneError):
                raise requests.host_failed(self._child.returncode) from error
            raise
        return make(link, screens, None if request.detach else self._child)

    async def ask(self, request: Request, timeout: float) -> None:
        """Send a request to the host while it starts; return when it is `Done`.

        Raises:
            KjuError: The host refuses, has ended, or does not answer in time.
        """
        await self._link.ask(request, Done, timeout=timeout)

    def give_up(self) -> None:
        """Let the host end. `finish` raises an error then, unless the machine has started."""
        with contextlib.suppress(KjuError):
            self._link.begin(Stop(how="quit"))

    async def close(self) -> None:
        """End the host, and return when it and its machine have ended."""
        self._link.close()
        await reap(self._child, END)
