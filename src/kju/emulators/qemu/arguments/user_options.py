"""The inputs of the plan: the user's QEMU options, and the facts of the launch. I/O-free.

QEMU takes ``-name value`` and ``--name value``. Some options take no value; a word that does not
begin with a dash is a disk. A value is ``first,key=value,...`` with commas doubled inside values,
or JSON. The options are read, never changed.

Source:
    qemu-options.hx, system/vl.c (the loop over the arguments), util/qemu-option.c.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ....store.image import Image
from ...base import Appended
from .board import PC, Board

#: Options that take no value, of any QEMU since 7.0.
_FLAGS = """
h help version audio-help enable-kvm snapshot full-screen nographic no-quit alt-grab ctrl-grab
usb no-fd-bootchk no-acpi no-hpet win2k-hack S s daemonize no-reboot no-shutdown nodefaults
no-user-config nouserconfig mem-prealloc preconfig only-migratable semihosting old-param
enable-fips enable-sync-profile perfmap jitdump async-teardown xen-attach xen-domid-restrict
singlestep one-insn-per-tb portrait curses sdl
"""
FLAGS = frozenset(_FLAGS.split())


class QemuOption(NamedTuple):
    """One option as the user wrote it.

    Attributes:
        name: Without dashes; ``hda`` for a bare word.
        value: None for an option that stands alone.
    """

    name: str
    value: str | None

    @property
    def written(self) -> str:
        """The option as written, for a message."""
        return f"-{self.name}" if self.value is None else f"-{self.name} {self.value}"


def parse(arguments: Sequence[str]) -> list[QemuOption]:
    """Return the options in a command line; a missing last value is None, for QEMU to refuse."""
    found = []
    words = iter(arguments)
    for word in words:
        if not word.startswith("-") or word == "-":
            found.append(QemuOption("hda", word))
            continue
        name = word[2:] if word.startswith("--") else word[1:]
        found.append(QemuOption(name, None if name in FLAGS else next(words, None)))
    return found


def fields(value: str | None, first: str) -> dict[str, str]:
    """Return the keys and values of an option's value.

    Args:
        value: The option's value, in either form.
        first: The key of a leading word without one, such as ``driver``.
    """
    if not value:
        return {}
    if value.lstrip().startswith("{"):
        return _from_json(value)
    found: dict[str, str] = {}
    for index, part in enumerate(_split(value)):
        key, equals, text = part.partition("=")
        if equals:
            found[key] = text
        elif index == 0:
            found[first] = part
        else:
            # "nowait" and the like: a switch that is on.
            found[part] = "on"
    return found


#: A string in QEMU's JSON, which may have single quotes, too.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)
_ESCAPED = {"\\'": "'", '"': '\\"'}


def _double_quoted(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith('"'):
        return text
    inner = re.sub(r"\\.|\"", lambda part: _ESCAPED.get(part[0], part[0]), text[1:-1])
    return f'"{inner}"'


def decode_json(text: str) -> Any:  # noqa: ANN401
    """Return QEMU's JSON as Python objects; None if it is invalid, which QEMU refuses itself.

    Raises:
        RecursionError: It is nested too deeply for Python's parser.
    """
    try:
        return json.loads(_STRING.sub(_double_quoted, text))
    except ValueError:
        return None


def _from_json(value: str) -> dict[str, str]:
    try:
        decoded = decode_json(value)
    except RecursionError:
        return {}
    if not isinstance(decoded, dict):
        return {}
    return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in decoded.items()}


def _split(value: str) -> list[str]:
    parts = [part.replace("\0", ",") for part in value.replace(",,", "\0").split(",")]
    return [part for part in parts if part]


def quote(text: str) -> str:
    """Return a text for use inside an option's value: commas doubled."""
    return text.replace(",", ",,")


#: Names of devices for ``-device``, by kind.
VIDEO = re.compile(
    r"VGA|(?:.*-)?vga(?:-gl|-rutabaga)?|cirrus-vga|bochs-display|qxl|ramfb|vmware-svga|sm501"
    r"|virtio-gpu.*|vhost-user-gpu.*|cg3|tcx|ati-vga"
)
TABLET = re.compile(r"usb-tablet|usb-wacom-tablet|virtio-tablet.*")
KEYBOARD = re.compile(r"usb-kbd|virtio-keyboard.*|usb-ccid-kbd")
NETWORK = re.compile(
    r"e1000.*|rtl8139|ne2k_.*|pcnet|vmxnet3|i8255.*|tulip|usb-net|igb|virtio-net.*|sungem|lan9118"
)
GENERATION_ID = re.compile(r"vmgenid")
SERIAL = re.compile(r"isa-serial|pci-serial.*|usb-serial|virtserialport|virtconsole|spapr-vty")
#: Architectures without a default machine, or with one that starts no system from a disk.
VIRT = ("aarch64", "arm", "riscv64", "riscv32")
#: Properties of ``-machine`` that name the firmware.
_FIRMWARE_PROPERTIES = ("firmware", "pflash0", "pflash1")
#: Values that QEMU takes as "on"; so is a key without a value (`fields`).
_ON = frozenset({"on", "yes", "true", "y"})
_IDE = re.compile(r"ide-(?:hd|cd|drive|cf)")
#: Architectures of the PC.
X86 = ("x86_64", "i386")


class UserOptions:
    """Questions about the user's own options."""

    def __init__(self, options: Sequence[QemuOption]) -> None:
        self._options = options
        self._drivers = [
            fields(o.value, "driver").get("driver", "") for o in options if o.name == "device"
        ]

    def has(self, *names: str) -> bool:
        """Return whether one of these options is given."""
        return any(o.name in names for o in self._options)

    def device(self, pattern: re.Pattern[str]) -> bool:
        """Return whether a ``-device`` of this kind is given."""
        return any(pattern.fullmatch(driver) for driver in self._drivers)

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
        used = sum(bool(_IDE.fullmatch(driver)) for driver in self._drivers)
        used += sum(o.name in ("hda", "hdb", "hdc", "hdd", "cdrom") for o in self._options)
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        return used + sum(drive.get("if", board.disk) == "ide" for drive in drives)

    @property
    def is_temporary(self) -> bool:
        """True if changes of a disk are lost when the machine ends."""
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        return self.has("snapshot") or any(d.get("snapshot") in _ON for d in drives)

    @property
    def firmware(self) -> bool:
        """True if firmware is given."""
        drives = [fields(o.value, "file") for o in self._options if o.name == "drive"]
        if self.has("bios", "pflash") or any(d.get("if") == "pflash" for d in drives):
            return True
        return any(self.field(("machine", "M"), key) for key in _FIRMWARE_PROPERTIES)

    @property
    def changes_user(self) -> bool:
        """True if QEMU changes its user."""
        return self.has("runas") or bool(self.field(("run-with",), "user"))


#: Prefix of the ids of everything that kju appends.
PREFIX = "kju-"

#: Arguments to append, and notes.
Items = list[Appended | str]


class Firmware(NamedTuple):
    """The firmware of a machine.

    Attributes:
        code: The file of the code.
        code_format: The file's format; empty for a file that is passed as ``-bios``.
        variables: The machine's own qcow2 file of variables; empty without variables.
        reason: Why this firmware was chosen.
    """

    code: str
    code_format: str
    variables: str
    reason: str


class ForkMemory(NamedTuple):
    """The guest's memory of a frozen machine, for its forks.

    Attributes:
        name: QEMU's name of the memory block.
        size: Bytes.
        offset: The place of its first byte in the file.
        path: The file.
    """

    name: str
    size: int
    offset: int
    path: str = ""


class LaunchFacts(NamedTuple):
    """The facts from which the arguments are made, besides the user's options.

    Attributes:
        name: The machine's name.
        architecture: The guest's, as in ``qemu-system-ARCHITECTURE``.
        qmp: The descriptor that QEMU inherits for QMP.
        accelerator: ``kvm`` or ``tcg``.
        accelerator_reason: Why it was chosen.
        image: The image to boot from, if any.
        memory: The value of ``-m``; empty for the default.
        cpus: The value of ``-smp``; 0 for the default.
        board: The machine type's buses and devices.
        disk_bus: The bus of the disks, one of `DISK_BUSES`; empty for the default.
        no_sound: QEMU's arguments for silent sound devices.
        shares_video_memory: Whether this QEMU has ``aux-ram-share``.
        disks: Further disks and CDs.
        firmware: The firmware, unless it is QEMU's own.
        serial: The descriptor that QEMU inherits for a serial port; -1 without one.
        fork_memory: The memory that a fork begins with; None for a machine that boots.
        snapshot: The snapshot that is loaded before the guest runs; empty for none.
    """

    name: str
    architecture: str
    qmp: int
    accelerator: str
    accelerator_reason: str
    image: Image | None = None
    memory: str = ""
    cpus: int = 0
    board: Board = PC
    disk_bus: str = ""
    no_sound: tuple[str, ...] = ()
    shares_video_memory: bool = False
    disks: tuple[Image, ...] = ()
    firmware: Firmware | None = None
    serial: int = -1
    fork_memory: ForkMemory | None = None
    snapshot: str = ""
