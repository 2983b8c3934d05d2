"""Detect whether a guest receives its power button: QEMU's map of ports, and their bits."""

from __future__ import annotations

import pytest

from kju.emulators.qemu.power_button import Ports, find_ports, reason

I440FX = """\
address-space: I/O
  0000000000000000-000000000000ffff (prio 0, i/o): io
    0000000000000600-000000000000063f (prio 0, i/o): piix4-pm
      0000000000000600-0000000000000603 (prio 0, i/o): acpi-evt
      0000000000000604-0000000000000605 (prio 0, i/o): acpi-cnt
      0000000000000608-000000000000060b (prio 0, i/o): acpi-tmr
"""


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        (I440FX, Ports(0x604, 0x602)),
        (I440FX.replace("\n", "\r\n"), Ports(0x604, 0x602)),
        (I440FX.replace("06", "b0"), Ports(0xB004, 0xB002)),
        ("", None),
        (I440FX.replace("acpi-cnt", "acpi-cnt [disabled]"), None),
        (I440FX.replace("acpi-evt", "else"), None),
        (I440FX.replace("0000000000000604", "0000000100000604"), None),
        (I440FX.replace("06", "00"), Ports(4, 2)),
    ],
)
def test_the_ports_are_those_of_qemus_map(tree, found):
    assert find_ports(tree) == found


@pytest.mark.parametrize(
    ("control", "enable", "word"),
    [
        (0xFFFF, 0xFFFF, ""),
        (0, 0, "ACPI is off"),
        (0, 0x100, "ACPI is off"),
        (1, 0x21, "not enabled"),
        (1, 0x121, ""),
    ],
)
def test_both_bits_are_needed(control, enable, word):
    assert word in reason(control, enable) if word else reason(control, enable) == ""
