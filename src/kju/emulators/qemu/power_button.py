"""Whether a guest can receive a press of its power button.

QEMU drops the press without an error where the guest has not enabled the button's event. On x86
boards both facts stand in ACPI's PM1 registers. Their addresses differ (i440fx, q35, what the
firmware wrote), so they are taken from QEMU's own map of the ports.

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
#: From the event registers' status to what is enabled of it.
_ENABLE = 2
_REGION = re.compile(
    r"^\s*([0-9a-f]{16})-[0-9a-f]{16} \(prio -?\d+, i/o\): acpi-(evt|cnt)\r?$", re.MULTILINE
)
#: Lower ports are other devices' on every PC; until the firmware starts, the map has 0 here.
_LOWEST = 0x100
#: What a read of ports that no device answers returns.
_NOBODY = 0xFFFF
_VALUE = re.compile(r"= 0x([0-9a-f]{4})\b")


class Ports(NamedTuple):
    """Where the registers are.

    Attributes:
        control: PM1 control, 16 bits.
        enable: PM1 enable, 16 bits.
    """

    control: int
    enable: int


def find_ports(tree: str) -> Ports | None:
    """Return the registers' ports, from what the monitor's ``info mtree`` prints.

    None where the board has no such registers.
    """
    found = {name: int(start, 16) for start, name in _REGION.findall(tree)}
    if found.keys() != {"evt", "cnt"} or max(found.values()) > 0xFFFF - _ENABLE:
        return None
    return Ports(found["cnt"], found["evt"] + _ENABLE)


def reason(control: int, enable: int) -> str:
    """Return why a press is lost, from the registers' values; empty if the guest receives it."""
    if _NOBODY in (control, enable):
        return ""
    if not control & _SCI_EN:
        return "ACPI is off in the guest"
    if not enable & _PWRBTN_EN:
        return "the guest has not enabled the power button's event"
    return ""


async def why_lost(qmp: Qmp) -> str:
    """Ask QEMU whether a press would be lost.

    Reading the registers changes nothing in the guest.

    Returns:
        Why it would be; empty if it would not, or where that cannot be read.
    """
    try:
        ports = find_ports(await qmp.monitor("info mtree"))
        if ports is None:
            return ""
        if ports.enable < _LOWEST:  # reading here would disturb another device
            return "its firmware has not set up ACPI yet"
        values = [await qmp.monitor(f"i /2hx {port:#x}") for port in ports]
    except KjuError:  # an old or a busy QEMU: press the button all the same
        return ""
    read = [_VALUE.search(value) for value in values]
    if not (read[0] and read[1]):
        return ""
    return reason(int(read[0][1], 16), int(read[1][1], 16))
