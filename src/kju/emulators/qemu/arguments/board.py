"""A board: the buses and devices of one machine type of one QEMU, and the bus of a disk. I/O-free.

Every fact about a board is an answer of QEMU (`program.inspect_board`); none depends on a list of
board names.

**A disk is on the bus that QEMU itself would choose for this machine type** (IDE on ``pc``, SATA on
``q35``, virtio on ``virt``, SD on a Raspberry Pi). So an image that boots with
``qemu-system-x86_64 FILE`` boots here too: boot sectors, DOS, installers without virtio drivers.
``--disk-bus`` chooses another bus. If QEMU has no bus for disks, the first bus of `_FALLBACKS` that
the board has is used.

Source:
    query-block, query-machines and qom-list-types: qapi/ of QEMU; ``info qtree``: the tree of a
    board's devices and buses (system/qdev-monitor.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ....errors import ConflictError
from ....protocol.values import DISK_BUSES

#: The devices that kju may add. A QEMU may be built without some of them.
DEVICES = frozenset(
    {
        *("VGA", "isa-vga", "virtio-gpu-pci", "virtio-gpu-device"),
        *("qemu-xhci", "usb-tablet", "usb-kbd", "usb-storage"),
        *("virtio-keyboard-pci", "virtio-keyboard-device", "virtio-tablet-device"),
        *("virtio-blk-pci", "virtio-blk-device", "virtio-blk-ccw", "virtio-net-pci"),
        *("virtio-scsi-pci", "virtio-scsi-device", "scsi-hd", "scsi-cd"),
        *("ide-hd", "ide-cd", "ahci", "nvme", "vmgenid"),
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
        buses: The types of its buses, as in ``info qtree``.
        disk: The interface on which QEMU puts a disk by default: ``ide``, ``scsi``, ``sd``,
            ``virtio``, ...; empty if the board has none.
        ide_slots: The number of disks and CDs that its IDE or SATA buses hold.
        memory: The board's default memory in MiB, if it refuses kju's default; else 0.
        accepts_cpu_max: Whether it starts with ``-cpu max``.
        has_screen: Whether it has a screen without a further device.
        has_keyboard: Whether it has a keyboard without a further device.
        usb_ports: The number of its USB ports without a further controller, counted up to two.
        devices: The members of `DEVICES` that this QEMU has.
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
    def title(self) -> str:
        """The board's name for a message."""
        return f"machine type {self.name}" if self.name else "this machine type"

    @property
    def has_pci(self) -> bool:
        """True if PCI devices can be added."""
        return bool(self.buses & {"PCI", "PCIE"})

    @property
    def has_virtio_mmio(self) -> bool:
        """True if virtio devices can be added without PCI."""
        return "virtio-mmio-bus" in self.buses

    def offers(self, *devices: str) -> bool:
        """Return whether this QEMU has all of these devices."""
        return self.devices.issuperset(devices)


#: QEMU's default machine of a PC, used if QEMU does not answer.
PC = Board("", frozenset({"PCI", "ISA", "IDE", "i2c-bus"}), "ide", 4)


def bus_types(tree: str) -> frozenset[str]:
    """Return the types of the buses in the text of ``info qtree``."""
    return frozenset(_BUS.findall(tree))


def board_of(
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
    """Make a board from QEMU's answers.

    Args:
        name: The machine type.
        tree: The text of ``info qtree``.
        disk: QEMU's name of the test drive; empty if the board refused it.
        memory: As in `Board`, like the next three.
        accepts_cpu_max: See `Board`.
        has_keyboard: See `Board`.
        usb_ports: See `Board`.
        backends: The types of the objects below ``/backend``.
        devices: The names of QEMU's devices.
    """
    interface = _INTERFACE.match(disk)
    ide = sum(bus == "IDE" for bus in _BUS.findall(tree))
    return Board(
        name,
        bus_types(tree),
        interface[0] if interface else "",
        ide if _PORTS.search(tree) else 2 * ide,
        memory,
        accepts_cpu_max,
        any("graphic-console" in backend for backend in backends),
        has_keyboard,
        usb_ports,
        DEVICES.intersection(devices),
    )


class DriveAttachment(NamedTuple):
    """The bus and the devices of one drive.

    Attributes:
        bus: One of `DISK_BUSES`, or QEMU's name of the board's own interface.
        interface: The value of ``if=`` in ``-drive``.
        devices: Values of ``-device``.
        reason: Why this bus was chosen.
    """

    bus: str
    interface: str
    devices: tuple[str, ...]
    reason: str


class _Drive(NamedTuple):
    """A drive to attach: its id, the suffix of its controllers' ids, and its kind."""

    name: str
    suffix: str
    cd: bool


_Devices = tuple[str, ...] | None


def _ide(board: Board, drive: _Drive) -> _Devices:
    device = f"{'ide-cd' if drive.cd else 'ide-hd'},drive={drive.name}"
    if "IDE" in board.buses:
        return (device,)
    if board.has_pci and board.offers("ahci"):
        controller = f"kju-ahci{drive.suffix}"
        return (f"ahci,id={controller}", f"{device},bus={controller}.0")
    return None


def _scsi(board: Board, drive: _Drive) -> _Devices:
    device = f"{'scsi-cd' if drive.cd else 'scsi-hd'},drive={drive.name}"
    if "SCSI" in board.buses:
        return (device,)
    controller = f"kju-scsi{drive.suffix}"
    for kind, present in (
        ("virtio-scsi-pci", board.has_pci),
        ("virtio-scsi-device", board.has_virtio_mmio),
    ):
        if present and board.offers(kind):
            return (f"{kind},id={controller}", f"{device},bus={controller}.0")
    return None


def _virtio(board: Board, drive: _Drive) -> _Devices:
    for kind, present in (
        ("virtio-blk-ccw", "virtual-css-bus" in board.buses),
        ("virtio-blk-pci", board.has_pci),
        ("virtio-blk-device", board.has_virtio_mmio),
    ):
        if present and board.offers(kind) and not drive.cd:
            return (f"{kind},drive={drive.name}",)
    return None


def _nvme(board: Board, drive: _Drive) -> _Devices:
    if board.has_pci and board.offers("nvme") and not drive.cd:
        return (f"nvme,drive={drive.name},serial={drive.name}",)
    return None


def _usb(board: Board, drive: _Drive) -> _Devices:
    if not board.offers("usb-storage"):
        return None
    if board.usb_ports:
        return (f"usb-storage,drive={drive.name}",)
    if board.has_pci and board.offers("qemu-xhci"):
        controller = f"kju-usb-disk{drive.suffix}"
        device = f"usb-storage,drive={drive.name},bus={controller}.0"
        return (f"qemu-xhci,id={controller}", device)
    return None


def _by_interface(board: Board, drive: _Drive) -> _Devices:
    # The board makes the device for ``-drive if=sd`` and the like by itself, or refuses it.
    return None if drive.cd else ()


_KINDS: dict[str, Callable[[Board, _Drive], _Devices]] = {
    "ide": _ide,
    "scsi": _scsi,
    "virtio": _virtio,
    "nvme": _nvme,
    "usb": _usb,
    "sd": _by_interface,
    "floppy": _by_interface,
}
_FALLBACKS = ("virtio", "scsi", "ide", "usb")
_FALLBACKS_CD = ("scsi", "ide", "usb")


def attach(
    board: Board, name: str, suffix: str, *, cd: bool, wish: str, ide_used: int
) -> DriveAttachment:
    """Choose a bus for a disk or a CD.

    Args:
        board: The machine type's buses and devices.
        name: The drive's id.
        suffix: The end of its controllers' ids.
        cd: Whether it is a CD; *wish* is for disks only.
        wish: One of `DISK_BUSES`; empty for the default above.
        ide_used: The number of disks and CDs on the board's IDE buses.

    Raises:
        ConflictError: The board does not have this bus, or has no bus for disks.
    """
    drive = _Drive(name, suffix, cd)
    what = "a CD" if cd else "a disk"
    if wish and not cd:
        return _wished(board, drive, wish)
    full = board.disk == "ide" and ide_used >= board.ide_slots
    if board.disk and not full and (found := _own(board, drive)):
        reason = f"{found.bus}, where QEMU itself puts {what} on {board.title}"
        if found.bus == "ide" and _virtio(board, drive):
            reason += "; for a guest with virtio drivers, --disk-bus virtio is faster"
        return found._replace(reason=reason)
    why = f"QEMU itself has no place for {what} on {board.title}"
    if full:
        why = f"the {board.ide_slots} places of {board.title}'s IDE buses are taken"
    for bus in _FALLBACKS_CD if cd else _FALLBACKS:
        if not (full and bus == "ide") and (found := _on(board, drive, bus)):
            return found._replace(reason=f"{bus}: {why}")
    raise ConflictError(
        f"{board.title} has no bus that takes {what}; choose another machine type (-M), or attach"
        " it with QEMU's own arguments behind --"
    )


def _wished(board: Board, drive: _Drive, wish: str) -> DriveAttachment:
    if found := _on(board, drive, wish):
        return found._replace(reason=f"{wish}, asked for (disk-bus)")
    possible = [bus for bus in DISK_BUSES if _KINDS[bus](board, drive) is not None]
    can = ", ".join(possible) or "none of them"
    why = f"{board.title} has no bus for --disk-bus {wish}; it takes: {can}"
    raise ConflictError(why).about("disk_bus")


def _own(board: Board, drive: _Drive) -> DriveAttachment | None:
    """Return the drive on the bus that QEMU chooses by default; None if the board has none."""
    if board.disk in ("ide", "virtio"):
        # As a device it can have an id, and there may be several.
        return _on(board, drive, board.disk)
    if drive.cd and board.disk != "scsi":
        return None
    # The board makes the device, and the controller too where it has none yet (versatilepb).
    return DriveAttachment(board.disk, board.disk, (), "")


def _on(board: Board, drive: _Drive, bus: str) -> DriveAttachment | None:
    """Return the drive on a bus; None if the board does not have the bus."""
    devices = _KINDS[bus](board, drive)
    if devices is None:
        return None
    return DriveAttachment(bus, "none" if devices else bus, devices, "")
