"""SHELL: what clients ask of a machine, and the answers."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..protocol import messages
from ..protocol.framing import no_screen
from ..protocol.messages import AnyRequest
from ..surface import NOTHING_TAKEN, Mark
from . import life
from .control import Client, Result

if TYPE_CHECKING:
    from ..emulators.console import Console
    from .machine import Machine

log = logging.getLogger(__name__)


async def answer(machine: Machine, client: Client, request: AnyRequest) -> Result:
    """Answer one request.

    Raises:
        KjuError: What is told to the client.
    """
    number = request.number
    match request:
        case messages.Hello(role=role):
            log.info("%s attached with role %s", client, role)
            life.came(machine, client)
            return Result(welcome(machine, number, role))
        case messages.GetInfo():
            return Result(messages.Info(number=number, info=await _fresh_info(machine)))
        case messages.Stop(how=how):
            await machine.stop(how, str(client))
            return Result(messages.Done(number=number))
        case messages.Cancel():
            raise UsageError("there is no such request")  # kju.host.control's
        case messages.Launch():
            raise UsageError("this machine has been launched already")
    if isinstance(request, messages.LifeRequest):
        return await life.answer(machine, client, request)
    if not machine.emulator.consoles:
        return await _without_screen(machine, client, request)
    console = _console(machine, request.console)
    version = 0
    match request:
        case messages.GetSurface():
            await console.attach(client)
            return _surface(number, console)
        case messages.GetLive():
            await console.attach(client)
            reply = messages.LiveHandle(number=number, descriptors=1, console=console.index)
            return Result(reply, (console.runner.live_memory(),))
        case messages.GetPointer():
            absolute, held = await console.devices.pointer.absolute(), console.devices.pointer.held
            return Result(messages.PointerState(number=number, absolute=absolute, held=held))
        case messages.GetLamps():
            lamps = await console.devices.lamps.read()
            lit = None if lamps is None else lamps.names
            return Result(messages.LampsState(number=number, lit=lit))
        case messages.Keys(steps=steps, interval=interval):
            seconds = None if interval is None else interval / 1000
            mark = await console.devices.keyboard.press(client, steps, seconds)
            return _accepted(number, mark or console.mark)
        case messages.Point(actions=actions):
            # Where a pixel is depends on the mode, which nobody may be looking at.
            await _look_once(console)
            mark = await console.devices.pointer.act(client, actions)
            return _accepted(number, mark or console.mark)
        case messages.Refresh(sync=sync):
            version = await console.refresh(sync=sync)
        case messages.Hold(milliseconds=milliseconds):
            version = await console.surface.hold(client, milliseconds / 1000)
        case messages.Unhold():
            console.surface.unhold(client)
    return Result(messages.Done(number=number, version=version))


async def _without_screen(machine: Machine, client: Client, request: AnyRequest) -> Result:
    """Answer a request to a machine without a graphic console, which takes keys and no more.

    Raises:
        UsageError: The request needs a screen.
    """
    keyboard = machine.emulator.screenless_keyboard
    match request:
        case messages.Keys(steps=steps, interval=interval, console=0) if keyboard is not None:
            seconds = None if interval is None else interval / 1000
            mark = await keyboard.press(client, steps, seconds)
            return _accepted(request.number, mark or NOTHING_TAKEN)
        case messages.GetLamps(console=0):
            return Result(messages.LampsState(number=request.number))
    raise no_screen(machine.name)


def answer_at_once(machine: Machine, client: Client, request: AnyRequest) -> Result | None:
    """Answer one request within this call; None if it has to wait for anything.

    Raises:
        KjuError: The request failed; the client gets this error.
    """
    match request:
        case messages.Keys(steps=steps, interval=interval) if machine.emulator.consoles:
            console = _console(machine, request.console)
            keyboard = console.devices.keyboard
            if keyboard.can_press_at_once(client, steps, interval):
                mark = keyboard.press_at_once(client, steps[0])
                return _accepted(request.number, mark or console.mark)
    return None


def _accepted(number: int, mark: Mark) -> Result:
    """The answer to an input: the mark of the screen before it."""
    incarnation, epoch, version = mark
    return Result(
        messages.Done(number=number, version=version, epoch=epoch, incarnation=incarnation)
    )


def _console(machine: Machine, index: int) -> Console:
    consoles = machine.emulator.consoles
    try:
        return consoles[index]
    except IndexError:
        have = len(consoles)
        raise UsageError(f"there is no console {index}: {machine.name} has {have}") from None


def _surface(number: int, console: Console) -> Result:
    segment = console.producer.memory
    reply = messages.SurfaceHandle(
        number=number,
        descriptors=1,
        console=console.index,
        size=segment.size,
        address=segment.address,
    )
    return Result(reply, (console.surface.descriptor(),))


async def _fresh_info(machine: Machine) -> dict[str, Any]:
    """What `info` says of consoles that rest would be of when somebody last looked."""
    for console in machine.emulator.consoles:
        await _look_once(console)
    return info(machine)


async def _look_once(console: Console) -> None:
    """Have a console that rests find out what it shows now."""
    asker = object()
    await console.attach(asker)
    console.detach(asker)


def welcome(machine: Machine, number: int, role: messages.Role) -> messages.Welcome:
    """The first answer on every connection."""
    return messages.Welcome(
        number=number,
        machine=machine.name,
        role=role,
        pid=os.getpid(),
        consoles=len(machine.emulator.consoles),
        folder=str(machine.paths.folder),
    )


def info(machine: Machine) -> dict[str, Any]:
    """The machine, for people and programs; every value fits into JSON."""
    paths, emulator = machine.paths, machine.emulator
    return {
        "name": machine.name,
        "kind": emulator.kind,
        "state": "paused" if emulator.paused else "running",
        "started": machine.began,
        "detached": machine.request.detach,
        "host": {"pid": os.getpid(), "folder": str(paths.folder), "log": str(paths.host_log)},
        **emulator.info(),
        "consoles": [console.info() for console in emulator.consoles],
        "clients": [
            {"pid": c.peer.pid, "role": c.side.role, "name": c.side.client}
            for c in machine.clients
            if not c.closed and c.side.role
        ],
    }
