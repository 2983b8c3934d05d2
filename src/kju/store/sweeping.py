"""SHELL: remove what killed processes left: machines' folders, bases and overlays."""

from __future__ import annotations

import contextlib

from ..errors import KjuError
from . import running
from .forks import places


def sweep() -> list[str]:
    """Remove the folders of killed hosts, and bases and overlays that no process holds.

    Every command calls this first; without bases and overlays it costs three reads of a folder.

    Returns:
        The names of the machines removed.
    """
    # First: an emulator that its killed host left is ended here, and no longer reads its disks.
    names = running.sweep()
    with contextlib.suppress(KjuError):
        if any(map(places.has_folders, places.base_roots())):
            from .forks import bases

            bases.sweep_forks()
    return names
