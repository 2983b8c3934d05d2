"""The guest's memory inside a file that QEMU has migrated to. I/O-free.

With the capability ``mapped-ram`` QEMU writes each page of a memory block at a fixed place of the
file, and a bitmap of the pages that are not zero before them. So a fork can map the pages from the
file itself. Its QEMU must not read them as well: the bitmap of the block is cleared.

Source:
    docs/devel/migration/mapped-ram.rst of QEMU; ram_save_setup and mapped_ram_setup_ramblock in
    migration/ram.c; the begin of the stream in migration/savevm.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from ....errors import QemuError

_MAGIC = b"QEVM\x00\x00\x00\x03"
#: A section's name with its length before it; instance 0 and version 4 follow.
_SECTION = b"\x03ram" + struct.pack(">II", 0, 4)
#: Bytes before the section: the header, the machine type and the capabilities.
_LONGEST_BEGIN = 4096
#: Blocks of one machine; ten are usual.
_MOST_BLOCKS = 256
_MEMORY_SIZE = 0x04
_TOTAL = struct.Struct(">Q")
_LENGTH = struct.Struct(">Q")
#: Version, page size, offset of the bitmap, offset of the pages.
_HEADER = struct.Struct(">IQQQ")
_VERSION = 1
_LONGEST_NAME = 255
_WORD = 8

#: Returns at most so many bytes of the file from an offset.
Read = Callable[[int, int], bytes]


class RamBlock(NamedTuple):
    """One memory block in the file.

    Attributes:
        name: QEMU's name of it.
        size: Bytes.
        offset: The place of its first page.
        bitmap: The place of its bitmap.
        bitmap_size: Bytes of the bitmap.
    """

    name: str
    size: int
    offset: int
    bitmap: int
    bitmap_size: int


def find_block(read: Read, name: str, file_size: int) -> RamBlock:
    """Return the place of one memory block.

    Args:
        read: Reads the file.
        name: QEMU's name of the block.
        file_size: The file's size.

    Raises:
        QemuError: The file has no such block, or another layout.
    """
    begin = read(0, _LONGEST_BEGIN)
    at = begin.find(_SECTION)
    if not begin.startswith(_MAGIC) or at < 0:
        raise _unknown("it does not begin as expected")
    at += len(_SECTION)
    (total,) = _unpack(_TOTAL, read, at)
    if not total & _MEMORY_SIZE:
        raise _unknown("it has no list of memory blocks")
    left, at = total & ~0xFFF, at + _TOTAL.size
    for _ in range(_MOST_BLOCKS):
        block, header_end = _block(read, at)
        if not header_end <= block.bitmap <= block.bitmap + block.bitmap_size <= block.offset:
            raise _unknown(f"the bitmap of {block.name} is not before its pages")
        if block.offset + block.size > file_size:
            raise _unknown(f"the pages of {block.name} are not in it")
        if block.name == name:
            return block
        left -= block.size
        if left <= 0:
            break
        at = block.offset + block.size
    raise _unknown(f"it has no block {name}")


def _block(read: Read, at: int) -> tuple[RamBlock, int]:
    """Return the block whose entry begins at *at*, and the end of the entry."""
    entry = read(at, 1 + _LONGEST_NAME + _LENGTH.size + _HEADER.size)
    length = entry[0] if entry else 0
    name = entry[1 : 1 + length].decode("utf-8", "replace")
    end = 1 + length + _LENGTH.size + _HEADER.size
    if not length or len(entry) < end:
        raise _unknown("it ends within the list of memory blocks")
    (size,) = _LENGTH.unpack_from(entry, 1 + length)
    version, page, bitmap, pages = _HEADER.unpack_from(entry, 1 + length + _LENGTH.size)
    if version != _VERSION or page < 4096 or page & (page - 1) or not size or pages % page:
        raise _unknown(f"the header of {name} has another form")
    # QEMU's bitmaps are whole words.
    words = _ceiling(_ceiling(size, page), 8 * _WORD)
    return RamBlock(name, size, pages, bitmap, words * _WORD), at + end


def _ceiling(number: int, unit: int) -> int:
    return (number + unit - 1) // unit


def _unpack(form: struct.Struct, read: Read, at: int) -> tuple[int, ...]:
    data = read(at, form.size)
    if len(data) < form.size:
        raise _unknown("it is cut short")
    return form.unpack(data)


def _unknown(why: str) -> QemuError:
    return QemuError(
        f"the guest's memory was not found in the file that QEMU wrote: {why}. This QEMU may be"
        " newer than this version of kju; use QEMU 9.0 to 10.x, or snapshots (kju snapshot save)"
    )
