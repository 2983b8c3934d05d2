"""SHELL: the snapshots of a defined machine that is off, read from its disks.

Source:
    ImageInfo and SnapshotInfo in qapi/block-core.json of QEMU, which ``qemu-img info`` prints.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from ..errors import KjuError, QemuError
from ..protocol.snapshots import SavedSnapshot
from . import disk_files
from .definitions import VARIABLES, DefinedMachine, images, read
from .image import Image, Kind
from .snapshot_files import SnapshotFiles
from .snapshot_tree import DiskSnapshot, SnapshotTree, snapshot_id

_QCOW2_MAGIC = b"QFI\xfb"
#: Snapshots of one disk that are read; QEMU's format allows 65,536.
MAX_SNAPSHOTS = 4096


class _Information(msgspec.Struct, rename="kebab"):
    snapshots: list[DiskSnapshot] = []


def saved_snapshots(name: str) -> list[SavedSnapshot]:
    """Return the snapshots of a machine that is off, oldest first.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        DefinitionError: Its definition is not valid.
        QemuError: qemu-img is missing or failed.
    """
    machine = read(name)
    disks = writable_disks(machine)
    by_disk = {Path(image.path): _snapshots_of(image) for image in disks}
    files = SnapshotFiles(str(machine.folder), disks[0].path if disks else "")
    found: dict[str, SavedSnapshot] = {}
    for saved in by_disk.values():
        for tag, snapshot in saved.items():
            if snapshot.size or tag not in found:
                found[tag] = snapshot
    tree = SnapshotTree()
    with contextlib.suppress(KjuError):  # without it every snapshot is a root
        tree = files.read_tree()
    tree = tree.pruned({snapshot_id(saved) for saved in found.values()})
    complete = []
    for tag, snapshot in found.items():
        picture, inputs = files.find(tag)
        parent = tree.parents.get(snapshot_id(snapshot))
        complete.append(
            msgspec.structs.replace(
                snapshot,
                picture=picture,
                input=inputs,
                lacking=[str(disk) for disk, saved in by_disk.items() if tag not in saved],
                parent=parent.tag if parent else "",
                current=tree.current == snapshot_id(snapshot),
            )
        )
    return sorted(complete, key=lambda saved: saved.time)


def writable_disks(machine: DefinedMachine) -> list[Image]:
    """Return the disks that a start of the machine opens for writing; UEFI variables last."""
    found = [image for image in images(machine) if image.kind is Kind.DISK and not image.read_only]
    variables = machine.folder / VARIABLES
    if variables.exists():
        found.append(Image(str(variables), Kind.DISK, "qcow2", "kju made it"))
    return found


# Made by the import: threads must not make it at the same time (`kju.protocol.framing`).
_decode = msgspec.json.Decoder(_Information).decode


def _snapshots_of(image: Image) -> dict[str, SavedSnapshot]:
    disk = Path(image.path)
    if image.disk_format not in ("", "qcow2") or not _is_qcow2(disk):
        return {}
    try:
        found = _decode(disk_files.qcow2_information(disk))
    except msgspec.DecodeError as error:
        raise QemuError(f"qemu-img info printed no valid JSON for {disk}: {error}") from error
    return {each.name: each.saved() for each in found.snapshots[:MAX_SNAPSHOTS]}


def _is_qcow2(disk: Path) -> bool:
    try:
        with disk.open("rb") as file:
            return file.read(len(_QCOW2_MAGIC)) == _QCOW2_MAGIC
    except OSError:
        return False
