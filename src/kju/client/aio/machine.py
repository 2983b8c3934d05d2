"""One running machine and its snapshots, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from ...errors import MachineGoneError, PowerButtonError, RoleError
from ...protocol.framing import no_screen
from ...protocol.input_log import Input, decode
from ...protocol.messages import (
    ChangeCd,
    Done,
    Executed,
    GetInfo,
    GetSerial,
    Info,
    Power,
    SerialHandle,
    Stop,
)
from ...protocol.snapshots import GetSnapshots, SnapshotList
from ...protocol.values import Role
from ...store import log_files
from ...store.paths import Paths
from ...surface import NOTHING_TAKEN, Mark
from .. import requests
from ..input_requests import mark_of, replay_schedule
from ..link import DEFAULT_TIMEOUT, Timeout, only_descriptor, seconds_of
from ..requests import END, Snapshot, client_name
from .acting import ActOptions
from .input_devices import Keyboard, Pointer
from .link import AsyncLink
from .surface import Screen
from .waiting import Events, Screens, open_serial, reap, sleep, subscribe

if TYPE_CHECKING:
    import subprocess

    from ...acting import Answer, AnyInput
    from ..consumer.frame import Frame


class Machine:
    """One running machine. Use it as a context manager, or `close` it.

    Attributes:
        name: Its name.
        role: The role of this client: ``view`` or ``control``.
        screens: The screens of its consoles, a sequence of `Screen`.
        owned: True if the machine ends when this object is closed or this program ends.
    """

    name: str
    role: Role
    screens: Screens[Screen]
    owned: bool

    def __init__(
        self,
        link: AsyncLink,
        screens: Screens[Screen],
        child: subprocess.Popen[bytes] | None = None,
    ) -> None:
        """Use `launch` or `attach`."""
        self.name = link.name
        self.role = link.welcome.role
        self.screens = screens
        self.owned = child is not None
        self._link = link
        self._child = child

    @property
    def screen(self) -> Screen:
        """The screen of the first console.

        Raises:
            UsageError: The machine has no graphic console.
        """
        if not self.screens:
            raise no_screen(self.name)
        return self.screens[0]

    @property
    def keyboard(self) -> Keyboard:
        """The keyboard of the first console; a machine without a screen has one, too."""
        return Keyboard(self._link, 0)

    @property
    def pointer(self) -> Pointer:
        """The pointer of the first console."""
        return Pointer(self._link, 0)

    @property
    def snapshots(self) -> Snapshots:
        """The machine's snapshots."""
        return Snapshots(self._link)

    @property
    def default_timeout(self) -> float | None:
        """Seconds of a call without *timeout*; None for no limit. At first 30.

        It is valid for the machine's screens, its snapshots and the replies of the host, too.
        """
        return self._link.default_timeout

    @default_timeout.setter
    def default_timeout(self, seconds: float | None) -> None:
        self._link.default_timeout = seconds_of(seconds, None)

    @property
    def host_pid(self) -> int:
        """The number of the host process."""
        return self._link.welcome.pid

    @property
    def _paths(self) -> Paths:
        """The machine's files, which are removed when it ends."""
        return Paths(Path(self._link.welcome.folder))

    @property
    def log(self) -> Path:
        """The path of the host's log, which is removed when the machine ends."""
        return self._paths.host_log

    @property
    def is_alive(self) -> bool:
        """True until the machine has ended, or was closed here."""
        return self._link.gone() is None

    @property
    def end_reason(self) -> str | None:
        """The reason why the machine has ended; None while it is alive."""
        return self._link.gone()

    def __repr__(self) -> str:
        return f"<Machine {self.name!r} {self.role}{', owned' if self.owned else ''}>"

    # ---- The guest

    async def info(self) -> dict[str, Any]:
        """Return all facts about the machine: plain maps, lists, numbers and text.

        Raises:
            MachineGoneError: The machine has ended.
        """
        return (await self._link.ask(GetInfo(), Info)).info

    async def pause(self) -> None:
        """Stop the guest's processors. Stopped ones remain stopped.

        Raises:
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        await self._link.ask(Power(how="pause"), Done)

    async def resume(self) -> None:
        """Let the guest's processors run. Running ones go on.

        Raises:
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        await self._link.ask(Power(how="resume"), Done)

    async def reset(self) -> None:
        """Reset the machine, as its reset button does: the guest is not asked.

        Raises:
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        await self._link.ask(Power(how="reset"), Done)

    async def qmp(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401  QMP is JSON
        """Run one QMP command, and return its result.

        Args:
            command: Such as ``query-status``.
            arguments: QMP's names: ``machine.qmp("eject", **{"id": "cd0"})``.

        Raises:
            QemuError: QEMU refused.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        request = requests.execute_request(command, arguments)
        return json.loads((await self._link.ask(request, Executed)).value)

    async def change_cd(self, image: str | os.PathLike[str] | None) -> None:
        """Put a CD into the drive in place of the old one; None ejects that.

        A guest that has locked its drive has 1.5 s to open it, and then loses the medium. The new
        one stays over a reset; the next start of a defined machine has the one of its definition.

        Args:
            image: An ISO image.

        Raises:
            UsageError: The machine has no CD drive, or the image is not a CD.
            QemuError: QEMU could not change the medium.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        path = requests.absolute_path(image) if image else ""
        await self._link.ask(ChangeCd(path=path), Done)

    async def serial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return kju's own serial port as a pair of connected streams; close the writer.

        It begins with the guest's last output, at most 128 KiB. The guest receives the input of
        clients with the control role. The port closes when the machine ends or this object closes.

        Raises:
            UsageError: The serial port is the user's own, or missing.
            MachineGoneError: The machine has ended.
        """
        return await open_serial(only_descriptor(await self._link.call(GetSerial()), SerialHandle))

    def events(self, since: int | None = None, *, timeout: Timeout = None) -> Events:
        """Iterate over the machine's events, until the machine ends.

        The subscription begins when the first event is awaited.

        Args:
            since: Begin with the events after this number, of the last 256; 0 for all of them.
                By default only new events.
            timeout: Seconds to wait for each event; None, the default, for no limit.

        Returns:
            An iterator of `Event`. Close it, or drop it, to end the subscription.

        Raises:
            WaitTimeoutError: No event occurred within *timeout*.
            MachineGoneError: The machine had ended before.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        return subscribe(self.name, client_name(), since, seconds)

    def input_log(self) -> list[Input]:
        """Return the keys and pointer actions of all clients, oldest first.

        The oldest part of a very long log is not kept.

        Raises:
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended, and its log was removed.
        """
        if self.role != "control":
            raise RoleError("a view client may not see what is typed; attach with role='control'")
        if reason := self.end_reason:
            raise MachineGoneError(reason, self.name)
        return decode(log_files.read(self._paths.input_log))

    async def replay(self, entries: Iterable[Input], *, speed: float = 1.0) -> Mark:
        """Repeat logged input, with the times between.

        Args:
            entries: As of `input_log`, this machine's or another's.
            speed: 2 is twice as fast. Input for a slower guest is delayed.

        Returns:
            The screen's mark before the last input.

        Raises:
            UsageError: *speed* is not above 0.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        began, mark = time.monotonic(), NOTHING_TAKEN
        for at, request in replay_schedule(entries, speed):
            await sleep(max(0.0, began + at - time.monotonic()))
            mark = mark_of(await self._link.ask(request, Done))
        return mark

    async def act(
        self, *inputs: AnyInput | Sequence[AnyInput], **options: Unpack[ActOptions]
    ) -> Answer[Frame]:
        """Send inputs to the first screen, and return the guest's answer: see `Screen.act`."""
        return await self.screen.act(*inputs, **options)

    # ---- The end

    async def powerdown(self) -> None:
        """Press the guest's power button; the guest decides how to react.

        Raises:
            PowerButtonError: The guest cannot receive it; the button was not pressed. Known on x86
                boards only, from ACPI's registers.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        await self._link.ask(Stop(how="powerdown"), Done)

    async def shutdown(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> bool:
        """Press the guest's power button; end the machine if it has not shut down in time.

        A guest that cannot receive the press (ACPI is off in it) is ended at once.

        Args:
            timeout: Seconds for the guest to shut down; None for no limit. The default is
                `default_timeout`.

        Returns:
            True if the guest shut down by itself, False if the machine was ended.

        Raises:
            RoleError: This client has the view role.
            MachineError: The machine has not ended.
        """
        try:
            await self.powerdown()
        except PowerButtonError:
            await self.stop()
            return False
        except MachineGoneError:
            pass
        if by_itself := await self._link.wait_ended(seconds_of(timeout, self.default_timeout)):
            await self._reap()
        else:
            await self.stop()
        return by_itself

    async def stop(self) -> None:
        """End the machine, and return when it has ended. Does nothing after its end.

        QEMU writes its disks; the guest is not asked.

        Raises:
            RoleError: This client has the view role.
            MachineError: The machine has not ended in 45 s.
        """
        with contextlib.suppress(MachineGoneError):
            await self._link.ask(Stop(), Done)
        if not await self._link.wait_ended(END):
            raise requests.not_ended(self.name, END, self.log)
        await self._reap()

    async def wait_ended(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> str:
        """Wait for the machine to end, and return the reason.

        Args:
            timeout: Seconds; None for no limit. The default is `default_timeout`.

        Raises:
            WaitTimeoutError: The machine is still running.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        if not await self._link.wait_ended(seconds):
            raise requests.still_running(self.name, seconds)
        return str(self.end_reason)

    async def close(self) -> None:
        """Release the machine. An owned one ends, and has ended when this returns."""
        self.screens.close()
        self._link.close()
        await self._reap()

    async def _reap(self) -> None:
        if self._child is not None:
            await reap(self._child, END)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Snapshots:
    """The snapshots of one machine, in its own qcow2 disks."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def save(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Save the whole machine: its memory, its disks, its screen as a PNG.

        The guest is stopped meanwhile, and runs again afterwards if it ran. With QEMU's -snapshot
        or snapshot=on the snapshot is lost when the machine ends. Its ``note`` has this warning,
        and ``machine.info()["temporary"]`` has it before.

        Args:
            tag: A name that no other snapshot has.
            timeout: Seconds to wait; None for no limit. The default is `default_timeout` of the
                machine. QEMU writes the memory that the guest uses: 100 MB took 0.2 s. A timeout
                does not cancel it.

        Raises:
            UsageError: A snapshot has this name, or a disk cannot hold snapshots.
            QemuError: QEMU failed, for example because a disk is full. Older snapshots are
                unchanged.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: The snapshot is not complete yet.
        """
        return await self._do("save", tag, timeout)

    async def load(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Return to a snapshot. Every screen shows it when this returns.

        The guest runs afterwards if it ran before.

        Raises:
            UsageError: The snapshot does not exist or is incomplete; the machine is unchanged.
            QemuError: QEMU failed; the machine is paused then.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: The snapshot is not loaded yet.
        """
        return await self._do("load", tag, timeout)

    async def remove(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Remove a snapshot, with its picture.

        Raises:
            UsageError: The snapshot does not exist.
            QemuError: QEMU failed.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        return await self._do("remove", tag, timeout)

    async def list(self) -> list[Snapshot]:
        """Return all snapshots, oldest first.

        Raises:
            MachineGoneError: The machine has ended.
        """
        reply = await self._link.ask(GetSnapshots(), SnapshotList)
        return [requests.snapshot_of(saved) for saved in reply.snapshots]

    async def _do(self, how: str, tag: str, timeout: Timeout) -> Snapshot:
        request = requests.snapshot_request(how, tag)
        reply = await self._link.ask(request, SnapshotList, timeout=timeout)
        return requests.snapshot_of(reply.snapshots[0], reply.note)
