"""SHELL: create, clone, change, remove and start defined machines.

Their folders are made and removed as a whole, under one lock.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from ..errors import (
    ConflictError,
    DefinitionError,
    FileError,
    KjuError,
    MachineExistsError,
    UsageError,
)
from ..files import Folder, is_temporary, listing, remove_tree, unknown
from ..protocol.launch_options import Launch, guest_values
from ..protocol.snapshots import SavedSnapshot
from . import disk_files, last_pictures, log_files, snapshot_files
from .definitions import (
    DISK,
    VARIABLES,
    DefinedMachine,
    checked,
    clones_of,
    images,
    layers_made,
    read,
    refuse_cloned,
    require_defined,
)
from .disk_files import read_image
from .forks import unmerged
from .image import Image, Kind
from .machine_toml import Definition, write
from .paths import (
    DEFINITION_FILE,
    check_name,
    definitions_folder,
    machine_paths,
    view_settings_folder,
)
from .running import is_alive
from .snapshot_files import SnapshotFiles, saved_snapshots
from .snapshot_tree import SnapshotId, SnapshotTree, no_snapshot
from .toml_edit import known_part


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
    with _new_machine_folder(name) as new:
        if disk:
            disk_files.make_disk(new.path / DISK, disk)
            definition = with_new_disk(definition)
        text = write(msgspec.structs.replace(definition, name=name))
        try:
            machine = checked(name, new.path, text, new.path / DEFINITION_FILE)
        except DefinitionError as error:
            # The user has not seen this file; an error about an image names the image itself.
            place = f"{error.file}:{error.line}: "
            raise UsageError(str(error).removeprefix(place).removeprefix("image: ")) from error
        new.write(DEFINITION_FILE, machine.text.encode())
    return read(name)


def with_new_disk(definition: Definition) -> Definition:
    """Return a definition with a disk that is made for it: its image, else its first other disk."""
    if definition.image:
        return msgspec.structs.replace(definition, disks=[DISK, *definition.disks])
    return msgspec.structs.replace(definition, image=DISK)


def clone(name: str, new_name: str, snapshot: str = "") -> DefinedMachine:
    """Define a copy of a machine whose disks are overlays of the first one's disks.

    Args:
        name: The machine.
        new_name: The name of the copy.
        snapshot: A snapshot from which the copy begins: its disks are copied as a whole, with
            their snapshots, pictures and input logs, and returned to this one. So both machines
            can be started.

    Raises:
        MachineNotFoundError: The first is not defined.
        MachineExistsError: The second is.
        ConflictError: The first is running, or forks of it are.
        UsageError: A writable disk does not hold the snapshot.
        QemuError: qemu-img is missing or failed.
        FileError: A file could not be written; nothing remains of the copy.
    """
    with _new_machine_folder(new_name) as new:
        machine = read(name)
        found = images(machine)
        _refuse_running(name, "its disks are in use")
        unmerged.settle_for([*machine.disk_paths, machine.folder / VARIABLES])
        definition = machine.definition
        changes: dict[str, object] = {"name": new_name}
        if snapshot:
            saved = _require_snapshot(name, snapshot)
            for image in found:
                _check_below(Path(image.path), definition)
            paths = [_branch(image, new, snapshot) for image in found]
            _copy_snapshot_files(machine, new, saved, snapshot)
        else:
            paths = [_overlay(image, new.path) for image in found]
            changes["base"] = name
        if definition.image:
            changes["image"] = paths.pop(0)
        changes["disks"] = paths
        if definition.firmware not in ("bios", "uefi"):
            changes["firmware"] = str(machine.path(definition.firmware))
        if (variables := machine.folder / VARIABLES).exists():
            if snapshot:
                _copy_disk(variables, new, VARIABLES, snapshot)
            else:
                disk_files.convert(str(variables), "qcow2", new, VARIABLES)
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


def rewrite(name: str, old: str, text: str) -> None:
    """Replace a definition's text, in which unknown keys may stand: they are kept.

    Args:
        name: The machine.
        old: The text that the new one was made from.
        text: The new text.

    Raises:
        DefinitionError: The known part is not valid; the old text stays.
        ConflictError: Another program has changed the definition since.
        FileError: It could not be written; the old text stays.
    """
    place = definitions_folder() / check_name(name)
    checked(name, place, known_part(text), place / DEFINITION_FILE)
    with Folder.open(place, follow_own_link=True) as folder:
        if folder.read(DEFINITION_FILE) != old.encode():
            raise ConflictError(
                f"another program has changed {place / DEFINITION_FILE} since; open it again"
            )
        folder.write(DEFINITION_FILE, text.encode())


def remove(name: str) -> list[str]:
    """Remove a defined machine with its folder; return the paths of its disks elsewhere.

    Raises:
        MachineNotFoundError: No machine of this name is defined.
        ConflictError: It or a fork of it is running, it has clones, or its folder holds files that
            are not its own.
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
        paths: list[Path] = []
        with contextlib.suppress(DefinitionError):
            paths = read(name).disk_paths
            elsewhere = [str(p) for p in paths if not p.is_relative_to(folder)]
            own = [p.relative_to(folder) for p in paths if p.is_relative_to(folder)]
            inside = {str(p) for p in own} | {f"{above}/" for p in own for above in p.parents}

        def known(path: str) -> bool:
            return path in inside or _is_own_file(path)

        removed = _hidden_name(_REMOVED)
        with machines.folder(name) as opened:
            _refuse_others(name, unknown(opened, known))
            own_disks = [path for path in paths if path.is_relative_to(folder)]
            unmerged.discard_for([*own_disks, folder / VARIABLES])
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
    # There are none, or they stay: only windows read them.
    with contextlib.suppress(FileError), Folder.open(view_settings_folder()) as views:
        views.remove(f"{name}.json")
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
    place = _free_place(folder, base.stem)
    disk_files.make_overlay(base, image.disk_format or disk_files.format_of(base), place)
    return place.name


def _free_place(folder: Path, stem: str) -> Path:
    """Return the path of a new disk in *folder*."""
    place = folder / f"{stem}.qcow2"
    for number in range(2, 1000):
        if not place.exists():
            break
        place = folder / f"{stem}-{number}.qcow2"
    return place


def _require_snapshot(name: str, tag: str) -> dict[str, SavedSnapshot]:
    """Return a machine's snapshots by their tags; every writable disk holds this one.

    Raises:
        UsageError: A disk does not hold it.
    """
    found = {saved.tag: saved for saved in saved_snapshots(name)}
    if tag not in found:
        raise no_snapshot(tag, found)
    if lacking := found[tag].lacking:
        raise UsageError(
            f"the snapshot {tag!r} of {name} is incomplete: {', '.join(lacking)} does not hold it"
        )
    return found


def _copy_snapshot_files(
    machine: DefinedMachine, folder: Folder, saved: Mapping[str, SavedSnapshot], tag: str
) -> None:
    """Copy pictures, input logs and the tree of snapshots; the copy is at *tag* in its tree."""
    files = SnapshotFiles(str(machine.folder), "")
    tree = SnapshotTree()
    with contextlib.suppress(KjuError):  # without it every snapshot is a root
        tree = files.read_tree()
    ids = {each.tag: SnapshotId(each.tag, each.time) for each in saved.values()}
    files.copy_to(folder, saved, tree.pruned(ids.values()).loaded(ids[tag]))


def _check_below(disk: Path, definition: Definition) -> None:
    """Refuse a disk whose copy in another folder could not be opened.

    Raises:
        UsageError: It is an overlay of a file that kju has not made.
    """
    below = disk_files.backing(disk)
    if below is None or definition.trust_disk or below in layers_made(disk):
        return
    raise UsageError(
        f"{disk} is an overlay of {below}, which a copy in another folder may open only if the disk"
        f" is trusted: set trust_disk = true first (kju edit {definition.name})"
    )


def _branch(image: Image, folder: Folder, tag: str) -> str:
    """Copy a disk into *folder*, at a snapshot, and return its name; share a read-only one."""
    if image.kind is not Kind.DISK or image.read_only:
        return image.path
    disk = Path(image.path).resolve()
    place = _free_place(folder.path, disk.stem)
    _copy_disk(disk, folder, place.name, tag)
    return place.name


def _copy_disk(disk: Path, folder: Folder, name: str, tag: str) -> None:
    disk_files.copy(disk, folder, name)
    disk_files.revert(folder.path / name, tag)


#: Names of folders that are being made or removed; a random part follows. They hide what a killed
#: command left: a later command removes it.
_NEW, _REMOVED = ".new-", ".removed-"
# An editor leaves files beside the one it edits: machine.toml.edited~, .machine.toml.edited.swp
_DEFINITIONS = re.compile(r"[.#]{0,2}machine\.toml[^/]*")


@contextlib.contextmanager
def exclusive() -> Iterator[Folder]:
    """Hold the lock under which the folders of defined machines are made and removed."""
    with (
        Folder.open(definitions_folder(), create=True, follow_own_link=True) as machines,
        machines.lock(),
    ):
        # While this command has the lock, no other is at work: such a folder is left over from a
        # command that was killed, or from a failure of the disk.
        for name in machines.names():
            with contextlib.suppress(FileError):
                if name.startswith(_NEW):
                    remove_tree(machines, name, _is_new)
                if name.startswith(_REMOVED):  # `remove` checked its files before it renamed it
                    remove_tree(machines, name, lambda path: True)
        yield machines


@contextlib.contextmanager
def _new_machine_folder(name: str) -> Iterator[Folder]:
    """Make a folder that becomes the machine's at the end of the block, complete or not at all.

    Raises:
        MachineExistsError: A machine of this name is defined.
    """
    check_name(name)
    with exclusive() as machines:
        if machines.status(name) is not None:
            raise already_defined(name)
        hidden = _hidden_name(_NEW)
        try:
            with machines.new_folder(hidden) as new:
                yield new
                for made in new.names():
                    if made != snapshot_files.FOLDER:
                        new.seal(made)
                new.sync()
            log_files.mark_old(name)
            machines.rename(hidden, name)
        except BaseException:
            with contextlib.suppress(KjuError):
                remove_tree(machines, hidden, _is_new)
            raise
        machines.sync()


def already_defined(name: str) -> MachineExistsError:
    """Return the error for the name of a new machine that a defined one has."""
    return MachineExistsError(
        f"a machine named {name!r} is defined already ({definitions_folder() / name}); choose"
        f" another name, or remove it with: kju rm {name}",
        name,
    )


def _hidden_name(prefix: str) -> str:
    """Return a name for a folder that is being made or removed."""
    return f"{prefix}{os.urandom(8).hex()}"


def _is_own_file(path: str) -> bool:
    """Return whether kju, or an editor of the definition, makes a file of this path."""
    stem, _, rest = path.partition("/")
    if stem == snapshot_files.FOLDER:
        return snapshot_files.is_made(rest)
    own = (DISK, VARIABLES, last_pictures.FILE)
    return path in own or bool(_DEFINITIONS.fullmatch(path)) or is_temporary(path)


def _is_new(path: str) -> bool:
    """Return the same for an unfinished machine: the disks of a clone can have any name."""
    return _is_own_file(path) or ("/" not in path and path.endswith(".qcow2"))


def launch_request(
    machine: DefinedMachine,
    snapshot: str = "",
    *,
    detach: bool,
    client: str,
    new_disks: Collection[Path] = (),
) -> Launch:
    """Return the request that launches a defined machine.

    Args:
        machine: The machine.
        snapshot: The snapshot that it begins with; empty for none.
        detach: Whether it outlives its launcher.
        client: The launcher's name.
        new_disks: Disks that will be made before it starts; for a dry run only.

    Raises:
        DefinitionError: A disk is missing.
        ConflictError: The machine has clones.
    """
    found, definition = images(machine, new_disks=new_disks), machine.definition
    refuse_cloned(machine.name, found)
    arguments = [word for device in definition.devices for word in ("-device", device)]
    arguments += ["-nic", "none"] if definition.network == "none" else []
    firmware = definition.firmware
    if firmware not in ("bios", "uefi"):
        firmware = str(machine.path(firmware))
    return Launch(
        machine=machine.name,
        image=str(machine.path(definition.image)) if definition.image else "",
        disks=[str(machine.path(disk)) for disk in definition.disks],
        firmware="" if firmware == "bios" else firmware,
        folder=str(machine.folder),
        snapshot=snapshot,
        arguments=[*arguments, *definition.arguments],
        **guest_values(definition, Launch.__struct_fields__),
        detach=detach,
        client=client[:256],
    )


def confirm(request: Launch) -> None:
    """Check again that a defined machine may start, now that its name is claimed.

    Raises:
        MachineNotFoundError: It has been removed since.
        ConflictError: It has been cloned since.
        UsageError: A disk has been removed since.
    """
    with exclusive():
        require_defined(request.machine)
        paths = [request.image, *request.disks]
        refuse_cloned(request.machine, [read_image(path) for path in paths if path])
