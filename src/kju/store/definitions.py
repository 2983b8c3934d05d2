"""SHELL: read defined machines: a folder each, with the definition and the files that belong to it.

The folder holds ``machine.toml``, the disks that kju made, the variables of a UEFI, and
``snapshots/TAG/`` with the screen and the input of each snapshot. Rules:

- A definition is replaced as a whole, and only after a check of the new one.
- A folder is made and removed as a whole, under one lock for all machines.
- A disk with overlays must not change: its machine can be neither started nor removed. The disks
  themselves are searched for overlays too, because an edited definition may be wrong.
- A start claims the machine's name and then looks for clones under the lock; a clone or a removal
  looks for a claim under the lock. So of two at the same moment, one finds the other.
- Folders are 0700 and files 0600: disks hold the private data of their guests' users.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from ..errors import (
    ConflictError,
    DefinitionError,
    FileError,
    LimitError,
    MachineNotFoundError,
    UsageError,
)
from ..files import Folder
from . import disk_files
from .disk_files import Chain, read_image
from .image import Image, Kind
from .machine_toml import MAX_TEXT, Definition, decode, refuse
from .paths import DEFINITION_FILE, NAME, check_name, definitions_folder, is_defined

DISK = "disk.qcow2"
#: The variables of the machine's UEFI firmware.
VARIABLES = "uefi-variables.qcow2"
#: The copy that an editor works on; it is kept if the edited text is wrong.
EDITED = "machine.toml.edited"
#: Bytes of a definition: a character has at most four.
MAX_BYTES = 4 * MAX_TEXT


class DefinedMachine(NamedTuple):
    """One defined machine.

    Attributes:
        name: Its name.
        folder: Its folder.
        text: The text of its definition.
        definition: The same, decoded.
    """

    name: str
    folder: Path
    text: str
    definition: Definition

    @property
    def file(self) -> Path:
        """The file of the definition."""
        return self.folder / DEFINITION_FILE

    @property
    def disk_paths(self) -> list[Path]:
        """The paths of the image and the further disks."""
        written = (self.definition.image, *self.definition.disks)
        return [self.path(path) for path in written if path]

    def path(self, written: str) -> Path:
        """Return a path of the definition; a relative one starts at the machine's folder."""
        return self.folder / Path(written).expanduser()


def names() -> list[str]:
    """Return the names of the defined machines, sorted."""
    return [folder.name for folder in folders() if (folder / DEFINITION_FILE).is_file()]


def folders() -> list[Path]:
    """Return the folders that have or may get a definition, sorted."""
    try:
        entries = sorted(entry.name for entry in os.scandir(definitions_folder()) if entry.is_dir())
    except FileNotFoundError:
        return []
    return [definitions_folder() / name for name in entries if NAME.fullmatch(name)]


def require_defined(name: str) -> None:
    """Raise an error unless a machine is defined; its definition may be wrong.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
    """
    if not is_defined(name):
        read(name)


def read(name: str) -> DefinedMachine:
    """Read a machine's definition.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        DefinitionError: The definition is not valid.
        FileError: It cannot be read, or belongs to another user.
    """
    folder = definitions_folder() / check_name(name)
    file = str(folder / DEFINITION_FILE)
    try:
        with Folder.open(folder, follow_own_link=True) as opened:
            text = opened.read(DEFINITION_FILE, limit=MAX_BYTES).decode()
    except FileError as error:
        if error.errno != errno.ENOENT:
            raise
        # The next step depends on the command: for `kju rm` it is not to define the machine.
        have = ", ".join(names()) or "none"
        raise MachineNotFoundError(
            f"no machine {name!r} is defined; defined machines: {have}", name
        ) from None
    except LimitError as error:
        raise DefinitionError(f"{file}:1: {error}", file, 1) from error
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{file}:1: this is not UTF-8 text: {error}", file, 1) from error
    return DefinedMachine(name, folder, text, decode(text, file, name))


def checked(name: str, folder: Path, text: str, shown: Path) -> DefinedMachine:
    """Check a definition and its disks.

    Args:
        name: The machine's name.
        folder: Its folder.
        text: The definition.
        shown: The file that error messages name.

    Raises:
        DefinitionError: It is not valid, or names a file that is missing or unusable.
    """
    machine = DefinedMachine(name, folder, text, decode(text, str(shown), name))
    images(machine, shown)
    return machine


def images(
    machine: DefinedMachine, shown: Path | None = None, new_disks: Collection[Path] = ()
) -> list[Image]:
    """Return the image, if there is one, and the further disks; see `examined`.

    Raises:
        DefinitionError: One is missing or unusable; the message has file, line and key.
    """
    return [image for image, _ in examined(machine, shown, new_disks)]


def examined(
    machine: DefinedMachine, shown: Path | None = None, new_disks: Collection[Path] = ()
) -> list[tuple[Image, Chain]]:
    """Return the image and the further disks, each with every file that QEMU opens for it.

    Args:
        machine: The machine.
        shown: The file that error messages name; its own by default.
        new_disks: Disks that will be made before the machine starts.

    Raises:
        DefinitionError: One is missing, unusable or names a forbidden file; the message has
            file, line and key.
    """
    definition = machine.definition
    file, found = str(shown or machine.file), []
    wanted = [("image", None, definition.image)] if definition.image else []
    further = [("disks", index, path) for index, path in enumerate(definition.disks)]
    for key, item, path in [*wanted, *further]:
        try:
            if machine.path(path) in new_disks:
                found.append(disk_files.new_disk(machine.path(path)))
                continue
            image, chain = disk_files.checked(
                read_image(str(machine.path(path))),
                trusted=definition.trust_disk,
                made=layers_made,
            )
        except UsageError as error:
            refuse(machine.text, file, key, str(error), item)
        if item is not None and image.kind is Kind.KERNEL:
            why = f"{image.path} is a kernel: it can only be the image"
            refuse(machine.text, file, key, why, item)
        found.append((image, chain))
    firmware = definition.firmware
    if firmware not in ("bios", "uefi") and not machine.path(firmware).is_file():
        where = machine.path(firmware)
        what = f"{where} does not exist; use bios, uefi or the path of a firmware file"
        refuse(machine.text, file, "firmware", what)
    return found


def layers_made(disk: Path) -> frozenset[Path]:
    """Return the base's disks, if a disk is that of a clone; an empty set for any other disk."""
    if disk.parent.parent.resolve() != definitions_folder().resolve():
        return frozenset()
    with contextlib.suppress(DefinitionError, MachineNotFoundError, UsageError):
        if base := read(disk.parent.name).definition.base:
            return frozenset(path.resolve() for path in read(base).disk_paths)
    return frozenset()


def clones_of(name: str) -> list[str]:
    """Return the names of the machines whose disks, or definitions, are based on this one's."""
    folder = (definitions_folder() / name).resolve()
    own = set()
    with contextlib.suppress(DefinitionError, MachineNotFoundError):
        own = {path.resolve() for path in read(name).disk_paths}
    others = [other for other in names() if other != name]
    return [o for o in others if _base_of(o) == name or _has_overlay(o, folder, own)]


def refuse_cloned(name: str, found: list[Image]) -> None:
    """Refuse to start a machine that has clones, unless it has no disk.

    Raises:
        ConflictError: It has clones and a disk.
    """
    above = clones_of(name)
    if above and any(image.kind is Kind.DISK for image in found):
        raise ConflictError(
            f"{name} cannot start while it has clones ({', '.join(above)}): their disks are"
            f" overlays of its disks; start a clone, or make another: kju clone {name} NEW"
        )


def _base_of(name: str) -> str | None:
    with contextlib.suppress(DefinitionError, MachineNotFoundError):
        return read(name).definition.base
    return None


def _has_overlay(name: str, folder: Path, own: set[Path]) -> bool:
    """Return whether a machine has a disk based on one in *folder*, or on one of *own*."""
    for disk in (definitions_folder() / name).glob("*.qcow2"):
        below = disk_files.backing(disk)
        if below and (below in own or below.is_relative_to(folder)):
            return True
    return False
