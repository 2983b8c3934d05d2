"""Machines that exist: running and defined ones; define, clone, remove and start by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Unpack

from ..protocol.launch_options import DefineOptions, checked, fields_of, takes
from ..store import defining, running
from ..store import definitions as store
from ..store.defining import launch_request
from ..store.machine_toml import Definition
from ..store.paths import DEFINITION_FILE, definitions_folder
from .machine import Machine, client_name, launched


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
    running.sweep()
    return running.names()


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
