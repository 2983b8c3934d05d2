"""SHELL: the files of a disk: the user's, and the overlays that kju makes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from ...errors import UsageError
from ...files import Folder, failing
from .. import disk_files
from ..disk_headers import parse
from .description import FileIdentity
from .qcow2 import empty_overlay, is_empty, is_encrypted, virtual_size

#: Overlays over a user's disk, at which the next one is made independent of those below
#: (flattened): each layer costs QEMU memory and time.
MAX_DEPTH = 8
_HEADER = 64
#: The first bytes of a qcow2 disk (docs/interop/qcow2.rst of QEMU).
_QCOW2 = b"QFI\xfb"


def identity(path: Path, *, own: bool) -> FileIdentity | None:
    """Return the facts by which a file is known again; None if it is missing.

    Args:
        path: The file; links are followed.
        own: Whether kju made it. Of the user's files, mode and links may change.

    Raises:
        FileError: It cannot be read.
    """
    with failing(path, "read"):
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
    changed = found.st_ctime_ns if own else 0
    return FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, changed)


def probe(path: Path) -> str:
    """Return the format of a user's disk, as QEMU probes it.

    Raises:
        UsageError: Its header is damaged.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return parse(lambda at, size: os.pread(file.fileno(), size, at)).format


def size_of(path: Path, disk_format: str) -> int:
    """Return the size of a disk that the guest sees, in bytes.

    Raises:
        UsageError: It is not in its format, or encrypted: an overlay would hold the guest's data
            in the clear.
        QemuError: qemu-img cannot read it.
        OSError: It cannot be read.
    """
    if disk_format not in ("raw", "qcow2"):
        return disk_files.virtual_size(path, disk_format)
    with path.open("rb") as file:
        if disk_format == "raw":
            return file.seek(0, os.SEEK_END)
        header = file.read(_HEADER)
    if not header.startswith(_QCOW2):
        raise UsageError(f"the disk {path} is not in qcow2 format")
    if is_encrypted(header):
        raise UsageError(
            f"the disk {path} is encrypted, and the overlay of a fork would not be: a machine with"
            " this disk cannot be frozen"
        )
    return virtual_size(header)


def has_data(path: Path) -> bool:
    """Return whether a guest has written to an overlay; true for one that cannot be read.

    A missing one has none: it was removed with its folder, and that was interrupted.
    """
    try:
        with path.open("rb") as file:
            return not is_empty(lambda at, size: os.pread(file.fileno(), size, at))
    except FileNotFoundError:
        return False
    except (OSError, struct.error):
        return True


def make_overlay(folder: Folder, name: str, below: Path, below_format: str, size: int) -> Path:
    """Make an empty qcow2 overlay, and return its path.

    Args:
        folder: Its folder.
        name: Its name there.
        below: The file that it is an overlay of.
        below_format: The format of that file.
        size: The size that the guest sees, in bytes.

    Raises:
        UsageError: The path of *below* is too long, or the disk too large.
        FileError: It could not be written; nothing is left of it.
    """
    data = empty_overlay(size, os.fsencode(below), below_format)
    # Not durable: after a power cut nobody uses a fork's overlay, and QEMU synchronises the others.
    folder.write(name, data, durable=False)
    return folder.path / name
