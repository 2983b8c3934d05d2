"""SHELL: snapshots on disk: picture, input log and tree; the snapshots of a machine that is off.

Picture and input are in ``snapshots/TAG/`` of a defined machine's folder, or in
``DISK.snapshots/TAG/`` beside the first disk of another machine; the tree
(`kju.store.snapshot_tree`) is ``.tree.json`` beside the tags. Other users may have write access to
the disk's folder: they can put a link or a folder of their own at ``DISK.snapshots`` at any moment,
and `kju.files` refuses it. The input may hold passwords, and is replayed: it is read from files of
this user only.

Source:
    ImageInfo and SnapshotInfo in qapi/block-core.json of QEMU, which ``qemu-img info`` prints.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from ..errors import FileError, KjuError, LimitError, QemuError, UsageError
from ..files import Folder, failing, folder_in, is_temporary, remove_tree
from ..protocol.snapshots import SavedSnapshot
from ..protocol.values import TAG
from . import disk_files, snapshot_tree
from .definitions import VARIABLES, DefinedMachine, images, read
from .image import Image, Kind
from .snapshot_tree import DiskSnapshot, SnapshotTree, cannot_hold, no_snapshot, snapshot_id

#: No tag begins with a full stop.
TREE = ".tree.json"
PICTURE, INPUT = "screen.png", "input.jsonl"
#: Bytes of each that are copied for a clone, far above those that kju writes.
_LIMITS = {PICTURE: 64 << 20, INPUT: 64 << 20}
#: Its name in a machine's folder.
FOLDER = "snapshots"
#: Snapshots of one disk that are read; QEMU's format allows 65,536.
_MAX_SNAPSHOTS = 4096
_QCOW2_MAGIC = b"QFI\xfb"
_PARENT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class SnapshotFiles:
    """The files of one machine's snapshots.

    Args:
        machine: The folder of a defined machine; empty for another machine.
        disk: The path of the first disk; empty if no disk is a file.
    """

    def __init__(self, machine: str, disk: str) -> None:
        self._machine = machine
        self._disk = Path(disk) if disk else None

    def place(self, tag: str) -> Path | None:
        """Return the folder of a snapshot's files; None without a disk or for an unusual tag.

        A tag on a disk can be any text, even a path. Only a tag that kju accepts has a folder.
        """
        if not re.search(TAG, tag):
            return None
        if self._machine:
            return Path(self._machine) / FOLDER / tag
        return self._beside(self._disk) / tag if self._disk else None

    def keep(self, tag: str, picture: bytes | None, inputs: bytes) -> None:
        """Write a snapshot's files, all or none, in place of older ones of this tag.

        Args:
            tag: The snapshot's name, for which `place` returns a folder.
            picture: The screen as a PNG; None for none.
            inputs: The log of input; empty for none.

        Raises:
            FileError: They could not be written; none are left.
        """
        new = f".{tag}.new"
        with self._open(create=True) as folder:
            try:
                remove_tree(folder, new, _is_file)
                with folder.folder(new, create=True) as inside:
                    if picture is not None:
                        inside.write(PICTURE, picture)
                    if inputs:
                        inside.write(INPUT, inputs)
                # Those of an earlier snapshot of this tag, which the disk no longer has.
                remove_tree(folder, tag, _is_file)
                folder.rename(new, tag)
            except BaseException:
                with contextlib.suppress(KjuError):
                    remove_tree(folder, new, _is_file)
                raise
            folder.sync()

    def find(self, tag: str) -> tuple[str, str]:
        """Return the paths of a snapshot's picture and input; empty if missing or not ours."""
        place = self.place(tag)
        if place is None:
            return "", ""
        try:
            with self._open() as folder, folder.folder(tag) as inside:
                picture, inputs = (inside.has(name) for name in (PICTURE, INPUT))
        except KjuError:
            return "", ""
        return (str(place / PICTURE) if picture else "", str(place / INPUT) if inputs else "")

    def inputs(self, tag: str, limit: int) -> bytes:
        """Return a snapshot's input log.

        Raises:
            FileError: It is missing, cannot be read, or belongs to another user.
            LimitError: It has more than *limit* bytes.
        """
        with self._open() as folder, folder.folder(tag) as inside:
            return inside.read(INPUT, limit=limit)

    def remove(self, tag: str) -> None:
        """Remove a snapshot's files, if it has any.

        Raises:
            FileError: They could not be removed, or the folder holds other files.
        """
        place = self.place(tag)
        if place is None or not os.path.lexists(place):
            return
        with self._open() as folder:
            remove_tree(folder, tag, _is_file)

    def read_tree(self) -> SnapshotTree:
        """Return the tree of the snapshots; an empty one if none was written.

        Raises:
            FileError: It cannot be read, belongs to another user, or is not a tree.
            LimitError: It has too many bytes.
        """
        try:
            with self._open() as folder:
                return snapshot_tree.decode(folder.read(TREE, limit=snapshot_tree.MAX_BYTES))
        except FileError as error:
            if error.errno == errno.ENOENT:
                return SnapshotTree()
            raise

    def write_tree(self, tree: SnapshotTree) -> None:
        """Write the tree of the snapshots in place of the old one.

        Raises:
            FileError: It could not be written; the old one is unchanged.
        """
        with self._open(create=True) as folder:
            folder.write(TREE, snapshot_tree.encode(tree))

    def copy_to(self, machine: Folder, tags: Iterable[str], tree: SnapshotTree) -> None:
        """Copy the files of snapshots, and write a tree of them, in another machine's folder.

        Files that are missing, too large or another user's are left out, as `find` does.

        Args:
            machine: The folder, which has no snapshots yet.
            tags: The snapshots.
            tree: The other machine's tree.

        Raises:
            FileError: A file could not be written.
        """
        with machine.folder(FOLDER, create=True) as folder:
            for tag in tags:
                self._copy_files(tag, folder)
            folder.write(TREE, snapshot_tree.encode(tree))
            folder.sync()

    def _copy_files(self, tag: str, folder: Folder) -> None:
        if self.place(tag) is None:
            return
        files: dict[str, tuple[bytes, int]] = {}
        with contextlib.suppress(FileError), self._open() as own, own.folder(tag) as inside:
            for name, limit in _LIMITS.items():
                with contextlib.suppress(FileError, LimitError):
                    files[name] = (inside.read(name, limit=limit), 0o600)
        if files:
            with folder.folder(tag, create=True) as copy:
                copy.write_all(files)

    @contextlib.contextmanager
    def _open(self, *, create: bool = False) -> Iterator[Folder]:
        """Open the folder that holds a folder for each snapshot."""
        if self._machine:
            with (
                Folder.open(Path(self._machine), follow_own_link=True) as machine,
                machine.folder(FOLDER, create=create) as folder,
            ):
                yield folder
            return
        if self._disk is None:
            raise FileError("snapshot files need a disk that is a file: their folder is beside it")
        with failing(self._disk.parent, "opened"):
            parent = os.open(self._disk.parent, _PARENT)
        try:
            folder = folder_in(parent, self._beside(self._disk), create=create)
        finally:
            os.close(parent)
        with folder:
            yield folder

    @staticmethod
    def _beside(disk: Path) -> Path:
        return disk.with_name(f"{disk.name}.snapshots")


def is_made(path: str) -> bool:
    """Return whether a path below ``snapshots/`` is one that `SnapshotFiles` makes."""
    if path in ("", TREE) or is_temporary(path):
        return True  # "" is the folder itself
    tag, slash, name = path.partition("/")
    begun = re.fullmatch(r"\.(.+)\.new", tag)
    if not slash or not re.search(TAG, begun[1] if begun else tag):
        return False
    return not name or _is_file(name)


def _is_file(name: str) -> bool:
    return name in (PICTURE, INPUT) or is_temporary(name)


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


def check_snapshot(disks: Collection[Image], tag: str, *, has_memory: bool = True) -> None:
    """Check that a snapshot is in each of these disks, and can be loaded.

    Args:
        disks: The disks.
        tag: The snapshot's name.
        has_memory: One of these disks has to hold the memory of the snapshot.

    Raises:
        UsageError: It is not, or it has no memory.
        QemuError: qemu-img is missing or failed.
    """
    if unable := [image.path for image in disks if not _may_be_qcow2(image)]:
        raise cannot_hold(unable)
    saved = {image.path: _snapshots_of(image) for image in disks}
    lacking = [path for path, tags in saved.items() if tag not in tags]
    if len(lacking) == len(saved):
        raise no_snapshot(tag, sorted({each for tags in saved.values() for each in tags if each}))
    if lacking:
        raise UsageError(f"the snapshot {tag!r} is incomplete: {', '.join(lacking)} lacks it")
    if has_memory and not any(tags[tag].size for tags in saved.values()):
        raise UsageError(
            f"the snapshot {tag!r} holds disks only, no memory: save one with kju snapshot save"
        )


def _may_be_qcow2(image: Image) -> bool:
    return image.disk_format == "qcow2" or (not image.disk_format and _is_qcow2(Path(image.path)))


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
    return {each.name: each.saved() for each in found.snapshots[:_MAX_SNAPSHOTS]}


def _is_qcow2(disk: Path) -> bool:
    try:
        with disk.open("rb") as file:
            return file.read(len(_QCOW2_MAGIC)) == _QCOW2_MAGIC
    except OSError:
        return False
