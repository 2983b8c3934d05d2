"""Tools for models that use a screen, for asyncio: the names of `kju.agents`."""

from __future__ import annotations

from .computer import Computer, Outcome

__all__ = ["Computer", "Outcome"]
