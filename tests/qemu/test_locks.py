"""Typing while Caps Lock is on, in a guest that lights the lamp: Linux's console."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import guests
from support.wait import HANG, until

import kju

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

TEXT = "echo 'Hello WORLD 42 {a|B} #~'"


@pytest.mark.parametrize("keyboard", ["ps2", "virtio", "usb"])
async def test_text_keeps_its_case_while_caps_lock_is_on(tmp_path: Path, keyboard: str) -> None:
    guest = guests.shell(tmp_path, keyboard)
    with (
        kju.launch(args=guest.arguments, name=f"locks-{keyboard}") as machine,
        guests.Serial(guest) as serial,
    ):
        serial.wait("^kju: ready", HANG)
        machine.screen.wait_text("kju$", timeout=HANG)
        before = machine.keyboard.lamps()
        assert before is not None and not before.caps

        machine.keyboard.chord("caps_lock")
        with kju.report.recording(machine) as record:
            machine.keyboard.type(TEXT + "\n")
            machine.screen.wait_text("\nHello WORLD 42 {a|B} #~\n", timeout=HANG)
        typed = [event.words for event in record.story().events if event.kind == "text"]
        assert "".join(typed) == TEXT
        assert machine.keyboard.lamps() == before._replace(caps=True)
        assert machine.info()["consoles"][0]["locks"] == [*before.names, "caps"]

        machine.keyboard.chord("caps_lock")
        machine.keyboard.type("clear; echo Off Again\n")
        machine.screen.wait_text("\nOff Again\n", timeout=HANG)
        assert machine.keyboard.lamps() == before

        # A key that does not pass through kju, as another program sends it.
        machine.qmp("send-key", keys=[{"type": "qcode", "data": "caps_lock"}])
        until(lambda: machine.keyboard.lamps().caps, "the lamp that QMP's key has lit")

        async with await kju.aio.attach(machine.name) as other:
            assert (await other.keyboard.lamps()).caps
            await other.keyboard.type("clear; echo From Asyncio\n")
        machine.screen.wait_text("\nFrom Asyncio\n", timeout=HANG)
