"""SHELL: the logs of machines that did not end well, for as long as they may be of use.

A runtime folder goes with its machine. Where that was killed, crashed or never started, its
logs are moved to ``$XDG_STATE_HOME/kju/logs/NAME/`` first. A name keeps its last ones, and
only the newest `MACHINES` names are kept.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import KjuError
from ..files import Folder, is_temporary, remove_tree
from . import logs

if TYPE_CHECKING:
    from .running import Paths

#: Each has at most two logs of two files, so 64 MiB in the worst case.
MACHINES = 16


def folder() -> Path:
    """Where kept logs are; it need not be there."""
    import platformdirs  # most commands never come here

    return platformdirs.user_state_path("kju", appauthor=False) / "logs"


def keep(machine: Paths) -> None:
    """Move a machine's logs away, in place of those that were kept under its name.

    Never raises: where there is no room or no home, the logs go with the machine.
    """
    found = [part.name for log in _logs(machine) for part in logs.parts(log)]
    if not found:
        return
    name = machine.folder.name
    with (
        contextlib.suppress(KjuError),
        Folder.open(machine.folder) as gone,
        Folder.open(folder(), create=True, follow_own_link=True) as home,
    ):
        # Whole or not at all: another command may be reading, or keeping the same name.
        new = f".{name}.{os.getpid()}"
        try:
            with home.folder(new, create=True) as place:
                for part in found:
                    place.write(part, gone.read(part), durable=False)
            remove_tree(home, name, _is_log)
            home.rename(new, name)
        finally:
            with contextlib.suppress(KjuError):
                remove_tree(home, new, _is_log)
        _forget_old(home)


def _logs(machine: Paths) -> tuple[Path, ...]:
    return machine.host_log, machine.qemu_log, machine.xvfb_log


def _is_log(name: str) -> bool:
    """Whether kju keeps a file of this name with a machine's logs."""
    from .running import Paths

    known = (part.name for log in _logs(Paths(Path())) for part in (log, logs.before(log)))
    return name in known or is_temporary(name)


def find(name: str) -> Paths | None:
    """The logs that were kept of the last machine of this name, if any."""
    from .running import Paths, check_name

    place = folder() / check_name(name)
    return Paths(place) if place.is_dir() else None


def _forget_old(home: Folder) -> None:
    ages = [(status.st_mtime, name) for name in home.names() if (status := home.status(name))]
    for _, name in sorted(ages)[:-MACHINES]:
        with contextlib.suppress(KjuError):
            remove_tree(home, name, _is_log)
