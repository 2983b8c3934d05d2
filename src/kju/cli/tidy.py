"""Clearing what killed hosts left behind, before every command."""

from __future__ import annotations

import contextlib

from .. import memory
from ..errors import KjuError
from ..store import claims


def tidy() -> None:
    """Remove dead machines' folders and unused segments; a few directory reads."""
    # Whoever needs what failed here will meet the same error and say it.
    with contextlib.suppress(KjuError, OSError):
        claims.sweep()
    with contextlib.suppress(KjuError, OSError):
        memory.sweep()
