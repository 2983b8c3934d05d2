"""Boards that are not a PC: their facts from QEMU, their start, and their input."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support import guests

import kju
from kju.emulators.qemu import program as qemu
from kju.emulators.qemu.arguments.board import Board
from kju.emulators.qemu.arguments.plan import board_arguments
from kju.emulators.qemu.board_probe import inspect_board
from kju.errors import InputError, QemuError

#: The shell moves the cursor before each letter.
_ESCAPES = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]


def emulator(architecture: str) -> str:
    found = shutil.which(f"qemu-system-{architecture}")
    if found is None:
        pytest.skip(f"qemu-system-{architecture} is not installed; tools/setup check installs it")
    return found


def ask(architecture: str, *machine: str) -> Board:
    return inspect_board(qemu.inspect(emulator(architecture)), machine)


def test_probe_finds_the_devices_of_a_pc() -> None:
    pc = ask("x86_64")
    assert pc.has_pci
    assert (pc.disk, pc.ide_slots, pc.memory) == ("ide", 4, 0)
    assert pc.has_keyboard
    assert not pc.has_screen
    assert pc.offers("VGA", "virtio-blk-pci", "usb-tablet")
    assert ask("x86_64", "-M", "q35").ide_slots == 6
    assert not ask("x86_64", "-M", "pc,i8042=off").has_keyboard
    isapc = ask("x86_64", "-M", "isapc")
    assert isapc.disk == "ide"
    assert not isapc.has_pci
    assert ask("x86_64", "-M", "microvm").has_virtio_mmio


@pytest.mark.parametrize("machine", ["pc", "isapc", "microvm"])
def test_probe_finds_the_same_with_qemu_7_2(machine: str) -> None:
    old = inspect_board(qemu.inspect(str(guests.qemu72())), ["-M", machine])
    new = ask("x86_64", "-M", machine)
    assert old._replace(name=machine, buses=new.buses) == new._replace(name=machine)


def test_probe_of_an_unknown_machine_type_is_an_error() -> None:
    with pytest.raises(QemuError, match='unsupported machine type: "nonsense"'):
        ask("x86_64", "-M", "nonsense")


@pytest.mark.parametrize(
    ("architecture", "machine", "others"),
    [
        ("arm", "versatilepb,audiodev=a0", ["-audiodev", "none,id=a0"]),
        ("aarch64", "virt,pflash0=rom", ["-blockdev", "driver=null-co,node-name=rom"]),
        ("aarch64", "virt", ["-drive", "if=pflash,driver=null-co,size=67108864"]),
        ("x86_64", "microvm", ["-accel", "kvm", "-cpu", "host"]),
        ("x86_64", "microvm", ["-cpu", "Skylake-Server,+avx512f,enforce"]),
        ("x86_64", "isapc,pcspk-audiodev=s", ["-audiodev", "none,id=s"]),
        ("x86_64", "isapc,no-such-property=1", []),
    ],
)
def test_probe_leaves_out_options_that_refer_to_other_objects(
    architecture: str, machine: str, others: list[str]
) -> None:
    chosen = board_arguments(["-M", machine, *others], architecture)
    assert ask(architecture, *chosen) == ask(architecture, "-M", machine.partition(",")[0])


def test_probe_error_names_the_missing_firmware() -> None:
    with pytest.raises(QemuError, match="q800 does not start: could not load MacROM"):
        ask("m68k", "-M", "q800")


@pytest.mark.parametrize(
    ("architecture", "machine", "disk", "memory", "screen", "keyboard"),
    [
        ("aarch64", "virt", "virtio", 0, False, False),
        ("aarch64", "raspi3b", "sd", 0, True, False),
        ("aarch64", "raspi3ap", "sd", 512, True, False),
        ("arm", "versatilepb", "scsi", 128, True, True),
        ("arm", "vexpress-a9", "", 0, True, True),
        ("m68k", "next-cube", "scsi", 0, True, True),
    ],
)
def test_probe_finds_the_devices_of_other_boards(
    architecture: str, machine: str, disk: str, memory: int, screen: bool, keyboard: bool
) -> None:
    board = ask(architecture, "-M", machine)
    found = (board.disk, board.memory, board.has_screen, board.has_keyboard)
    assert found == (disk, memory, screen, keyboard)


@pytest.mark.parametrize(
    ("architecture", "machine"),
    [
        ("x86_64", "isapc"),
        ("x86_64", "microvm"),
        ("x86_64", "q35"),
        ("aarch64", "raspi3b"),
        ("aarch64", "sbsa-ref"),
        ("arm", "raspi2b"),
        ("arm", "vexpress-a9"),
        ("arm", "versatilepb"),
        ("arm", "virt"),
        ("m68k", "next-cube"),
        ("riscv64", "virt"),
    ],
)
def test_board_starts_with_a_disk(tmp_path: Path, architecture: str, machine: str) -> None:
    disk = tmp_path / "disk.img"
    disk.touch()
    with disk.open("r+b") as file:
        file.write(b"x")
        file.truncate(64 << 20)
    # Without firmware some boards end with a fault at once: their processors stay stopped.
    arguments = ["-M", machine, "-S", *guests.TCG]
    with kju.launch(disk, qemu=emulator(architecture), args=arguments) as machine_:
        (found,) = machine_.info()["disks"]
        assert found["bus"]


def test_typing_without_a_keyboard_fails_at_once() -> None:
    arguments = ["-M", "isapc,i8042=off", *guests.TCG]
    with kju.launch(args=arguments) as machine, pytest.raises(InputError, match="has no keyboard"):
        machine.keyboard.type("x")


@pytest.mark.parametrize(
    ("own", "kind"), [([], "usb"), (["-device", "virtio-keyboard-pci"], "virtio")]
)
def test_keys_are_rejected_before_a_guest_with_screen_starts_its_keyboard(
    tmp_path: Path, own: list[str], kind: str
) -> None:
    (_, *rest) = guests.asleep(tmp_path)
    arguments = ["-M", "pc,i8042=off", *own, *rest[rest.index("-bios") :][:2], *guests.TCG]
    with kju.launch(args=arguments) as machine:
        with pytest.raises(InputError, match=f"{kind}, not started"):
            machine.keyboard.type("x")
        with pytest.raises(InputError, match=f"{kind}, not started"):
            machine.keyboard.press("x")


def test_keys_are_rejected_without_screen_and_keyboard() -> None:
    arguments = ["-nodefaults", "-vga", "none", "-M", "isapc,i8042=off", *guests.TCG]
    with kju.launch(args=arguments) as machine:
        assert len(machine.screens) == 0
        for _ in range(2):
            with pytest.raises(InputError, match="has no keyboard"):
                machine.keyboard.press("a")
        with pytest.raises(InputError, match="has no keyboard"):
            machine.keyboard.chord("ctrl-a")


def test_pointer_input_without_a_pointer_is_an_error() -> None:
    arguments = ["-M", "isapc,i8042=off", *guests.TCG]
    with kju.launch(args=arguments) as machine, pytest.raises(InputError, match="has no pointer"):
        machine.pointer.press("left")


@pytest.mark.parametrize(
    ("board", "own", "kind"),
    [
        ("microvm", ["-device", "virtio-keyboard-device"], "virtio"),
        ("pc,i8042=off", ["-device", "virtio-keyboard-pci"], "virtio"),
        ("pc,i8042=off", ["-device", "qemu-xhci", "-device", "usb-kbd"], "usb"),
    ],
)
def test_keys_are_rejected_before_a_guest_without_screen_starts_its_keyboard(
    tmp_path: Path, board: str, own: list[str], kind: str
) -> None:
    (_, *rest) = guests.asleep(tmp_path)
    bios = rest[rest.index("-bios") :][:2]
    arguments = ["-nodefaults", "-vga", "none", "-M", board, *own, *bios, *guests.TCG]
    with kju.launch(args=arguments) as machine:
        assert len(machine.screens) == 0
        with pytest.raises(InputError, match=f"{kind}, not started"):
            machine.keyboard.press("a")
        with pytest.raises(InputError, match=f"{kind}, not started"):
            machine.keyboard.chord("ctrl-a")


def test_keys_reach_the_uefi_firmware_of_arm_virt(tmp_path: Path) -> None:
    program = emulator("aarch64")
    guests.uefi("aarch64")
    disk = tmp_path / "blank.img"
    disk.write_bytes(bytes(1 << 20))
    # Without a network: the firmware waits four minutes for servers to boot from.
    with kju.launch(disk, qemu=program, args=["-nic", "none"]) as machine:
        added = " ".join(word for part in machine.info()["appended"] for word in part["arguments"])
        assert "-cpu max" in added
        with machine.serial() as line:
            line.settimeout(400)  # 12 s on a computer at rest
            heard = b""
            while b"Shell>" not in heard:
                heard += line.recv(1 << 16)
            machine.keyboard.type("echo kju\n")
            while b"echo kju" not in _ESCAPES.sub(b"", heard):
                heard += line.recv(1 << 16)
