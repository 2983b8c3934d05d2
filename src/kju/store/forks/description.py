"""The facts of a base that a QEMU needs to load it. I/O-free.

A base is the memory and the state of a frozen machine, with the disks below its forks. The state
fits only the QEMU that wrote it, and its files must be as they were. So both
are written down, and compared before each fork.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ...errors import FormatError

VERSION = 1
#: Far above a description with many disks.
MAX_BYTES = 1 << 20


class FileIdentity(msgspec.Struct, frozen=True):
    """The facts by which a file is known again (stat(2)).

    Attributes:
        device: The file system.
        inode: Its number there.
        size: Bytes.
        modified: Time of the last change of the contents, in nanoseconds.
        changed: Time of the last change of contents or mode; 0 for the user's own files, whose
            mode and links may change.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int = 0


class DiskLayer(msgspec.Struct, frozen=True):
    """One file of a base's disk.

    Attributes:
        path: Absolute.
        format: QEMU's name of its format.
        identity: The file when the machine was frozen.
    """

    path: str
    format: str
    identity: FileIdentity


class BaseDisk(msgspec.Struct, frozen=True):
    """One writable disk of a base.

    Attributes:
        layers: The user's disk first, then the overlays that kju made.
        size: The size that the guest sees, in bytes.
    """

    layers: tuple[DiskLayer, ...]
    size: int

    @property
    def top(self) -> DiskLayer:
        """The layer over which a fork's overlay is made."""
        return self.layers[-1]


class FrozenDisks(msgspec.Struct, frozen=True):
    """The writable disks of a base.

    Attributes:
        disks: In the order of the machine.
        home: The folder with the overlays of the machine on the user's disks (`unmerged`). It is
            held as long as a fork needs those disks unchanged. Empty without disks.
    """

    disks: tuple[BaseDisk, ...] = ()
    home: str = ""

    @property
    def folders(self) -> list[str]:
        """Every folder that a user of the disks holds."""
        layers = [layer for disk in self.disks for layer in disk.layers[1:]]
        found = [layer.path.rpartition("/")[0] for layer in layers]
        return [path for path in dict.fromkeys([self.home, *found]) if path]


class MemoryRange(msgspec.Struct, frozen=True):
    """A range of the guest's memory, and its place in the state file.

    Attributes:
        name: QEMU's name of the block.
        offset: Bytes from the beginning of the file.
        size: Bytes.
    """

    name: str
    offset: int
    size: int


class BaseFacts(msgspec.Struct, frozen=True):
    """The facts of a frozen machine that its host knows.

    Attributes:
        machine: Its name.
        tag: The name of the base.
        build: The QEMU: its version, and its program file.
        machine_type: The versioned machine type, such as ``pc-i440fx-10.0``.
        accelerator: The accelerator.
        memory: Bytes of guest memory.
        recipe: Everything else that a fork's host needs to start the same QEMU.
        ram: Where the memory lies in the state file.
        parent: The ID of the base that the machine was forked from; empty for none.
    """

    machine: str
    tag: str
    build: str
    machine_type: str
    accelerator: str
    memory: int
    recipe: dict[str, Any]
    ram: MemoryRange
    parent: str = ""


class Description(msgspec.Struct, frozen=True):
    """Everything that is known about a base.

    Attributes:
        version: Of this structure.
        facts: From the host.
        time: When it was frozen, in seconds since the epoch.
        state: The file with the memory and the state of the devices.
        disks: The writable disks.
    """

    version: int
    facts: BaseFacts
    time: float
    state: FileIdentity
    disks: FrozenDisks


encode = msgspec.json.Encoder().encode
# Made by the import: threads must not make it at the same time (`kju.protocol.framing`).
_decode = msgspec.json.Decoder(Description).decode


def decode(data: bytes, path: str) -> Description:
    """Return the description in a file.

    Args:
        data: Its content.
        path: The file, for messages.

    Raises:
        FormatError: It is cut short or damaged, or another version of kju wrote it.
    """
    try:
        found = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(
            f"the base's description {path} is damaged ({error}); freeze the machine again"
        ) from error
    if found.version != VERSION:
        raise FormatError(
            f"the base's description {path} has version {found.version}, and this kju reads"
            f" version {VERSION}; freeze the machine again with this kju",
            found.version,
            VERSION,
        )
    return found


def with_paths(recipe: Any, paths: Mapping[str, str]) -> Any:  # noqa: ANN401  any part of JSON
    """Return a recipe, or a part of it, with other paths of files.

    Args:
        recipe: The recipe.
        paths: New paths by the old ones.
    """
    if isinstance(recipe, str):
        return paths.get(recipe, recipe)
    if isinstance(recipe, dict):
        return {key: with_paths(value, paths) for key, value in recipe.items()}
    if isinstance(recipe, (list, tuple)):
        return [with_paths(value, paths) for value in recipe]
    return recipe


def difference(base: BaseFacts, build: str) -> str:
    """Return why a QEMU cannot load a base; empty if it can.

    Args:
        base: The base.
        build: The QEMU.
    """
    if base.build != build:
        return f"it was made by {base.build}, and the QEMU that is installed now is {build}"
    return ""


def change(old: FileIdentity, new: FileIdentity | None) -> str:
    """Return how a file has changed; empty if it is the same.

    Args:
        old: When the machine was frozen.
        new: Now; None if it is missing.
    """
    if new is None:
        return "is missing"
    if (old.device, old.inode) != (new.device, new.inode):
        return "was replaced by another file"
    if new.size < old.size:
        return f"was cut short: it has {new.size} bytes of {old.size}"
    if new.size > old.size:
        return f"has grown: it has {new.size} bytes, and had {old.size}"
    if old.modified != new.modified or (old.changed and old.changed != new.changed):
        return "was changed"
    return ""
