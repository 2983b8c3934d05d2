"""Question before defined machines are removed: everything that is deleted is named.

A disk outside a machine's folder is the user's own and stays. `examine` may wait; call it on an
action's thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import KjuError
from ..escaping import one_line
from ..store import definitions
from ..store.paths import definitions_folder
from ..store.snapshot_files import saved_snapshots

#: Machines, disks or snapshots that the question names; of the rest it has the number.
MAX_NAMED = 6


class Removal(NamedTuple):
    """Result of an examination before a machine is removed.

    Attributes:
        name: The machine.
        folder: Its folder, which is removed.
        disks: Disks in that folder: name, and bytes on the file system.
        snapshots: Names of the snapshots in them.
        kept: Files outside that folder, which stay.
        clones: Machines whose disks are based on its disks: with any it cannot be removed.
        fault: Why its definition cannot be read; it can be removed all the same.
    """

    name: str
    folder: str
    disks: tuple[tuple[str, int], ...] = ()
    snapshots: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    clones: tuple[str, ...] = ()
    fault: str = ""


def examine(name: str) -> Removal:
    """Return what removing a machine deletes.

    Raises:
        KjuError: No machine of this name is defined, or its folder cannot be read.
    """
    folder = definitions_folder() / name
    definitions.require_defined(name)
    found = Removal(name, str(folder), clones=tuple(definitions.clones_of(name)))
    try:
        machine = definitions.read(name)
    except KjuError as error:
        return found._replace(fault=str(error))
    paths = machine.disk_paths
    disks = [path for path in (*paths, folder / definitions.VARIABLES) if path.is_file()]
    own = tuple((path.name, _size(path)) for path in disks if path.is_relative_to(folder))
    kept = tuple(str(path) for path in paths if not path.is_relative_to(folder))
    snapshots: tuple[str, ...] = ()
    with contextlib.suppress(KjuError):  # a disk is missing or locked: nothing to name
        snapshots = tuple(saved.tag for saved in saved_snapshots(name) if own)
    return found._replace(disks=own, snapshots=snapshots, kept=kept)


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def question(removals: Sequence[Removal]) -> str:
    """Return the question before machines are removed, as plain text of several lines."""
    if len(removals) == 1:
        head = f"Remove {_shown(removals[0].name)}?"
    else:
        head = f"Remove {len(removals)} machines?"
    parts = [head]
    named = len(removals) > 1
    parts += [_deleted(removal, named=named) for removal in removals[:MAX_NAMED]]
    if (more := len(removals) - MAX_NAMED) > 0:
        names = ", ".join(_shown(removal.name) for removal in removals[MAX_NAMED:])
        parts.append(f"And the same of {more} more: {_shown(names, 300)}.")
    if kept := sorted({path for removal in removals for path in removal.kept}):
        parts.append("Not deleted:\n" + _bullets([_shown(path, 200) for path in kept]))
    parts.append("This cannot be undone.")
    return "\n\n".join(parts)


def _deleted(removal: Removal, *, named: bool) -> str:
    head = f"Deleted of {_shown(removal.name)}:" if named else "Deleted:"
    lines = [f"the definition, in {_shown(removal.folder, 200)}"]
    lines += [f"{_shown(name, 100)} ({size_words(size)})" for name, size in removal.disks]
    if removal.snapshots:
        count = len(removal.snapshots)
        names = [_shown(tag) for tag in removal.snapshots[:MAX_NAMED]]
        more = f" and {count - MAX_NAMED} more" if count > MAX_NAMED else ""
        lines.append(f"{count} snapshot{'s' * (count > 1)}: {', '.join(names)}{more}")
    if removal.fault:
        lines.append(
            f"its disks in that folder; the definition has a fault: {_shown(removal.fault, 200)}"
        )
    return f"{head}\n{_bullets(lines)}"


def refused(removals: Sequence[Removal]) -> str:
    """Return why some of these machines cannot be removed; empty if all can.

    A machine is not refused because of a clone that is removed with it.
    """
    names = {removal.name for removal in removals}
    lines = []
    for removal in removals:
        if above := [clone for clone in removal.clones if clone not in names]:
            clones = ", ".join(map(_shown, above[:MAX_NAMED]))
            lines.append(
                f"{_shown(removal.name)} has clones ({clones}), whose disks are based on its"
                " disks: remove those first."
            )
    return "\n".join(lines)


def in_order(removals: Sequence[Removal]) -> list[str]:
    """Return the names in an order in which each clone is removed before its base."""
    left = {removal.name: set(removal.clones) for removal in removals}
    ordered: list[str] = []
    while left:
        free = [name for name, clones in left.items() if not clones & left.keys()]
        for name in free or list(left):
            ordered.append(name)
            del left[name]
    return ordered


def size_words(size: float) -> str:
    """Return a number of bytes in words, such as ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.1f} {unit}" if unit == "GiB" else f"{size:.0f} {unit}"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"  \N{BULLET} {line}" for line in lines)


def _shown(text: str, longest: int = 64) -> str:
    return one_line(text, longest)
