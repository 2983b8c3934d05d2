"""SHELL: the logs of machines that failed.

A runtime folder is removed with its machine. If that was killed, crashed or did not start, its
logs are first moved to the folder of kept logs: the last logs of each name, and only of the newest
`MACHINES` names.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..errors import KjuError
from ..files import Folder, is_temporary, remove_tree
from ..protocol.values import KINDS
from . import logs
from .paths import Paths, check_name, kept_logs_folder

#: Each has at most two logs of two files, so 64 MiB in the worst case.
MACHINES = 16


def keep(machine: Paths) -> None:
    """Move a machine's logs away, replacing those that were kept under its name.

    Never raises: without room or a home folder the logs are lost with the machine.
    """
    found = [part.name for log in _logs(machine) for part in logs.parts(log)]
    if not found:
        return
    name = machine.folder.name
    with (
        contextlib.suppress(KjuError),
        Folder.open(machine.folder) as dead,
        Folder.open(kept_logs_folder(), create=True, follow_own_link=True) as kept,
    ):
        # Renamed when complete: another command may be reading, or keeping the same name.
        new = f".{name}.{os.getpid()}"
        try:
            with kept.folder(new, create=True) as place:
                for part in found:
                    place.write(part, dead.read(part), durable=False)
            remove_tree(kept, name, _is_log)
            kept.rename(new, name)
        finally:
            with contextlib.suppress(KjuError):
                remove_tree(kept, new, _is_log)
        _remove_old(kept)


def find(name: str) -> Paths | None:
    """Return the kept logs of the last machine of this name, if any."""
    place = kept_logs_folder() / check_name(name)
    return Paths(place) if place.is_dir() else None


def _logs(machine: Paths) -> tuple[Path, ...]:
    return machine.host_log, *map(machine.emulator_log, KINDS)


def _is_log(name: str) -> bool:
    """Return whether a file of this name is one of a machine's kept logs."""
    known = (part.name for log in _logs(Paths(Path())) for part in (log, logs.before(log)))
    return name in known or is_temporary(name)


def _remove_old(kept: Folder) -> None:
    ages = [(status.st_mtime, name) for name in kept.names() if (status := kept.status(name))]
    for _, name in sorted(ages)[:-MACHINES]:
        with contextlib.suppress(KjuError):
            remove_tree(kept, name, _is_log)
