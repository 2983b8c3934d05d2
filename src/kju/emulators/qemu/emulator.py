"""SHELL: QEMU as a machine's emulator: the child, QMP and the display together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

from ...errors import (
    KjuError,
    MachineGoneError,
    PeerError,
    PowerButtonError,
    QemuError,
    UsageError,
    WaitTimeoutError,
)
from ...store.running import Claim
from ...surface import State
from ..base import Emulator, Ended, Ending
from ..console import Console
from ..events import from_qmp
from ..input.keyboard import Keyboard
from ..input.log import InputLog
from ..launch import surface_address
from ..process import spawn as process
from ..process.child import LAST_WORDS, Child
from ..tasks import Tasks
from . import errors as qemu_errors
from .accelerator import Accelerator
from .arguments import Plan
from .display import Display
from .input.traces import Traces
from .jobs import EVENT as JOB_EVENT
from .jobs import Jobs
from .launch import Prepared
from .options import parse
from .power_button import why_lost
from .qmp import HUNG_UP, Qmp
from .serial import Serial
from .snapshots import SnapshotStore

log = logging.getLogger(__name__)

#: Until QEMU greets. It makes its devices first; a guest of many gigabytes, preallocated,
#: takes it tens of seconds.
GREETING = 120.0


class QemuEmulator(Emulator):
    """One QEMU.

    Args:
        claim: The machine's name and folder.
        prepared: What was asked for, checked.
        accelerator: What its guest runs on.

    Attributes:
        display: What it shows.
        plan: The whole command line, once it has been started.
    """

    kind = "qemu"

    def __init__(self, claim: Claim, prepared: Prepared, accelerator: Accelerator) -> None:
        super().__init__()
        traces = Traces()
        elsewhere = any(option.name == "D" for option in parse(prepared.request.arguments))
        address = surface_address(prepared.request, claim.name)
        self._inputs = InputLog(claim.paths.input_log)
        self.display = Display(claim.name, address, self._inputs, None if elsewhere else traces)
        self.plan = Plan((), (), ())
        self._child = Child("QEMU", claim, claim.paths.qemu_log, traces.receive_data)
        self._name = claim.name
        self._paths = claim.paths
        self._prepared = prepared
        self._accelerator = accelerator
        self._ended: Ended = lambda ending: None
        self._shutdown = ""
        self._qmp: Qmp | None = None
        self._serial: Serial | None = None
        self._snapshots: SnapshotStore | None = None
        self._jobs = Jobs()
        self._tasks = Tasks()

    @property
    def consoles(self) -> list[Console]:
        """The graphic ones."""
        return self.display.consoles

    @property
    def screenless_keyboard(self) -> Keyboard | None:
        """Its keyboard where it has no console whose keyboard it would be."""
        return self.display.screenless_keyboard

    @property
    def status(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._child.status

    @property
    def paused(self) -> bool:
        """Whether the guest's processors have been stopped."""
        return self.display.paused

    # -- starting

    async def start(self, ended: Ended) -> None:
        """Start it, and begin to show its consoles.

        Raises:
            ConflictError: The user's arguments contradict kju's.
            QemuError: It does not start; its own words are in it.
        """
        self._ended = ended
        qmp_socket = self._spawn()
        self._tasks.begin(self._watch_child())
        try:
            async with asyncio.timeout(GREETING):
                self._qmp = await Qmp.connect(qmp_socket, self._name, self._on_event)
            self._tasks.begin(self._watch_qmp(self._qmp))
            self.display.input.paused = not await self._is_running(self._qmp)
            await self.display.open(self._qmp, self._child.pid)
        except TimeoutError as error:
            raise QemuError(f"QEMU did not answer in {GREETING:g} s", self._name) from error
        except (QemuError, MachineGoneError, PeerError, WaitTimeoutError) as error:
            raise await self.explain(error) from error
        self._tasks.begin(self.display.keep(self._qmp))
        if (keyboard := self.display.first_keyboard) is not None:
            self._tasks.begin(keyboard.pace.find())
        log.info("running: process %d, %d consoles", self._child.pid, len(self.consoles))

    def _spawn(self) -> socket.socket:
        """Start the child; returns our end of its QMP connection."""
        ours, theirs = socket.socketpair()
        serial, its_serial = socket.socketpair()
        with theirs, its_serial:
            numbers = (theirs.fileno(), its_serial.fileno())
            self.plan = self._prepared.plan(self._name, *numbers, self._accelerator)
            command = [self._prepared.qemu.path, *self.plan.arguments]
            inherit = numbers if self.plan.has_serial else numbers[:1]
            try:
                self._child.start(command, inherit=inherit, changes_user=self.plan.changes_user)
            except OSError as error:
                ours.close()
                serial.close()
                raise QemuError(f"{command[0]} cannot be started: {error}", self._name) from error
        if self.plan.has_serial:
            self._serial = Serial(serial)
        else:
            serial.close()
        return ours

    async def _is_running(self, qmp: Qmp) -> bool:
        status = await qmp.execute("query-status")
        if not isinstance(status, dict):
            raise QemuError(f"QEMU answered query-status with {status!r}"[:200], self._name)
        return bool(status.get("running", True))

    async def explain(self, error: KjuError) -> QemuError:
        """Make of *error* what QEMU itself says of its end, if it ends now."""
        found = await self._child.last_words(qemu_errors.LINES)
        if found is None:
            return QemuError(str(error), self._name)
        how, said = found
        what = qemu_errors.message(said, self._prepared.qemu.path)
        return QemuError(f"{how}: {what}", self._name)

    # -- running

    async def _watch_child(self) -> None:
        status = await self._child.wait()
        if status is None:
            return
        if self._qmp is not None:
            # On a busy computer its end may be seen before the events that it sent last.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._qmp.last_events()
        reason = f"QEMU {process.describe(status)}"
        if self._shutdown and status == 0:
            reason = self._shutdown
        log.info("QEMU has ended: status %d", status)
        self._ended(Ending(reason, status == 0, status))

    async def _watch_qmp(self, qmp: Qmp) -> None:
        """End the machine when QEMU can no longer be told anything, nor tells."""
        reason = await asyncio.shield(qmp.closed)
        # Its own end is the usual cause of a hang-up, and `_watch_child` has more to say of that;
        # but where we hung up, its end is only the consequence.
        if reason != HUNG_UP or await self._child.wait(LAST_WORDS) is None:
            broken = f"the control connection to QEMU (QMP) has broken: {reason}"
            self._ended(Ending(broken, False))

    def _on_event(self, name: str, data: dict[str, Any]) -> None:
        if name == "SHUTDOWN":
            who = "the guest" if data.get("guest") else "QEMU"
            self._shutdown = f"{who} shut down ({data.get('reason', 'no reason given')})"
            log.info("%s", self._shutdown)
        elif name == JOB_EVENT:
            self._jobs.on_event(data)
        elif name in ("STOP", "RESUME"):
            self.display.set_paused(name == "STOP")
            if name == "RESUME":
                self._tasks.begin(self.display.settle())
        elif name == "RESET":
            self.display.reset()
        elif name == "GUEST_PANICKED":
            log.warning("the guest has panicked: %s", data)
        if (ours := from_qmp(name, data)) is not None:
            self.tell(*ours)

    @property
    def qmp(self) -> Qmp:
        """The way to QEMU."""
        if self._qmp is None:
            raise UsageError(f"QEMU has not greeted {self._name} yet")
        return self._qmp

    @property
    def snapshots(self) -> SnapshotStore:
        """The machine's snapshots."""
        if self._snapshots is None:
            self._snapshots = SnapshotStore(
                self.qmp,
                self._jobs,
                self.consoles,
                self._prepared.request.folder,
                self._inputs,
                self.tell,
                self.plan.temporary,
                self.screenless_keyboard,
            )
        return self._snapshots

    @property
    def serial(self) -> Serial:
        """The serial port that kju has added."""
        if self._serial is None:
            raise UsageError(f"the serial port of {self._name} is the user's own, or it has none")
        return self._serial

    async def powerdown(self) -> None:
        """Press the guest's power button; what follows is up to the guest.

        Raises:
            PowerButtonError: QEMU would drop the press.
            KjuError: QEMU does not answer.
        """
        if self._qmp is None:
            return
        if why := await why_lost(self._qmp):
            raise PowerButtonError(
                f"the guest of {self._name} cannot receive the power button: {why};"
                f" end it with: kju stop --now {self._name}"
            )
        await self._qmp.execute("system_powerdown")

    def leave(self, client: object) -> None:
        """A client has gone: it looks at the serial port no more."""
        if self._serial is not None:
            self._serial.leave(client)

    # -- ending

    async def end(self) -> None:
        """End QEMU: ask, insist, kill. What is being saved is saved first."""
        if self._snapshots is not None and self._child.status is None:
            await self._snapshots.settle()
        await self._child.end(self._ask_to_quit)

    async def _ask_to_quit(self) -> bool:
        if self._qmp is None:
            return False
        try:
            await self._qmp.execute("quit", timeout=2)
        except KjuError as error:
            log.info("QEMU was asked to quit: %s", error)
            return False
        return True

    async def close(self, state: State, reason: str) -> None:
        """Stop every source, say the last word and hang up."""
        self.display.close(state, reason)
        if self._serial:
            self._serial.close()
        if self._snapshots:
            self._snapshots.close()
        if self._qmp:
            await self._qmp.close()
        self._child.close()
        self._inputs.close()
        self._tasks.cancel()

    def last_lines(self) -> list[str]:
        """What QEMU printed last."""
        return self._child.last_lines()

    def info(self) -> dict[str, Any]:
        """QEMU, what it was started with, and why."""
        found, plan = self._prepared.qemu, self.plan
        return {
            "qemu": {
                "pid": self._child.pid,
                "path": found.path,
                "version": ".".join(map(str, found.version)),
                "architecture": found.architecture,
                "log": str(self._paths.qemu_log),
                "arguments": list(plan.user),
                "sources": found.sources,
            },
            "accelerator": self._accelerator._asdict(),
            "serial": self.plan.has_serial,
            "appended": [
                {"arguments": list(part.arguments), "reason": part.reason} for part in plan.appended
            ],
            "notes": list(plan.notes),
            "disks": self._disks(),
            "temporary": self.plan.temporary,
        }

    def _disks(self) -> list[dict[str, Any]]:
        """Each disk: its bus and why, and every file that QEMU opens for it."""
        buses = dict(self.plan.buses)
        found = []
        for chain in self._prepared.chains:
            path = chain.layers[0].path
            if path in buses:
                bus, reason = buses[path].bus, buses[path].reason
                layers = [layer._asdict() for layer in chain.layers]
                found.append({"path": path, "bus": bus, "reason": reason, "layers": layers})
        return found
