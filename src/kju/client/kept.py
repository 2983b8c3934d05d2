"""Kept machines, for programs with threads: define one, start it by its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..store import defined, defining
from ..store.definition import Definition
from ..store.starting import launch_request
from .machine import Machine, client_name, launched
from .requests import check_disk_bus


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
    """Keep a machine under a name, to be started by it.

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


def whole(path: str | os.PathLike[str]) -> str:
    """A path that means the same from everywhere."""
    return str(Path(path).expanduser().absolute())


def start(name: str, *, detach: bool = False) -> Machine:
    """Start a kept machine and attach to it with the control role.

    Args:
        name: As it was defined by.
        detach: The machine goes on when this program ends.

    Raises:
        MachineNotFoundError: None of this name is kept.
        DefinitionError: Its definition is not right, or a disk is missing.
        ConflictError: Clones lie over its disks; or arguments contradict each other.
        MachineExistsError: It is running.
        QemuError: There is no usable QEMU, or it did not start.
    """
    return launched(launch_request(defined.read(name), detach=detach, client=client_name()))
