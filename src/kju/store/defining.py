"""SHELL: creating, cloning, changing and removing defined machines."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from ..errors import ConflictError, DefinitionError, FileError, UsageError
from ..files import Folder, listing, remove_tree, unknown
from . import qemu_img
from .clones import clones_of
from .defined import DISK, VARIABLES, DefinedMachine, checked, images, read, require_defined
from .definition import Definition, write
from .definition_folders import REMOVED, exclusive, hidden_name, is_own_file, new_machine_folder
from .image import Image, Kind
from .paths import DEFINITION_FILE, check_name, definitions_folder, machine_paths
from .running import is_alive


def create(name: str, definition: Definition, disk: str = "") -> DefinedMachine:
    """Define a new machine.

    Args:
        name: Its name.
        definition: Its paths are absolute, or relative to its folder.
        disk: The size of a new disk to make, such as ``20G``; empty for none.

    Raises:
        MachineExistsError: A machine of this name is defined.
        UsageError: A file is missing.
        QemuError: The disk could not be made.
        FileError: A file could not be written; nothing remains of the machine.
    """
    with new_machine_folder(name) as new:
        if disk:
            qemu_img.create(new.path / DISK, disk)
            further = [DISK, *definition.disks]
            where: dict[str, object] = {"disks": further} if definition.image else {"image": DISK}
            definition = msgspec.structs.replace(definition, **where)
        text = write(msgspec.structs.replace(definition, name=name))
        try:
            machine = checked(name, new.path, text, new.path / DEFINITION_FILE)
        except DefinitionError as error:
            # The user has not seen this file; an error about an image names the image itself.
            place = f"{error.file}:{error.line}: "
            raise UsageError(str(error).removeprefix(place).removeprefix("image: ")) from error
        new.write(DEFINITION_FILE, machine.text.encode())
    return read(name)


def clone(name: str, new_name: str) -> DefinedMachine:
    """Define a copy of a machine whose disks are overlays of the first one's disks.

    Raises:
        MachineNotFoundError: The first is not defined.
        MachineExistsError: The second is.
        ConflictError: The first is running.
        QemuError: qemu-img is missing or failed.
        FileError: A file could not be written; nothing remains of the copy.
    """
    with new_machine_folder(new_name) as new:
        machine = read(name)
        found = images(machine)
        _refuse_running(name, "its disks are in use")
        paths = [_overlay(image, new.path) for image in found]
        definition = machine.definition
        changes: dict[str, object] = {"name": new_name, "base": name}
        if definition.image:
            changes["image"] = paths.pop(0)
        changes["disks"] = paths
        if definition.firmware not in ("bios", "uefi"):
            changes["firmware"] = str(machine.path(definition.firmware))
        if (variables := machine.folder / VARIABLES).exists():
            qemu_img.convert(str(variables), "qcow2", new, VARIABLES)
        text = write(msgspec.structs.replace(definition, **changes))
        new.write(DEFINITION_FILE, text.encode())
    return read(new_name)


def replace(machine: DefinedMachine, text: str) -> DefinedMachine:
    """Replace a machine's definition.

    Raises:
        DefinitionError: It is not valid; the old one stays.
        FileError: It could not be written; the old one stays.
    """
    new = checked(machine.name, machine.folder, text, machine.file)
    with Folder.open(machine.folder, follow_own_link=True) as folder:
        folder.write(DEFINITION_FILE, text.encode())
    return new


def remove(name: str) -> list[str]:
    """Remove a defined machine with its folder; return the paths of its disks elsewhere.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        ConflictError: It is running, has clones, or its folder holds files that are not its own.
        FileError: A file could not be removed. The machine is removed all the same, and its name
            is free; the next command that makes or removes one tries to remove the rest, as it
            does after a removal that was killed.
    """
    folder = definitions_folder() / check_name(name)
    with exclusive() as machines:
        require_defined(name)
        _refuse_running(name)
        if above := clones_of(name):
            raise ConflictError(
                f"{name} cannot be removed while it has clones ({', '.join(above)}): their disks"
                f" are overlays of its disks; remove those first, such as: kju rm {above[0]}"
            )
        elsewhere, inside = [], set[str]()
        with contextlib.suppress(DefinitionError):
            paths = read(name).disk_paths
            elsewhere = [str(p) for p in paths if not p.is_relative_to(folder)]
            own = [p.relative_to(folder) for p in paths if p.is_relative_to(folder)]
            inside = {str(p) for p in own} | {f"{above}/" for p in own for above in p.parents}

        def known(path: str) -> bool:
            return path in inside or is_own_file(path)

        removed = hidden_name(REMOVED)
        with machines.folder(name) as opened:
            _refuse_others(name, unknown(opened, known))
            # Renamed first: a killed removal leaves nothing that looks like a machine.
            machines.rename(name, removed)
            # The next command removes everything under this name, so look again for files that
            # were added before the rename.
            with contextlib.suppress(FileError):
                if others := unknown(opened, known):
                    machines.rename(removed, name)
                    _refuse_others(name, others)
        try:
            remove_tree(machines, removed, known)
        except FileError:
            remove_tree(machines, removed, known)
        machines.sync()
    return elsewhere


def _refuse_running(name: str, why: str = "") -> None:
    if is_alive(machine_paths(name)):
        reason = f", and {why}" if why else ""
        raise ConflictError(f"{name} is running{reason}; stop it first: kju stop {name}")


def _refuse_others(name: str, others: list[str]) -> None:
    """Refuse to remove a machine whose folder holds files that are not its own."""
    if others:
        raise ConflictError(
            f"{definitions_folder() / name} holds files that are not the machine's"
            f" ({listing(others)}): move them to another place, then: kju rm {name}"
        )


def _overlay(image: Image, folder: Path) -> str:
    """Make an overlay of a disk in *folder* and return its name; share a read-only one."""
    if image.kind is not Kind.DISK or image.read_only:
        return image.path
    base = Path(image.path).resolve()
    place = folder / f"{base.stem}.qcow2"
    for number in range(2, 1000):
        if not place.exists():
            break
        place = folder / f"{base.stem}-{number}.qcow2"
    qemu_img.overlay(base, image.disk_format or qemu_img.format_of(base), place)
    return place.name
