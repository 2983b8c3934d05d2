"""A QMP connection: the order of commands, and the answer of each."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kju.emulators.qemu.qmp import Qmp
from kju.errors import QemuError

VERSION = {"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": ""}


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[Qmp, socket.socket]]:
    """A greeted connection, and QEMU's end of it."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)

    def greet() -> None:
        greeting = {"QMP": {"version": VERSION, "capabilities": []}}
        theirs.sendall(json.dumps(greeting).encode() + b"\n")
        (capabilities,) = lines(theirs)
        answer(theirs, capabilities, {"return": {}})

    with theirs:
        greeted = asyncio.create_task(asyncio.to_thread(greet))
        qmp = await Qmp.connect(ours, "m", lambda name, data: None)
        await greeted
        yield qmp, theirs
        await qmp.close()


def lines(sock: socket.socket) -> list[dict]:
    """The commands that have been written so far."""
    decoder, text, found = json.JSONDecoder(), sock.recv(1 << 16).decode().strip(), []
    while text:
        command, end = decoder.raw_decode(text)
        found.append(command)
        text = text[end:].strip()
    return found


def answer(sock: socket.socket, command: dict, words: dict) -> None:
    """Answer a command; the first one has no id."""
    number = {"id": command["id"]} if "id" in command else {}
    sock.sendall(json.dumps(words | number).encode() + b"\n")


async def test_command_is_written_before_begin_returns() -> None:
    async with connection() as (qmp, theirs):
        answers = [qmp.begin("one", {"a": 1}), qmp.begin("two")]
        # No turn of the event loop in between.
        commands = lines(theirs)
        assert [command["execute"] for command in commands] == ["one", "two"]
        assert commands[0]["arguments"] == {"a": 1}
        for command in reversed(commands):
            answer(theirs, command, {"return": command["execute"]})
        assert await asyncio.gather(*answers) == ["one", "two"]


async def test_refusal_is_an_error_with_qemus_words() -> None:
    async with connection() as (qmp, theirs):
        refused = qmp.begin("stop")
        (command,) = lines(theirs)
        words = {"error": {"class": "GenericError", "desc": "not\nnow"}}
        answer(theirs, command, words)
        with pytest.raises(QemuError, match="QEMU refused stop: not now"):
            await refused


@pytest.mark.parametrize("printed", ["Error: no such node\r\n", "unknown command: 'xp'\r\n"])
async def test_error_that_the_human_monitor_prints_is_an_error(printed: str) -> None:
    async with connection() as (qmp, theirs):
        running = asyncio.create_task(qmp.monitor("xp /1bx 0"))
        (command,) = await asyncio.to_thread(lines, theirs)
        assert command["arguments"] == {"command-line": "xp /1bx 0"}
        answer(theirs, command, {"return": printed})
        with pytest.raises(QemuError, match=f"'xp /1bx 0': {printed.strip()}$"):
            await running


@pytest.mark.parametrize("words", [{}, {"error": 5}, {"error": {}}, {"other": 1}])
async def test_invalid_answer_is_an_error(words: dict) -> None:
    async with connection() as (qmp, theirs):
        refused = qmp.begin("stop")
        (command,) = lines(theirs)
        answer(theirs, command, words)
        with pytest.raises(QemuError, match="QEMU refused stop"):
            await refused


async def test_cancelled_command_is_forgotten() -> None:
    async with connection() as (qmp, theirs):
        for steps in (0, 1, 3):
            given_up = qmp.begin("stop")
            for _ in range(steps):
                await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
        for command in lines(theirs):
            answer(theirs, command, {"return": {}})
        kept = qmp.begin("cont")
        (command,) = lines(theirs)
        answer(theirs, command, {"return": 7})
        assert await kept == 7


async def test_hang_up_ends_every_wait_and_every_later_call() -> None:
    async with connection() as (qmp, theirs):
        waiting = [qmp.begin("one"), qmp.begin("two")]
        theirs.close()
        for each in waiting:
            with pytest.raises(QemuError):
                await each
        assert await qmp.closed == "QEMU has disconnected"
        with pytest.raises(QemuError):
            qmp.begin("three")
        with pytest.raises(QemuError):
            await qmp.execute("four")
