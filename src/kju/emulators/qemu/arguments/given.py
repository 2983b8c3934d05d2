"""Questions about the user's own QEMU options. I/O-free."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..board.board import Board
from ..options import Option, fields

VIDEO = re.compile(
    r"VGA|(?:.*-)?vga(?:-gl|-rutabaga)?|cirrus-vga|bochs-display|qxl|ramfb|vmware-svga|sm501"
    r"|virtio-gpu.*|vhost-user-gpu.*|cg3|tcx|ati-vga"
)
TABLET = re.compile(r"usb-tablet|usb-wacom-tablet|virtio-tablet.*")
KEYBOARD = re.compile(r"usb-kbd|virtio-keyboard.*|usb-ccid-kbd")
NETWORK = re.compile(
    r"e1000.*|rtl8139|ne2k_.*|pcnet|vmxnet3|i8255.*|tulip|usb-net|igb|virtio-net.*|sungem|lan9118"
)
SERIAL = re.compile(r"isa-serial|pci-serial.*|usb-serial|virtserialport|virtconsole|spapr-vty")
#: Architectures without a default machine, or with one that starts no system from a disk.
VIRT = ("aarch64", "arm", "riscv64", "riscv32")
#: Properties of ``-machine`` that name the firmware.
FIRMWARE_PROPERTIES = ("firmware", "pflash0", "pflash1")
#: Values that QEMU takes as "on"; so is a key without a value (`fields`).
_ON = frozenset({"on", "yes", "true", "y"})
IDE = re.compile(r"ide-(?:hd|cd|drive|cf)")


#: Architectures of the PC.
X86 = ("x86_64", "i386")


class Given:
    """The user's own options."""

    def __init__(self, options: Sequence[Option]) -> None:
        self._options = options
        self.drivers = [
            fields(o.value, "driver").get("driver", "") for o in options if o.name == "device"
        ]

    def has(self, *names: str) -> bool:
        """Return whether one of these options is given."""
        return any(o.name in names for o in self._options)

    def device(self, pattern: re.Pattern[str]) -> bool:
        """Return whether a ``-device`` of this kind is given."""
        return any(pattern.fullmatch(driver) for driver in self.drivers)

    def field(self, names: tuple[str, ...], key: str, first: str = "type") -> str:
        """Return the last value of a key of any of these options."""
        found = [fields(o.value, first).get(key, "") for o in self._options if o.name in names]
        return next((value for value in reversed(found) if value), "")

    @property
    def machine(self) -> str:
        """The machine type; empty for the default."""
        return self.field(("machine", "M"), "type")

    def is_virt(self, architecture: str) -> bool:
        """Return whether the machine is a ``virt``, of any version."""
        machine = self.machine or ("virt" if architecture in VIRT else "")
        return machine == "virt" or machine.startswith("virt-")

    def ide_used(self, board: Board) -> int:
        """Return the number of the user's own disks and CDs on the board's IDE buses."""
        used = sum(bool(IDE.fullmatch(driver)) for driver in self.drivers)
        used += sum(o.name in ("hda", "hdb", "hdc", "hdd", "cdrom") for o in self._options)
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        return used + sum(drive.get("if", board.disk) == "ide" for drive in drives)

    @property
    def is_temporary(self) -> bool:
        """Whether changes of a disk are lost when the machine ends."""
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        return self.has("snapshot") or any(d.get("snapshot") in _ON for d in drives)

    @property
    def firmware(self) -> bool:
        """Whether firmware is given."""
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        if self.has("bios", "pflash") or any(d.get("if") == "pflash" for d in drives):
            return True
        return any(self.field(("machine", "M"), key) for key in FIRMWARE_PROPERTIES)

    @property
    def changes_user(self) -> bool:
        """Whether QEMU changes its user."""
        return self.has("runas") or bool(self.field(("run-with",), "user"))
