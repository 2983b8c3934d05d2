"""The other files that a VMDK names: its parent and its extents. I/O-free.

QEMU finds these names by sscanf and strstr, which cross the ends of lines. So a description must
have one statement a line; anything else makes it `Names.unclear`.

Source:
    VMware's "Virtual Disk Format 5.0", and block/vmdk.c for the part of it that QEMU follows.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

#: QEMU reads at most so much of a description for its extents, and so much for its parent.
LONGEST_DESCRIPTION, PARENT_AREA = (1 << 20) - 1, 20 * 512
#: Where QEMU looks for the parent of an image that is no description itself.
_PARENT_AT = 0x200
#: QEMU cuts an extent's name after so many bytes.
_LONGEST_EXTENT = 511
#: 2 GiB is in each by VMware's rule, and 2 TiB in an image.
_MOST_EXTENTS = 4096

#: block/vmdk.c: comments and blank lines, then the version.
_DESCRIPTION = re.compile(rb"(?:#[^\n]*\n| *\r?\n)*version=[123]\r?\n")
#: Lines of a description, without the blanks around them.
_EXTENT = re.compile(
    rb'(?:RW|RDONLY|NOACCESS)[ \t]+[0-9]+[ \t]+[A-Z]+[ \t]+"([^"\r]+)"(?:[ \t]+[0-9]+)?'
)
_NO_EXTENT = re.compile(rb"(?:RW|RDONLY|NOACCESS)[ \t]+[0-9]+[ \t]+ZERO")
_SETTING = re.compile(rb"[A-Za-z][A-Za-z0-9_.:-]*[ \t]*=")
_HINT = b"parentFileNameHint"

#: Returns so many bytes of the file from an offset; fewer at its end.
Read = Callable[[int, int], bytes]


class Names(NamedTuple):
    """The files that a VMDK names.

    Attributes:
        parent: The name of its parent; empty for none.
        extents: The names of the files with its data, if these are others.
        unclear: Why QEMU may find other names in it; empty if it cannot.
    """

    parent: str
    extents: tuple[str, ...]
    unclear: str


def is_vmdk(read: Read) -> bool:
    """Return whether QEMU would probe it as a VMDK; true for a little more than that."""
    return _has_header(read) or bool(_DESCRIPTION.match(read(0, 2048)))


def names(read: Read) -> Names:
    """Read the names of files from a VMDK.

    Raises:
        struct.error: The header ends too early.
        UnicodeDecodeError: A name is not UTF-8.
    """
    extents, unclear = _extents(_described(read))
    parent, lost = _parent(read(_PARENT_AT if _has_header(read) else 0, PARENT_AREA))
    return Names(parent, extents, unclear or lost)


def extent_fault(read: Read) -> str:
    """Why a file must not be another VMDK's extent; empty if it may.

    QEMU takes an extent with a header and without capacity for a description of further extents.

    """
    if not _has_header(read):
        # Data, which QEMU reads as such.
        return ""
    if read(0, 4) == b"KDMV":
        header = read(12, 8)
        if len(header) < 8 or not any(header):
            return "its capacity is 0"
    try:
        found = names(read)
    except (struct.error, UnicodeDecodeError):
        return "its header is damaged"
    return "it names other files" if found.parent or found.extents else found.unclear


def _has_header(read: Read) -> bool:
    return read(0, 4) in (b"KDMV", b"COWD")


def _header(read: Read) -> tuple[int, int]:
    """The capacity, and where the description begins, which QEMU counts in 64 bits."""
    capacity, sector = struct.unpack("<Q8xQ", read(12, 24))
    return capacity, sector * 512 % (1 << 64)


def _described(read: Read) -> bytes:
    """The description in which QEMU looks for extents; empty if it looks nowhere."""
    if not _has_header(read):
        return read(0, LONGEST_DESCRIPTION)
    if read(0, 4) == b"COWD":
        return b""
    capacity, at = _header(read)
    # Of an image that holds its data itself, the extent that it names is itself.
    return b"" if capacity or not at else read(at, LONGEST_DESCRIPTION)


def _extents(description: bytes) -> tuple[tuple[str, ...], str]:
    """The names of extents, and why there may be others."""
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
    """The parent's name, and why there may be another.

    QEMU takes the first one, whatever parentCID says, and skips two bytes before it, whatever they
    are: a zero byte, too.
    """
    at = area.split(b"\0", 1)[0].find(_HINT)
    if at < 0:
        return "", ""
    name, quote, _ = area[at + len(_HINT) + 2 :].split(b"\0", 1)[0].partition(b'"')
    return (name.decode(), "") if quote else ("", "the name of its parent does not end")
