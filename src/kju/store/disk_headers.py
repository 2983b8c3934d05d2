"""The other files that a disk image names, from its first bytes. I/O-free.

QEMU opens every file that an image names, and writes some of them. So an image from a stranger
is read here first: this parser opens no file itself.

Only four formats of those that QEMU reads can name another file: qcow (1 and 2), QED and VMDK.
VHDX, VHD and VDI have differencing disks, which QEMU refuses.

QEMU finds the names in a VMDK by sscanf and strstr, which cross the ends of lines. So a description
must have one statement a line; anything else makes it `VmdkFiles.unclear`.

Source:
    QEMU's docs/interop/qcow2.rst and qed_spec.rst, block/qcow.c; VMware's "Virtual Disk Format
    5.0", and block/vmdk.c for the part of it that QEMU follows.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from ..errors import UsageError

#: QEMU's own limits: bytes of a backing file's name, and of qcow2's header with its extensions.
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


class NamedFiles(NamedTuple):
    """The files that an image names.

    Attributes:
        format: The image's, as QEMU would probe it.
        backing: The name of its backing file; empty for none.
        backing_format: The format of the backing file; empty if the image does not name it.
        data: The names of files that hold its data, which QEMU writes.
        unclear: The reason why QEMU may find other names in it; empty if it cannot.
    """

    format: str
    backing: str = ""
    backing_format: str = ""
    data: tuple[str, ...] = ()
    unclear: str = ""


def parse(read: Read, disk_format: str = "") -> NamedFiles:
    """Return the files that an image names.

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
            found = vmdk_files(read)
            backing_format = "vmdk" if found.parent else ""
            return NamedFiles("vmdk", found.parent, backing_format, found.extents, found.unclear)
    except struct.error as error:
        raise UsageError(f"the {kind} header ends too early") from error
    except UnicodeDecodeError as error:
        raise UsageError("it names a file whose name is not UTF-8") from error
    return NamedFiles(kind)


def _probe(read: Read) -> str:
    head = read(0, 64)
    if head.startswith(b"QFI\xfb"):
        return "qcow" if head[4:8] == b"\0\0\0\1" else "qcow2"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if is_vmdk(read):
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


def _qcow(read: Read) -> NamedFiles:
    offset, length = struct.unpack(">QI", read(8, 12))
    return NamedFiles("qcow", _text(read, offset, length) if offset else "")


def _qcow2(read: Read) -> NamedFiles:
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
    return NamedFiles("qcow2", backing, backing_format, data)


def _extensions(read: Read, at: int, end: int) -> dict[int, bytes]:
    """Return the header's extensions by number, with at most `_LONGEST_NAME` bytes of each."""
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


def _qed(read: Read) -> NamedFiles:
    features, offset, length = struct.unpack("<Q32xII", read(16, 48))
    if not features & 1:
        return NamedFiles("qed")
    # Feature bit 2: the backing file is raw, and not to be probed.
    return NamedFiles("qed", _text(read, offset, length), "raw" if features & 4 else "")


#: Bytes of a description that QEMU reads for its extents, and for its parent.
LONGEST_DESCRIPTION, PARENT_AREA = (1 << 20) - 1, 20 * 512
#: Where QEMU looks for the parent of an image that is not only a description.
_PARENT_AT = 0x200
#: QEMU cuts an extent's name after this many bytes.
_LONGEST_EXTENT = 511
#: By VMware's rule an extent holds 2 GiB, and an image 2 TiB.
_MOST_EXTENTS = 4096

#: block/vmdk.c: comments and blank lines, then the version.
_DESCRIPTION = re.compile(rb"(?:#[^\n]*\n| *\r?\n)*version=[123]\r?\n")
#: Lines of a description, without the blanks at both ends.
_EXTENT = re.compile(
    rb'(?:RW|RDONLY|NOACCESS)[ \t]+[0-9]+[ \t]+[A-Z]+[ \t]+"([^"\r]+)"(?:[ \t]+[0-9]+)?'
)
_NO_EXTENT = re.compile(rb"(?:RW|RDONLY|NOACCESS)[ \t]+[0-9]+[ \t]+ZERO")
_SETTING = re.compile(rb"[A-Za-z][A-Za-z0-9_.:-]*[ \t]*=")
_HINT = b"parentFileNameHint"

#: Returns bytes of the file, by offset and size; fewer at its end.
Read = Callable[[int, int], bytes]


class VmdkFiles(NamedTuple):
    """The files that a VMDK names.

    Attributes:
        parent: The name of its parent; empty for none.
        extents: The names of the other files that hold its data.
        unclear: The reason why QEMU may find other names in it; empty if it cannot.
    """

    parent: str
    extents: tuple[str, ...]
    unclear: str


def is_vmdk(read: Read) -> bool:
    """Return whether QEMU may probe an image as a VMDK; true for some others too."""
    return _has_header(read) or bool(_DESCRIPTION.match(read(0, 2048)))


def vmdk_files(read: Read) -> VmdkFiles:
    """Return the files that a VMDK names.

    Raises:
        struct.error: The header ends too early.
        UnicodeDecodeError: A name is not UTF-8.
    """
    extents, unclear = _extents(_described(read))
    parent, lost = _parent(read(_PARENT_AT if _has_header(read) else 0, PARENT_AREA))
    return VmdkFiles(parent, extents, unclear or lost)


def extent_fault(read: Read) -> str:
    """Return the reason why a file must not be another VMDK's extent; empty if it may.

    QEMU reads an extent with a header and capacity 0 as a description of further extents.
    """
    if not _has_header(read):
        return ""  # QEMU reads it as data
    if read(0, 4) == b"KDMV":
        header = read(12, 8)
        if len(header) < 8 or not any(header):
            return "its capacity is 0"
    try:
        found = vmdk_files(read)
    except (struct.error, UnicodeDecodeError):
        return "its header is damaged"
    return "it names other files" if found.parent or found.extents else found.unclear


def _has_header(read: Read) -> bool:
    return read(0, 4) in (b"KDMV", b"COWD")


def _header(read: Read) -> tuple[int, int]:
    """Return the capacity and the offset of the description, modulo 2**64 as in QEMU."""
    capacity, sector = struct.unpack("<Q8xQ", read(12, 24))
    return capacity, sector * 512 % (1 << 64)


def _described(read: Read) -> bytes:
    """Return the description in which QEMU looks for extents; empty if it reads none."""
    if not _has_header(read):
        return read(0, LONGEST_DESCRIPTION)
    if read(0, 4) == b"COWD":
        return b""
    capacity, at = _header(read)
    # An image with a capacity holds its data itself: the extent that it names is itself.
    return b"" if capacity or not at else read(at, LONGEST_DESCRIPTION)


def _extents(description: bytes) -> tuple[tuple[str, ...], str]:
    """Return the names of extents, and the reason why QEMU may find others."""
    found: list[str] = []
    unclear = ""
    for number, line in enumerate(description.split(b"\0", 1)[0].split(b"\n"), 1):
        line = line.strip()
        if not line or line.startswith(b"#") or _SETTING.match(line):
            continue
        extent = _EXTENT.fullmatch(line)
        if extent and len(extent[1]) <= _LONGEST_EXTENT and len(found) < _MOST_EXTENTS:
            found.append(extent[1].decode())
        elif extent:
            unclear = unclear or f"line {number} has too long a name, or is one extent too many"
        elif not _NO_EXTENT.fullmatch(line):
            unclear = unclear or f"line {number} is neither a setting nor an extent"
    return tuple(found), unclear


def _parent(area: bytes) -> tuple[str, str]:
    """Return the parent's name, and the reason why QEMU may find another.

    QEMU takes the first hint and ignores parentCID. It skips two bytes between the hint and the
    name, of any value, even zero.
    """
    at = area.split(b"\0", 1)[0].find(_HINT)
    if at < 0:
        return "", ""
    name, quote, _ = area[at + len(_HINT) + 2 :].split(b"\0", 1)[0].partition(b'"')
    return (name.decode(), "") if quote else ("", "the name of its parent does not end")
