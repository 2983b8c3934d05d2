"""The host's machine inside this process, where a test can break its connections."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG

from kju.emulators.events import MachineEvents
from kju.emulators.qemu import launch
from kju.emulators.qemu.emulator import QemuEmulator
from kju.emulators.qemu.program import Accelerator
from kju.host.machine import HostedMachine, LaunchingClient
from kju.protocol.framing import HostSide, pack
from kju.protocol.launch_options import Launch
from kju.store import running

pytestmark = pytest.mark.qemu


async def started(machine: HostedMachine) -> None:
    async with asyncio.timeout(HANG):
        await machine._started.wait()


async def test_broken_display_connection_is_reopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests.invaders()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    # A display whose source is a listener from the start.
    arguments = ["-accel", "tcg", "-vga", "virtio"]
    request = Launch(machine="m", image=str(guests.INVADERS), memory="64M", arguments=arguments)

    ours, theirs = socket.socketpair()
    with ours:
        side = HostSide(launch=True)
        side.receive_data(pack(request, 1))
        claim = running.claim("m")
        emulator = QemuEmulator(
            claim, launch.prepare(request), Accelerator("user", ""), MachineEvents()
        )
        machine = HostedMachine(claim, request, emulator, LaunchingClient(theirs, side, 1))
        run = asyncio.create_task(machine.run())
        await started(machine)
        await emulator.display.consoles[0].attach("test")
        before = emulator.display.bus
        before.close("broken by the test")
        async with asyncio.timeout(HANG):
            while emulator.display.bus is before:
                await asyncio.sleep(0.01)
        await emulator.display.consoles[0].devices.keyboard.press(
            "test", [(30, True), (30, False)], 0
        )
        version = emulator.display.consoles[0].producer.version
        async with asyncio.timeout(HANG):
            while emulator.display.consoles[0].producer.version == version:
                await asyncio.sleep(0.01)
        # A source that ends is replaced too.
        source = emulator.display.consoles[0].runner.supervisor.source
        assert source is not None
        source._channel.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        async with asyncio.timeout(HANG):
            while emulator.display.consoles[0].runner.supervisor.source is source:
                await asyncio.sleep(0.01)
        version = emulator.display.consoles[0].producer.version
        async with asyncio.timeout(HANG):
            while emulator.display.consoles[0].producer.version == version:
                await asyncio.sleep(0.01)
        machine.end("the test is over")
        ending = await run
        assert ending.asked
        assert ending.status is None
    assert running.names() == []
