"""Text of real firmware and a VGA BIOS, read by glyphs in every mode and size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG

import kju

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]


def test_text_is_read_in_every_mode_of_a_vga_bios(tmp_path: Path) -> None:
    """Fonts of 8, 14 and 16 rows; 40 columns; text in graphics modes."""
    arguments = [*guests.TCG, "-m", "32"]
    arguments += ["-drive", f"if=ide,format=raw,file={guests.text_modes(tmp_path)}"]
    with kju.launch(args=arguments, name="text-modes") as machine:
        screen = machine.screen
        for name, _, size in guests.TEXT_MODES:
            screen.wait_text(re.compile(rf"#\n{name}$"), timeout=HANG)
            text = screen.read_text()
            assert text.reader == "glyphs", name
            assert str(text) == f"{guests.PRINTED}\n{name}"
            assert (screen.mode.width, screen.mode.height) == size, name
            machine.keyboard.press("a")


@pytest.mark.parametrize("size", [(800, 600), (1024, 768), (1280, 800)])
def test_text_of_uefi_firmware_is_read_on_screens_of_any_size(size: tuple[int, int]) -> None:
    guests.uefi()
    firmware = "/usr/share/ovmf/OVMF.fd"
    card = f"VGA,edid=on,xres={size[0]},yres={size[1]}"
    arguments = [*guests.TCG, "-m", "128", "-bios", firmware, "-vga", "none", "-device", card]
    with kju.launch(args=[*arguments, "-nic", "none"], name="uefi") as machine:
        screen, keyboard = machine.screen, machine.keyboard
        screen.wait_text("Shell>", timeout=HANG)
        keyboard.type("mode 80 25\n")  # clears the screen, and moves the text area
        keyboard.type('echo "l1I| O0 ~{}"\n')
        screen.wait_text('"\nl1I| O0 ~{}\nShell>', timeout=HANG)
        text = screen.read_text()
        assert text.reader == "glyphs"
        assert "�" not in str(text)
        assert (screen.mode.width, screen.mode.height) == size
        keyboard.type("exit\n")
        chosen = screen.wait_text("Boot Manager", timeout=HANG)
        assert chosen.text == "Boot Manager"
        keyboard.press("down")
        keyboard.press("down")
        keyboard.press("enter")
        screen.wait_text("Use the <↑> and <↓> keys to choose a boot option", timeout=HANG)
        assert "│                                Boot Manager" in str(screen.read_text())
