"""Power, events, QMP, the serial port and defined machines, with a real QEMU."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests
from support.ptys import InTerminal
from support.wait import HANG, until

import kju
import kju.aio
from kju.client.launching import launched
from kju.errors import (
    ConflictError,
    QemuError,
    RoleError,
    UsageError,
    WaitTimeoutError,
)
from kju.store import defining, definitions, running
from kju.store.defining import launch_request
from kju.store.machine_toml import Definition

pytestmark = pytest.mark.qemu

KJU = (sys.executable, "-m", "kju.cli")
#: A boot sector: writes "echo: " to the first serial port, then echoes each byte from it.
ECHO = (
    bytes.fromhex(
        "31c08ed8fcbe347cac"  # ds = 0, forwards, si = text
        "84c07405e81300ebf6"  # write it, up to its zero
        "bafd03eca80174fbbaf803ece80200"  # wait for a byte, write it, again
        "ebef88c4bafd03eca82074fb88e0baf803eec3"  # write a byte when the port has room
    )
    + b"echo: \0"
)


def echo(folder: Path) -> Path:
    disk = folder / "echo.raw"
    disk.write_bytes(ECHO.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    return disk


def command(*words: object, check: bool = True, **options: object) -> subprocess.CompletedProcess:
    done = subprocess.run([*KJU, *map(str, words)], capture_output=True, timeout=HANG, **options)
    assert not check or done.returncode == 0, done.stderr
    return done


def heard(line: object, text: bytes) -> bytes:
    """Read a serial line until a text."""
    line.settimeout(HANG)
    said = b""
    while text not in said:
        part = line.recv(4096)
        assert part, said
        said += part
    return said


@pytest.fixture(scope="module")
def machine(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[kju.Machine]:
    disk = echo(tmp_path_factory.mktemp("echo"))
    with kju.launch(disk, name="echo", memory="32M", args=guests.TCG) as running:
        yield running


# -- power and events


def test_pause_resume_and_reset_are_events(machine: kju.Machine) -> None:
    with machine.events(timeout=HANG) as events:
        machine.pause()
        machine.pause()
        assert machine.info()["state"] == "paused"
        machine.resume()
        machine.reset()
        named = (event.name for event in events if event.name != "mode")
        assert [next(named) for _ in range(3)] == ["paused", "resumed", "reset"]
    assert machine.info()["state"] == "running"


def test_events_are_numbered_and_can_be_read_again(machine: kju.Machine) -> None:
    with kju.attach("echo", "view") as viewer, viewer.events(since=0, timeout=HANG) as events:
        first = next(events)
        assert (first.sequence, first.name) == (1, "started")
        assert abs(first.time - time.time()) < 600
        seen = [first, *(next(events) for _ in range(4))]
        assert [event.sequence for event in seen] == [1, 2, 3, 4, 5]
        came = next(event for event in seen if event.name == "client-connected")
        assert came.data["pid"] == os.getpid() and came.data["role"] == "control"
        with viewer.events(since=3, timeout=HANG) as later:
            assert next(later) == seen[3]
    machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
    with machine.events(since=0, timeout=HANG) as events:
        mode = next(event for event in events if event.name == "mode")
        assert mode.data["console"] == 0 and mode.data["width"] >= 640
    with machine.events(timeout=0.05) as events, pytest.raises(WaitTimeoutError, match="echo"):
        while True:
            next(events)


async def test_asyncio_has_power_events_snapshots_and_serial(machine: kju.Machine) -> None:
    async with await kju.aio.attach("echo") as same:
        events = same.events(since=0, timeout=HANG)
        assert (await anext(events)).name == "started"
        await same.pause()
        async for event in events:
            if event.name == "paused" and (await same.info())["state"] == "paused":
                break
        await events.aclose()
        await same.resume()
        assert (await same.qmp("query-status"))["running"]
        assert await same.snapshots.list() == []
        with pytest.raises(UsageError, match=r"raw.*cannot hold a snapshot"):
            await same.snapshots.save("a")
        reader, writer = await same.serial()
        writer.write(b"async")
        async with asyncio.timeout(HANG):
            await reader.readuntil(b"async")
        writer.close()
        await writer.wait_closed()


def test_qmp_commands_are_answered_or_rejected(machine: kju.Machine) -> None:
    assert machine.qmp("query-status")["status"] == "running"
    assert machine.qmp("human-monitor-command", **{"command-line": "info name"}) == "echo\r\n"
    with pytest.raises(QemuError, match=r"refused no-such.*not been found"):
        machine.qmp("no-such")
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        machine.qmp("query-status", x=b"1")
    with pytest.raises(UsageError, match="getfd is not for clients"):
        machine.qmp("getfd", fdname="x")
    with kju.attach("echo", "view") as viewer, pytest.raises(RoleError):
        viewer.qmp("query-status")
    printed = command("qmp", "echo", "query-status").stdout
    assert json.loads(printed)["status"] == "running"
    line = ("human-monitor-command", "command-line=info name")
    assert json.loads(command("qmp", "echo", *line).stdout) == "echo\r\n"
    line = ("human-monitor-command", '{"command-line": "info name"}')
    assert json.loads(command("qmp", "echo", *line).stdout) == "echo\r\n"
    assert command("qmp", "echo", "query-status", "x", check=False).returncode == 2


def test_host_needs_little_memory(machine: kju.Machine) -> None:
    """Check the private memory of a host: eight of them, viewed for two minutes, had 25 MB each."""
    machine.screen.wait(kju.Mark(0, 0, 0), timeout=HANG)
    lines = Path(f"/proc/{machine.host_pid}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    assert own < 40_000


def test_panic_of_the_guest_is_an_event(runtime_folder: None, tmp_path: Path) -> None:
    disk = tmp_path / "panic.raw"
    panic = bytes.fromhex("ba0505 b001 ee f4")  # out 0x505: pvpanic's port
    disk.write_bytes(panic.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    args = [*guests.TCG, "-m", "32", "-device", "pvpanic", "-S"]
    with kju.launch(disk, name="panics", args=args) as machine:
        assert machine.info()["state"] == "paused"
        with machine.events(timeout=HANG) as events:
            machine.resume()
            told = {event.name: event.data for event in events}
        assert [name for name in told if name != "mode"][:4] == [
            "resumed", "panicked", "shutdown", "ending",
        ]  # fmt: skip
        assert told["shutdown"]["reason"] == "guest-panic"
        assert told["ending"]["reason"] == machine.end_reason.partition("ended: ")[2]


# -- the serial port


def test_serial_port_is_shared(machine: kju.Machine) -> None:
    appended = [part for part in machine.info()["appended"] if "-serial" in part["arguments"]]
    assert appended and "kju serial" in appended[0]["reason"]
    with machine.serial() as one, kju.attach("echo", "view") as viewer, viewer.serial() as looker:
        heard(one, b"echo: ")
        one.send(b"first\r")
        heard(one, b"first\r")
        heard(looker, b"first\r")
        with pytest.raises(BrokenPipeError):
            looker.send(b"x")
        with machine.serial() as late:
            assert b"first\r" in heard(late, b"first\r"), "output from before it connected"
            late.send(b"second\r")
            heard(one, b"second\r")
            heard(looker, b"second\r")


def test_serial_command_works_in_a_pipe_and_in_a_terminal(machine: kju.Machine) -> None:
    done = command("serial", "echo", "--seconds", "3", input=b"by pipe\r")
    assert b"by pipe\r" in done.stdout
    terminal = InTerminal([*KJU, "serial", "echo"], 80, 25)
    try:
        terminal.until(lambda: "by pipe" in "\n".join(terminal.screen.text()), "the past")
        terminal.type(b"by hand\r\n")
        terminal.until(lambda: "by hand" in "\n".join(terminal.screen.text()), "the echo")
        terminal.type(b"\x1d")
        assert terminal.ended() == 0
        terminal.assert_given_back()
    finally:
        terminal.close()


def test_serial_port_of_the_users_own_is_left_alone(runtime_folder: None, tmp_path: Path) -> None:
    args = [*guests.PACED, "-m", "32", "-serial", f"file:{tmp_path}/said"]
    with kju.launch(echo(tmp_path), args=args, name="own") as machine:
        with pytest.raises(UsageError, match="user's own"):
            machine.serial()
        assert any("kju serial" in note for note in machine.info()["notes"])
        until(lambda: b"echo: " in (tmp_path / "said").read_bytes())


# -- defined machines


def test_defined_machine_from_create_to_rm(runtime_folder: None, tmp_path: Path) -> None:
    said = command(
        "create",
        "web",
        "--image",
        echo(tmp_path),
        "--disk",
        "8M",
        "-m",
        "32",
        "--",
        *guests.PACED,
    ).stdout.decode()
    assert "accelerator: " in said and "kju start web" in said
    row = json.loads(command("ls", "--json").stdout)[0]
    assert (row["name"], row["state"], row["defined"]) == ("web", "stopped", True)
    assert b"stopped" in command("ls").stdout
    said = command("start", "web").stdout.decode()
    assert "accelerator: user" in said
    try:
        assert json.loads(command("ls", "--json").stdout)[0]["state"] == "running"
        assert command("start", "web", check=False).returncode == 4
        assert command("rm", "web", check=False).returncode == 2
        with kju.attach("web") as machine, machine.serial() as line:
            heard(line, b"echo: ")
            assert machine.qmp("query-memory-size-summary")["base-memory"] == 32 << 20
            with pytest.raises(UsageError, match=r"echo\.raw .*cannot hold a snapshot"):
                machine.snapshots.save("a")
        command("pause", "web")
        command("resume", "web")
        command("reset", "web")
        lines = command("events", "web", "--json").stdout.decode().splitlines()
        names = [json.loads(line)["event"] for line in lines]
        assert names[0] == "started" and {"paused", "resumed", "reset"} <= set(names)
        assert "paused" in command("events", "web").stdout.decode()
    finally:
        stopped = command("stop", "web", "--timeout", "0.5")
    # The guest does not use ACPI. Right after the reset its firmware may still run, and whether
    # that uses ACPI is unknown.
    assert re.search(b"did not shut down in 0.5 s|ACPI is off", stopped.stdout + stopped.stderr)
    assert f"not removed: {tmp_path}/echo.raw" in command("rm", "web").stdout.decode()
    assert json.loads(command("ls", "--json").stdout) == []


def test_machine_that_was_cloned_before_its_start_is_a_conflict(
    runtime_folder: None, tmp_path: Path
) -> None:
    defining.create("base", Definition(), "1M")
    request = launch_request(definitions.read("base"), detach=False, client="")
    defining.clone("base", "leaf")
    with pytest.raises(ConflictError, match=r"clones \(leaf\)"):
        launched(request)
    assert not running.names()


def test_snapshot_of_a_defined_machine_and_its_clone(runtime_folder: None, tmp_path: Path) -> None:
    guests.uefi()
    folder = kju.define("base", disk="8M", memory="32M", firmware="uefi", args=guests.TCG).parent
    with kju.start("base") as machine:
        appended = " ".join(" ".join(part["arguments"]) for part in machine.info()["appended"])
        assert "if=pflash,unit=1,format=qcow2" in appended
        saved = machine.snapshots.save("a")
        assert Path(saved.picture) == folder / "snapshots" / "a" / "screen.png"
        with machine.events(timeout=HANG) as events:
            machine.snapshots.load("a")
            assert "snapshot-loaded" in [next(events).name for _ in range(2)]
    done = command("clone", "base", "leaf").stdout.decode()
    assert "leaf is defined in" in done
    with pytest.raises(ConflictError, match="leaf"):
        kju.start("base")
    with kju.start("leaf") as leaf:
        assert leaf.snapshots.list() == []
        leaf.snapshots.save("b")
        words = command("snapshot", "ls", "leaf").stdout.decode().split()
        assert words[0] == "b"
        command("snapshot", "load", "leaf", "b")
        command("snapshot", "rm", "leaf", "b")
        assert json.loads(command("snapshot", "ls", "leaf", "--json").stdout) == []
    command("rm", "leaf")
    command("rm", "base")
    assert not folder.exists()
