"""Every key of the table, pressed in a guest that reports the Linux key it received."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support import guests
from support.wait import until_async

import kju
import kju.aio
from kju import keys
from kju.client.aio.link import AsyncLink
from kju.protocol.messages import Done, Keys

pytestmark = pytest.mark.qemu


def test_linux_receives_the_key_of_the_table(runtime_folder: None, tmp_path: Path) -> None:
    paint = guests.paint(tmp_path, "still", device="VGA")
    args = [*paint.arguments, "-device", "virtio-keyboard-pci"]
    with kju.launch(args=args, name="keys") as machine, guests.Serial(paint) as serial:
        serial.wait("^kju: input QEMU Virtio Keyboard", 90)
        serial.wait("^kju: ready")
        power = keys.number("power")  # obeyed
        for number in sorted(keys.NAMES, key=lambda number: number == power):
            machine.keyboard.press(number)
            said = serial.wait(r"^kju: key (\d+) down")
            assert int(said[1]) == keys.to_evdev(number), keys.NAMES[number]
            if number != power:
                machine.keyboard.release(number)
                serial.wait(rf"^kju: key {said[1]} up")


async def test_log_has_the_order_of_sending(runtime_folder: None) -> None:
    """QEMU's answers to two keys can end in the other order."""
    steps = [(number, down) for number in range(2, 14) for down in (True, False)]
    async with await kju.aio.launch(name="order", memory="64M") as machine:
        for _ in range(30):
            link = await AsyncLink.attach("order", "control", "test")
            before = len(machine.input_log())
            requests = [Keys(steps=[step]) for step in steps]
            await asyncio.gather(*(link.ask(request, Done) for request in requests))

            def logged(since: int = before) -> list[tuple[int, bool]]:
                return [step for each in machine.input_log()[since:] for step in each.keys]

            await until_async(lambda: len(logged()) >= len(steps))
            assert logged() == steps
            link.close()
