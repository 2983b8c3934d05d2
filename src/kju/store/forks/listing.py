"""SHELL: list the bases, and the forks of each. Nothing is held.

A base is found by the frozen machine's name and its tag, from machines of the same runtime folder.
A base without ``base.json`` is not complete: its freeze is under way, or was killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import FileError, FormatError, KjuError, LimitError
from ...files import Folder
from .. import running
from ..paths import Paths, machine_paths
from . import places
from .description import MAX_BYTES, BaseFacts, Description, decode
from .held_folder import ID
from .places import STATE

DESCRIPTION = "base.json"
_LONGEST_ID = 64


class BaseEntry(NamedTuple):
    """A base, for a list.

    Attributes:
        folder: Its folder.
        facts: From the host of the frozen machine.
        time: When it was frozen, in seconds since the epoch.
        used: Bytes that its memory and state occupy.
        forks: The names of the running machines that were forked from it.
    """

    folder: Path
    facts: BaseFacts
    time: float
    used: int
    forks: tuple[str, ...]

    @property
    def id(self) -> str:
        """Its ID."""
        return self.folder.name


def bases() -> list[BaseEntry]:
    """Return the bases of this runtime folder's machines, oldest first. Nothing is held."""
    found = list(_descriptions())
    if not found:
        return []
    forks: dict[str, list[str]] = {}
    for name in running.names():
        forks.setdefault(base_of(machine_paths(name)), []).append(name)
    entries = [
        BaseEntry(
            folder,
            each.facts,
            each.time,
            used_bytes(folder / STATE),
            tuple(forks.get(folder.name, ())),
        )
        for folder, each in found
    ]
    return sorted(entries, key=lambda entry: entry.time)


def note_fork(machine: Paths, base: str) -> None:
    """Write in a running machine's folder from which base it was forked.

    Args:
        machine: Its files.
        base: The ID of the base.

    Raises:
        FileError: It could not be written.
    """
    with Folder.open(machine.folder) as folder:
        folder.write(machine.base.name, f"{base}\n".encode(), durable=False)


def base_of(machine: Paths) -> str:
    """Return the ID of the base that a running machine was forked from; empty for none."""
    try:
        with Folder.open(machine.folder) as folder:
            return folder.read(machine.base.name, limit=_LONGEST_ID).decode("ascii").strip()
    except (KjuError, UnicodeDecodeError):
        return ""


def bases_on(folder: Path) -> set[Path]:
    """Return the overlays in a folder that bases use."""
    disks = [disk for _, description in _descriptions() for disk in description.disks.disks]
    paths = {Path(layer.path) for disk in disks for layer in disk.layers}
    return {path for path in paths if path.parent == folder}


def read(folder: Path) -> Description:
    """Return the description of the base in a folder.

    Raises:
        FileError: It is missing, or cannot be read.
        FormatError: It is damaged.
    """
    with Folder.open(folder) as opened:
        return decode(opened.read(DESCRIPTION, limit=MAX_BYTES), str(folder / DESCRIPTION))


def _descriptions() -> Iterator[tuple[Path, Description]]:
    """Yield the folder and description of each complete base; damaged ones are left out."""
    world = places.world()
    for root in places.base_roots():
        for folder in root.glob(f"{world}-*"):
            if ID.fullmatch(folder.name):
                with contextlib.suppress(FileError, FormatError, LimitError):
                    yield folder, read(folder)


def used_bytes(file: Path) -> int:
    """Return the bytes that a file occupies; holes do not count."""
    try:
        return file.lstat().st_blocks * 512
    except OSError:
        return 0
