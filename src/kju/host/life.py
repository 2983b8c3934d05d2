"""SHELL: what clients ask about a machine's life: power, QMP, snapshots, serial port, events."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import TYPE_CHECKING, Any

from ..errors import LimitError, UsageError
from ..protocol import messages
from ..protocol.framing import MAX_FRAME
from .control import Client, Result

if TYPE_CHECKING:
    from ..emulators.console import Console
    from .machine import Machine

log = logging.getLogger(__name__)

#: Bytes of JSON, which is ASCII; the rest of a frame is the message around it.
LONGEST_ANSWER = MAX_FRAME - 256
_POWER = {"pause": "stop", "resume": "cont", "reset": "system_reset"}
#: Commands that a client must not give, since what they do to kju nobody could see.
_REFUSED = {
    "getfd": "the descriptors of this connection are kju's",
    "add_client": "kju reads the display itself",
    "qmp_capabilities": "the connection has been greeted",
}


def begin(machine: Machine, owner: Client) -> None:
    """The machine runs: say so, and what its screens show from now on."""
    consoles = machine.emulator.consoles
    machine.events.happen("started", {"consoles": len(consoles)})
    came(machine, owner)

    def told(console: Console) -> None:
        mode = console.producer.mode
        shown = (console.producer.incarnation, mode.width, mode.height)
        if seen.get(console.index) != shown:
            seen[console.index] = shown
            said = {"width": mode.width, "height": mode.height, "epoch": mode.epoch}
            machine.events.happen("mode", {"console": console.index, **said})

    seen: dict[int, object] = {}
    for console in consoles:
        console.on_mode = told
        if console.producer.mode.epoch:
            told(console)


def came(machine: Machine, client: Client) -> None:
    """A client has said hello."""
    machine.events.happen("client-came", _who(client))


def leave(machine: Machine, client: Client) -> None:
    """A client has gone: what it was shown and told ends."""
    machine.events.leave(client)
    if client.side.role is not None:
        machine.events.happen("client-went", _who(client))
    machine.emulator.leave(client)


def _who(client: Client) -> dict[str, Any]:
    side, pid = client.side, client.peer.pid
    return {"client": client.number, "pid": pid, "name": side.client, "role": side.role}


async def answer(machine: Machine, client: Client, request: messages.LifeRequest) -> Result:
    """Answer one request.

    Raises:
        KjuError: What is told to the client.
    """
    number, emulator = request.number, machine.emulator
    match request:
        case messages.Power(how=how):
            await emulator.qmp.execute(_POWER[how])
        case messages.Execute(command=command, arguments=arguments):
            if command in _REFUSED:
                raise UsageError(f"{command} is not for clients: {_REFUSED[command]}")
            value = await emulator.qmp.execute(command, _arguments(arguments))
            return Result(messages.Executed(number=number, value=_answer_of(command, value)))
        case messages.Snapshot(how=how, tag=tag):
            done = await emulator.snapshots.do(how, tag)
            return Result(_numbered(done, number))
        case messages.GetSnapshots():
            return Result(_numbered(await emulator.snapshots.listed(), number))
        case messages.GetSerial():
            writes = client.side.role == "control"
            theirs = emulator.serial.view(client, writes=writes)
            machine.begin(_close_when_sent(client, theirs))
            reply = messages.SerialHandle(number=number, descriptors=1, writable=writes)
            return Result(reply, (theirs.fileno(),))
        case messages.Subscribe(since=since):
            machine.events.subscribe(client, since)
            return Result(messages.Done(number=number, version=machine.events.number))
    return Result(messages.Done(number=number))


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"these arguments are no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError('arguments are a JSON object, such as {"device": "cd0"}')
    return found


def _answer_of(command: str, value: object) -> str:
    """What QEMU has answered, as text that goes to the client in one frame.

    Raises:
        LimitError: It is too long for that.
    """
    text = json.dumps(value)
    if len(text) > LONGEST_ANSWER:
        raise LimitError(
            f"QEMU's answer to {command} has {len(text)} bytes, and at most {LONGEST_ANSWER} can be"
            " passed on; ask it for less, or have it write to a file",
            "bytes of an answer", LONGEST_ANSWER, len(text),
        )  # fmt: skip
    return text


def _numbered(reply: messages.Snapshots, number: int) -> messages.Snapshots:
    return messages.Snapshots(number=number, snapshots=reply.snapshots, note=reply.note)


async def _close_when_sent(client: Client, sock: socket.socket) -> None:
    """The descriptor goes with the reply, which waits while the client does not read."""
    with sock:
        await asyncio.sleep(0)
        while not client.idle:
            await asyncio.sleep(0.01)
