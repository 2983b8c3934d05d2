"""Removing what killed processes left behind."""

from __future__ import annotations

from .posix import sweep_posix
from .sysv import sweep_sysv


def sweep() -> list[str]:
    """Remove every segment of this user that nobody uses any more; returns addresses.

    Named files stay: they are meant to outlive everybody.
    """
    return sweep_posix() + sweep_sysv()
