"""SHELL: machines that are kept: each has a folder, with its definition and what belongs to it.

``$XDG_DATA_HOME/kju/machines/NAME/`` holds ``machine.toml``, the disks that kju has made, the
variables of a UEFI, and ``snapshots/TAG/`` with the screen and the input of each snapshot. Rules:

- A definition is replaced whole, or not at all, and only by what has been checked.
- A folder comes and goes whole, under the lock of all of them.
- A disk that others lie over must not change: its machine is neither started nor removed. Which lie
  over it the disks say too: a definition may be edited, and need not be right.
- Who starts a machine takes its name first and looks for clones then, under the lock; who clones or
  removes one looks under the lock whether its name is taken. So one of two sees the other.
- Folders are 0700 and files 0600: a disk holds whatever its guest's users have put there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import (
    ConflictError,
    DefinitionError,
    FileError,
    KjuError,
    LimitError,
    MachineExistsError,
    MachineNotFoundError,
    UsageError,
)
from ..files import Folder, is_temporary, listing, remove_tree, unknown
from ..protocol.launch_options import guest_values
from ..protocol.messages import Launch
from . import disk_chain, qemu_img, snapshot_files
from . import running as runtime
from .definition import MAX_TEXT, Definition, decode, refuse, write
from .disk_chain import Chain
from .image import Image, Kind
from .image_file import read_image

FILE = "machine.toml"
DISK = "disk.qcow2"
#: The variables of its UEFI firmware, beside it.
VARIABLES = "uefi-variables.qcow2"
#: What an editor is given, and what it leaves that is not right.
EDITED = "machine.toml.edited"
#: Bytes of a definition: a character has four at most.
MAX_BYTES = 4 * MAX_TEXT
#: Names of folders under which a machine comes and goes; a random part follows. What a killed
#: command left under one is in nobody's way.
_NEW, _REMOVED = ".new-", ".removed-"
# An editor leaves files beside the one it was given: machine.toml.edited~, .machine.toml.edited.swp
_DEFINITIONS = re.compile(r"[.#]{0,2}machine\.toml[^/]*")


class Kept(NamedTuple):
    """One kept machine.

    Attributes:
        name: Its name.
        folder: Its own.
        text: Its definition, as it is written.
        definition: The same, decoded.
    """

    name: str
    folder: Path
    text: str
    definition: Definition

    @property
    def file(self) -> Path:
        """The definition's."""
        return self.folder / FILE

    def path(self, written: str) -> Path:
        """A path as the definition has it: from the machine's folder on."""
        return self.folder / Path(written).expanduser()


def home() -> Path:
    """Where kept machines are; it need not be there."""
    import platformdirs  # most commands never come here

    return platformdirs.user_data_path("kju", appauthor=False) / "machines"


def names() -> list[str]:
    """The names of the machines that are kept, sorted."""
    try:
        entries = sorted(entry.name for entry in os.scandir(home()) if entry.is_dir())
    except FileNotFoundError:
        return []
    return [n for n in entries if runtime.NAME.fullmatch(n) and (home() / n / FILE).is_file()]


def is_kept(name: str) -> bool:
    """Whether a machine of this name is kept."""
    return (home() / runtime.check_name(name) / FILE).is_file()


def _present(name: str) -> None:
    """Refuse a machine that is not kept, whatever its definition."""
    if not is_kept(name):
        read(name)


def read(name: str) -> Kept:
    """Read a machine's definition.

    Raises:
        MachineNotFoundError: None of this name is kept.
        DefinitionError: The definition is not right.
        FileError: It cannot be read, or is another user's.
    """
    folder = home() / runtime.check_name(name)
    try:
        with Folder.open(folder, follow_own_link=True) as opened:
            text = opened.read(FILE, limit=MAX_BYTES).decode()
    except FileError as error:
        if error.errno != errno.ENOENT:
            raise
        have = ", ".join(names()) or "none is"
        raise MachineNotFoundError(
            f"no machine named {name!r} is kept (kept: {have}); make one with: kju create {name}",
            name,
        ) from None
    except LimitError as error:
        raise DefinitionError(f"{folder / FILE}:1: {error}", str(folder / FILE), 1) from error
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{folder / FILE}:1: this is not UTF-8 text: {error}") from error
    return Kept(name, folder, text, decode(text, str(folder / FILE), name))


def checked(name: str, folder: Path, text: str, shown: Path) -> Kept:
    """A definition that could be this machine's: its disks are there.

    Args:
        name: The machine's.
        folder: Its own.
        text: The definition.
        shown: The file that messages are to name.

    Raises:
        DefinitionError: It is not right, or names a file that is missing or cannot be used.
    """
    kept = Kept(name, folder, text, decode(text, str(shown), name))
    images(kept, shown)
    return kept


def images(kept: Kept, shown: Path | None = None) -> list[Image]:
    """The image, if there is one, and the further disks.

    Raises:
        DefinitionError: One is missing or cannot be used; file, line and key are named.
    """
    return [image for image, _ in examined(kept, shown)]


def examined(kept: Kept, shown: Path | None = None) -> list[tuple[Image, Chain]]:
    """The image and the further disks, each with every file that QEMU opens for it.

    Raises:
        DefinitionError: One is missing, cannot be used or names a file that it may not; file, line
            and key are named.
    """
    file, found = str(shown or kept.file), []
    wanted = [("image", None, kept.definition.image)] if kept.definition.image else []
    further = [("disks", index, path) for index, path in enumerate(kept.definition.disks)]
    for key, item, path in [*wanted, *further]:
        try:
            image, chain = disk_chain.checked(
                read_image(str(kept.path(path))),
                trusted=kept.definition.trust_disk,
                made=layers_made,
            )
        except UsageError as error:
            refuse(kept.text, file, key, str(error), item)
        if item is not None and image.kind is Kind.KERNEL:
            why = f"{image.path} is a kernel: it can only be the image"
            refuse(kept.text, file, key, why, item)
        found.append((image, chain))
    starts_with = kept.definition.firmware
    if starts_with not in ("bios", "uefi") and not kept.path(starts_with).is_file():
        what = f"{kept.path(starts_with)} is no file; it is 'bios', 'uefi' or a firmware's path"
        refuse(kept.text, file, "firmware", what)
    return found


def layers_made(disk: Path) -> frozenset[Path]:
    """The files that kju has put a disk over when it made a clone; none for any other disk."""
    if disk.parent.parent.resolve() != home().resolve():
        return frozenset()
    with contextlib.suppress(DefinitionError, MachineNotFoundError, UsageError):
        if base := read(disk.parent.name).definition.base:
            kept = read(base)
            named = (kept.definition.image, *kept.definition.disks)
            return frozenset(kept.path(name).resolve() for name in named if name)
    return frozenset()


def launch(kept: Kept, *, detach: bool, client: str) -> Launch:
    """A kept machine's start as a message.

    Raises:
        DefinitionError: A disk is missing.
        ConflictError: Others lie over one of its disks.
    """
    found, definition = images(kept), kept.definition
    _refuse_below(kept.name, found)
    arguments = [word for device in definition.devices for word in ("-device", device)]
    arguments += ["-nic", "none"] if definition.network == "none" else []
    starts_with = definition.firmware
    if starts_with not in ("bios", "uefi"):
        starts_with = str(kept.path(starts_with))
    return Launch(
        machine=kept.name,
        image=str(kept.path(definition.image)) if definition.image else "",
        disks=[str(kept.path(disk)) for disk in definition.disks],
        firmware="" if starts_with == "bios" else starts_with,
        folder=str(kept.folder),
        arguments=[*arguments, *definition.arguments],
        **guest_values(definition, Launch.__struct_fields__),
        detach=detach,
        client=client[:256],
    )


def confirm(request: Launch) -> None:
    """Look once more whether a kept machine may start, now that its name is taken.

    Raises:
        MachineNotFoundError: It has been removed meanwhile.
        ConflictError: It has been cloned meanwhile.
        UsageError: A disk has gone meanwhile.
    """
    with _exclusive():
        _present(request.machine)
        paths = [request.image, *request.disks]
        _refuse_below(request.machine, [read_image(path) for path in paths if path])


def _refuse_below(name: str, found: list[Image]) -> None:
    """Refuse to start a machine that has clones, if it has disks that they lie over."""
    above = clones(name)
    if above and any(image.kind is Kind.DISK for image in found):
        raise ConflictError(
            f"{name} has clones ({', '.join(above)}) whose disks lie over its own, and would"
            f" be spoilt if it ran; start one of those, or: kju clone {name} NEW"
        )


def clones(name: str) -> list[str]:
    """The names of the machines whose disks lie over this one's, by themselves or by definition."""
    folder = (home() / name).resolve()
    own = set()
    with contextlib.suppress(DefinitionError, MachineNotFoundError):
        kept = read(name)
        own = {kept.path(p).resolve() for p in (kept.definition.image, *kept.definition.disks) if p}
    others = [other for other in names() if other != name]
    return [o for o in others if _based_on(o) == name or _lies_over(o, folder, own)]


def _based_on(name: str) -> str:
    with contextlib.suppress(DefinitionError, MachineNotFoundError):
        return read(name).definition.base
    return ""


def _lies_over(name: str, folder: Path, own: set[Path]) -> bool:
    """Whether a disk in a machine's folder lies over one in *folder*, or over one of *own*."""
    for disk in (home() / name).glob("*.qcow2"):
        below = disk_chain.backing(disk)
        if below and (below in own or below.is_relative_to(folder)):
            return True
    return False


def create(name: str, definition: Definition, disk: str = "") -> Kept:
    """Keep a new machine.

    Args:
        name: Its name.
        definition: What it is; paths are whole, or of what is in its folder.
        disk: The size of a new disk to make, such as ``20G``; empty for none.

    Raises:
        MachineExistsError: One of this name is kept.
        UsageError: A file is missing.
        QemuError: The disk could not be made.
        FileError: A file could not be written; nothing is left of the machine.
    """
    with _coming(name) as new:
        if disk:
            qemu_img.create(new.path / DISK, disk)
            further = [DISK, *definition.disks]
            where: dict[str, object] = {"disks": further} if definition.image else {"image": DISK}
            definition = _replaced(definition, where)
        try:
            kept = checked(
                name, new.path, write(_replaced(definition, {"name": name})), new.path / FILE
            )
        except DefinitionError as error:
            # The user has not seen this file; what is wrong with an image names the image.
            place = f"{error.file}:{error.line}: "
            raise UsageError(str(error).removeprefix(place).removeprefix("image: ")) from error
        new.write(FILE, kept.text.encode())
    return read(name)


def clone(name: str, new_name: str) -> Kept:
    """Keep a copy of a machine, whose disks lie over the first one's and hold what differs.

    Raises:
        MachineNotFoundError: The first is not kept.
        MachineExistsError: The second is.
        ConflictError: The first is running.
        QemuError: qemu-img is missing, or refused.
        FileError: A file could not be written; nothing is left of the copy.
    """
    with _coming(new_name) as new:
        kept = read(name)
        found = images(kept)
        if runtime.is_alive(runtime.paths(name)):
            raise ConflictError(
                f"{name} is running, and its disks change; stop it first: kju stop {name}"
            )
        paths = [_laid_over(image, new.path) for image in found]
        definition = kept.definition
        changes: dict[str, object] = {"name": new_name, "base": name}
        if definition.image:
            changes["image"] = paths.pop(0)
        changes["disks"] = paths
        if definition.firmware not in ("bios", "uefi"):
            changes["firmware"] = str(kept.path(definition.firmware))
        if (variables := kept.folder / VARIABLES).exists():
            qemu_img.convert(str(variables), "qcow2", new, VARIABLES)
        new.write(FILE, write(_replaced(definition, changes)).encode())
    return read(new_name)


def _laid_over(image: Image, folder: Path) -> str:
    """A disk in *folder* over this one; what cannot be written is shared as it is."""
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


def replace(kept: Kept, text: str) -> Kept:
    """Give a machine another definition.

    Raises:
        DefinitionError: It is not right; the old one stays.
        FileError: It could not be written; the old one stays.
    """
    new = checked(kept.name, kept.folder, text, kept.file)
    with Folder.open(kept.folder, follow_own_link=True) as folder:
        folder.write(FILE, text.encode())
    return new


def remove(name: str) -> list[str]:
    """Remove a kept machine with its folder; returns the paths of disks that lie elsewhere.

    Raises:
        MachineNotFoundError: None of this name is kept.
        ConflictError: It is running, others lie over its disks, or its folder holds files that
            are not its own.
        FileError: A file could not be removed. The machine is removed all the same, and its name
            is free; the next command that makes or removes one tries to remove the rest, as it
            does after a removal that was killed.
    """
    folder = home() / runtime.check_name(name)
    with _exclusive() as machines:
        _present(name)
        if runtime.is_alive(runtime.paths(name)):
            raise ConflictError(f"{name} is running; stop it first: kju stop {name}")
        if above := clones(name):
            raise ConflictError(
                f"{name} has clones whose disks lie over its own: remove those first"
                f" ({', '.join(above)})"
            )
        elsewhere, inside = [], set[str]()
        with contextlib.suppress(DefinitionError):
            kept = read(name)
            paths = [kept.path(p) for p in (kept.definition.image, *kept.definition.disks) if p]
            elsewhere = [str(p) for p in paths if not p.is_relative_to(folder)]
            own = [p.relative_to(folder) for p in paths if p.is_relative_to(folder)]
            inside = {str(p) for p in own} | {f"{above}/" for p in own for above in p.parents}

        def known(path: str) -> bool:
            return path in inside or _is_made(path)

        removed = _hidden(_REMOVED)
        with machines.folder(name) as opened:
            _refuse_others(name, unknown(opened, known))
            # Out of sight at once: a killed rm leaves nothing that looks like a machine.
            machines.rename(name, removed)
            # All under this name is removed by the next command, so nothing else may be in it.
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


def _refuse_others(name: str, others: list[str]) -> None:
    """Refuse to remove a machine whose folder holds files that are not its own."""
    if others:
        raise ConflictError(
            f"{home() / name} holds files that are not the machine's ({listing(others)}): move"
            f" them to another place, then: kju rm {name}"
        )


def _is_made(path: str) -> bool:
    """Whether a path in a machine's folder is of a file that kju makes there, or an editor."""
    stem, _, rest = path.partition("/")
    if stem == snapshot_files.FOLDER:
        return snapshot_files.is_made(rest)
    return path in (DISK, VARIABLES) or bool(_DEFINITIONS.fullmatch(path)) or is_temporary(path)


def _is_new(path: str) -> bool:
    """The same for a machine that is not finished: the disks of a clone have any name."""
    return _is_made(path) or ("/" not in path and path.endswith(".qcow2"))


# -- files


@contextlib.contextmanager
def _coming(name: str) -> Iterator[Folder]:
    """A folder that becomes the machine's at the end of the block, whole or not at all."""
    runtime.check_name(name)
    with _exclusive() as machines:
        if machines.status(name) is not None:
            raise MachineExistsError(
                f"a machine named {name!r} is kept already ({machines.path / name}); choose"
                f" another name, or remove it with: kju rm {name}",
                name,
            )
        hidden = _hidden(_NEW)
        try:
            with machines.new_folder(hidden) as new:
                yield new
                for made in new.names():
                    new.seal(made)
                new.sync()
            machines.rename(hidden, name)
        except BaseException:
            with contextlib.suppress(KjuError):
                remove_tree(machines, hidden, _is_new)
            raise
        machines.sync()


def _hidden(prefix: str) -> str:
    """A name for a machine that is not there yet, or not any more."""
    return f"{prefix}{os.urandom(8).hex()}"


@contextlib.contextmanager
def _exclusive() -> Iterator[Folder]:
    """Hold the lock under which kept machines come and go."""
    with (
        Folder.open(home(), create=True, follow_own_link=True) as machines,
        machines.lock(),
    ):
        # Only one that was killed, or whose disk failed, could have left these.
        for name in machines.names():
            with contextlib.suppress(FileError):
                if name.startswith(_NEW):
                    remove_tree(machines, name, _is_new)
                if name.startswith(_REMOVED):  # all of it was known before it got this name
                    remove_tree(machines, name, lambda path: True)
        yield machines


def _replaced(definition: Definition, changes: dict[str, object]) -> Definition:
    import msgspec

    return msgspec.structs.replace(definition, **changes)
