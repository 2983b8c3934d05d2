"""Machines for asyncio: what asks the host is awaited."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from ...errors import KjuError, MachineGoneError, PowerButtonError, WaitTimeoutError
from ...protocol.input_log import Input
from ...protocol.launch_options import Launch, LaunchOptions, takes
from ...protocol.messages import (
    Done,
    Executed,
    GetInfo,
    GetSerial,
    Info,
    Power,
    SerialHandle,
    Stop,
    Welcome,
)
from ...protocol.values import Role
from ...remote.addresses import SCHEME
from ...store import claims
from ...store.paths import check_name, local_network
from ...surface import NOTHING_TAKEN, Mark
from .. import life, replaying, requests
from ..life import Event
from ..link import only_descriptor
from ..machine import END, START, client_name
from ..machine_base import MachineBase
from ..requests import check_reply
from ..timeouts import DEFAULT_TIMEOUT, Timeout, seconds_of
from .keyboard import Keyboard
from .link import AsyncLink
from .pointer import Pointer
from .screen import Screen, open_screen
from .snapshots import Snapshots, events

if TYPE_CHECKING:
    import subprocess


class Machine(MachineBase[AsyncLink, Screen, Keyboard, Pointer]):
    """One running machine: see `kju.Machine`. What asks the host is awaited."""

    def __init__(
        self,
        link: AsyncLink,
        screens: Sequence[Screen],
        child: subprocess.Popen[bytes] | None = None,
    ) -> None:
        """Use `launch` or `attach`."""
        super().__init__(link, tuple(screens), Keyboard, Pointer, child)

    async def info(self) -> dict[str, Any]:
        """Everything about the machine: plain maps, lists, numbers and text."""
        return (await self._link.ask(GetInfo(), Info)).info

    async def wait_ended(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> str:
        """Wait for the machine to end, and return the reason: see `kju.Machine.wait_ended`."""
        seconds = seconds_of(timeout, self.default_timeout)
        if not await self._link.wait_ended(seconds):
            raise requests.still_running(self.name, seconds)
        return str(self.end_reason)

    @property
    def snapshots(self) -> Snapshots:
        """The machine's snapshots."""
        return Snapshots(self._link)

    async def pause(self) -> None:
        """Stop the guest's processors. Fine if they stand still already."""
        await self._link.ask(Power(how="pause"), Done)

    async def resume(self) -> None:
        """Let the guest's processors run. Fine if they do."""
        await self._link.ask(Power(how="resume"), Done)

    async def reset(self) -> None:
        """Reset the machine, as its button does: the guest is not asked."""
        await self._link.ask(Power(how="reset"), Done)

    async def qmp(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401  QMP is JSON
        """Have QEMU run one QMP command; returns what that returns: see `kju.Machine.qmp`."""
        reply = await self._link.ask(life.execute(command, arguments), Executed)
        return json.loads(reply.value)

    async def serial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The serial port that kju has added: see `kju.Machine.serial`. Close the writer."""
        descriptor = only_descriptor(await self._link.call(GetSerial()), SerialHandle)
        return await asyncio.open_unix_connection(sock=socket.socket(fileno=descriptor))

    def events(self, since: int | None = None, *, timeout: Timeout = None) -> AsyncIterator[Event]:
        """Iterate over the machine's events: see `kju.Machine.events`.

        The subscription begins when the first event is awaited.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        return events(self.name, client_name(), since, seconds)

    async def shutdown(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> bool:
        """Press the power button; end the machine if it has not shut down in time.

        See `kju.Machine.shutdown`.
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

    def input_log(self) -> list[Input]:
        """What all clients have typed and done with the pointer so far, oldest first."""
        return replaying.read(self)

    async def replay(self, entries: Iterable[Input], *, speed: float = 1.0) -> Mark:
        """Do again what a log says, with the times between: see `kju.Machine.replay`."""
        loop = asyncio.get_running_loop()
        began, mark = loop.time(), NOTHING_TAKEN
        for at, request in replaying.due(entries, speed):
            await asyncio.sleep(max(0.0, began + at - loop.time()))
            mark = requests.mark_of(await self._link.ask(request, Done))
        return mark

    async def powerdown(self) -> None:
        """Press the guest's power button; the guest decides how to react.

        Raises:
            PowerButtonError: The guest cannot receive it; nothing was pressed.
        """
        await self._link.ask(Stop(how="powerdown"), Done)

    async def stop(self) -> None:
        """End the machine, and return when it has ended. Fine if it has already."""
        with contextlib.suppress(MachineGoneError):
            await self._link.ask(Stop(), Done)
        if not await self._link.wait_ended(END):
            raise requests.not_ended(self.name, END, self.log)
        await self._reap()

    async def close(self) -> None:
        """Let go of the machine. An owned one ends, and has ended when this returns."""
        for screen in self.screens:
            screen.close()
        self._link.close()
        await self._reap()

    async def _reap(self) -> None:
        if self._child is not None:
            await reap(self._child)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def reap(child: subprocess.Popen[bytes]) -> None:
    """Wait for a host process; one that hangs is killed, and QEMU with it."""
    if child.returncode is not None:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(child.pid)
    try:
        loop.add_reader(descriptor, ended.set)
        async with asyncio.timeout(END):
            await ended.wait()
    except TimeoutError:
        child.kill()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    child.wait()


@takes(LaunchOptions)
async def launch(
    image: str | os.PathLike[str] | None = None, **options: Unpack[LaunchOptions]
) -> Machine:
    """Start a machine and attach to it with the control role: see `kju.launch`."""
    if name := options.get("name"):
        check_name(name)
    return await launched(requests.launch_request(image, client_name(), options))


async def mirror(
    address: str,
    *,
    connect: Sequence[str] = (),
    name: str | None = None,
    role: Role = "control",
    user: str | None = None,
    trust: str | os.PathLike[str] | None = None,
    audience: bool = False,
    lossy: bool = False,
    codec: str | None = None,
    sender: str | None = None,
    insecure: bool = False,
    surface: str | os.PathLike[str] | None = None,
    detach: bool = False,
    log_level: str = "info",
) -> Machine:
    """Mirror a screen that is served elsewhere: see `kju.mirror`."""
    request = requests.mirror_request(
        address,
        connect=connect or [local_network()],
        name=check_name(name) if name else None,
        role=role,
        user=user or "",
        trust=trust,
        audience=audience,
        lossy=lossy,
        codec=codec or "",
        sender=sender or "",
        insecure=insecure,
        surface=Path(surface) if surface else None,
        detach=detach,
        log_level=log_level,
        client=client_name(),
    )
    return await launched(request)


async def launched(request: Launch) -> Machine:
    """Start a machine as a message says, and attach to it with the control role.

    Raises:
        KjuError: It did not start; see `kju.launch`.
    """
    claims.sweep()
    from ..start import start_host

    child, sock = start_host()
    link = AsyncLink(sock, request.machine)
    try:
        reply, _ = await link.call(request, START)
        link.welcome = check_reply(reply, Welcome)
        link.name = link.welcome.machine
        screens = [await open_screen(link, i) for i in range(link.welcome.consoles)]
    except BaseException as error:
        if isinstance(error, KjuError) and not isinstance(error, WaitTimeoutError):
            # It hangs up when everything has been taken down: the name is free again then.
            await link.wait_ended(END)
        link.close()
        await reap(child)
        if isinstance(error, MachineGoneError):
            raise requests.host_failed(child.returncode) from error
        raise
    if request.detach:
        await reap(child)
    return Machine(link, screens, None if request.detach else child)


async def attach(name: str, role: Role = "control") -> Machine:
    """Attach to a running machine: see `kju.attach`."""
    if name.startswith(SCHEME):
        return await mirror(name, role=role)
    link = await AsyncLink.attach(name, requests.check_role(role), client_name())
    try:
        screens = [await open_screen(link, i) for i in range(link.welcome.consoles)]
    except BaseException:
        link.close()
        raise
    return Machine(link, screens)
