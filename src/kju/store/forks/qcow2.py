"""The bytes of a new, empty qcow2 overlay. I/O-free.

``qemu-img create`` takes 20 to 50 ms to make the same file, and each disk of each fork needs one.

Source:
    QEMU's docs/interop/qcow2.rst: version 3, clusters of 64 KiB, refcounts of 16 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from ...errors import FormatError, UsageError

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
#: Bytes of the guest that one L2 table maps, so that one entry of the L1 table stands for.
_MAPPED = _CLUSTER // 8 * _CLUSTER
#: magic, version, backing file's offset and length, cluster bits, size, encryption, L1 entries and
#: offset, refcount table's offset and clusters, snapshots and their offset, incompatible,
#: compatible and autoclear features, refcount order, header length.
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_BACKING_FORMAT = 0xE2792ACA
#: QEMU's limit, and far above any disk of this project: 32 MiB of L1 table.
_MAX_SIZE = 2 << 50
_LONGEST_NAME = 1023
_SECTOR = 512


def empty_overlay(size: int, backing: bytes, backing_format: str) -> bytes:
    """Return an overlay with nothing in it: every read goes to its backing file.

    Args:
        size: The size that the guest sees, in bytes.
        backing: The absolute path of the backing file.
        backing_format: Its format.

    Raises:
        UsageError: The path is too long for QEMU, or the size too large.
    """
    if len(backing) > _LONGEST_NAME:
        raise UsageError(
            f"the path of a disk has {len(backing)} bytes, and qcow2 holds {_LONGEST_NAME}: move"
            " the disk to a folder with a shorter path"
        )
    size = -(-size // _SECTOR) * _SECTOR
    entries = max(1, -(-size // _MAPPED))
    table = -(-entries * 8 // _CLUSTER)  # clusters of the L1 table
    if size > _MAX_SIZE or 3 + table > _CLUSTER // 2:
        raise UsageError(f"a disk of {size} bytes is too large to fork: at most {_MAX_SIZE} bytes")
    named = backing_format.encode()
    extension = struct.pack(">II", _BACKING_FORMAT, len(named)) + named + bytes(-len(named) % 8)
    extension += bytes(8)  # the end of the extensions
    at = _HEADER.size + len(extension)
    header = _HEADER.pack(
        b"QFI\xfb", 3, at, len(backing), _CLUSTER_BITS, size, 0, entries, 3 * _CLUSTER,
        _CLUSTER, 1, 0, 0, 0, 0, 0, 4, _HEADER.size,
    )  # fmt: skip
    # Cluster 0: the header. 1: the refcount table. 2: the first refcount block. From 3: L1.
    used = 3 + table
    return b"".join(
        (
            _padded(header + extension + backing),
            _padded(struct.pack(">Q", 2 * _CLUSTER)),
            _padded(struct.pack(f">{used}H", *([1] * used))),
            bytes(table * _CLUSTER),
        )
    )


def with_backing(begin: bytes, backing: bytes) -> bytes:
    """Return the beginning of an overlay with another backing file.

    Args:
        begin: At least the first cluster of the overlay.
        backing: The absolute path of the backing file.

    Raises:
        FormatError: It is not an overlay.
        UsageError: The path is too long.
    """
    if len(begin) < _HEADER.size or begin[:4] != b"QFI\xfb":
        raise FormatError("it is not a qcow2 overlay")
    at, length, bits = struct.unpack(">QII", begin[8:24])
    # QEMU writes the name as the last part of the header, in the first cluster.
    end = min(1 << min(bits, 21), len(begin))
    if not _HEADER.size <= at <= end - length:
        raise FormatError("it is not a qcow2 overlay")
    if len(backing) > min(_LONGEST_NAME, end - at):
        raise UsageError(
            f"the path of a disk has {len(backing)} bytes, and qcow2 holds {_LONGEST_NAME}"
        )
    name = backing.ljust(length, b"\0")
    return b"".join(
        (begin[:16], struct.pack(">I", len(backing)), begin[20:at], name, begin[at + len(name) :])
    )


def virtual_size(header: bytes) -> int:
    """Return the size that the guest sees, from the first 32 bytes of a qcow2 file."""
    return int(struct.unpack(">Q", header[24:32])[0])


def is_empty(read: Callable[[int, int], bytes]) -> bool:
    """Return whether nothing was written to an overlay: its L1 table has no entry.

    Args:
        read: Returns bytes of the file, by offset and size.
    """
    entries, at = struct.unpack(">IQ", read(36, 12))
    return not any(read(at, min(entries * 8, _MAX_SIZE // _MAPPED * 8)))


def is_encrypted(header: bytes) -> bool:
    """Return whether a qcow2 file is encrypted, from its first 36 bytes."""
    return bool(struct.unpack(">I", header[32:36])[0])


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _CLUSTER)
