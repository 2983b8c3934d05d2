"""SHELL: the folders of defined machines: made and removed as a whole, under one lock."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

from ..errors import FileError, KjuError, MachineExistsError
from ..files import Folder, is_temporary, remove_tree
from . import snapshot_files
from .defined import DISK, VARIABLES
from .paths import check_name, definitions_folder

#: Names of folders that are being made or removed; a random part follows. They hide what a killed
#: command left: a later command removes it.
NEW, REMOVED = ".new-", ".removed-"
# An editor leaves files beside the one it was given: machine.toml.edited~, .machine.toml.edited.swp
_DEFINITIONS = re.compile(r"[.#]{0,2}machine\.toml[^/]*")


@contextlib.contextmanager
def exclusive() -> Iterator[Folder]:
    """Hold the lock under which the folders of defined machines are made and removed."""
    with (
        Folder.open(definitions_folder(), create=True, follow_own_link=True) as machines,
        machines.lock(),
    ):
        # Under the lock such a folder is left over from a command that was killed, or from a disk
        # that failed.
        for name in machines.names():
            with contextlib.suppress(FileError):
                if name.startswith(NEW):
                    remove_tree(machines, name, _is_new)
                if name.startswith(REMOVED):  # `remove` checked its files before it renamed it
                    remove_tree(machines, name, lambda path: True)
        yield machines


@contextlib.contextmanager
def new_machine_folder(name: str) -> Iterator[Folder]:
    """Make a folder that becomes the machine's at the end of the block, complete or not at all.

    Raises:
        MachineExistsError: A machine of this name is defined.
    """
    check_name(name)
    with exclusive() as machines:
        if machines.status(name) is not None:
            raise MachineExistsError(
                f"a machine named {name!r} is defined already ({machines.path / name}); choose"
                f" another name, or remove it with: kju rm {name}",
                name,
            )
        hidden = hidden_name(NEW)
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


def hidden_name(prefix: str) -> str:
    """Return a name for a folder that is being made or removed."""
    return f"{prefix}{os.urandom(8).hex()}"


def is_own_file(path: str) -> bool:
    """Return whether kju, or an editor of the definition, makes a file of this path in a folder."""
    stem, _, rest = path.partition("/")
    if stem == snapshot_files.FOLDER:
        return snapshot_files.is_made(rest)
    return path in (DISK, VARIABLES) or bool(_DEFINITIONS.fullmatch(path)) or is_temporary(path)


def _is_new(path: str) -> bool:
    """Return the same for an unfinished machine: the disks of a clone have any name."""
    return is_own_file(path) or ("/" not in path and path.endswith(".qcow2"))
