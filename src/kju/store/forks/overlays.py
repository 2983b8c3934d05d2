"""SHELL: the disks of a running machine that is frozen, and of a fork.

A frozen machine begins on the user's disks. (One of a fleet begins on overlays over them, as a fork
does; or, with a snapshot in them, on copies of them, because an overlay has no snapshots.) Each
freeze puts an empty overlay over every writable disk; the files below do not change from then on,
and belong to the base. A fork begins on overlays over the files of its base. All overlays of one
machine lie in one folder, and stay there: a base whose disks include some of them holds the folder
too.

The overlays of a fork, and copies, are removed with their last user. Those of the frozen machine
are written into the user's disks (`unmerged`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from ...errors import ForkError, KjuError, UsageError
from ...files import Folder
from .. import disk_files
from ..disk_files import Layer
from . import places, unmerged
from .description import BaseDisk, DiskLayer, FileIdentity, FrozenDisks, change
from .held_folder import HeldFolder
from .layers import MAX_DEPTH, identity, make_overlay, probe, size_of
from .listing import bases_on


class _LayerFile(NamedTuple):
    path: Path
    format: str


class _Disk(NamedTuple):
    """One writable disk now.

    Attributes:
        layers: The user's disk first, the file that the guest writes last.
        size: The size that the guest sees, in bytes; 0 before the first overlay.
        identity: The user's disk when the machine was frozen for the first time.
    """

    layers: tuple[_LayerFile, ...]
    size: int = 0
    identity: FileIdentity | None = None


class ForkDisks:
    """The writable disks of one machine, which its host holds while it runs.

    Args:
        machine: The machine's name.
        disks: The disks.
        base: The disks of the base of a fork; None for a machine on the user's disks.

    Attributes:
        is_kept: Whether the guest's data is in the user's disks, or is written to them later.
    """

    def __init__(
        self, machine: str, disks: Iterable[_Disk], base: FrozenDisks | None = None
    ) -> None:
        self.is_kept = base is None
        self._machine = machine
        self._disks = list(disks)
        self._sources: list[DiskLayer] = []
        self._home = base.home if base else ""
        self._folder: HeldFolder | None = None
        self._below: list[HeldFolder] = []
        self._number = 0
        self._before_extend: list[_Disk] | None = None
        if base is None:
            return
        try:
            self.renew(base)
        except BaseException:
            self.release()
            raise

    @classmethod
    def own(cls, machine: str, disks: Iterable[tuple[str, str]]) -> Self:
        """Return the disks of a machine that is not a fork.

        Args:
            machine: The machine's name.
            disks: Path and format of each writable disk; an empty format if QEMU probes it.
        """
        files = [_LayerFile(Path(path).resolve(), kind) for path, kind in disks]
        return cls(machine, [_Disk((file,)) for file in files])

    @classmethod
    def over_files(cls, machine: str, disks: Iterable[tuple[str, str]]) -> Self:
        """Return the disks of a machine that does not write to its images: overlays over them.

        The images must not change while the machine, or a base or a fork of it, exists.

        Args:
            machine: The machine's name.
            disks: Path and format of each writable disk; an empty format if QEMU probes it.

        Raises:
            UsageError: A disk cannot have an overlay.
            QemuError: qemu-img cannot read a disk of an unusual format.
            FileError: An overlay could not be written; nothing is left.
        """
        return cls.over(machine, FrozenDisks(tuple(_unchanged(*disk) for disk in disks)))

    @classmethod
    def copies(cls, machine: str, disks: Iterable[tuple[str, str]]) -> Self:
        """Return the disks of a machine that writes to copies of its images: call `copy` first.

        Args:
            machine: The machine's name.
            disks: Path and format of each writable disk; an empty format if QEMU probes it.

        Raises:
            UsageError: A disk is encrypted, or cannot be read.
            FileError: The folder of the copies could not be made.
        """
        images = [_unchanged(*disk) for disk in disks]
        made = cls(machine, ())
        made.is_kept = False
        if images:
            folder = made._make_folder()
            made._sources = [image.layers[0] for image in images]
            made._disks = [
                _Disk((_LayerFile(folder.path / f"{index}-0.qcow2", "qcow2"),), image.size)
                for index, image in enumerate(images)
            ]
        return made

    @classmethod
    def over(cls, machine: str, base: FrozenDisks) -> Self:
        """Return the disks of a new fork: empty overlays over the disks of a base.

        Raises:
            FileError: An overlay could not be written; nothing is left.
        """
        return cls(machine, (), base)

    @property
    def paths(self) -> list[Path]:
        """The file of each disk that the guest writes."""
        return [disk.layers[-1].path for disk in self._disks]

    @property
    def files(self) -> list[tuple[Layer, ...]]:
        """The files of each disk that kju knows: the one that the guest writes first."""
        return [
            tuple(
                Layer(str(path), kind, "backing" if depth else "disk")
                for depth, (path, kind) in enumerate(reversed(disk.layers))
            )
            for disk in self._disks
        ]

    @property
    def holds_snapshots(self) -> bool:
        """True if snapshots that are saved now last: the guest writes to the user's disks."""
        return all(self.is_kept and len(disk.layers) == 1 for disk in self._disks)

    @property
    def are_copies(self) -> bool:
        """True if the guest writes to copies of the user's disks, not to overlays."""
        return not self.is_kept and all(len(disk.layers) == 1 for disk in self._disks)

    @property
    def to_copy(self) -> bool:
        """True if `copy` has to be called before QEMU starts."""
        return bool(self._sources)

    def copy(self, is_wanted: Callable[[], bool]) -> None:
        """Copy the images, before QEMU uses the copies.

        Args:
            is_wanted: Returns false to give up.

        Raises:
            UsageError: An image cannot be read, or was changed meanwhile.
            QemuError: qemu-img is missing or failed.
            FileError: A copy could not be written.
            UnavailableError: It was given up.
        """
        # None are left after the first call.
        for source, disk in zip(self._sources, self._disks, strict=False):
            path, copy = Path(source.path), disk.layers[0].path
            with Folder.open(copy.parent) as folder:
                disk_files.copy(path, folder, copy.name, durable=False, is_wanted=is_wanted)
            if how := change(source.identity, identity(path, own=False)):
                raise UsageError(f"the disk {path} {how} while it was copied; start again")
        self._sources = []

    def extend(self) -> list[Path]:
        """Make an empty overlay over each disk, and return their paths.

        The caller makes QEMU use them at once, while the guest is stopped.

        Raises:
            UsageError: A disk cannot have an overlay.
            QemuError: qemu-img cannot read a disk of an unusual format.
            FileError: An overlay could not be written; nothing is left of them.
        """
        before, self._before_extend = list(self._disks), None
        try:
            disks = [_known(disk) for disk in before]
        except OSError as error:
            raise UsageError(f"a disk of {self._machine} cannot be read: {error}") from error
        self._cover(disks, before)
        self._before_extend = before
        return self.paths

    def retract(self) -> None:
        """Take the last `extend` back: QEMU could not use the overlays.

        Raises:
            UsageError: There is none, or a freeze has used it.
            FileError: A file could not be written or removed.
        """
        before, self._before_extend = self._before_extend, None
        if before is None:
            raise UsageError("there is no new overlay to take back")
        added = self.paths
        self._record(before)
        self._disks = before
        self._remove(added)

    def freeze(self) -> FrozenDisks:
        """Return the disks of a base: everything below the overlays of the last `extend`.

        The overlays among them become read-only (mode 0400).

        Raises:
            UsageError: `extend` was not called.
            FileError: A file could not be changed.
        """
        if self._before_extend is None:
            raise UsageError("the disks have no new overlays: call extend before freeze")
        found = tuple(BaseDisk(tuple(_frozen(disk)), disk.size) for disk in self._disks)
        # Not in `extend`: QEMU may have written to it once more before it used the overlay.
        self._disks = [
            disk._replace(identity=disk.identity or base.layers[0].identity)
            for disk, base in zip(self._disks, found, strict=True)
        ]
        self._record(self._disks)
        self._before_extend = None
        return FrozenDisks(found, self._home)

    def renew(self, base: FrozenDisks) -> None:
        """Begin again on empty overlays over a base; the present overlays are dropped.

        No QEMU uses the disks meanwhile.

        Raises:
            FileError: An overlay could not be written; the present ones stay.
        """
        below = self._hold(base)
        before = list(self._disks)
        try:
            self._cover([self._over(disk) for disk in base.disks], before)
        except BaseException:
            for held in below:
                unmerged.release(held)
            raise
        self._before_extend = None
        self._below, below = below, self._below
        for held in below:
            unmerged.release(held)
        # Not only the last overlay: those between it and the base were other bases' or nobody's.
        with contextlib.suppress(KjuError):
            self._remove_unused()

    def to_flatten(self) -> list[tuple[Path, Path]]:
        """Return the disks with too many overlays: the file that the guest writes, and the user's.

        The host copies everything between the two into the first (block-stream), then calls
        `flattened`. It does not freeze the machine meanwhile.
        """
        deep = [disk.layers for disk in self._disks if len(disk.layers) > MAX_DEPTH]
        return [(layers[-1].path, layers[0].path) for layers in deep]

    def flattened(self, path: Path) -> None:
        """Record that a file is now an overlay of the user's disk itself.

        Args:
            path: The file that the guest writes, from `to_flatten`.

        Raises:
            FileError: That could not be written.
        """
        self._disks = [
            disk._replace(layers=(disk.layers[0], disk.layers[-1]))
            if disk.layers[-1].path == path
            else disk
            for disk in self._disks
        ]
        self._record(self._disks)
        self._remove_unused()
        needed = {str(layer.path.parent) for disk in self._disks for layer in disk.layers[1:]}
        for held in [held for held in self._below if str(held.path) not in needed | {self._home}]:
            self._below.remove(held)
            unmerged.release(held)

    def release(self) -> None:
        """Release the disks, after the last QEMU has ended. A second call does nothing.

        The last user of a frozen machine's overlays writes them into the user's disks, which can
        take long.
        """
        folder, self._folder = self._folder, None
        below, self._below = self._below, []
        for held in ([folder] if folder else []) + below:
            unmerged.release(held)

    # -- files

    def _hold(self, base: FrozenDisks) -> list[HeldFolder]:
        """Hold the folders of a base, except this machine's own."""
        own, held = self._folder and self._folder.path, list[HeldFolder]()
        try:
            for path in map(Path, base.folders):
                if path != own:
                    held.append(HeldFolder.hold(path))
        except BaseException:
            for each in held:
                unmerged.release(each)
            raise
        return held

    def _cover(self, disks: Sequence[_Disk], before: list[_Disk]) -> None:
        """Put a new overlay over each of *disks*, and use them; all or none."""
        if not disks:
            self._disks = []
            return
        held = self._make_folder()
        self._number += 1
        made: list[Path] = []
        try:
            with Folder.open(held.path) as folder:
                for index, disk in enumerate(disks):
                    below = disk.layers[-1]
                    name = f"{index}-{self._number}.qcow2"
                    made.append(make_overlay(folder, name, below.path, below.format, disk.size))
            self._disks = [
                disk._replace(layers=(*disk.layers, _LayerFile(path, "qcow2")))
                for disk, path in zip(disks, made, strict=True)
            ]
            self._record(self._disks)
        except BaseException:
            self._disks = before
            # The record may have been replaced although that failed. As long as it may name the
            # overlays, they stay: an empty one does no harm, a missing one does.
            with contextlib.suppress(KjuError):
                self._record(before)
                self._remove(made)
            raise

    def _make_folder(self) -> HeldFolder:
        """Return the folder of this machine's overlays, which is made for the first one."""
        if self._folder is None:
            self._folder = HeldFolder.create(places.disk_root(), places.world())
            self._home = self._home or str(self._folder.path)
        self._folder.require_held()
        return self._folder

    def _over(self, disk: BaseDisk) -> _Disk:
        """Return a disk of a base, which gets an overlay."""
        files = tuple(_LayerFile(Path(layer.path), layer.format) for layer in disk.layers)
        own = next((each for each in self._disks if each.layers[0] == files[0]), _Disk(()))
        return own._replace(layers=files, size=disk.size)

    def _record(self, disks: list[_Disk]) -> None:
        """Write which overlays belong into which of the user's disks."""
        if not self.is_kept or self._folder is None:
            return
        found = [
            unmerged.UserDisk(
                str(disk.layers[0].path),
                disk.layers[0].format,
                disk.identity,
                tuple(layer.path.name for layer in disk.layers[1:]),
            )
            for disk in disks
            if disk.size
        ]
        with Folder.open(self._folder.path) as folder:
            unmerged.write(folder, unmerged.Unmerged(self._machine, tuple(found)))

    def _remove(self, paths: Iterable[Path]) -> None:
        """Remove overlays of this machine; other files are left."""
        if self._folder is None:
            return
        with contextlib.suppress(KjuError), Folder.open(self._folder.path) as folder:
            for path in paths:
                if path.parent == self._folder.path:
                    folder.remove(path.name)

    def _remove_unused(self) -> None:
        """Remove the overlays of this machine that neither it nor a base uses."""
        if self._folder is None:
            return
        used = {layer.path for disk in self._disks for layer in disk.layers}
        used |= bases_on(self._folder.path)
        own = [self._folder.path / name for name in _overlays_in(self._folder.path)]
        self._remove(path for path in own if path not in used)


def _overlays_in(folder: Path) -> list[str]:
    with Folder.open(folder) as opened:
        return [name for name in opened.names() if name.endswith(".qcow2")]


def _known(disk: _Disk) -> _Disk:
    """Return a disk with the facts that its first overlay needs.

    Raises:
        UsageError: It cannot have an overlay.
        OSError: It cannot be read.
    """
    if disk.size:
        return disk
    path, kind = disk.layers[0]
    kind = kind or probe(path)
    size = size_of(path, kind)
    if not size:
        raise UsageError(f"the disk {path} is empty: a machine with it cannot be frozen")
    return disk._replace(layers=(_LayerFile(path, kind),), size=size)


def _unchanged(path: str, kind: str) -> BaseDisk:
    """Return an image as the disk of a base."""
    file = _LayerFile(Path(path).resolve(), kind)
    try:
        disk = _known(_Disk((file,)))
        found = identity(file.path, own=False)
    except OSError as error:
        raise UsageError(f"the disk {path} cannot be read: {error}") from error
    if found is None:
        raise UsageError(f"the disk {path} is missing")
    return BaseDisk((DiskLayer(str(file.path), disk.layers[0].format, found),), disk.size)


def _frozen(disk: _Disk) -> Iterable[DiskLayer]:
    """Make the files below the newest overlay read-only, and return them; not the user's disk."""
    for number, (path, kind) in enumerate(disk.layers[:-1]):
        if number:
            with Folder.open(path.parent) as folder:
                folder.make_read_only(path.name)
        if (found := identity(path, own=bool(number))) is None:
            raise ForkError(f"the disk {path} was removed; the machine is not frozen")
        yield DiskLayer(str(path), kind, found)
