"""SHELL: one machine from start to end: QEMU, its display and its clients together.

Rules:

- `run` starts everything, waits for the first reason to end, and takes everything down
  again, whichever way it was left.
- There is one reason and it is the first: QEMU's end, a request, a signal, or the end of the
  connection that owns the machine.
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
from typing import Any, NamedTuple

from ..errors import KjuError, MachineGoneError, PeerError, QemuError, WaitTimeoutError
from ..surface import State
from . import messages, process, requests
from .control import Client, Result, Server
from .display import Display
from .emulator import LAST_WORDS, Emulator
from .launch import Prepared
from .messages import AnyRequest
from .probe import Accelerator
from .protocol import HostSide, failure
from .qmp import HUNG_UP, Qmp
from .runtime import Claim

log = logging.getLogger(__name__)

#: Until QEMU greets. It makes its devices first; a guest of many gigabytes, preallocated,
#: takes it tens of seconds.
GREETING = 120.0


class Ending(NamedTuple):
    """Why a machine ends.

    Attributes:
        reason: In one line.
        asked: Whether somebody wanted it, so that the host's own status is 0.
        status: QEMU's exit status; None while it is not known.
    """

    reason: str
    asked: bool
    status: int | None = None


class Machine:
    """One running machine.

    Args:
        claim: Its name and folder.
        prepared: What was asked for, checked.
        accelerator: What its guest runs on.
        owner: The launcher's connection and its protocol state.

    Attributes:
        name: Its name.
        paths: Its files.
        prepared: What was asked for.
        accelerator: What its guest runs on.
        emulator: Its QEMU.
        display: What it shows.
        began: When, in seconds since the epoch.
    """

    def __init__(
        self,
        claim: Claim,
        prepared: Prepared,
        accelerator: Accelerator,
        owner: tuple[socket.socket, HostSide],
    ) -> None:
        self.name = claim.name
        self.paths = claim.paths
        self.prepared = prepared
        self.accelerator = accelerator
        self.emulator = Emulator(claim, prepared)
        self.display = Display(claim.name, self._surface_address)
        self.began = time.time()
        self._claim = claim
        self._owner_connection = owner
        self._owner: Client | None = None
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._started = asyncio.Event()
        self._shutdown = ""
        self._qmp: Qmp | None = None
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> list[Client]:
        """Everybody connected."""
        return self._server.clients if self._server else []

    def end(self, reason: str, *, asked: bool = True, status: int | None = None) -> None:
        """End the machine, unless it is ending already."""
        if not self._ending.done():
            log.info("ending: %s", reason)
            self._ending.set_result(Ending(reason, asked, status))

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
                self._owner.send(failure(self.prepared.request.number, told))
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
            raise await self.emulator.explain(QemuError(ending.reason))

    async def _start(self) -> None:
        # First, so that the owner's hanging up is noticed whatever takes long here.
        self._server = Server(self.paths.control, self)
        self._owner = self._server.adopt(*self._owner_connection)
        qmp_socket = self.emulator.start(self.accelerator)
        self._begin(self._watch_qemu())
        try:
            async with asyncio.timeout(GREETING):
                self._qmp = await Qmp.connect(qmp_socket, self.name, self._on_event)
            self._begin(self._watch_qmp(self._qmp))
            self.display.paused = not await self._is_running(self._qmp)
            await self.display.open(self._qmp, self.emulator.pid, self.paths.folder)
        except TimeoutError as error:
            raise QemuError(f"QEMU did not answer in {GREETING:g} s", self.name) from error
        except (QemuError, MachineGoneError, PeerError, WaitTimeoutError) as error:
            raise await self.emulator.explain(error) from error
        self._begin(self.display.keep(self._qmp))
        log.info("running: process %d, %d consoles", self.emulator.pid, len(self.display.consoles))
        self._started.set()
        self._owner.send(requests.welcome(self, self.prepared.request.number, "control"))

    def _surface_address(self, index: int) -> str:
        path = self.prepared.request.surface
        if not path:
            return f"memfd:kju-{self.name}-{index}"[:200]
        return path + (f".{index}" if index else "")

    async def _is_running(self, qmp: Qmp) -> bool:
        status = await qmp.execute("query-status")
        if not isinstance(status, dict):
            raise QemuError(f"QEMU answered query-status with {status!r}"[:200], self.name)
        return bool(status.get("running", True))

    # -- running

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background until the machine ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch_qemu(self) -> None:
        """End the machine when QEMU has ended, and say so on the screen at once."""
        status = await self.emulator.wait()
        if status is None:
            return
        reason = f"QEMU {process.describe(status)}"
        if self._shutdown and status == 0:
            reason = self._shutdown
        log.info("QEMU has ended: status %d", status)
        self.end(reason, asked=status == 0, status=status)
        self.display.say(*_last_word(self._ending.result()))

    async def _watch_qmp(self, qmp: Qmp) -> None:
        """End the machine when QEMU can no longer be told anything, nor tells."""
        reason = await asyncio.shield(qmp.closed)
        # Its own end is the usual cause of a hang-up, and `_watch_qemu` has more to say of that;
        # but where we hung up, its end is only the consequence.
        if reason != HUNG_UP or await self.emulator.wait(LAST_WORDS) is None:
            self.end(f"the control connection to QEMU (QMP) has broken: {reason}", asked=False)

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP and self.prepared.request.detach:
            log.info("SIGHUP ignored: the machine is detached")
            return
        self.end(f"the host received {signal.Signals(number).name}")

    def _on_event(self, name: str, data: dict[str, Any]) -> None:
        if name == "SHUTDOWN":
            who = "the guest" if data.get("guest") else "QEMU"
            self._shutdown = f"{who} shut down ({data.get('reason', 'no reason given')})"
            log.info("%s", self._shutdown)
        elif name in ("STOP", "RESUME"):
            self.display.pause(name == "STOP")
        elif name == "RESET":
            self.display.hint()
        elif name == "GUEST_PANICKED":
            log.warning("the guest has panicked: %s", data)

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        """Answer one request, once there is a machine.

        Raises:
            KjuError: What is told to the client.
        """
        if not isinstance(request, messages.Launch):
            await self._started.wait()
        return await requests.answer(self, client, request)

    def client_gone(self, client: Client) -> None:
        """Release what a client held; end the machine if it was the owner."""
        for console in self.display.consoles:
            console.unhold(client)
            console.leave(client)
            self._begin(console.keyboard.leave(client))
        if client is self._owner and not self.prepared.request.detach:
            self.end(f"{client.side.client or 'the program'} that launched it has ended")

    async def stop(self, how: str, who: str) -> None:
        """End the machine as a client wants it: ``quit``, or ``powerdown``."""
        if how == "quit" or self._qmp is None:
            # After the reply is on its way: `end` is noticed in the loop's next turn.
            self.end(f"{who} stopped it")
        else:
            await self._qmp.execute("system_powerdown")

    # -- ending

    async def _take_down(self) -> None:
        ending = self._ending.result() if self._ending.done() else Ending("it failed", False)
        try:
            await self.emulator.end(self._ask_to_quit)
        finally:
            self.display.close(*_last_word(ending))
            if self._qmp:
                await self._qmp.close()
            self.emulator.close()
            await self._say_goodbye(ending)
            for task in list(self._tasks):
                task.cancel()

    async def _ask_to_quit(self) -> bool:
        if self._qmp is None:
            return False
        try:
            await self._qmp.execute("quit", timeout=2)
        except KjuError as error:
            log.info("QEMU was asked to quit: %s", error)
            return False
        return True

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
