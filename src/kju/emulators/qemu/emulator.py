"""SHELL: QEMU as a machine's emulator: the child, QMP and the display together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Collection
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
from ...protocol.launch_options import Launch
from ...store.forks.listing import note_fork
from ...store.running import Claim
from ...surface import State
from .. import spawn as process
from ..base import Emulator, Ended, Ending
from ..child import LAST_WORDS_TIMEOUT, Child
from ..console import Console
from ..console_surface import ConsoleSurface, surface_address
from ..events import MachineEvents, from_qmp
from ..input.devices import InputLog
from ..input.keyboard import SharedKeyboard
from ..launch import EmulatorFactory
from ..tasks import Tasks
from .arguments.plan import QemuPlan
from .arguments.user_options import parse
from .cd_drive import QemuCdDrive
from .display.display import Display
from .display.screenshot import SnapshotScreens
from .forks.machine_forks import ForksOf, QemuForks
from .forks.prepared_fork import PreparedFork, over_images
from .input.stepper import QemuStepper
from .launch import PreparedQemu, choose_accelerator, make_variables, prepare
from .power_button import loss_reason
from .program import Accelerator
from .qmp import DISCONNECTED, Qmp
from .serial import Serial
from .snapshot_disks import JOB_EVENT
from .snapshot_start import SnapshotStart, begins_with_snapshot
from .snapshots import QemuSnapshots, SnapshotContext
from .stderr import LAST_LINES, Traces, error_message

log = logging.getLogger(__name__)

#: Seconds for QEMU's greeting. QEMU makes the devices first; a guest with many gigabytes of
#: preallocated memory takes tens of seconds.
GREETING_TIMEOUT = 120.0
#: Looks per second at the screens of a paused spare fork, which do not change.
_SPARE_RATE = 0.1


class QemuEmulator(Emulator):
    """One QEMU.

    Args:
        claim: The machine's name and folder.
        prepared: The checked launch.
        accelerator: The accelerator of its guest.
        events: The machine's events.
        forks: Its base and its disks.
        serial: The serial port of the QEMU that this one replaces.

    Attributes:
        display: Its consoles.
        plan: The whole command line, once it has been started.
    """

    kind = "qemu"

    def __init__(
        self,
        claim: Claim,
        prepared: PreparedQemu,
        accelerator: Accelerator,
        events: MachineEvents,
        forks: QemuForks | None = None,
        serial: Serial | None = None,
    ) -> None:
        super().__init__(events)
        self._forks = forks or QemuForks(claim.name, prepared, accelerator)
        traces = Traces()
        traces_elsewhere = any(option.name == "D" for option in parse(prepared.request.arguments))

        def make_surface(index: int) -> ConsoleSurface:
            if index < len(self._forks.kept):
                surface = self._forks.kept[index].surface
                surface.begin_replacement()
                return surface
            address = surface_address(prepared.request, claim.name, index)
            return ConsoleSurface(index, address, events.note_mode)

        self._inputs = InputLog(claim.paths.input_log)
        self.display = Display(
            claim.name, make_surface, self._inputs, None if traces_elsewhere else traces
        )
        self.plan = QemuPlan()
        self._child = Child("QEMU", claim, claim.paths.emulator_log(self.kind), traces.receive_data)
        self._claim = claim
        self._prepared = prepared
        self._accelerator = accelerator
        #: None once another QEMU has replaced this one.
        self._ended: Ended | None = lambda ending: None
        self._shutdown = ""
        self._qmp: Qmp | None = None
        self._serial = serial
        self._snapshots: QemuSnapshots | None = None
        self._stepper: QemuStepper | None = None
        self._tasks = Tasks()

    @property
    def consoles(self) -> list[Console]:
        """The graphic consoles."""
        return self.display.consoles

    @property
    def screenless_keyboard(self) -> SharedKeyboard | None:
        """The keyboard of a machine without a console; None with one."""
        return self.display.screenless_keyboard

    @property
    def status(self) -> int | None:
        """The exit status, once it has ended."""
        return self._child.status

    @property
    def paused(self) -> bool:
        """True if the guest's processors have been stopped."""
        return self.display.paused

    # -- starting

    async def start(self, ended: Ended) -> None:
        """Start QEMU, and show its consoles.

        Raises:
            ConflictError: The user's arguments contradict kju's.
            QemuError: It does not start; the message has its output.
        """
        self._ended = ended
        await self._forks.copy_disks()
        qmp_socket = self._spawn()
        self._tasks.begin(self._wait_for_child())
        try:
            async with asyncio.timeout(GREETING_TIMEOUT):
                self._qmp = await Qmp.connect(qmp_socket, self._claim.name, self._on_event)
            self._tasks.begin(self._wait_for_qmp(self._qmp))
            if self._forks.loads:
                await self._forks.load(self._qmp)
            self.display.set_paused(not await self._is_running(self._qmp))
            await self.display.open(self._qmp, self._child.pid)
            if self._forks.reverts:
                await self._show_again(self._qmp)
            elif self._prepared.request.spare:
                await self._show_early()
            if self._forks.reverts or not self._prepared.request.spare:
                await self._begin(self._qmp)
        except TimeoutError as error:
            raise QemuError(
                f"QEMU did not answer in {GREETING_TIMEOUT:g} s", self._claim.name
            ) from error
        except (QemuError, MachineGoneError, PeerError, WaitTimeoutError) as error:
            raise await self.explain(error) from error
        if begins_with_snapshot(self._prepared):
            await self._load_snapshot(self._qmp)
        self._tasks.begin(self.display.keep(self._qmp))
        if (keyboard := self.display.first_keyboard) is not None:
            self._tasks.begin(keyboard.pace.find())
        count = len(self.consoles)
        some = "1 console" if count == 1 else f"{count} consoles"
        log.info("running: process %d, %s", self._child.pid, some)

    async def _load_snapshot(self, qmp: Qmp) -> None:
        start = SnapshotStart(self._prepared, lambda: self._child.last_lines(LAST_LINES))
        self.snapshots.undo = start.undo
        keep = not (self.plan.temporary or self._forks.overlay_note)
        try:
            await start.load(qmp, self.snapshots, keep=keep)
        except QemuError as error:
            if qmp.closed.done():
                raise await self.explain(error) from error
            raise QemuError(str(error), self._claim.name) from error

    async def _begin(self, qmp: Qmp) -> None:
        """Let a fork run, unless its guest was paused when it was frozen."""
        await self._forks.begin(qmp)
        if self._forks.is_deep:
            self._forks.flatten(qmp, self.snapshots)

    async def _show_again(self, qmp: Qmp) -> None:
        """Show this QEMU to the viewers of the one before; returns when every screen shows it."""
        screens = SnapshotScreens(qmp)
        try:
            for console, parts in zip(self.consoles, self._forks.kept, strict=False):
                while parts.viewers:
                    # Taken out first: one that disconnects later is detached from the console.
                    await console.attach(*parts.viewers.popitem())
                await screens.show(console)
                parts.surface.end_replacement()
        finally:
            screens.close()
        self._forks.kept = []

    async def revert(self) -> QemuEmulator:
        """End this QEMU, and return one of its base, which is not started.

        Raises:
            ForkError: The machine has no base, or it is damaged; QEMU runs on.
            FileError: The disks could not be made; QEMU has ended.
        """
        tag = await asyncio.to_thread(self._forks.check_revert)
        if self._snapshots is not None:
            await self._snapshots.settle()
        await self._forks.settle()
        self._ended = None
        self._forks.kept = self.display.hand_over()
        serial, self._serial = self._serial, None
        if serial is not None:
            serial.detach()
        await self._child.end(self._ask_to_quit)
        if self._snapshots:
            self._snapshots.close()
        await self.qmp.close()
        self._child.close()
        self._inputs.close()
        self._tasks.cancel()
        await self._forks.settle_copies()
        prepared = await asyncio.to_thread(self._forks.renewed)
        self.events.happen("reverted", {"tag": tag})
        return QemuEmulator(
            self._claim, prepared, self._accelerator, self.events, self._forks, serial
        )

    async def _show_early(self) -> None:
        """Publish the screens of a spare fork, so that its first client finds a picture."""
        for console in self.consoles:
            await console.attach(self, _SPARE_RATE)

    async def begin(self) -> None:
        """Let a spare fork run, if its guest ran when it was frozen."""
        await self._begin(self.qmp)
        for console in self.consoles:
            console.detach(self)

    def _spawn(self) -> socket.socket:
        """Start the child; return this end of its QMP connection."""
        ours, theirs = socket.socketpair()
        serial, its_serial = socket.socketpair()
        with theirs, its_serial:
            numbers = (theirs.fileno(), its_serial.fileno())
            self.plan = self._prepared.plan(self._claim.name, *numbers, self._accelerator)
            command = [self._prepared.qemu.path, *self.plan.arguments]
            inherit = numbers if self.plan.has_serial else numbers[:1]
            try:
                self._child.start(command, inherit=inherit, changes_user=self.plan.changes_user)
            except OSError as error:
                ours.close()
                serial.close()
                raise QemuError(
                    f"{command[0]} cannot be started: {error}", self._claim.name
                ) from error
        if not self.plan.has_serial:
            serial.close()
        elif self._serial is None:
            self._serial = Serial(serial)
        else:
            self._serial.attach(serial)
        return ours

    async def _is_running(self, qmp: Qmp) -> bool:
        status = await qmp.execute("query-status")
        if not isinstance(status, dict):
            raise QemuError(f"QEMU answered query-status with {status!r}"[:200], self._claim.name)
        return bool(status.get("running", True))

    async def explain(self, error: KjuError) -> QemuError:
        """Return *error*, with QEMU's own last output if it is ending now."""
        found = await self._child.last_words(LAST_LINES)
        if found is None:
            return QemuError(str(error), self._claim.name)
        how, output = found
        what = error_message(output, self._prepared.qemu.path)
        return QemuError(f"{how}: {what}", self._claim.name)

    # -- running

    async def _wait_for_child(self) -> None:
        status = await self._child.wait()
        if status is None:
            return
        if self._qmp is not None:
            # On a busy computer the end of the process can be noticed before its last events.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_TIMEOUT):
                    await self._qmp.last_events()
        reason = f"QEMU {process.describe(status)}"
        if self._shutdown and status == 0:
            reason = self._shutdown
        log.info("QEMU has ended: status %d", status)
        self._report_end(Ending(reason, status == 0, status))

    def _report_end(self, ending: Ending) -> None:
        if self._ended is not None:
            self._ended(ending)

    async def _wait_for_qmp(self, qmp: Qmp) -> None:
        """End the machine when the QMP connection ends."""
        reason = await asyncio.shield(qmp.closed)
        # Usually QEMU has ended, and `_wait_for_child` reports that with more detail. But if this
        # side closed the connection, QEMU's end is only the consequence.
        if reason != DISCONNECTED or await self._child.wait(LAST_WORDS_TIMEOUT) is None:
            broken = f"the control connection to QEMU (QMP) has broken: {reason}"
            self._report_end(Ending(broken, False))

    def _on_event(self, name: str, data: dict[str, Any]) -> None:
        if self._ended is None:
            return
        if name == "SHUTDOWN":
            who = "the guest" if data.get("guest") else "QEMU"
            self._shutdown = f"{who} shut down ({data.get('reason', 'no reason given')})"
            log.info("%s", self._shutdown)
        elif name == JOB_EVENT and self._snapshots is not None:
            self._snapshots.on_job_event(data)
        elif name in ("STOP", "RESUME"):
            self.display.set_paused(name == "STOP")
            if name == "RESUME":
                self._tasks.begin(self.display.settle())
        elif name == "RESET":
            self.display.reset()
        elif name == "GUEST_PANICKED":
            log.warning("the guest has panicked: %s", data)
        if (ours := from_qmp(name, data)) is not None:
            self.events.happen(*ours)

    @property
    def qmp(self) -> Qmp:
        """The QMP connection."""
        if self._qmp is None:
            raise UsageError(f"QEMU has not greeted {self._claim.name} yet")
        return self._qmp

    @property
    def snapshots(self) -> QemuSnapshots:
        """The machine's snapshots."""
        if self._snapshots is None:
            context = SnapshotContext(
                self.consoles,
                self._prepared.request.folder,
                self._inputs,
                self.events.happen,
                self.plan.temporary,
                self.screenless_keyboard,
                lambda: self._forks.overlay_note,
            )
            self._snapshots = QemuSnapshots(self.qmp, context)
        return self._snapshots

    @property
    def stepper(self) -> QemuStepper:
        """Runs the paused guest for a time."""
        if self._stepper is None:
            self._stepper = QemuStepper(self.qmp, lambda: self.paused)
        return self._stepper

    @property
    def forks(self) -> ForksOf:
        """The bases of the machine."""
        return ForksOf(self._forks, self.qmp, self.snapshots, self.events.happen)

    @property
    def cd_drive(self) -> QemuCdDrive:
        """The machine's CD drive, if it has one."""
        return QemuCdDrive(self.qmp, self._claim.name, self.events.happen)

    @property
    def serial(self) -> Serial:
        """The serial port that kju has added."""
        if self._serial is None:
            raise UsageError(
                f"kju has added no serial port to {self._claim.name}: it has none, or the user's"
                " own"
            )
        return self._serial

    async def powerdown(self) -> None:
        """Press the guest's power button; the guest decides how to react.

        Raises:
            PowerButtonError: QEMU would drop the press.
            KjuError: QEMU does not answer.
        """
        if self._qmp is None:
            return
        if why := await loss_reason(self._qmp):
            raise PowerButtonError(
                f"the guest of {self._claim.name} cannot receive the power button: {why};"
                f" end it with: kju stop --now {self._claim.name}"
            )
        await self._qmp.execute("system_powerdown")

    def leave(self, client: object) -> None:
        """Close the serial ports of a client that has disconnected."""
        if self._serial is not None:
            self._serial.leave(client)
        for parts in self._forks.kept:
            parts.viewers.pop(client, None)

    # -- ending

    async def end(self) -> None:
        """End QEMU: ask it, terminate it, kill it. A snapshot in progress is completed first."""
        if self._snapshots is not None and self._child.status is None:
            await self._snapshots.settle()
            await self._forks.settle()
        await self._child.end(self._ask_to_quit)

    def kill(self) -> None:
        """Kill QEMU: a snapshot in progress is lost."""
        self._child.kill()

    async def _ask_to_quit(self) -> bool:
        if self._qmp is None:
            return False
        try:
            await self._qmp.execute("quit", timeout=2)
        except KjuError as error:
            log.info("QEMU did not accept the command to quit: %s", error)
            return False
        return True

    async def close(self, state: State, reason: str) -> None:
        """Stop every source, set the last state and close the connections."""
        self.display.close(state, reason)
        # Of the QEMU before, if this one was ended before it showed on them.
        for parts in self._forks.kept[len(self.consoles) :]:
            parts.surface.close(state, reason)
        if self._serial:
            self._serial.close()
        if self._snapshots:
            self._snapshots.close()
        if self._stepper:
            self._stepper.close()
        if self._qmp:
            await self._qmp.close()
        self._child.close()
        if self._snapshots:
            await self._snapshots.undo()
        await self._forks.release()
        self._inputs.close()
        self._tasks.cancel()

    def last_lines(self) -> list[str]:
        """Return the last lines of QEMU's output."""
        return self._child.last_lines()

    def info(self) -> dict[str, Any]:
        """Return QEMU, its arguments with their reasons, and its disks."""
        known = self._prepared.info(self.plan, self._accelerator)
        log_file = str(self._claim.paths.emulator_log(self.kind))
        program = {"pid": self._child.pid, **known[self.kind], "log": log_file}
        return {**known, self.kind: program, "fork": self._forks.info()}


def _prepare(request: Launch, new_disks: Collection[str] = ()) -> PreparedQemu | PreparedFork:
    """Check a launch: of a fork if it names a base."""
    return PreparedFork(request) if request.base else prepare(request, new_disks)


def _create(
    claim: Claim, prepared: PreparedQemu | PreparedFork, events: MachineEvents
) -> QemuEmulator:
    """Make the emulator of a checked launch; its accelerator is tried out first."""
    if isinstance(prepared, PreparedFork):
        return _create_fork(claim, prepared, events)
    make_variables(prepared)
    accelerator = choose_accelerator(prepared)
    if not prepared.request.overlays:
        return QemuEmulator(claim, prepared, accelerator, events)
    made, disks = over_images(claim.name, prepared)
    forks = QemuForks(claim.name, prepared, accelerator, disks=disks)
    return QemuEmulator(claim, made, accelerator, events, forks)


def _create_fork(claim: Claim, prepared: PreparedFork, events: MachineEvents) -> QemuEmulator:
    made, disks = prepared.with_new_disks(claim.name)
    note_fork(claim.paths, prepared.base.id)
    forks = QemuForks(claim.name, prepared.original, prepared.accelerator, prepared.base, disks)
    return QemuEmulator(claim, made, prepared.accelerator, events, forks)


FACTORY: EmulatorFactory[PreparedQemu | PreparedFork] = EmulatorFactory(_prepare, _create)
