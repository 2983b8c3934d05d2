"""SHELL: one machine from start to end: what draws its screens, and its clients, together.

Rules:

- `run` starts everything, waits for the first reason to end, and takes everything down
  again, whichever way it was left.
- There is one reason and it is the first: the emulator's end, a request, a signal, or the end of
  the connection that owns the machine.
- Nothing here may take the event loop for longer than a socket call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Coroutine
from typing import Any

from ..emulators.base import Emulator, Ending
from ..emulators.events import Events
from ..emulators.tasks import Tasks
from ..errors import KjuError
from ..protocol import messages
from ..protocol.framing import HostSide, failure
from ..protocol.messages import AnyRequest, Launch
from ..store.running import Claim
from ..surface import State
from . import life, requests
from .control import Client, Result, Server

log = logging.getLogger(__name__)


class Machine:
    """One running machine.

    Args:
        claim: Its name and folder.
        request: What was asked for.
        emulator: What draws its screens.
        owner: The launcher's connection and its protocol state.

    Attributes:
        name: Its name.
        paths: Its files.
        request: What was asked for.
        emulator: What draws its screens.
        began: When, in seconds since the epoch.
        events: Its life.
    """

    def __init__(
        self,
        claim: Claim,
        request: Launch,
        emulator: Emulator,
        owner: tuple[socket.socket, HostSide],
    ) -> None:
        self.name = claim.name
        self.paths = claim.paths
        self.request = request
        self.emulator = emulator
        self.began = time.time()
        self._claim = claim
        self._owner_connection = owner
        self._owner: Client | None = None
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.events = Events()
        emulator.tell = self.events.happen
        self._started = asyncio.Event()
        self._server: Server | None = None
        self._tasks = Tasks()

    @property
    def clients(self) -> list[Client]:
        """Everybody connected."""
        return self._server.clients if self._server else []

    def end(self, reason: str, *, asked: bool = True, status: int | None = None) -> None:
        """End the machine, unless it is ending already."""
        if not self._ending.done():
            log.info("ending: %s", reason)
            self._ending.set_result(Ending(reason, asked, status))
            self.events.happen("ending", {"reason": reason, "asked": asked, "status": status})

    async def run(self) -> Ending:
        """Run until something ends the machine; return why.

        Raises:
            KjuError: It did not start. Everything has been taken down again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        try:
            await self._start_unless_ended()
            return await self._ending
        except (KjuError, OSError) as error:
            # Before the logs are put away.
            log.error("%s", error)
            if self._owner:
                told = error if isinstance(error, KjuError) else KjuError(str(error))
                self._owner.send(failure(self.request.number, told))
            raise
        except Exception:
            log.exception("a mistake in kju")
            raise
        finally:
            await self._take_down()

    # -- starting

    async def _start_unless_ended(self) -> None:
        starting = asyncio.create_task(self._start(), name="start")
        first: set[asyncio.Future[Any]] = {starting, self._ending}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            return
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, KjuError, OSError):
            await starting
        ending = self._ending.result()
        if ending.status is not None or not ending.asked:
            raise await self.emulator.explain(KjuError(ending.reason))

    async def _start(self) -> None:
        # First, so that the owner's hanging up is noticed whatever takes long here.
        self._server = Server(self.paths.control, self)
        self._owner = self._server.adopt(*self._owner_connection)
        await self.emulator.start(self._emulator_ended)
        self._started.set()
        life.begin(self, self._owner)
        self._owner.send(requests.welcome(self, self.request.number, "control"))

    # -- running

    def _emulator_ended(self, ending: Ending) -> None:
        """End the machine, and say so on the screen at once."""
        self.end(ending.reason, asked=ending.asked, status=ending.status)
        self.emulator.say(*_last_word(self._ending.result()))

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP and self.request.detach:
            log.info("SIGHUP ignored: the machine is detached")
            return
        self.end(f"the host received {signal.Signals(number).name}")

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        """Answer one request, once there is a machine.

        Raises:
            KjuError: What is told to the client.
        """
        if not isinstance(request, messages.Launch):
            await self._started.wait()
        return await requests.answer(self, client, request)

    def handle_at_once(self, client: Client, request: AnyRequest) -> Result | None:
        """Answer one request within this call; None if it has to wait for anything.

        Raises:
            KjuError: The request failed; the client gets this error.
        """
        if self._started.is_set():
            return requests.answer_at_once(self, client, request)
        return None

    def client_gone(self, client: Client) -> None:
        """Release what a client held; end the machine if it was the owner."""
        life.leave(self, client)
        for console in self.emulator.consoles:
            console.detach(client)
            self._tasks.begin(console.devices.leave(client))
        if (keyboard := self.emulator.screenless_keyboard) is not None:
            self._tasks.begin(keyboard.leave(client))
        if client is self._owner and not self.request.detach:
            self.end(f"{client.side.client or 'the program'} that launched it has ended")

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this in the background; it is broken off at the machine's end."""
        self._tasks.begin(work)

    async def stop(self, how: str, who: str) -> None:
        """End the machine as a client wants it: ``quit``, or ``powerdown``."""
        if how == "quit":
            # After the reply is on its way: `end` is noticed in the loop's next turn.
            self.end(f"{who} stopped it")
        else:
            await self.emulator.powerdown()

    # -- ending

    async def _take_down(self) -> None:
        ending = self._ending.result() if self._ending.done() else Ending("it failed", False)
        try:
            await self.emulator.end()
        finally:
            await self.emulator.close(*_last_word(ending))
            await self._say_goodbye(ending)
            self._tasks.cancel()

    async def _say_goodbye(self, ending: Ending) -> None:
        if self._server is None:
            return
        log_tail = self.emulator.last_lines()
        if self._ending.done():
            self._server.broadcast(
                messages.Ended(reason=ending.reason, status=self.emulator.status, log=log_tail)
            )
        # Before the connections: who sees one close may use the name again at once.
        self._claim.release(keep_logs=not ending.asked)
        await self._server.close(ending.reason)


def _last_word(ending: Ending) -> tuple[State, str]:
    """What a surface says of the end: closed if somebody ended the machine, else gone."""
    closed = ending.asked and ending.status is None
    return State.CLOSED if closed else State.GONE, ending.reason
