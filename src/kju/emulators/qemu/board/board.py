"""A board: the buses and devices of one machine type of one QEMU. I/O-free.

Every fact is an answer of QEMU (`board_probe`); none depends on a list of board names.

Source:
    query-block, query-machines and qom-list-types: qapi/ of QEMU; ``info qtree``: the tree of a
    board's devices and buses (system/qdev-monitor.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

#: Every device that kju may add. A QEMU can be built without one of them.
DEVICES = frozenset(
    {
        *("VGA", "isa-vga", "virtio-gpu-pci", "virtio-gpu-device"),
        *("qemu-xhci", "usb-tablet", "usb-kbd", "usb-storage"),
        *("virtio-keyboard-pci", "virtio-keyboard-device", "virtio-tablet-device"),
        *("virtio-blk-pci", "virtio-blk-device", "virtio-blk-ccw", "virtio-net-pci"),
        *("virtio-scsi-pci", "virtio-scsi-device", "scsi-hd", "scsi-cd"),
        *("ide-hd", "ide-cd", "ahci", "nvme"),
    }
)

_BUS = re.compile(r"^\s*bus: \S+\r?\n\s*type (\S+)", re.MULTILINE)
#: QEMU names a disk after the interface it put it on: ide0-hd0, scsi0-hd0, sd0, virtio0, none0.
_INTERFACE = re.compile(r"ide|scsi|sd|mtd|pflash|floppy|virtio|xen")
_PORTS = re.compile(r"^\s*dev: (?:\S*ahci\S*|ich9-ahci)", re.MULTILINE)


class Board(NamedTuple):
    """The buses and devices of one machine type.

    Attributes:
        name: The machine type, such as ``pc``; empty if QEMU was not asked.
        buses: The types of its buses, as ``info qtree`` has them.
        disk: The interface on which QEMU itself puts a disk: ``ide``, ``scsi``, ``sd``,
            ``virtio``, ...; empty if it has none.
        ide_slots: Disks and CDs that its IDE or SATA buses hold.
        memory: MiB of memory that it starts with by default, where it does not accept kju's
            default; else 0.
        accepts_cpu_max: Whether it starts with ``-cpu max``.
        has_screen: Whether it has a screen without any further device.
        has_keyboard: The same of a keyboard.
        usb_ports: USB devices that it takes without a further controller; counted up to two.
        devices: Those of `DEVICES` that this QEMU has.
    """

    name: str
    buses: frozenset[str]
    disk: str
    ide_slots: int = 0
    memory: int = 0
    accepts_cpu_max: bool = True
    has_screen: bool = False
    has_keyboard: bool = True
    usb_ports: int = 0
    devices: frozenset[str] = DEVICES

    @property
    def has_pci(self) -> bool:
        """Whether PCI devices can be added."""
        return bool(self.buses & {"PCI", "PCIE"})

    @property
    def has_virtio_mmio(self) -> bool:
        """Whether virtio devices can be added without PCI."""
        return "virtio-mmio-bus" in self.buses

    def offers(self, *devices: str) -> bool:
        """Return whether this QEMU has all of these devices."""
        return self.devices.issuperset(devices)


#: QEMU's default machine of a PC, for where QEMU does not answer.
PC = Board("", frozenset({"PCI", "ISA", "IDE", "i2c-bus"}), "ide", 4)


def buses(tree: str) -> frozenset[str]:
    """The types of the buses in the text of ``info qtree``."""
    return frozenset(_BUS.findall(tree))


def read(
    name: str,
    *,
    tree: str,
    disk: str,
    memory: int,
    accepts_cpu_max: bool,
    has_keyboard: bool,
    usb_ports: int,
    backends: Iterable[str],
    devices: Iterable[str],
) -> Board:
    """Make a board of QEMU's answers.

    Args:
        name: The machine type.
        tree: The text of ``info qtree``.
        disk: QEMU's name of the drive that it was given; empty if the board refused it.
        memory: MiB, if the board refused kju's default; else 0.
        accepts_cpu_max: As in `Board`.
        has_keyboard: As in `Board`.
        usb_ports: As in `Board`.
        backends: The types of the objects below ``/backend``.
        devices: The names of QEMU's devices.
    """
    interface = _INTERFACE.match(disk)
    ide = sum(bus == "IDE" for bus in _BUS.findall(tree))
    return Board(
        name,
        buses(tree),
        interface[0] if interface else "",
        ide if _PORTS.search(tree) else 2 * ide,
        memory,
        accepts_cpu_max,
        any("graphic-console" in backend for backend in backends),
        has_keyboard,
        usb_ports,
        DEVICES.intersection(devices),
    )
