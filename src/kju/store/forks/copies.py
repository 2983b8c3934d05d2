"""SHELL: a copy of a base of another computer.

The memory and the state are copied as they are. Each overlay gets the path of the file below it on
this computer. The user's files below the overlays are not part of a copy: they are on this computer
already.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import structs

from ...errors import ForkError
from ...files import Folder, write_parts
from . import listing, places
from .bases import Base
from .description import (
    BaseDisk,
    Description,
    DiskLayer,
    FileIdentity,
    FrozenDisks,
    encode,
    with_paths,
)
from .held_folder import HeldFolder
from .layers import identity
from .places import STATE
from .qcow2 import with_backing

#: Returns the contents of a file that kju has made, by its path there; the first part has the
#: first cluster of an overlay.
Contents = Callable[[str], Iterable[bytes]]


def own_files(description: Description, state: Path) -> list[str]:
    """Return the paths of a base's files that kju has made: the state, and each overlay once.

    Args:
        description: The base.
        state: Its state.
    """
    layers = [layer.path for disk in description.disks.disks for layer in disk.layers[1:]]
    return [str(state), *dict.fromkeys(layers)]


def copy_base(
    description: Description, state: str, contents: Contents, files: Mapping[str, str]
) -> Base:
    """Make a copy of a base, and hold it.

    Args:
        description: The base on its computer.
        state: The path of its state there.
        contents: The contents of its files. An error ends the copy.
        files: The paths of the user's files here, by those there. A file that is not named has the
            same path on both computers.

    Raises:
        LimitError: There is too little memory for it; the message has the figures.
        ForkError: One of the user's files is missing here, or the copy is not complete.
        FileError: It cannot be written. Nothing is left of it.
    """
    held = places.new_base(description.facts.memory)
    overlays: HeldFolder | None = None
    try:
        if any(len(disk.layers) > 1 for disk in description.disks.disks):
            overlays = HeldFolder.create(places.disk_root(), places.world())
        disks = FrozenDisks(
            tuple(
                _copied_disk(number, disk, overlays, contents, files)
                for number, disk in enumerate(description.disks.disks)
            ),
            str(overlays.path) if overlays is not None else "",
        )
        with Folder.open(held.path) as folder:
            write_parts(folder, STATE, contents(state))
            made = _own(folder, STATE)
            if made.size != description.state.size:
                raise ForkError(
                    f"the copy of a base has {made.size} bytes of state, and the base"
                    f" {description.state.size}"
                )
            facts = description.facts
            facts = structs.replace(facts, recipe=with_paths(facts.recipe, files))
            copied = structs.replace(description, facts=facts, state=made, disks=disks)
            # Last: a base that is found is complete.
            folder.write(listing.DESCRIPTION, encode(copied), mode=0o400, durable=False)
        return Base(held, copied)
    except BaseException:
        held.release()
        raise
    finally:
        # The base holds it now.
        if overlays is not None:
            overlays.release()


def _copied_disk(
    number: int,
    disk: BaseDisk,
    overlays: HeldFolder | None,
    contents: Contents,
    files: Mapping[str, str],
) -> BaseDisk:
    lowest, *above = disk.layers
    layers = [_user_layer(lowest, files)]
    for index, layer in enumerate(above, 1):
        if overlays is None:
            raise ForkError("a base has overlays without a folder")
        below = os.fsencode(layers[-1].path)
        name = f"{number}-{index}.qcow2"
        with Folder.open(overlays.path) as folder:
            write_parts(folder, name, _over(below, contents(layer.path)))
            path = str(folder.path / name)
            layers.append(DiskLayer(path, layer.format, _own(folder, name)))
    return structs.replace(disk, layers=tuple(layers))


def _user_layer(layer: DiskLayer, files: Mapping[str, str]) -> DiskLayer:
    """Return a file of the user's as it is on this computer."""
    path = files.get(layer.path, layer.path)
    found = identity(Path(path), own=False)
    if found is None:
        raise ForkError(f"the disk {path} below a base is missing on this computer")
    return DiskLayer(path, layer.format, found)


def _over(below: bytes, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield an overlay over another file."""
    left = iter(parts)
    for first in itertools.islice(left, 1):
        yield with_backing(first, below)
    yield from left


def _own(folder: Folder, name: str) -> FileIdentity:
    """Make a file read-only, and return the facts by which it is known again."""
    folder.make_read_only(name)
    found = identity(folder.path / name, own=True)
    if found is None:
        raise ForkError(f"{folder.path / name} was removed while it was written")
    return found
