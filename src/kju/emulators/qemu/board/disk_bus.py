"""The bus of a disk or a CD on a board. I/O-free.

**A disk is on the bus that QEMU itself would choose for this machine type** (IDE on ``pc``, SATA on
``q35``, virtio on ``virt``, SD on a Raspberry Pi). So an image that boots with
``qemu-system-x86_64 FILE`` boots here too: boot sectors, DOS, installers without virtio drivers.
``--disk-bus`` chooses another. If QEMU has no bus for disks, the first of `_FALLBACKS` that the
board has is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ....errors import ConflictError
from ....protocol.values import DISK_BUSES
from .board import Board


class Attachment(NamedTuple):
    """The attachment of one drive.

    Attributes:
        bus: One of `DISK_BUSES`, or the name that QEMU has for a board's own interface.
        interface: The value of ``if=`` in ``-drive``.
        devices: Values of ``-device``.
        reason: Why this bus.
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
    """The board itself makes the device for ``-drive if=sd`` and the like, or refuses."""
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
) -> Attachment:
    """Choose a bus for a disk or a CD.

    Args:
        board: The machine type's buses and devices.
        name: The drive's id.
        suffix: The end of its controllers' ids.
        cd: Whether it is a CD; the wish is for disks only.
        wish: One of `DISK_BUSES`; empty for the rule above.
        ide_used: How many disks and CDs the board's IDE buses hold already.

    Raises:
        ConflictError: The board has no such bus, or none at all.
    """
    drive = _Drive(name, suffix, cd)
    machine = f"machine type {board.name}" if board.name else "this machine type"
    what = "a CD" if cd else "a disk"
    if wish and not cd:
        return _wished(board, drive, wish, machine)
    full = board.disk == "ide" and ide_used >= board.ide_slots
    if board.disk and not full and (found := _own(board, drive)):
        reason = f"{found.bus}, where QEMU itself puts {what} on {machine}"
        if found.bus == "ide" and _virtio(board, drive):
            reason += "; for a guest with virtio drivers, --disk-bus virtio is faster"
        return found._replace(reason=reason)
    why = f"QEMU itself has no place for {what} on {machine}"
    if full:
        why = f"the {board.ide_slots} places of {machine}'s IDE buses are taken"
    for bus in _FALLBACKS_CD if cd else _FALLBACKS:
        if not (full and bus == "ide") and (found := _on(board, drive, bus)):
            return found._replace(reason=f"{bus}: {why}")
    raise ConflictError(
        f"{machine} has no bus that takes {what}; choose another machine type (-M), or attach it"
        " with QEMU's own arguments behind --"
    )


def _wished(board: Board, drive: _Drive, wish: str, machine: str) -> Attachment:
    if found := _on(board, drive, wish):
        return found._replace(reason=f"{wish}, asked for (disk-bus)")
    possible = [bus for bus in DISK_BUSES if _KINDS[bus](board, drive) is not None]
    can = ", ".join(possible) or "none of them"
    raise ConflictError(f"{machine} has no bus for --disk-bus {wish}; it takes: {can}")


def _own(board: Board, drive: _Drive) -> Attachment | None:
    """The drive where QEMU itself puts one."""
    if board.disk in ("ide", "virtio"):
        # As a device it can have an id, and there may be several.
        return _on(board, drive, board.disk)
    if drive.cd and board.disk != "scsi":
        return None
    # The board makes the device, and the controller too where it has none yet (versatilepb).
    return Attachment(board.disk, board.disk, (), "")


def _on(board: Board, drive: _Drive, bus: str) -> Attachment | None:
    """The drive on a bus; None if the board does not have it."""
    devices = _KINDS[bus](board, drive)
    if devices is None:
        return None
    return Attachment(bus, "none" if devices else bus, devices, "")
