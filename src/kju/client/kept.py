"""Kept machines, for programs with threads: define one, start it by its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Unpack

from ..protocol.launch_options import DefineOptions, checked, fields_of, takes
from ..store import defined, defining
from ..store.definition import Definition
from ..store.starting import launch_request
from .machine import Machine, client_name, launched


@takes(DefineOptions)
def define(
    name: str,
    image: str | os.PathLike[str] | None = None,
    **options: Unpack[DefineOptions],
) -> Path:
    """Define a machine under a name, to be started by it.

    Args:
        name: The machine's name.
        image: A disk, a CD or a kernel; it is not copied.
        **options: See `kju.protocol.launch_options.DefineOptions`.

    Returns:
        The file of its definition, which may be edited.

    Raises:
        MachineExistsError: The name is taken.
        UsageError: The image cannot be read, or a value is not allowed.
        QemuError: The disk could not be made.
    """
    given = checked(DefineOptions, options)
    firmware = given.get("firmware", "bios")
    given["firmware"] = firmware if firmware in ("bios", "uefi") else whole(firmware)
    given["image"] = whole(image) if image else ""
    definition = Definition(**fields_of(Definition, given))
    return defining.create(name, definition, given.get("disk", "")).file


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
