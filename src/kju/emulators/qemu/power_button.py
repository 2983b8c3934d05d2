"""SHELL: the power button, and why a press of it would be lost.

QEMU drops a press without an error if the guest has not enabled the button's event. On x86 boards
ACPI's PM1 registers show this. Their addresses differ (i440fx, q35, the firmware's choice), so they
are read from QEMU's map of the ports.

Source:
    ACPI 6.5, 4.8.3.1 (PM1 event registers, PWRBTN_EN) and 4.8.3.2 (PM1 control, SCI_EN);
    QEMU's hw/acpi/core.c: acpi_pm1_evt_init and acpi_pm1_cnt_init name the regions,
    acpi_pm1_evt_power_down drops the press.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...errors import KjuError
from .qmp import Qmp

_SCI_EN = 1 << 0
_PWRBTN_EN = 1 << 8
#: Bytes from the status register of the events to their enable register.
_ENABLE = 2
_REGION = re.compile(
    r"^\s*([0-9a-f]{16})-[0-9a-f]{16} \(prio -?\d+, i/o\): acpi-(evt|cnt)\r?$", re.MULTILINE
)
#: Lower ports belong to other devices on every PC. Before the firmware runs, the map has 0 here.
_LOWEST = 0x100
#: The value of a port without a device.
_NO_DEVICE = 0xFFFF
_VALUE = re.compile(r"= 0x([0-9a-f]{4})\b")


class Ports(NamedTuple):
    """The ports of the registers.

    Attributes:
        control: PM1 control, 16 bits.
        enable: PM1 enable, 16 bits.
    """

    control: int
    enable: int


def find_ports(tree: str) -> Ports | None:
    """Return the ports of the registers in the output of ``info mtree``; None if it has none."""
    found = {name: int(start, 16) for start, name in _REGION.findall(tree)}
    if found.keys() != {"evt", "cnt"} or max(found.values()) > 0xFFFF - _ENABLE:
        return None
    return Ports(found["cnt"], found["evt"] + _ENABLE)


def reason(control: int, enable: int) -> str:
    """Return why a press is lost, by the registers' values; empty if the guest receives it."""
    if _NO_DEVICE in (control, enable):
        return ""
    if not control & _SCI_EN:
        return "ACPI is off in the guest"
    if not enable & _PWRBTN_EN:
        return "the guest has not enabled the power button's event"
    return ""


async def loss_reason(qmp: Qmp) -> str:
    """Return why the guest would not receive a press; empty if it would, or if that is unknown.

    Reading the registers changes nothing in the guest.

    """
    try:
        ports = find_ports(await qmp.monitor("info mtree"))
        if ports is None:
            return ""
        if ports.enable < _LOWEST:  # reading this port would disturb another device
            return "its firmware has not set up ACPI yet"
        values = [await qmp.monitor(f"i /2hx {port:#x}") for port in ports]
    except KjuError:  # an old or a busy QEMU: the press may succeed
        return ""
    read = [_VALUE.search(value) for value in values]
    if not (read[0] and read[1]):
        return ""
    return reason(int(read[0][1], 16), int(read[1][1], 16))
