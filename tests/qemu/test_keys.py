"""Every key of the table, pressed in a guest that reports the Linux key it received."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import guests

import kju
from kju import keys

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
