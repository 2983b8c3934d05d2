"""SHELL: the requests of clients: one table of their handlers and of the roles that may send them.

A new request is a message in `kju.protocol.messages`, a handler, and a line in `REQUESTS`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from ..emulators.base import Emulator
from ..emulators.console import ONE_LOOK, Console
from ..errors import LimitError, RoleError, UsageError
from ..protocol import messages
from ..protocol.dry_run import DryRun
from ..protocol.forks import Begin, Freeze, RemoveBase, Revert
from ..protocol.framing import MAX_FRAME, no_screen
from ..protocol.launch_options import Detach, Launch
from ..protocol.leases import Renew
from ..protocol.messages import AnyRequest
from ..protocol.snapshots import ChangeSnapshot, GetSnapshots
from ..protocol.stepping import StepGuest
from ..protocol.values import Role
from ..store.forks.held_folder import HeldFolder
from ..store.paths import Paths
from ..surface import NOTHING_TAKEN, Mark
from .control import Client, Result
from .lease import HostLease

log = logging.getLogger(__name__)

#: Bytes of JSON, which is ASCII; the rest of a frame is the message around it.
_MAX_QMP_RESULT = MAX_FRAME - 256
_POWER_COMMANDS = {"pause": "stop", "resume": "cont", "reset": "system_reset"}
#: QMP commands that clients must not run, because kju would not notice their effects.
_REFUSED_COMMANDS = {
    "getfd": "the descriptors of this connection are kju's",
    "add_client": "kju reads the display itself",
    "qmp_capabilities": "the connection has been greeted",
}


class RunningMachine(Protocol):
    """The machine, as the handlers see it; `kju.host.machine.HostedMachine`."""

    name: str
    paths: Paths
    request: Launch
    emulator: Emulator
    began: float
    lease: HostLease | None

    @property
    def clients(self) -> Sequence[Client]:
        """The connected clients."""

    def greet(self, client: Client) -> None:
        """Announce a client that has sent its greeting."""

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this in the background."""

    async def stop(self, how: str, who: str) -> None:
        """End the machine."""

    async def revert(self) -> None:
        """Return the machine to its base."""

    async def begin_spare(self) -> None:
        """Let a spare machine run."""

    def detach(self, client: Client) -> None:
        """Let the machine outlive its launcher's connection."""


async def answer(machine: RunningMachine, client: Client, request: AnyRequest) -> Result:
    """Answer one request.

    Raises:
        KjuError: The client gets this error.
    """
    check_role(client, request)
    return await REQUESTS[type(request)].handler(machine, client, request)


def answer_at_once(machine: RunningMachine, client: Client, request: AnyRequest) -> Result | None:
    """Answer one request within this call; None if it has to wait for anything.

    Raises:
        KjuError: The request failed; the client gets this error.
    """
    check_role(client, request)
    if isinstance(request, messages.Keys) and machine.emulator.consoles:
        console = _console(machine, request.console)
        keyboard = console.devices.keyboard
        if keyboard.can_press_at_once(client, request.steps, request.interval):
            mark = keyboard.press_at_once(client, request.steps[0])
            return _accepted(mark or console.mark)
    return None


def check_role(client: Client, request: AnyRequest) -> None:
    """Refuse a request that the client's role may not send.

    Raises:
        RoleError: It may not.
    """
    if client.side.role not in REQUESTS[type(request)].roles:
        what = type(request).__name__.lower()
        raise RoleError(
            f"a {client.side.role} client may not ask for {what}; attach with role='control'"
        )


# -- the machine


async def _hello(machine: RunningMachine, client: Client, request: messages.Hello) -> Result:
    log.info("%s attached with role %s", client, request.role)
    machine.greet(client)
    return Result(welcome(machine, request.role))


async def _launch(machine: RunningMachine, client: Client, request: Launch) -> Result:
    raise UsageError("this machine has been launched already")


async def _detach(machine: RunningMachine, client: Client, request: Detach) -> Result:
    machine.detach(client)
    return Result(messages.Done())


async def _dry_run(machine: RunningMachine, client: Client, request: DryRun) -> Result:
    raise UsageError("this host has a machine: a dry run needs a host process of its own")


async def _info(machine: RunningMachine, client: Client, request: messages.GetInfo) -> Result:
    # A console at rest would report the mode of its last viewer's time.
    for console in machine.emulator.consoles:
        await _wake_once(console)
    return Result(messages.Info(info=info(machine)))


async def _stop(machine: RunningMachine, client: Client, request: messages.Stop) -> Result:
    await machine.stop(request.how, str(client))
    return Result(messages.Done())


async def _subscribe(
    machine: RunningMachine, client: Client, request: messages.Subscribe
) -> Result:
    machine.emulator.events.subscribe(client, request.since)
    return Result(messages.Done(version=machine.emulator.events.number))


async def _power(machine: RunningMachine, client: Client, request: messages.Power) -> Result:
    await machine.emulator.qmp.execute(_POWER_COMMANDS[request.how])
    return Result(messages.Done())


async def _execute(machine: RunningMachine, client: Client, request: messages.Execute) -> Result:
    command = request.command
    if command in _REFUSED_COMMANDS:
        raise UsageError(f"{command} is not for clients: {_REFUSED_COMMANDS[command]}")
    value = await machine.emulator.qmp.execute(command, _arguments(request.arguments))
    text = json.dumps(value)
    if len(text) > _MAX_QMP_RESULT:
        raise LimitError(
            f"QEMU's answer to {command} has {len(text)} bytes, and at most {_MAX_QMP_RESULT} can"
            " be passed on; ask it for less, or have it write to a file",
            "bytes of an answer", _MAX_QMP_RESULT, len(text),
        )  # fmt: skip
    return Result(messages.Executed(value=text))


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"these arguments are not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError('arguments are a JSON object, such as {"device": "cd0"}')
    return found


async def _snapshot(machine: RunningMachine, client: Client, request: ChangeSnapshot) -> Result:
    return Result(await machine.emulator.snapshots.do(request.how, request.tag))


async def _snapshots(machine: RunningMachine, client: Client, request: GetSnapshots) -> Result:
    return Result(await machine.emulator.snapshots.listed())


async def _step(machine: RunningMachine, client: Client, request: StepGuest) -> Result:
    stepper, console = machine.emulator.stepper, _console(machine, request.console)
    return _accepted(await stepper.step(client, console, request))


async def _freeze(machine: RunningMachine, client: Client, request: Freeze) -> Result:
    reply, held = await machine.emulator.forks.freeze(request.tag)
    machine.begin(_release_when_sent(client, held))
    return Result(msgspec.structs.replace(reply, descriptors=1), (held.fileno(),))


async def _remove_base(machine: RunningMachine, client: Client, request: RemoveBase) -> Result:
    await machine.emulator.forks.remove(request.tag)
    return Result(messages.Done())


async def _revert(machine: RunningMachine, client: Client, request: Revert) -> Result:
    await machine.revert()
    return Result(messages.Done())


async def _begin(machine: RunningMachine, client: Client, request: Begin) -> Result:
    await machine.begin_spare()
    return Result(messages.Done())


async def _renew(machine: RunningMachine, client: Client, request: Renew) -> Result:
    if machine.lease is None:
        raise UsageError(f"{machine.name} has no lease: it ends on request only")
    machine.lease.renew(request)
    return Result(messages.Done())


async def _change_cd(machine: RunningMachine, client: Client, request: messages.ChangeCd) -> Result:
    await machine.emulator.cd_drive.change(request.path)
    return Result(messages.Done())


async def _serial(machine: RunningMachine, client: Client, request: messages.GetSerial) -> Result:
    writes = client.side.role == "control"
    theirs = machine.emulator.serial.view(client, writes=writes)
    machine.begin(_close_when_sent(client, theirs))
    return Result(messages.SerialHandle(descriptors=1, writable=writes), (theirs.fileno(),))


async def _close_when_sent(client: Client, sock: socket.socket) -> None:
    """Close our copy of a descriptor once the reply with it has been sent."""
    with sock:
        await _sent(client)


async def _release_when_sent(client: Client, held: HeldFolder) -> None:
    """Release a base once the reply that holds it for a client has been sent."""
    try:
        await _sent(client)
    finally:
        await asyncio.to_thread(held.release)


async def _sent(client: Client) -> None:
    """Wait until the reply of the current request has been sent."""
    await asyncio.sleep(0)
    while not client.idle:
        await asyncio.sleep(0.01)


# -- one console


async def _surface(machine: RunningMachine, client: Client, request: messages.GetSurface) -> Result:
    console = _console(machine, request.console)
    await console.attach(client, request.rate)
    memory = console.producer.memory
    reply = messages.SurfaceHandle(
        descriptors=1, console=console.index, size=memory.size, address=memory.address
    )
    return Result(reply, (console.surface.descriptor(),))


async def _rate(machine: RunningMachine, client: Client, request: messages.SetRate) -> Result:
    console = _console(machine, request.console)
    await console.set_rate(client, request.rate)
    return Result(messages.Done(version=console.producer.version))


async def _live(machine: RunningMachine, client: Client, request: messages.GetLive) -> Result:
    console = _console(machine, request.console)
    await console.attach(client)
    reply = messages.LiveHandle(descriptors=1, console=console.index)
    return Result(reply, (console.runner.live_memory(),))


async def _refresh(machine: RunningMachine, client: Client, request: messages.Refresh) -> Result:
    console = _console(machine, request.console)
    return Result(messages.Done(version=await console.refresh(sync=request.sync)))


async def _hold(
    machine: RunningMachine, client: Client, request: messages.HoldPublishing
) -> Result:
    console = _console(machine, request.console)
    seconds = request.milliseconds / 1000
    return Result(messages.Done(version=await console.surface.hold(client, seconds)))


async def _unhold(
    machine: RunningMachine, client: Client, request: messages.ResumePublishing
) -> Result:
    _console(machine, request.console).surface.unhold(client)
    return Result(messages.Done())


async def _keys(machine: RunningMachine, client: Client, request: messages.Keys) -> Result:
    seconds = None if request.interval is None else request.interval / 1000
    keyboard = machine.emulator.screenless_keyboard
    if keyboard is not None and request.console == 0:
        return _accepted(await keyboard.press(client, request.steps, seconds) or NOTHING_TAKEN)
    console = _console(machine, request.console)
    mark = await console.devices.keyboard.press(client, request.steps, seconds)
    return _accepted(mark or console.mark)


async def _lamps(machine: RunningMachine, client: Client, request: messages.GetLamps) -> Result:
    if not machine.emulator.consoles and request.console == 0:
        return Result(messages.LampsState())
    lamps = await _console(machine, request.console).devices.lamps.read()
    return Result(messages.LampsState(lit=None if lamps is None else lamps.names))


async def _point(machine: RunningMachine, client: Client, request: messages.Point) -> Result:
    console = _console(machine, request.console)
    # Positions depend on the mode, which a console at rest does not know.
    await _wake_once(console)
    mark = await console.devices.pointer.act(client, request.actions)
    return _accepted(mark or console.mark)


async def _resize(machine: RunningMachine, client: Client, request: messages.Resize) -> Result:
    console = _console(machine, request.console)
    return _accepted(await console.resize(request.width, request.height))


async def _pointer(machine: RunningMachine, client: Client, request: messages.GetPointer) -> Result:
    pointer = _console(machine, request.console).devices.pointer
    return Result(messages.PointerState(absolute=await pointer.absolute(), held=pointer.held))


def _console(machine: RunningMachine, index: int) -> Console:
    consoles = machine.emulator.consoles
    if not consoles:
        raise no_screen(machine.name)
    try:
        return consoles[index]
    except IndexError:
        have = len(consoles)
        last = "console 0 only" if have == 1 else f"consoles 0 to {have - 1}"
        raise UsageError(f"console {index} does not exist: {machine.name} has {last}") from None


async def _wake_once(console: Console) -> None:
    """Make a console at rest read its current mode, at the rate of a thumbnail."""
    asker = object()
    await console.attach(asker, ONE_LOOK)
    console.detach(asker)


def _accepted(mark: Mark) -> Result:
    """Return an answer with a mark of the screen."""
    incarnation, epoch, version = mark
    return Result(messages.Done(version=version, epoch=epoch, incarnation=incarnation))


# -- the table


class _RequestRule(NamedTuple):
    """One request of the table.

    Attributes:
        handler: Answers it.
        roles: The roles that may send it.
    """

    handler: Callable[[RunningMachine, Client, Any], Awaitable[Result]]
    roles: frozenset[Role]


_ALL: frozenset[Role] = frozenset(("view", "control"))
_CONTROL: frozenset[Role] = frozenset(("control",))

#: Every request. `Cancel` is handled in `kju.host.control`, which has the tasks.
REQUESTS: dict[type[AnyRequest], _RequestRule] = {
    messages.Hello: _RequestRule(_hello, _ALL),
    Launch: _RequestRule(_launch, _CONTROL),
    Detach: _RequestRule(_detach, _CONTROL),
    DryRun: _RequestRule(_dry_run, _CONTROL),
    messages.GetInfo: _RequestRule(_info, _ALL),
    messages.Stop: _RequestRule(_stop, _CONTROL),
    messages.Subscribe: _RequestRule(_subscribe, _ALL),
    messages.Power: _RequestRule(_power, _CONTROL),
    messages.Execute: _RequestRule(_execute, _CONTROL),
    ChangeSnapshot: _RequestRule(_snapshot, _CONTROL),
    GetSnapshots: _RequestRule(_snapshots, _ALL),
    StepGuest: _RequestRule(_step, _CONTROL),
    Freeze: _RequestRule(_freeze, _CONTROL),
    RemoveBase: _RequestRule(_remove_base, _CONTROL),
    Revert: _RequestRule(_revert, _CONTROL),
    Begin: _RequestRule(_begin, _CONTROL),
    Renew: _RequestRule(_renew, _CONTROL),
    messages.ChangeCd: _RequestRule(_change_cd, _CONTROL),
    messages.GetSerial: _RequestRule(_serial, _ALL),
    messages.GetSurface: _RequestRule(_surface, _ALL),
    messages.SetRate: _RequestRule(_rate, _ALL),
    messages.GetLive: _RequestRule(_live, _CONTROL),
    messages.Refresh: _RequestRule(_refresh, _ALL),
    messages.HoldPublishing: _RequestRule(_hold, _CONTROL),
    messages.ResumePublishing: _RequestRule(_unhold, _ALL),
    messages.Keys: _RequestRule(_keys, _CONTROL),
    messages.GetLamps: _RequestRule(_lamps, _ALL),
    messages.Point: _RequestRule(_point, _CONTROL),
    messages.Resize: _RequestRule(_resize, _CONTROL),
    messages.GetPointer: _RequestRule(_pointer, _ALL),
}


# -- the contents of answers


def welcome(machine: RunningMachine, role: Role) -> messages.Welcome:
    """Return the first answer on every connection."""
    return messages.Welcome(
        machine=machine.name,
        role=role,
        pid=os.getpid(),
        consoles=len(machine.emulator.consoles),
        folder=str(machine.paths.folder),
    )


def info(machine: RunningMachine) -> dict[str, Any]:
    """Return the machine's info, ready for JSON."""
    paths, emulator = machine.paths, machine.emulator
    return {
        "name": machine.name,
        "kind": emulator.kind,
        "state": "paused" if emulator.paused else "running",
        "started": machine.began,
        "detached": machine.request.detach,
        **({"lease": machine.lease.info()} if machine.lease is not None else {}),
        "host": {"pid": os.getpid(), "folder": str(paths.folder), "log": str(paths.host_log)},
        **emulator.info(),
        "consoles": [console.info() for console in emulator.consoles],
        "clients": [
            {
                "client": c.number,
                "pid": c.peer.pid,
                "role": c.side.role,
                "name": c.side.client,
                "views": [
                    {"console": console.index, **viewing}
                    for console in emulator.consoles
                    if (viewing := console.runner.viewing(c)) is not None
                ],
            }
            for c in machine.clients
            if not c.closed and c.side.role
        ],
    }
