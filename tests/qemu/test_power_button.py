"""The power button of real guests: a guest that cannot receive it is ended without a wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG

import kju
import kju.aio
from kju.errors import PowerButtonError

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]

#: Longer than a test may take: a test that waits for it fails.
NEVER = 3600.0
BOARDS = ["pc", "q35"]


def uefi() -> list[str]:
    guests.uefi()
    code = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
    return ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]


@pytest.mark.parametrize("board", BOARDS)
def test_guest_without_acpi_is_ended_at_once(board: str) -> None:
    args = [*guests.invaders(), "-machine", board]
    with kju.launch(args=args, name="game") as machine, kju.attach("game") as other:
        running(machine)
        with other.events(timeout=HANG) as events:
            assert machine.shutdown(timeout=NEVER) is False
            assert "powerdown" not in [event.name for event in events]


@pytest.mark.parametrize("board", BOARDS)
def test_uefi_without_a_system_is_ended_at_once(board: str) -> None:
    """On `pc`, OVMF places the registers at another address than SeaBIOS."""
    args = [*guests.TCG, "-m", "128", "-machine", board, *uefi()]
    with kju.launch(args=args) as machine:
        machine.screen.wait(timeout=HANG)
        assert machine.shutdown(timeout=NEVER) is False


def running(machine: kju.Machine) -> None:
    """Wait until the game runs, so the firmware has finished."""
    machine.screen.wait_text("-*-", timeout=HANG)


def test_machine_whose_firmware_has_not_started_is_ended_at_once() -> None:
    """QEMU maps the registers at port 0 then, which is another device's port."""
    with kju.launch(args=[*guests.invaders(), "-S"]) as machine:
        with pytest.raises(PowerButtonError, match="firmware has not set up ACPI yet"):
            machine.powerdown()
        assert machine.shutdown(timeout=NEVER) is False


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
@pytest.mark.parametrize("board", BOARDS)
def test_linux_receives_the_power_button(board: str, firmware: str, tmp_path: Path) -> None:
    """Linux enables ACPI and the button's event at any address of the registers."""
    guest = guests.paint(tmp_path, "still", device="VGA", efi=firmware == "uefi")
    args = [*guest.arguments, "-machine", board, *(uefi() if firmware == "uefi" else [])]
    with kju.launch(args=args) as machine, guests.Serial(guest) as serial:
        serial.wait("kju: ready", timeout=HANG)
        machine.powerdown()
        serial.wait("kju: key 116 down", timeout=HANG)


def test_guest_that_ignores_the_button_is_ended_after_the_timeout(tmp_path: Path) -> None:
    """A paused guest has received the press and cannot act on it."""
    guest = guests.paint(tmp_path, "still", device="VGA")
    with (
        kju.launch(args=guest.arguments, name="slow") as machine,
        kju.attach("slow") as other,
        guests.Serial(guest) as serial,
    ):
        serial.wait("kju: ready", timeout=HANG)
        machine.pause()
        with other.events(timeout=HANG) as events:
            assert machine.shutdown(timeout=0.2) is False
            names = [event.name for event in events]
        assert names[0] == "powerdown" and "ending" in names


def test_stop_command_names_its_reason_not_to_wait() -> None:
    with kju.launch(args=guests.invaders(), name="game") as machine:
        running(machine)
        command = [sys.executable, "-m", "kju.cli", "stop", "game", "--timeout", str(NEVER)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
        assert done.returncode == 0
        assert done.stderr == (
            "the guest of game cannot receive the power button: ACPI is off in the guest:"
            " ended at once\n"
        )
        assert machine.wait_ended(timeout=HANG)


async def test_asyncio_ends_such_a_guest_at_once_too() -> None:
    async with await kju.aio.launch(args=guests.invaders()) as machine:
        await machine.screen.wait(timeout=HANG)
        assert await machine.shutdown(timeout=NEVER) is False


def test_guest_of_an_old_qemu_is_ended_at_once_too() -> None:
    qemu = str(guests.qemu72())
    with kju.launch(args=guests.invaders(), qemu=qemu) as machine:
        machine.screen.wait(timeout=HANG)
        assert machine.shutdown(timeout=NEVER) is False
