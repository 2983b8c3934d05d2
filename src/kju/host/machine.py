"""SHELL: one machine: QEMU, its consoles and its clients, from start to end.

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
import functools
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from ..display1.messages import CONSOLE, console_path
from ..errors import (
    KjuError,
    MachineGoneError,
    PeerError,
    QemuError,
    UsageError,
    WaitTimeoutError,
)
from ..sources.base import Report, Source
from ..sources.channel import socket_pair
from ..sources.display1 import Display1Source
from ..surface import Producer, State
from . import logs, messages, process
from .arguments import Plan
from .console import Console
from .control import Client, Result, Server
from .dbus import DisplayBus
from .keyboard import Keyboard
from .launch import Prepared
from .messages import AnyRequest
from .output import Output
from .probe import Accelerator
from .protocol import HostSide, failure
from .qmp import Qmp
from .runtime import Claim

log = logging.getLogger(__name__)

#: Until QEMU greets. It makes its devices first; a guest of many gigabytes, preallocated,
#: takes it tens of seconds.
GREETING = 120.0
#: As many as a client can name (`messages.Console`).
MAX_CONSOLES = 16
#: For QEMU to end after it has said that it will: it writes out its disks first.
QUIT = 30.0
#: For QEMU to end by itself once it has hung up.
LAST_WORDS = 1.0
#: Until a broken display connection is opened again.
RECONNECT = 1.0
#: For QEMU to end after SIGTERM, when it did not answer.
TERMINATE = 2.0


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
    """

    def __init__(
        self,
        claim: Claim,
        prepared: Prepared,
        accelerator: Accelerator,
        owner: tuple[socket.socket, HostSide],
    ) -> None:
        self.name = claim.name
        self.request = prepared.request
        self.accelerator = accelerator
        self.consoles: list[Console] = []
        self._claim = claim
        self._prepared = prepared
        self._owner_connection = owner
        self._owner: Client | None = None
        self._began = time.time()
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._started = asyncio.Event()
        self._shutdown = ""
        self._paused = False
        self._plan = Plan((), (), ())
        self._child: subprocess.Popen[bytes] | None = None
        self._guard = 0
        self._output: Output | None = None
        self._qmp: Qmp | None = None
        self._bus: DisplayBus | None = None
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

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
                self._owner.send(failure(self.request.number, told))
            raise
        except Exception:
            log.exception("a mistake in kju")
            raise
        finally:
            await self._take_down()

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
        if self._ending.result().status is not None:
            raise await self._explain(QemuError(self._ending.result().reason))

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP and self.request.detach:
            log.info("SIGHUP ignored: the machine is detached")
            return
        self.end(f"the host received {signal.Signals(number).name}")

    # -- starting

    async def _start(self) -> None:
        # First, so that the owner's hanging up is noticed whatever takes long here.
        self._server = Server(self._claim.paths.control, self)
        self._owner = self._server.adopt(*self._owner_connection)
        qmp_socket = self._spawn()
        try:
            async with asyncio.timeout(GREETING):
                self._qmp = await Qmp.connect(qmp_socket, self.name, self._on_event)
            self._begin(self._watch_qmp(self._qmp))
            await self._open_display(self._qmp)
        except TimeoutError as error:
            raise QemuError(f"QEMU did not answer in {GREETING:g} s", self.name) from error
        except (QemuError, MachineGoneError, PeerError, WaitTimeoutError) as error:
            raise await self._explain(error) from error
        log.info("running: process %d, %d consoles", self._pid, len(self.consoles))
        self._started.set()
        self._owner.send(self._welcome(self.request.number, "control"))

    def _spawn(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._plan = self._prepared.plan(self.name, theirs.fileno(), self.accelerator)
            command = [self._prepared.qemu.path, *self._plan.arguments]
            log.info("starting %s", command)
            try:
                self._output = output = Output(self._claim.paths.qemu_log)
                with output.theirs:
                    self._child = process.spawn(
                        command, output=output.theirs.fileno(), inherit=[theirs.fileno()]
                    )
            except OSError as error:
                ours.close()
                raise QemuError(f"{command[0]} cannot be started: {error}", self.name) from error
        if self._plan.changes_user:
            self._guard = process.guard(self._child)
        self._claim.record(self._child.pid)
        self._begin(self._watch(self._child))
        return ours

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background until the machine ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, child: subprocess.Popen[bytes]) -> None:
        """End the machine when QEMU has ended, and say so on the screen at once."""
        status = await process.wait(child)
        reason = f"QEMU {process.describe(status)}"
        if self._shutdown and status == 0:
            reason = self._shutdown
        log.info("QEMU has ended: status %d", status)
        self.end(reason, asked=status == 0, status=status)
        for console in self.consoles:
            console.producer.set_state(*_last_word(self._ending.result()))

    async def _watch_qmp(self, qmp: Qmp) -> None:
        """End the machine when QEMU can no longer be told anything, nor tells."""
        reason = await asyncio.shield(qmp.closed)
        if self._child:
            # QEMU's own end is the usual cause, and says more.
            await self._wait(self._child, LAST_WORDS)
        self.end(f"the control connection to QEMU (QMP) has broken: {reason}", asked=False)

    def _last_lines(self) -> list[str]:
        if self._output:
            self._output.drain()
        return logs.tail(self._claim.paths.qemu_log)

    async def _explain(self, error: KjuError) -> QemuError:
        """What QEMU itself says of its end is better than that it has hung up."""
        child = self._child
        if child is None:
            return QemuError(str(error), self.name)
        await self._wait(child, 1)
        said = self._last_lines()
        if child.returncode is None or not said:
            return QemuError(str(error), self.name)
        # QEMU begins its messages with the path or the name it was started by.
        path = self._prepared.qemu.path
        what = said[-1].removeprefix(f"{path}: ").removeprefix(f"{Path(path).name}: ")
        before = f" (before that: {' | '.join(said[:-1])})" if said[:-1] else ""
        status = process.describe(child.returncode)
        return QemuError(f"QEMU {status}: {what}{before}", self.name)

    async def _open_display(self, qmp: Qmp) -> None:
        status = await qmp.execute("query-status")
        if not isinstance(status, dict):
            raise QemuError(f"QEMU answered query-status with {status!r}"[:200], self.name)
        self._set_paused(not status.get("running", True))
        self._bus = bus = await self._connect_display(qmp)
        numbers = await bus.console_ids()
        if len(numbers) > MAX_CONSOLES:
            log.warning("%d consoles: only the first %d are shown", len(numbers), MAX_CONSOLES)
        for number in numbers[:MAX_CONSOLES]:
            facts = await bus.console(number)
            if facts.kind == "Graphic":
                index = len(self.consoles)
                listen = functools.partial(self._listen, number)
                keyboard = Keyboard(functools.partial(self._key, number))
                address = self._surface_address(index)
                self.consoles.append(
                    Console(index, facts, address, listen, keyboard, paused=self._paused)
                )
                await self.consoles[-1].start()
        self._begin(self._keep_display(qmp))
        if not self.consoles:
            log.warning("the machine has no graphic console")

    async def _connect_display(self, qmp: Qmp) -> DisplayBus:
        bus = await DisplayBus.connect(await qmp.open_display())
        bus.on_properties = self._announced
        return bus

    def _announced(self, path: str, interface: str, values: dict[str, Any]) -> None:
        for console in self.consoles:
            if interface == CONSOLE and path == console_path(console.facts.number):
                console.announced(values)

    @property
    def _display(self) -> DisplayBus:
        """The display connection of the moment; do not keep it."""
        if self._bus is None:
            raise UsageError(f"the display of {self.name} is not open yet")
        return self._bus

    async def _key(self, number: int, key: int, down: bool) -> None:
        await self._display.key(number, key, down)

    async def _listen(
        self, number: int, producer: Producer, report: Report, paused: bool
    ) -> Source:
        """Start a source and register it with QEMU."""
        ours, theirs = socket_pair()
        source = Display1Source(ours, producer, report, label=str(number))
        source.paused = paused
        source.start()
        try:
            await self._display.register_listener(number, theirs)
        except BaseException:
            source.stop()
            raise
        return source

    async def _keep_display(self, qmp: Qmp) -> None:
        """Open the display connection again when it breaks and QEMU lives on."""
        while True:
            reason = await asyncio.shield(self._display.closed)
            # QEMU's end is the usual cause; then this task is cancelled meanwhile.
            await asyncio.sleep(RECONNECT)
            log.warning("the display connection has broken (%s): opening another", reason)
            try:
                self._bus = await self._connect_display(qmp)
                for console in self.consoles:
                    facts = await self._bus.console(console.facts.number)
                    # What was announced meanwhile nobody heard.
                    console.announced({"Width": facts.width, "Height": facts.height})
            except (KjuError, OSError) as error:
                log.error("the display connection could not be opened: %s", error)

    def _surface_address(self, index: int) -> str:
        if not self.request.surface:
            return f"memfd:kju-{self.name}-{index}"[:200]
        return self.request.surface + (f".{index}" if index else "")

    @property
    def _pid(self) -> int:
        return self._child.pid if self._child else 0

    # -- running

    def _on_event(self, name: str, data: dict[str, Any]) -> None:
        if name == "SHUTDOWN":
            who = "the guest" if data.get("guest") else "QEMU"
            self._shutdown = f"{who} shut down ({data.get('reason', 'no reason given')})"
            log.info("%s", self._shutdown)
        elif name in ("STOP", "RESUME"):
            self._set_paused(name == "STOP")
        elif name == "GUEST_PANICKED":
            log.warning("the guest has panicked: %s", data)

    def _set_paused(self, paused: bool) -> None:
        self._paused = paused
        for console in self.consoles:
            console.paused(paused)

    def client_gone(self, client: Client) -> None:
        """Release what a client held; end the machine if it was the owner."""
        for console in self.consoles:
            console.unhold(client)
            self._begin(console.keyboard.leave(client))
        if client is self._owner and not self.request.detach:
            self.end(f"{client.side.client or 'the program'} that launched it has ended")

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        """Answer one request.

        Raises:
            KjuError: What is told to the client.
        """
        number = request.number
        if not isinstance(request, messages.Launch):
            await self._started.wait()
        match request:
            case messages.Hello(role=role):
                log.info("%s attached with role %s", client, role)
                return Result(self._welcome(number, role))
            case messages.GetInfo():
                return Result(messages.Info(number=number, info=self.info()))
            case messages.Stop(how=how):
                await self._stop(how, str(client))
                return Result(messages.Done(number=number))
            case messages.Launch():
                raise UsageError("this machine has been launched already")
        console = self._console(request.console)
        version = 0
        match request:
            case messages.GetSurface():
                return self._surface(number, console)
            case messages.Keys(steps=steps, interval=interval):
                await console.keyboard.press(client, steps, interval / 1000)
            case messages.Refresh():
                version = await console.refresh()
            case messages.Hold(milliseconds=milliseconds):
                version = await console.hold(client, milliseconds / 1000)
            case messages.Unhold():
                console.unhold(client)
        return Result(messages.Done(number=number, version=version))

    def _console(self, index: int) -> Console:
        try:
            return self.consoles[index]
        except IndexError:
            have = len(self.consoles)
            raise UsageError(f"there is no console {index}: {self.name} has {have}") from None

    def _surface(self, number: int, console: Console) -> Result:
        segment = console.producer.segment
        reply = messages.SurfaceHandle(
            number=number,
            descriptors=1,
            console=console.index,
            size=segment.size,
            address=segment.address,
        )
        return Result(reply, (console.handout(),))

    async def _stop(self, how: str, who: str) -> None:
        if how == "quit" or self._qmp is None:
            # After the reply is on its way: `end` is noticed in the loop's next turn.
            self.end(f"{who} stopped it")
        else:
            await self._qmp.execute("system_powerdown")

    def _welcome(self, number: int, role: messages.Role) -> messages.Welcome:
        return messages.Welcome(
            number=number,
            machine=self.name,
            role=role,
            pid=os.getpid(),
            consoles=len(self.consoles),
            folder=str(self._claim.paths.folder),
        )

    def info(self) -> dict[str, Any]:
        """The machine, for people and programs; every value fits into JSON."""
        found, paths = self._prepared.qemu, self._claim.paths
        return {
            "name": self.name,
            "state": "paused" if self._paused else "running",
            "started": self._began,
            "detached": self.request.detach,
            "host": {"pid": os.getpid(), "folder": str(paths.folder), "log": str(paths.host_log)},
            "qemu": {
                "pid": self._pid,
                "path": found.path,
                "version": ".".join(map(str, found.version)),
                "architecture": found.architecture,
                "log": str(paths.qemu_log),
                "arguments": list(self._plan.user),
                "sources": found.sources,
            },
            "accelerator": self.accelerator._asdict(),
            "appended": [
                {"arguments": list(part.arguments), "reason": part.reason}
                for part in self._plan.appended
            ],
            "notes": list(self._plan.notes),
            "consoles": [console.info() for console in self.consoles],
            "clients": [
                {"pid": c.peer.pid, "role": c.side.role, "name": c.side.client}
                for c in (self._server.clients if self._server else [])
                if not c.closed and c.side.role
            ],
        }

    # -- ending

    async def _take_down(self) -> None:
        ending = self._ending.result() if self._ending.done() else Ending("it failed", False)
        try:
            await self._end_qemu()
        finally:
            for console in self.consoles:
                console.stop(*_last_word(ending))
            if self._bus:
                self._bus.close()
            if self._qmp:
                await self._qmp.close()
            if self._output:
                self._output.drain()
                self._output.close()
            await self._say_goodbye(ending)
            for task in list(self._tasks):
                task.cancel()

    async def _say_goodbye(self, ending: Ending) -> None:
        if self._server is None:
            return
        status = self._child.returncode if self._child else None
        log_tail = self._last_lines()
        if self._ending.done():
            self._server.broadcast(
                messages.Ended(reason=ending.reason, status=status, log=log_tail)
            )
        # Before the connections: who sees one close may use the name again at once.
        self._claim.release(keep_logs=not ending.asked)
        await self._server.close(ending.reason)

    async def _end_qemu(self) -> None:
        """End QEMU: ask, insist, kill. Afterwards it and its whole group are gone."""
        child = self._child
        if child is None:
            return
        try:
            if child.returncode is None and await self._ask_to_quit():
                await self._wait(child, QUIT)
            if child.returncode is None:
                child.terminate()
                await self._wait(child, TERMINATE)
        finally:
            if child.returncode is None:
                log.warning("QEMU does not end: it is killed")
                process.kill_group(child)
            await process.wait(child)
            if self._guard:
                process.dismiss(self._guard)
            log.info("QEMU %s", process.describe(child.returncode))

    async def _ask_to_quit(self) -> bool:
        if self._qmp is None:
            return False
        try:
            await self._qmp.execute("quit", timeout=2)
        except KjuError as error:
            log.info("QEMU was asked to quit: %s", error)
            return False
        return True

    async def _wait(self, child: subprocess.Popen[bytes], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.wait(child)


def _last_word(ending: Ending) -> tuple[State, str]:
    """What a surface says of the end: closed if somebody ended the machine, else gone."""
    closed = ending.asked and ending.status is None
    return State.CLOSED if closed else State.GONE, ending.reason
