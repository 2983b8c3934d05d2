"""SHELL: bases: the memory and state of a frozen machine, from which forks start.

A base exists as long as a process holds it: the host of the frozen machine, the host of each fork,
and any process with a `Base`. The last release removes it; after SIGKILL the next kju command does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ...errors import FileError, ForkError, FormatError, KjuError
from ...files import Folder, failing
from . import listing, places, unmerged
from .description import (
    VERSION,
    BaseFacts,
    Description,
    FrozenDisks,
    change,
    difference,
    encode,
)
from .held_folder import ID, HeldFolder, sweep
from .layers import identity
from .overlays import ForkDisks
from .places import STATE


class BaseFiles:
    """The files of a base whose machine is being frozen.

    Args:
        memory: Bytes of guest memory.

    Raises:
        LimitError: There is too little free space; the message has the figures.
        FileError: The folder could not be made.
    """

    def __init__(self, memory: int) -> None:
        self._held: HeldFolder | None = places.new_base(memory)
        self._folder = self._held.path
        try:
            with Folder.open(self._folder) as folder:
                # Made here: QEMU would give it the mode of the umask.
                os.close(folder.new(STATE))
        except BaseException:
            self.release()
            raise

    @classmethod
    def reserve(cls, memory: int) -> BaseFiles:
        """Reserve the space for a base, as the constructor does."""
        return cls(memory)

    @property
    def state(self) -> Path:
        """The file for the guest's memory and state; it exists and is empty."""
        return self._folder / STATE

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the state file that QEMU has written; fewer at its end.

        Raises:
            FileError: It cannot be read.
        """
        with failing(self.state, "read"), self.state.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def clear(self, offset: int, size: int) -> None:
        """Write zero bytes into the state file.

        Raises:
            FileError: They could not be written.
        """
        with Folder.open(self._folder) as folder:
            folder.overwrite(STATE, offset, bytes(size))

    def freeze(self, facts: BaseFacts, disks: ForkDisks) -> Base:
        """Make the files a base, which this process holds. They are used up.

        Args:
            facts: From the machine's host.
            disks: The machine's disks, after `ForkDisks.extend`.

        Raises:
            ForkError: The state is not complete, or the files were used up before.
            FileError: A file could not be written.
        """
        held = self._held
        if held is None:
            raise ForkError(f"{self._folder} is used up; reserve another", facts.machine)
        with Folder.open(self._folder) as folder:
            folder.make_read_only(STATE)
            state = identity(self.state, own=True)
            if (
                state is None
                or state.size < facts.ram.offset + facts.ram.size
                or facts.ram.size <= 0
            ):
                raise ForkError(
                    f"QEMU wrote {state.size if state else 0} bytes of state for {facts.machine},"
                    " less than its memory; freeze the machine again",
                    facts.machine,
                )
            description = Description(VERSION, facts, time.time(), state, disks.freeze())
            # Last: a base that is found is complete.
            folder.write(listing.DESCRIPTION, encode(description), mode=0o400, durable=False)
        self._held = None
        return Base(held, description)

    def release(self) -> None:
        """Remove the files, unless they are a base. A second call does nothing."""
        held, self._held = self._held, None
        if held is not None:
            held.release()


class Base:
    """A base that this process holds until `release`.

    Attributes:
        id: Its ID, for `open_base`.
        facts: From the host of the frozen machine.
        time: When it was frozen, in seconds since the epoch.
        disks: The writable disks.
        description: All of these facts, as they are in its folder.
    """

    def __init__(self, held: HeldFolder, description: Description) -> None:
        self.id: str = held.path.name
        self.facts: BaseFacts = description.facts
        self.time: float = description.time
        self.disks: FrozenDisks = description.disks
        self._held = held
        self.description = description
        self._below: list[HeldFolder] = []
        try:
            for path in self.disks.folders:
                self._below.append(HeldFolder.hold(Path(path)))
        except BaseException:
            self.release()
            raise

    @property
    def state(self) -> Path:
        """The file with the memory and the state."""
        return self._held.path / STATE

    def hold_again(self) -> HeldFolder:
        """Hold the base for another process, which adopts it (`adopt_base`).

        Raises:
            FileError: It was removed.
        """
        return HeldFolder.hold(self._held.path)

    def check(self, build: str) -> None:
        """Check that the base is as it was, and that a QEMU can load it.

        Args:
            build: The QEMU.

        Raises:
            ForkError: A file was removed, cut short or changed; or another QEMU made the base. The
                message has the reason and the next step.
            ClosedError: It was released.
        """
        self._held.require_held()
        facts = self.facts
        what = f"the base {facts.tag} of {facts.machine} cannot be used"
        again = f"freeze a machine again: kju freeze {facts.machine} {facts.tag}"
        files = [(self.state, self.description.state)]
        files += [
            (Path(layer.path), layer.identity) for disk in self.disks.disks for layer in disk.layers
        ]
        for path, old in files:
            if how := change(old, identity(path, own=bool(old.changed))):
                raise ForkError(f"{what}: {path} {how}; {again}", facts.machine)
        if why := difference(facts, build):
            raise ForkError(f"{what}: {why}; {again}", facts.machine)

    def release(self) -> None:
        """Stop holding the base. The last release removes it. A second call does nothing."""
        self._held.release()
        below, self._below = self._below, []
        for held in below:
            unmerged.release(held)

    def __enter__(self) -> Base:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def open_base(name: str) -> Base:
    """Hold a base by its ID.

    Raises:
        ForkError: It does not exist (any more), or is damaged.
        FileError: It cannot be read.
    """
    for root in places.base_roots():
        if ID.fullmatch(name) and os.path.lexists(root / name):
            with _skipping_removed():
                return _open(root / name)
    raise _missing(name)


def is_here(name: str) -> bool:
    """Return whether a base of this ID exists on this computer."""
    return ID.fullmatch(name) is not None and any(
        os.path.lexists(root / name) for root in places.base_roots()
    )


def _missing(name: str) -> ForkError:
    return ForkError(
        f"the base {name} does not exist any more: it was removed, replaced by a newer one of its"
        " name, or its last user has ended; freeze the machine again"
    )


def adopt_base(name: str, lock: int) -> Base:
    """Return a base that the host of the frozen machine holds for this process.

    Args:
        name: Its ID.
        lock: The descriptor of its lock; this function takes ownership of it.

    Raises:
        ForkError: It does not exist, or is damaged.
        FileError: It cannot be read.
    """
    for root in places.base_roots():
        if ID.fullmatch(name) and os.path.lexists(root / name):
            return _opened(HeldFolder.adopt(root / name, lock))
    os.close(lock)
    raise _missing(name)


def find(machine: str, tag: str = "") -> Base:
    """Hold the newest base of a machine.

    Args:
        machine: The name of the frozen machine, which need not run.
        tag: The name of the base; empty for any.

    Raises:
        ForkError: There is none; the message lists the machine's bases.
        FileError: It cannot be read.
    """
    found = [entry for entry in listing.bases() if entry.facts.machine == machine]
    for entry in reversed(found):
        if tag in ("", entry.facts.tag):
            with _skipping_removed():
                return _open(entry.folder)
    tags = ", ".join(dict.fromkeys(entry.facts.tag for entry in found))
    have = f"its bases are: {tags}" if tags else f"freeze it: kju freeze {machine} {tag or 'TAG'}"
    wanted = f"base {tag!r}" if tag else "base"
    raise ForkError(f"{machine} has no {wanted}; {have}", machine)


def sweep_forks() -> list[Path]:
    """Remove the bases and overlays that no process holds; return their folders.

    Data that belongs into a user's disk stays (`kju.store.forks.unmerged`).
    """
    removed = []
    # The bases first: they hold no folder, but a base without its disks must not be found.
    for root in places.base_roots():
        with contextlib.suppress(KjuError):
            removed += sweep(root, unmerged.is_unmerged)
    return removed


@contextlib.contextmanager
def _skipping_removed() -> Iterator[None]:
    """Ignore in the block that a base was removed meanwhile."""
    try:
        yield
    except FileError as error:
        if error.errno != errno.ENOENT:
            raise


def _open(folder: Path) -> Base:
    """Hold the base in a folder.

    Raises:
        FileError: It was removed (ENOENT), or cannot be read.
        ForkError: It is damaged.
    """
    return _opened(HeldFolder.hold(folder))


def _opened(held: HeldFolder) -> Base:
    """Return the base in a folder; its holder passes to the base.

    Raises:
        FileError: It cannot be read.
        ForkError: It is damaged.
    """
    try:
        description = listing.read(held.path)
    except FormatError as error:
        held.release()
        raise ForkError(str(error)) from error
    except BaseException:
        held.release()
        raise
    try:
        return Base(held, description)
    except FileError as error:
        if error.errno != errno.ENOENT:
            raise
        facts = description.facts
        raise ForkError(
            f"the base {facts.tag} of {facts.machine} cannot be used: {error}; freeze the machine"
            " again",
            facts.machine,
        ) from error
