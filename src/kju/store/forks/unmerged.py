"""SHELL: write the data of a frozen machine's overlays back into the user's disk.

The disk of a frozen machine lies below the machine's forks and must not change while one runs. So
the machine continues over an overlay. When the last process has released the overlay's folder, its
contents are written into the disk (``qemu-img commit``) and the folder is removed. ``disks.json``
in the folder names disk and overlays.

After SIGKILL the folder stays, because it has the user's data. It is written back before the next
start of that disk (`settle_for`). A commit that is killed is repeated from its beginning.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ...errors import ConflictError, FileError, ForkError, FormatError, KjuError
from ...files import Folder
from .. import disk_files
from . import places
from .description import FileIdentity, change
from .held_folder import ID, HeldFolder, exclusive, is_held, remove_locked
from .layers import has_data, identity, probe

FILE = "disks.json"
_MAX_BYTES = 1 << 20
_log = logging.getLogger(__name__)


class UserDisk(msgspec.Struct, frozen=True):
    """A user's disk with overlays over it.

    Attributes:
        path: The disk.
        format: Its format.
        identity: The disk when the machine was frozen; None if no freeze has succeeded.
        layers: The names of the overlays, from the lowest one; the disk misses their contents.
    """

    path: str
    format: str
    identity: FileIdentity | None
    layers: tuple[str, ...]


class Unmerged(msgspec.Struct, frozen=True):
    """The contents of ``disks.json``.

    Attributes:
        machine: The frozen machine.
        disks: Its disks.
        begun: A commit has begun: the disks have changed already.
    """

    machine: str
    disks: tuple[UserDisk, ...]
    begun: bool = False


_encode = msgspec.json.Encoder().encode
# Made by the import: threads must not make it at the same time (`kju.protocol.framing`).
_decode = msgspec.json.Decoder(Unmerged).decode


def write(folder: Folder, unmerged: Unmerged) -> None:
    """Write ``disks.json``, before a guest writes to its overlays.

    Raises:
        FileError: It could not be written; the old one is unchanged.
    """
    folder.write(FILE, _encode(unmerged))


def read(folder: Folder) -> Unmerged | None:
    """Return the contents of ``disks.json``; None if there are no overlays of a user's disk.

    Raises:
        FormatError: It is damaged.
        FileError: It cannot be read.
    """
    if folder.status(FILE) is None:
        return None
    try:
        found = _decode(folder.read(FILE, limit=_MAX_BYTES))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{folder.path / FILE} is damaged: {error}") from error
    return found if any(disk.layers for disk in found.disks) else None


def lacking(folder: Path, found: Unmerged) -> tuple[UserDisk, ...]:
    """Return the disks that miss data: a guest has written to an overlay of theirs."""
    return tuple(
        disk for disk in found.disks if any(has_data(folder / name) for name in disk.layers)
    )


def is_unmerged(folder: Folder) -> bool:
    """Return whether a folder has data for a user's disk, so that it must not be removed."""
    try:
        found = read(folder)
        return found is not None and bool(lacking(folder.path, found))
    except KjuError:
        return True  # unreadable now: never remove a user's data


def release(held: HeldFolder) -> None:
    """Release a folder of overlays, and write its data back if no process holds it any more.

    A failure is logged: the folder stays, and the next start of the disk tries again.
    """
    held.release(is_unmerged)
    try:
        settle(held.path)
    except KjuError as error:
        _log.warning("%s", error)


def settle(path: Path) -> bool:
    """Write the data of a folder back into the user's disks, and remove the folder.

    Args:
        path: A folder of overlays; it may be missing.

    Returns:
        Whether no process held it. If one did, nothing was done.

    Raises:
        ForkError: A disk was changed since by another program, or its guest wrote a dangerous
            header; the folder stays.
        QemuError: qemu-img is missing or failed; the folder stays.
        FileError: A file could not be read or written.
    """
    if not os.path.lexists(path):
        return True
    try:
        descriptor = exclusive(path)
    except FileError as error:
        if error.errno != errno.ENOENT or os.path.lexists(path):
            raise
        return True  # another process has written it back meanwhile
    if descriptor < 0:
        return False
    try:
        with Folder.open(path) as folder:
            found = read(folder)
            if found is not None and (disks := lacking(path, found)):
                _commit(folder, msgspec.structs.replace(found, disks=disks), descriptor)
        remove_locked(path)
    finally:
        os.close(descriptor)
    return True


def pending() -> Iterator[tuple[Path, Unmerged]]:
    """Yield each folder with overlays of users' disks, held or not."""
    for folder in places.disk_root(create=False).glob("*"):
        if ID.fullmatch(folder.name):
            with contextlib.suppress(KjuError), Folder.open(folder) as opened:
                if found := read(opened):
                    yield folder, found


def notes() -> list[str]:
    """Return a line for each disk that misses data: its machine was killed, or writing failed."""
    return [
        f"{found.machine} has ended, and {disk.path} lacks its data since the freeze: that is in"
        f" {folder}, and is written to {disk.path} at the next start of that disk"
        for folder, found in pending()
        if not is_held(folder)
        for disk in lacking(folder, found)
    ]


def settle_for(disks: Iterable[str | Path]) -> None:
    """Write back what frozen machines wrote, before these disks are used.

    Args:
        disks: The paths of disks.

    Raises:
        ConflictError: Forks run over one of the disks.
        ForkError: One was changed by another program since.
        QemuError: qemu-img is missing or failed.
    """
    paths = {os.path.realpath(disk) for disk in disks}
    for folder, found in pending():
        wanted = [disk.path for disk in found.disks if disk.path in paths]
        if wanted and not settle(folder):
            raise ConflictError(
                f"the disk {wanted[0]} is in use: {found.machine} was frozen with it, and it or a"
                " fork of it runs, or its data is being written to the disk; stop the machines"
                " first (kju ls shows them), or try again"
            )


def discard_for(disks: Iterable[str | Path]) -> None:
    """Remove what frozen machines wrote and is not in these disks yet: they are removed.

    Args:
        disks: The paths of disks.

    Raises:
        ConflictError: Forks run over one of the disks; nothing was removed.
        FileError: A folder could not be removed.
    """
    paths = {os.path.realpath(disk) for disk in disks}
    found = [
        (folder, record) for folder, record in pending() if paths & {d.path for d in record.disks}
    ]
    for folder, record in found:
        if is_held(folder):
            raise ConflictError(
                f"forks of {record.machine} run over its disks; stop those first (kju ls shows"
                " them)"
            )
    for folder, record in found:
        # A disk that stays gets its data.
        left = tuple(disk for disk in record.disks if disk.path not in paths)
        with Folder.open(folder) as opened:
            write(opened, msgspec.structs.replace(record, disks=left))
        settle(folder)


def _commit(folder: Folder, found: Unmerged, lock: int) -> None:
    """Write the overlays of each disk into it; the caller has locked the folder."""
    for disk in found.disks:
        if disk.identity and not found.begun:
            _check_unchanged(folder, disk, disk.identity)
        if disk.format == "raw" and Path(disk.path).suffix.lower() != ".raw":
            _check_raw(folder, disk)
    # From here on the disks differ from their identities because of us.
    write(folder, msgspec.structs.replace(found, begun=True))
    left = list(found.disks)
    for number, disk in enumerate(found.disks):
        top = folder.path / disk.layers[-1]
        disk_files.commit(top, Path(disk.path), lock)
        left[number] = msgspec.structs.replace(disk, layers=())
        write(folder, msgspec.structs.replace(found, begun=True, disks=tuple(left)))


def _check_unchanged(folder: Folder, disk: UserDisk, old: FileIdentity) -> None:
    new = identity(Path(disk.path), own=False)
    if new is not None:
        # A file system may get another number when the computer is restarted.
        old = msgspec.structs.replace(old, device=new.device)
    if how := change(old, new):
        raise ForkError(
            f"the disk {disk.path} {how} after its machine was frozen, so the machine's later data"
            f" cannot be written into it: that is in {folder.path}. Restore the disk, or give"
            f" that data up: rm -r {folder.path}"
        )


def _check_raw(folder: Folder, disk: UserDisk) -> None:
    """Refuse a first sector that QEMU would take for another format at the next start.

    QEMU keeps the guest of a raw disk whose format it probes (`kju.store.image`) from writing one.
    Over an overlay it does not.
    """
    with folder.staged("begin") as begin:
        disk_files.copy_begin(folder.path / disk.layers[-1], begin)
        found = probe(begin)
    folder.remove("begin")
    if found != "raw":
        raise ForkError(
            f"the guest has written a header of the format {found} to the raw disk {disk.path},"
            f" whose format QEMU probes; its data is not written back, and is in {folder.path}."
            " If that is wanted, write it back yourself with qemu-img commit"
        )
