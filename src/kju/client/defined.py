"""Machines that exist: running and defined ones; define, clone, remove and start by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..store import claims, defining, running
from ..store import defined as store
from ..store.definition import Definition
from ..store.paths import DEFINITION_FILE, definitions_folder
from ..store.starting import launch_request
from .machine import Machine, client_name, launched
from .requests import check_disk_bus


class MachineEntry(NamedTuple):
    """One machine of this user, as `machines` lists it.

    Attributes:
        name: Its name.
        is_alive: True while it runs: `attach` opens it.
        file: The file of its definition: `start` starts it. None for a machine that is not defined.
    """

    name: str
    is_alive: bool
    file: Path | None


def machines() -> list[MachineEntry]:
    """List this user's machines, running and defined ones, sorted by name.

    Files that killed machines have left behind are removed.
    """
    alive = set(running_names())
    files = {name: definitions_folder() / name / DEFINITION_FILE for name in store.names()}
    return [
        MachineEntry(name, name in alive, files.get(name)) for name in sorted(alive | files.keys())
    ]


def running_names() -> list[str]:
    """Return the names of this user's running machines, sorted."""
    claims.sweep()
    return running.names()


def define(
    name: str,
    image: str | os.PathLike[str] | None = None,
    *,
    disk: str | None = None,
    memory: str | None = None,
    cpus: int | None = None,
    disk_bus: str | None = None,
    trust_disk: bool = False,
    firmware: str = "bios",
    args: Sequence[str] = (),
    qemu: str | None = None,
) -> Path:
    """Define a machine, to be started by its name.

    Args:
        name: What to call it.
        image: A disk, a CD or a kernel; it stays where it is.
        disk: The size of a new disk to make, such as ``"20G"``.
        memory: For the guest, such as ``"2G"``.
        cpus: Virtual processors.
        disk_bus: The bus of the disks: ``ide``, ``scsi``, ``virtio``, ``nvme``, ``usb``, ``sd`` or
            ``floppy``; by default the one that QEMU itself uses on this machine type.
        trust_disk: Let the disks name files outside their folder, external data files and network
            addresses, which QEMU then opens and may write. Never for a disk from a stranger.
        firmware: ``bios``, ``uefi``, or the path of a firmware's image.
        args: QEMU's own arguments, passed on as they are.
        qemu: The QEMU to run.

    Returns:
        The file of its definition, which may be edited.

    Raises:
        MachineExistsError: The name is taken.
        UsageError: The image cannot be read, or a value is wrong.
        QemuError: The disk could not be made.
    """
    if isinstance(args, str):
        raise UsageError(f"args is a list of arguments, not one text: {args!r}")
    check_disk_bus(disk_bus)
    definition = Definition(
        image=whole(image) if image else "",
        memory=memory or "",
        cpus=cpus or 0,
        disk_bus=disk_bus or "",  # type: ignore[arg-type]  # checked above
        trust_disk=trust_disk,
        firmware=firmware if firmware in ("bios", "uefi", "") else whole(firmware),
        arguments=[str(argument) for argument in args],
        qemu=qemu or "",
    )
    return defining.create(name, definition, disk or "").file


def definition(name: str) -> Definition:
    """Read the definition of a machine.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        DefinitionError: The definition is not valid.
        FileError: It can't be read.
    """
    return store.read(name).definition


def clone(name: str, new_name: str) -> Path:
    """Clone a defined machine; the clone's disks are overlays of the machine's disks.

    The machine cannot be started while a clone of it exists.

    Args:
        name: The machine.
        new_name: The name of the clone.

    Returns:
        The file of the clone's definition.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        MachineExistsError: *new_name* is taken.
        ConflictError: The machine is running.
        QemuError: qemu-img is missing or failed.
        FileError: A file could not be written; nothing is left of the clone.
    """
    return defining.clone(name, new_name).file


def remove(name: str) -> list[Path]:
    """Remove a defined machine, with its folder and the disks in it.

    Returns:
        The machine's disks in other folders; they are not removed.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        ConflictError: It is running, it has clones, or its folder holds files of the user's.
        FileError: A file could not be removed; the machine is removed all the same.
    """
    return [Path(path) for path in defining.remove(name)]


def whole(path: str | os.PathLike[str]) -> str:
    """Return a path that does not depend on the working directory."""
    return str(Path(path).expanduser().absolute())


def start(name: str, *, detach: bool = False) -> Machine:
    """Start a defined machine and attach to it with the control role.

    Args:
        name: As it was defined by.
        detach: The machine goes on when this program ends.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        DefinitionError: Its definition is not right, or a disk is missing.
        ConflictError: Clones lie over its disks; or arguments contradict each other.
        MachineExistsError: It is running.
        QemuError: There is no usable QEMU, or it did not start.
    """
    return launched(launch_request(store.read(name), detach=detach, client=client_name()))
