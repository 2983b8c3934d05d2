"""SHELL: the logs of machines that did not end well, for as long as they may be of use.

A runtime folder goes with its machine. Where that was killed, crashed or never started, its
logs are moved to ``$XDG_STATE_HOME/kju/logs/NAME/`` first. A name keeps its last ones, and
only the newest `MACHINES` names are kept.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from . import logs

if TYPE_CHECKING:
    from .runtime import Paths

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
    found = [part for log in _logs(machine) for part in logs.parts(log)]
    if not found:
        return
    with contextlib.suppress(OSError):
        home = folder()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whole or not at all: another command may be reading, or keeping the same name.
        new = home / f".{machine.folder.name}.{os.getpid()}"
        new.mkdir(mode=0o700)
        try:
            for part in found:
                shutil.move(part, new / part.name)
            place = home / machine.folder.name
            shutil.rmtree(place, ignore_errors=True)
            new.rename(place)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        _forget_old(home)


def _logs(machine: Paths) -> tuple[Path, ...]:
    return machine.host_log, machine.qemu_log, machine.xvfb_log


def find(name: str) -> Paths | None:
    """The logs that were kept of the last machine of this name, if any."""
    from .runtime import Paths, check_name

    place = folder() / check_name(name)
    return Paths(place) if place.is_dir() else None


def _forget_old(home: Path) -> None:
    places = sorted(home.iterdir(), key=lambda place: place.stat().st_mtime)
    for place in places[:-MACHINES]:
        shutil.rmtree(place, ignore_errors=True)
