"""SHELL: which defined machines are clones of another, by their definitions and their disks."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..errors import ConflictError, DefinitionError, MachineNotFoundError
from . import disk_chain
from .defined import names, read
from .image import Image, Kind
from .paths import definitions_folder


def clones_of(name: str) -> list[str]:
    """Return the names of the machines whose disks, or definitions, are based on this one's."""
    folder = (definitions_folder() / name).resolve()
    own = set()
    with contextlib.suppress(DefinitionError, MachineNotFoundError):
        own = {path.resolve() for path in read(name).disk_paths}
    others = [other for other in names() if other != name]
    return [o for o in others if _base_of(o) == name or _has_overlay(o, folder, own)]


def refuse_cloned(name: str, found: list[Image]) -> None:
    """Refuse to start a machine that has clones and disks for them to be based on.

    Raises:
        ConflictError: It has.
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
        below = disk_chain.backing(disk)
        if below and (below in own or below.is_relative_to(folder)):
            return True
    return False
