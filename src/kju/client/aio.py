r"""Machines for asyncio. The names are those of `kju`; what waits is awaited.

For example::

    import kju.aio

    async with await kju.aio.launch("disk.qcow2") as machine:
        await machine.screen.wait(timeout=60)
        await machine.keyboard.type("root\n")
        frame = machine.screen.snapshot()

Looking at pixels does not wait, so it is not awaited; a consistent `snapshot` and `save` do.
Use a machine from one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import KjuError, MachineGoneError, WaitTimeoutError
from ..host import runtime
from ..host.messages import (
    Done,
    GetInfo,
    GetSurface,
    Hold,
    Info,
    Refresh,
    Role,
    Stop,
    Unhold,
    Welcome,
)
from ..memory import Segment, open_fd
from . import requests
from .aio_link import AsyncLink
from .aio_surface import AsyncSurface
from .following import Following
from .link import Link
from .machine import (
    END,
    HOLD,
    START,
    client_name,
    live_descriptor,
    machines,
    only_descriptor,
    surface_descriptor,
)
from .machine_base import MachineBase
from .requests import check_reply

if TYPE_CHECKING:
    import subprocess

    from ..keys import Chord

__all__ = ["Keyboard", "Machine", "Screen", "Surface", "attach", "launch", "machines"]

Surface = AsyncSurface


class Screen(Following, AsyncSurface):
    """What one console shows: see `kju.Screen`. Only waiting is awaited.

    Attributes:
        console: The console's index.
    """

    console: int
    _link: AsyncLink

    @classmethod
    async def of(cls, link: AsyncLink, console: int) -> Self:
        """Open a console's screen.

        Raises:
            UsageError: There is no such console.
            MachineGoneError: The machine has ended.
        """
        descriptor = only_descriptor(await link.call(GetSurface(console=console)))
        may_hold = link.welcome.role == "control"
        screen = cls.from_fd(
            descriptor,
            gone=link.gone,
            reopen=_reopener(link, console),
            hold=_holder(link, console) if may_hold else None,
        )
        screen.console = console
        screen._link = link
        if link.welcome.role == "control":
            screen.use_live(window=_window(link, console))
        return screen

    async def refresh(self) -> int:
        """Have everything published that QEMU has told the host so far.

        Returns:
            The version that holds it.

        Raises:
            MachineGoneError: The machine has ended.
        """
        return (await self._link.ask(Refresh(console=self.console), Done)).version


# Both happen once in a blue moon and inside calls that do not wait (a larger surface, a copy
# that cannot be had otherwise), so they use a connection of their own, for a millisecond.


def _reopener(link: AsyncLink, console: int) -> Callable[[], Segment]:
    def reopen() -> Segment:
        own = Link.attach(link.name, "view", link.name)
        try:
            return open_fd(surface_descriptor(own, console))
        finally:
            own.close()

    return reopen


def _window(link: AsyncLink, console: int) -> Callable[[], int]:
    def ask() -> int:
        own = Link.attach(link.name, "control", link.name)
        try:
            return live_descriptor(own, console)
        finally:
            own.close()

    return ask


def _holder(
    link: AsyncLink, console: int
) -> Callable[[], contextlib.AbstractContextManager[object]]:
    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        own = Link.attach(link.name, "control", link.name)
        try:
            own.ask(Hold(console=console, milliseconds=HOLD), Done)
            yield
            own.ask(Unhold(console=console), Done)
        finally:
            own.close()

    return hold


class Keyboard:
    """One console's keyboard: see `kju.client.machine.Keyboard`."""

    def __init__(self, link: AsyncLink, console: int) -> None:
        self._link = link
        self._console = console

    async def press(self, *keys: str | int) -> None:
        """Press keys, in this order, and hold them."""
        await self._send(requests.key_steps(keys, True))

    async def release(self, *keys: str | int) -> None:
        """Release keys, in this order."""
        await self._send(requests.key_steps(keys, False))

    async def chord(self, *chords: str | Chord, interval: int = requests.INTERVAL) -> None:
        """Press keys together, such as ``"ctrl-alt-f2"``, one chord after the other."""
        await self._send(requests.chord_steps(chords), interval)

    async def type(
        self, text: str, *, layout: str = "us", interval: int = requests.INTERVAL
    ) -> None:
        """Type a text; returns when the last key is up."""
        await self._send(requests.chord_steps(requests.typed(text, layout)), interval)

    async def _send(self, groups: list[requests.Steps], interval: int = requests.INTERVAL) -> None:
        for request in requests.key_requests(self._console, groups, interval):
            await self._link.ask(request, Done, requests.duration(request))


class Machine(MachineBase[AsyncLink, Screen, Keyboard]):
    """One running machine: see `kju.Machine`. What asks the host is awaited."""

    def __init__(
        self,
        link: AsyncLink,
        screens: Sequence[Screen],
        child: subprocess.Popen[bytes] | None = None,
    ) -> None:
        """Use `launch` or `attach`."""
        super().__init__(link, tuple(screens), Keyboard, child)

    async def info(self) -> dict[str, Any]:
        """Everything about the machine: plain maps, lists, numbers and text."""
        return (await self._link.ask(GetInfo(), Info)).info

    async def wait_gone(self, timeout: float) -> bool:
        """Wait at most *timeout* seconds for the machine to end; returns whether it has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._link.ended.wait()
        return self._link.ended.is_set()

    async def powerdown(self) -> None:
        """Press the guest's power button; what follows is up to the guest."""
        await self._link.ask(Stop(how="powerdown"), Done)

    async def stop(self) -> None:
        """End the machine, and return when it has ended. Fine if it has already."""
        with contextlib.suppress(MachineGoneError):
            await self._link.ask(Stop(), Done)
        if not await self.wait_gone(END):
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


async def launch(
    image: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    memory: str | None = None,
    cpus: int | None = None,
    args: Sequence[str] = (),
    qemu: str | None = None,
    surface: str | os.PathLike[str] | None = None,
    xvfb: bool | str = False,
    detach: bool = False,
    log_level: str = "info",
) -> Machine:
    """Start a machine and attach to it with the control role: see `kju.launch`."""
    request = requests.launch_request(
        Path(image) if image else None,
        name=runtime.check_name(name) if name else None,
        memory=memory,
        cpus=cpus,
        args=args,
        qemu=qemu,
        surface=Path(surface) if surface else None,
        xvfb=xvfb,
        detach=detach,
        log_level=log_level,
        client=client_name(),
    )
    runtime.sweep()
    from .start import start_host

    child, sock = start_host()
    link = AsyncLink(sock, name or "")
    try:
        reply, _ = await link.call(request, START)
        link.welcome = check_reply(reply, Welcome)
        link.name = link.welcome.machine
        screens = [await Screen.of(link, i) for i in range(link.welcome.consoles)]
    except BaseException as error:
        if isinstance(error, KjuError) and not isinstance(error, WaitTimeoutError):
            # It hangs up when everything has been taken down: the name is free again then.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END):
                    await link.ended.wait()
        link.close()
        await reap(child)
        if isinstance(error, MachineGoneError):
            raise requests.host_failed(child.returncode) from error
        raise
    if detach:
        await reap(child)
    return Machine(link, screens, None if detach else child)


async def attach(name: str, role: Role = "control") -> Machine:
    """Attach to a running machine: see `kju.attach`."""
    link = await AsyncLink.attach(name, requests.check_role(role), client_name())
    try:
        screens = [await Screen.of(link, i) for i in range(link.welcome.consoles)]
    except BaseException:
        link.close()
        raise
    return Machine(link, screens)
