"""The other files that a disk image names, from its first bytes. I/O-free.

QEMU opens every file that an image names, and writes some of them. So an image from a stranger
is read here first: this parser opens no file itself.

Only four formats of those that QEMU reads can name another file: qcow (1 and 2), QED and VMDK.
VHDX, VHD and VDI have differencing disks, which QEMU refuses.

Source:
    QEMU's docs/interop/qcow2.rst and qed_spec.rst, block/qcow.c; `vmdk` has its own.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import UsageError
from . import vmdk
from .vmdk import Read

#: QEMU's own limits: the name of a backing file, and qcow2's header with its extensions.
_LONGEST_NAME, _LONGEST_HEADER = 1023, 1 << 21

#: Formats by their first bytes, as QEMU probes them.
_MAGIC = (
    (b"QED\0", "qed"),
    (b"vhdxfile", "vhdx"),
    (b"conectix", "vpc"),
    (b"WithoutFreeSpace", "parallels"),
    (b"WithouFreSpacExt", "parallels"),
    (b"Bochs Virtual HD Image", "bochs"),
    (b"LUKS\xba\xbe", "luks"),
)


class Named(NamedTuple):
    """The files that an image names.

    Attributes:
        format: The image's, as QEMU would probe it.
        backing: The name of its backing file; empty for none.
        backing_format: The format of that, if it is named too.
        data: The names of files that hold its data, which QEMU writes.
        unclear: Why QEMU may find other names in it; empty if it cannot.
    """

    format: str
    backing: str = ""
    backing_format: str = ""
    data: tuple[str, ...] = ()
    unclear: str = ""


def parse(read: Read, disk_format: str = "") -> Named:
    """Read what an image names.

    Args:
        read: The image.
        disk_format: The format given to QEMU; empty if it probes.

    Raises:
        UsageError: The header is damaged in a part that would name a file.
    """
    probed = _probe(read)
    kind = disk_format or probed
    try:
        if kind == "qcow2" and probed == "qcow2":
            return _qcow2(read)
        if kind == "qcow" and probed == "qcow":
            return _qcow(read)
        if kind == "qed":
            return _qed(read)
        if kind == "vmdk":
            found = vmdk.names(read)
            backing_format = "vmdk" if found.parent else ""
            return Named("vmdk", found.parent, backing_format, found.extents, found.unclear)
    except struct.error as error:
        raise UsageError(f"the {kind} header ends too early") from error
    except UnicodeDecodeError as error:
        raise UsageError("it names a file whose name is not UTF-8") from error
    return Named(kind)


def _probe(read: Read) -> str:
    head = read(0, 64)
    if head.startswith(b"QFI\xfb"):
        return "qcow" if head[4:8] == b"\0\0\0\1" else "qcow2"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if vmdk.is_vmdk(read):
        return "vmdk"
    if read(0x40, 4) == b"\x7f\x10\xda\xbe":
        return "vdi"
    return "raw"


def _text(read: Read, offset: int, length: int) -> str:
    if length > _LONGEST_NAME:
        raise UsageError(f"the name of its backing file has {length} bytes")
    found = read(offset, length)
    if len(found) < length:
        raise UsageError("the name of its backing file lies outside the image")
    # QEMU takes a name up to a zero byte.
    return found.split(b"\0", 1)[0].decode()


def _qcow(read: Read) -> Named:
    offset, length = struct.unpack(">QI", read(8, 12))
    return Named("qcow", _text(read, offset, length) if offset else "")


def _qcow2(read: Read) -> Named:
    version, offset, length, bits = struct.unpack(">IQII", read(4, 20))
    backing = _text(read, offset, length) if offset else ""
    incompatible, header = 0, 72
    if version >= 3:
        (incompatible,) = struct.unpack(">Q", read(72, 8))
        (header,) = struct.unpack(">I", read(100, 4))
    end = offset or (1 << min(bits, 21))
    found = _extensions(read, header, min(end, _LONGEST_HEADER))
    backing_format = found.get(0xE2792ACA, b"").split(b"\0", 1)[0].decode("ascii", "replace")
    data: tuple[str, ...] = ()
    if incompatible & 4 or 0x44415441 in found:
        name = found.get(0x44415441, b"").decode()
        data = (name or "a file without a name",)
    return Named("qcow2", backing, backing_format, data)


def _extensions(read: Read, at: int, end: int) -> dict[int, bytes]:
    """The header's extensions by their number; contents are cut after `_LONGEST_NAME` bytes."""
    found: dict[int, bytes] = {}
    for _ in range(1000):
        if at + 8 > end:
            return found
        kind, length = struct.unpack(">II", read(at, 8))
        if not kind:
            return found
        found[kind] = read(at + 8, min(length, _LONGEST_NAME))
        at += 8 + (length + 7) // 8 * 8
    raise UsageError("the qcow2 header has too many extensions")


def _qed(read: Read) -> Named:
    features, offset, length = struct.unpack("<Q32xII", read(16, 48))
    if not features & 1:
        return Named("qed")
    # Feature bit 2: the backing file is raw, and not to be probed.
    return Named("qed", _text(read, offset, length), "raw" if features & 4 else "")
