"""SHELL: removes the shared memory that killed processes left."""

from __future__ import annotations

from .posix import sweep_posix
from .sysv import sweep_sysv


def sweep() -> list[str]:
    """Remove this user's shared memory that no process uses; returns its addresses.

    Named files stay: they are meant to outlive all processes.
    """
    return sweep_posix() + sweep_sysv()
