"""SHELL: one machine from start to end: its emulator and its clients.

- `run` starts everything, waits for the first reason to end, and takes everything down again,
  however it is left.
- The first reason counts: the emulator's end, a request, a signal, or the end of the launcher's
  connection.
- Nothing here may block the event loop for longer than a socket call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple

from ..emulators.base import Emulator, Ending
from ..emulators.tasks import Tasks
from ..errors import ForkError, KjuError, MachineGoneError, UsageError
from ..escaping import one_line
from ..protocol import messages
from ..protocol.framing import HostSide, failure
from ..protocol.launch_options import Launch
from ..protocol.leases import Renew
from ..protocol.messages import AnyRequest
from ..store.running import Claim
from ..surface import State
from . import requests
from .control import Client, ControlServer, Result
from .detaching import StartOutcome
from .lease import HostLease

log = logging.getLogger(__name__)

#: Characters of the reason why a machine did not start, for its other clients.
_MAX_REASON = 500


class LaunchingClient(NamedTuple):
    """The connection of the process that launched a machine.

    Attributes:
        sock: The connection.
        side: Its protocol state.
        number: The launch request's number.
        outcome: For a machine to be detached: reports that to its launcher.
    """

    sock: socket.socket
    side: HostSide
    number: int
    outcome: StartOutcome | None = None


class HostedMachine:
    """One running machine.

    Args:
        claim: Its name and folder.
        request: The launch request.
        emulator: Draws its screens.
        launcher: The connection of the process that launched it.

    Attributes:
        name: Its name.
        paths: Its files.
        request: The launch request.
        emulator: Draws its screens.
        began: The time of its start, in seconds since the epoch.
        lease: Its lease; None without one.
    """

    def __init__(
        self,
        claim: Claim,
        request: Launch,
        emulator: Emulator,
        launcher: LaunchingClient,
    ) -> None:
        self.name = claim.name
        self.paths = claim.paths
        self.request = request
        self.emulator = emulator
        self.began = time.time()
        self.lease = HostLease(request.lease) if request.lease is not None else None
        self._claim = claim
        self._is_spare = request.spare
        self._reverting = asyncio.Lock()
        self._launcher = launcher
        self._owner: Client | None = None
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._started = asyncio.Event()
        self._server: ControlServer | None = None
        self._tasks = Tasks()

    @property
    def clients(self) -> list[Client]:
        """The connected clients."""
        return self._server.clients if self._server else []

    def end(self, reason: str, *, asked: bool = True, status: int | None = None) -> None:
        """End the machine, unless it is already ending."""
        if not self._ending.done():
            log.info("ending: %s", reason)
            self._ending.set_result(Ending(reason, asked, status))
            self.emulator.events.happen(
                "ending", {"reason": reason, "asked": asked, "status": status}
            )

    async def run(self) -> Ending:
        """Run until something ends the machine; return the reason.

        Raises:
            KjuError: It did not start. Everything has been taken down.
        """
        loop, why = asyncio.get_running_loop(), ""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        if self.lease is not None:
            # First: the lease may end, or may have ended, during a long start.
            self._tasks.begin(self._end_with(self.lease))
        try:
            await self._start_unless_ended()
            return await self._ending
        except (KjuError, OSError) as error:
            # Before `_take_down` moves the logs away.
            log.error("%s", error)
            why = one_line(str(error), _MAX_REASON)
            if self._owner:
                reply = failure(error if isinstance(error, KjuError) else KjuError(str(error)))
                self._owner.send(reply, number=self._launcher.number)
            raise
        except Exception:
            log.exception("a bug in kju")
            raise
        finally:
            await self._take_down(why or "a bug in kju")

    # -- starting

    async def _start_unless_ended(self) -> None:
        if await self._finished(self._start()):
            return
        ending = self._ending.result()
        if self.lease is not None and self.lease.has_ended:
            # The emulator's last words are about its sudden end.
            raise KjuError(ending.reason)
        if ending.status is not None or not ending.asked:
            raise await self.emulator.explain(KjuError(ending.reason))

    async def _finished(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run work, and return whether it finished; it is cancelled if the machine is to end."""
        task = asyncio.create_task(work)
        first: set[asyncio.Future[Any]] = {task, self._ending}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
            return True
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, KjuError, OSError):
            await task
        return False

    async def _start(self) -> None:
        # First, so that the end of the launcher's connection is noticed during a long start.
        self._server = ControlServer(self.paths.control, self)
        self._owner = self._server.adopt(self._launcher.sock, self._launcher.side)
        await self.emulator.start(self._emulator_ended)
        self._started.set()
        self.emulator.events.announce_start(
            [console.producer for console in self.emulator.consoles]
        )
        self.greet(self._owner)
        self._owner.send(requests.welcome(self, "control"), number=self._launcher.number)

    # -- running

    def _emulator_ended(self, ending: Ending) -> None:
        """End the machine, and set the state of its screens at once."""
        self.end(ending.reason, asked=ending.asked, status=ending.status)
        self.emulator.set_state(*_last_state(self._ending.result()))

    async def _end_with(self, lease: HostLease) -> None:
        """End the machine when its lease ends."""
        self.end(await lease.run_out(), asked=False)
        # Another computer may start it as soon as the lease has ended: QEMU is not asked to end.
        self.emulator.kill()

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP and self.request.detach:
            log.info("SIGHUP ignored: the machine is detached")
            return
        self.end(f"the host received {signal.Signals(number).name}")

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        """Answer one request, once the machine has started, and no revert is in progress.

        Raises:
            KjuError: The request failed; the client gets this error.
        """
        quits = isinstance(request, messages.Stop) and request.how == "quit"
        # During a long start or revert, too, a lease is renewed and the machine is ended.
        if not quits and not isinstance(request, Renew):
            if not isinstance(request, Launch):
                await self._started.wait()
            # During a revert there is no emulator that could answer.
            async with self._reverting:
                pass
        return await requests.answer(self, client, request)

    def handle_at_once(self, client: Client, request: AnyRequest) -> Result | None:
        """Answer one request within this call; None if it has to wait for anything.

        Raises:
            KjuError: The request failed; the client gets this error.
        """
        if self._started.is_set() and not self._reverting.locked():
            return requests.answer_at_once(self, client, request)
        return None

    def greet(self, client: Client) -> None:
        """Announce a client that has sent its greeting."""
        self.emulator.events.happen("client-connected", _client_data(client))

    def release_client(self, client: Client) -> None:
        """Release everything that a client held; end the machine if it was the launcher."""
        self.emulator.events.leave(client)
        if client.side.role is not None:
            self.emulator.events.happen("client-disconnected", _client_data(client))
        self.emulator.leave(client)
        for console in self.emulator.consoles:
            console.detach(client)
            self._tasks.begin(console.devices.leave(client))
        if (keyboard := self.emulator.screenless_keyboard) is not None:
            self._tasks.begin(keyboard.leave(client))
        if client is self._owner:
            self.end(f"{client.side.client or 'the program'} that launched it has ended")

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this in the background; it is cancelled at the machine's end."""
        self._tasks.begin(work)

    async def stop(self, how: str, who: str) -> None:
        """End the machine for a client: ``quit``, or ``powerdown``."""
        if how == "quit":
            # The reply is sent first: `run` notices the end in the loop's next turn.
            self.end(f"{who} stopped it")
        else:
            await self.emulator.powerdown()

    def detach(self, client: Client) -> None:
        """Let the machine outlive its launcher's connection.

        Raises:
            UsageError: The client did not launch a machine to be detached, or has detached it.
        """
        outcome = self._launcher.outcome
        if client is not self._owner or outcome is None:
            raise UsageError(f"{self.name} is detached by the program that launches it, once")
        # From now on it is a client like any other.
        self._owner = None
        outcome.detached()

    async def begin_spare(self) -> None:
        """Let a spare fork run, and list it among the machines."""
        if not self._is_spare:
            raise UsageError(f"{self.name} is not a spare fork: it has begun")
        self._is_spare = False
        self._claim.show()
        await self.emulator.begin()

    async def revert(self) -> None:
        """Return the machine to its base: another emulator takes the place of this one.

        Raises:
            KjuError: It has no base; or the base could not be loaded, and the machine ends.
        """
        # Half a revert is no machine: it goes on if its client disconnects.
        await asyncio.shield(self._tasks.begin(self._revert()))

    async def _revert(self) -> None:
        async with self._reverting:
            ended = MachineGoneError(f"{self.name} ended before it was reverted", self.name)
            if self._ending.done():
                raise ended
            try:
                # Not cancelled: without either emulator nothing would end the first one.
                self.emulator = await self.emulator.revert()
                if not await self._finished(self.emulator.start(self._emulator_ended)):
                    raise ended
            except BaseException as error:
                if not isinstance(error, ForkError | UsageError):
                    self.end(f"it could not return to its base: {error}", asked=False)
                raise

    # -- ending

    async def _take_down(self, otherwise: str) -> None:
        """Take everything down; *otherwise* is the reason if nothing has ended the machine."""
        ending = self._ending.result() if self._ending.done() else Ending(otherwise, False)
        try:
            # A revert ends its first emulator and makes another one, which is the one to end.
            await self._reverting.acquire()
            await self.emulator.end()
        finally:
            await self.emulator.close(*_last_state(ending))
            await self._send_ended(ending)
            self._tasks.cancel()

    async def _send_ended(self, ending: Ending) -> None:
        if self._server is None:
            return
        log_tail = self.emulator.last_lines()
        if self._ending.done():
            self._server.broadcast(
                messages.Ended(reason=ending.reason, status=self.emulator.status, log=log_tail)
            )
        # Before the connections: a client that sees one close may use the name again at once.
        self._claim.release(keep_logs=not ending.asked)
        await self._server.close(ending.reason)


def _last_state(ending: Ending) -> tuple[State, str]:
    """Return a surface's last state: CLOSED if the end was requested, otherwise GONE."""
    closed = ending.asked and ending.status is None
    return State.CLOSED if closed else State.GONE, ending.reason


def _client_data(client: Client) -> dict[str, Any]:
    side, pid = client.side, client.peer.pid
    return {"client": client.number, "pid": pid, "name": side.client, "role": side.role}
