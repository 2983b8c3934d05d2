"""One running machine, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from ...errors import MachineGoneError, PowerButtonError, RoleError
from ...protocol.forks import Frozen, RemoveBase, Revert
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
from ...protocol.values import Role
from ...store import log_files
from ...store.forks.bases import adopt_base
from ...store.paths import Paths
from ...surface import NOTHING_TAKEN, Mark
from .. import requests
from ..input_requests import mark_of, replay_schedule
from ..link import DEFAULT_TIMEOUT, Timeout, only_descriptor, seconds_of
from ..processes import HostProcess
from ..requests import END, NAMELESS, check_reply, client_name
from .acting import ActOptions
from .forks import ForkBase
from .input_devices import Keyboard, Pointer
from .link import AsyncLink
from .snapshots import Snapshots
from .surface import Screen
from .waiting import Events, Screens, open_serial, reap, sleep, subscribe

if TYPE_CHECKING:
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
        child: HostProcess | None = None,
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

    # ---- Forks

    async def freeze(
        self, tag: str, *, spares: int = 1, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> ForkBase[Machine]:
        """Freeze the machine as a base, from which forks go on, and let this machine go on too.

        The guest is paused while QEMU writes the memory that it uses: 100 MB took 0.1 s. Its disks
        get overlays: the base has the disks as they are now. Nothing is down in a fork that is held
        here now.

        Args:
            tag: The name of the base. An older one of this name is removed with its last fork.
            spares: The number of spare forks: see `ForkBase`.
            timeout: Seconds to wait; None for no limit. The default is `default_timeout`. A timeout
                does not cancel it.

        Raises:
            UsageError: *tag* or *spares* is not valid.
            ForkError: The machine cannot be forked; the message has the reason. It is unchanged.
            LimitError: There is too little memory for the base.
            QemuError: QEMU could not save the guest's state. The machine continues.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        request = requests.freeze_request(tag)
        requests.check_spares(spares)
        answer = await self._link.call(request, timeout)
        lock = only_descriptor(answer, Frozen)
        frozen = check_reply(answer.reply, Frozen)
        # Not on a thread, whose base would be lost when this is cancelled.
        base = adopt_base(frozen.base, lock)
        paused = frozen.milliseconds / 1000
        return ForkBase(base, type(self), spares=spares, paused=paused)

    async def remove_base(self, tag: str) -> None:
        """Remove a base of this machine. Its forks, and other programs, keep it until they end.

        Raises:
            ForkError: The machine was not frozen under this name.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        await self._link.ask(RemoveBase(tag=tag), Done)

    @overload
    async def fork(
        self, count: None = None, *, name: str | None = None, detach: bool = False
    ) -> Machine: ...
    @overload
    async def fork(
        self, count: int, *, name: str | None = None, detach: bool = False
    ) -> list[Machine]: ...
    async def fork(
        self, count: int | None = None, *, name: str | None = None, detach: bool = False
    ) -> Machine | list[Machine]:
        """Freeze the machine, and start forks of it: see `freeze` and `ForkBase.fork`.

        For many forks of one instant `freeze` the machine once.
        """
        requests.fork_names(count, name)
        async with await self.freeze(NAMELESS, spares=0) as base:
            return await base.fork(count, name=name, detach=detach)

    async def revert(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> None:
        """Return to the base: the last one that this machine was frozen as, or is a fork of.

        Its name, screens and clients stay. Every screen shows the base when this returns. The
        guest's later writes to its disks are lost. Held keys and buttons are released.

        Raises:
            ForkError: The machine has no base, or it is damaged. It is unchanged.
            QemuError: QEMU could not load the base; the machine ends.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        await self._link.ask(Revert(), Done, timeout=timeout)

    # ---- Input

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
